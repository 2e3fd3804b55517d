/** What can be read by address: runs, agents and workflows, each as the JSON of its route. */
import {
  ResourceNotFoundError,
  type ReadResourceResult,
  type Resource,
  type ResourceTemplateType,
} from '@modelcontextprotocol/server';
import type { Answered, CallOperation, Operation } from './mcp-operations.ts';
import { protocolError } from './mcp-tasks.ts';
import type { RunPage } from './run-schemas.ts';
import type { AgentList } from './schemas.ts';
import type { WorkflowList } from './workflow-schemas.ts';

const mimeType = 'application/json';
const runsPerPage = 50;

interface Kind {
  readonly template: ResourceTemplateType;
  readonly operation: string;
  readonly pattern: RegExp;
  readonly parameter: 'id' | 'name';
}

const kinds: readonly Kind[] = [
  {
    template: {
      uriTemplate: 'centuria://run/{id}',
      name: 'run',
      description: 'A run with its tasks, input and output.',
      mimeType,
    },
    operation: 'getRun',
    pattern: /^centuria:\/\/run\/([^/?#]+)$/,
    parameter: 'id',
  },
  {
    template: {
      uriTemplate: 'centuria://run/{id}/events',
      name: 'run events',
      description: 'The first 1,000 events of a run; run_events pages through more.',
      mimeType,
    },
    operation: 'listRunEvents',
    pattern: /^centuria:\/\/run\/([^/?#]+)\/events$/,
    parameter: 'id',
  },
  {
    template: {
      uriTemplate: 'centuria://agent/{name}',
      name: 'agent',
      description: 'The definition of an agent, its state, and complaints about its file.',
      mimeType,
    },
    operation: 'getAgent',
    pattern: /^centuria:\/\/agent\/([^/?#]+)$/,
    parameter: 'name',
  },
  {
    template: {
      uriTemplate: 'centuria://workflow/{name}',
      name: 'workflow',
      description: 'The definition of a workflow: its inputs, tasks and budgets.',
      mimeType,
    },
    operation: 'getWorkflow',
    pattern: /^centuria:\/\/workflow\/([^/?#]+)$/,
    parameter: 'name',
  },
];

/** The templates of what the caller may read something of. */
export function resourceTemplates(
  operations: ReadonlyMap<string, Operation>,
  may: (operation: Operation) => boolean,
): ResourceTemplateType[] {
  return kinds
    .filter(({ operation }) => {
      const found = operations.get(operation);
      return found !== undefined && may(found);
    })
    .map(({ template }) => template);
}

/** Agents and workflows first, then runs, newest first; what the caller may not read is not there. */
export async function listResources(
  call: CallOperation,
  cursor: string | undefined,
): Promise<{ resources: Resource[]; nextCursor?: string }> {
  const [agents, workflows, runs] = await Promise.all([
    cursor === undefined ? call('listAgents', {}) : undefined,
    cursor === undefined ? call('listWorkflows', {}) : undefined,
    call('listRuns', { query: { limit: runsPerPage, cursor } }),
  ]);
  const page = allowed<RunPage>(runs);
  const resources = [
    ...(allowed<AgentList>(agents)?.items ?? []).map(({ name, description }) =>
      resourceOf('agent', name, description),
    ),
    ...(allowed<WorkflowList>(workflows)?.items ?? []).map(({ name, description }) =>
      resourceOf('workflow', name, description),
    ),
    ...(page?.items ?? []).map(({ id, workflow, status }) =>
      resourceOf('run', id, `${workflow}, ${status}`),
    ),
  ];
  return {
    resources,
    ...(page?.nextCursor === undefined ? {} : { nextCursor: page.nextCursor }),
  };
}

function resourceOf(kind: 'agent' | 'workflow' | 'run', id: string, description: string): Resource {
  const uri = `centuria://${kind}/${encodeURIComponent(id)}`;
  return { uri, name: `${kind} ${id}`, description, mimeType };
}

/** What an answer holds; undefined where nothing was asked or the caller may not. Throws every other refusal. */
function allowed<Document>(answer: Answered | undefined): Document | undefined {
  if (answer === undefined || answer.status === 403) return undefined;
  if (answer.status >= 400) throw protocolError(answer);
  return answer.document as Document;
}

/** The resource at an address. Throws ResourceNotFoundError, and the route's other refusals. */
export async function readResource(call: CallOperation, uri: string): Promise<ReadResourceResult> {
  const found = parseUri(uri);
  if (found === undefined) throw new ResourceNotFoundError(uri);
  const { operation, parameter, value } = found;
  const answer = await call(operation, {
    params: { [parameter]: value },
    ...(operation === 'listRunEvents' ? { query: { limit: 1_000 } } : {}),
  });
  if (answer.status === 404) throw new ResourceNotFoundError(uri);
  if (answer.status >= 400) throw protocolError(answer);
  return { contents: [{ uri, mimeType, text: JSON.stringify(answer.document, undefined, 2) }] };
}

/** The run that an address of this server names, with or without its events. */
export function runOfUri(uri: string): string | undefined {
  const found = parseUri(uri);
  return found?.parameter === 'id' ? found.value : undefined;
}

function parseUri(uri: string) {
  for (const { pattern, operation, parameter } of kinds) {
    const value = decoded(pattern.exec(uri)?.[1]);
    // These would be folders of the route's address.
    if (value !== undefined && value !== '.' && value !== '..') {
      return { operation, parameter, value };
    }
  }
  return undefined;
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
