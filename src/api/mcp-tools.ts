/** The tools of the MCP server: each is one operation of the bridge under a name of its own. */
import type { Tool, ToolAnnotations } from '@modelcontextprotocol/server';
import { AppError, suggest } from '../base/base.ts';
import type { Asking, JsonSchema, Operation } from './mcp-operations.ts';

const looks: ToolAnnotations = { readOnlyHint: true, openWorldHint: false };
/** Changes what is there, and says so the second time as well. */
const changes: ToolAnnotations = { destructiveHint: false, idempotentHint: true };
const adds: ToolAnnotations = { destructiveHint: false, idempotentHint: false };
const ends: ToolAnnotations = { destructiveHint: true, idempotentHint: true };

interface ToolEntry {
  readonly name: string;
  readonly operation: string;
  readonly annotations: ToolAnnotations;
  /** It begins a run, whose end it may wait for. */
  readonly startsRun?: true;
  /** Fields of the request under clearer names. */
  readonly names?: Readonly<Record<string, string>>;
}

/**
 * What a client gets. Nothing here administers identity or hands out secrets: who may do so asks the
 * bridge itself, in person.
 */
const entries: readonly ToolEntry[] = [
  { name: 'agents_list', operation: 'listAgents', annotations: looks },
  { name: 'agent_get', operation: 'getAgent', annotations: looks },
  { name: 'agent_problems', operation: 'listAgentProblems', annotations: looks },
  {
    name: 'agent_run',
    operation: 'startAgentRun',
    annotations: adds,
    startsRun: true,
    names: { name: 'agent' },
  },
  { name: 'agent_recommend', operation: 'recommendAgent', annotations: looks },
  { name: 'feedback_give', operation: 'giveFeedback', annotations: changes },
  { name: 'workflows_list', operation: 'listWorkflows', annotations: looks },
  { name: 'workflow_get', operation: 'getWorkflow', annotations: looks },
  { name: 'run_start', operation: 'startRun', annotations: adds, startsRun: true },
  { name: 'runs_list', operation: 'listRuns', annotations: looks },
  { name: 'run_get', operation: 'getRun', annotations: looks },
  { name: 'run_wait', operation: 'waitForRun', annotations: looks },
  { name: 'run_events', operation: 'listRunEvents', annotations: looks },
  { name: 'run_cancel', operation: 'cancelRun', annotations: ends },
  { name: 'run_pause', operation: 'pauseRun', annotations: changes },
  { name: 'run_resume', operation: 'resumeRun', annotations: changes },
  { name: 'run_retry', operation: 'retryRun', annotations: adds },
  { name: 'run_signal', operation: 'signalRun', annotations: adds },
  { name: 'questions_list', operation: 'listQuestions', annotations: looks },
  { name: 'run_answer', operation: 'answerRun', annotations: changes },
  { name: 'run_undo_plan', operation: 'getUndoPlan', annotations: looks },
  { name: 'failures_list', operation: 'listFailures', annotations: looks },
  { name: 'failure_runs', operation: 'listFailureRuns', annotations: looks },
  { name: 'schedules_list', operation: 'listSchedules', annotations: looks },
  { name: 'schedule_run', operation: 'runSchedule', annotations: adds },
  { name: 'budgets_list', operation: 'listBudgets', annotations: looks },
  { name: 'breakers_list', operation: 'listBreakers', annotations: looks },
  { name: 'status', operation: 'getSystemStatus', annotations: looks },
];

/** How long a tool that starts a run waits for its end when nobody says otherwise. Clients give up after a minute. */
export const usualWaitSeconds = 25;
const mostWaitSeconds = 120;
const waitArgument = 'waitSeconds';

type Place = 'params' | 'query' | 'body' | 'headers';
interface Argument {
  readonly place: Place;
  /** Its name in that place. */
  readonly field: string;
  readonly schema: JsonSchema;
  readonly isNeeded: boolean;
}

/** A tool with the operation that it calls. */
export interface BridgeTool {
  readonly name: string;
  readonly operation: Operation;
  readonly startsRun: boolean;
  /** As `tools/list` shows it. */
  readonly shown: Tool;
  readonly arguments: ReadonlyMap<string, Argument>;
}

/** Makes the tools out of the operations; throws for an entry whose operation does not exist. */
export function createTools(operations: ReadonlyMap<string, Operation>): readonly BridgeTool[] {
  return entries.map((entry) => {
    const operation = operations.get(entry.operation);
    if (operation === undefined) {
      throw new Error(`the tool ${entry.name} calls ${entry.operation}, which does not exist`);
    }
    const named = argumentsOf(operation, entry.names ?? {});
    const startsRun = entry.startsRun === true;
    return {
      name: entry.name,
      operation,
      startsRun,
      arguments: named,
      shown: {
        name: entry.name,
        description: descriptionOf(operation, startsRun),
        inputSchema: inputSchema(named, startsRun),
        annotations: { title: operation.summary, ...entry.annotations },
        ...(startsRun ? { execution: { taskSupport: 'optional' as const } } : {}),
      },
    };
  });
}

function descriptionOf({ summary, description }: Operation, startsRun: boolean): string {
  const parts = [summary, ...(description === undefined ? [] : [description])];
  if (startsRun) {
    parts.push(
      `Waits for the end, ${usualWaitSeconds} s unless waitSeconds says otherwise; a run that goes on then goes on without you: run_wait waits again. Clients with Tasks get a task, whose id is the run's.`,
    );
  }
  return parts.join(' ');
}

/**
 * The parameters of all parts of a request as one list of names. Where two parts have the same name,
 * the later one carries its part's: `name` of the address, `body_name`.
 */
function argumentsOf(
  operation: Operation,
  names: Readonly<Record<string, string>>,
): ReadonlyMap<string, Argument> {
  const named = new Map<string, Argument>();
  const parts = {
    params: operation.params,
    query: operation.querystring,
    body: operation.body,
    headers: operation.headers,
  };
  for (const [place, part] of Object.entries(parts) as [Place, JsonSchema | undefined][]) {
    if (part === undefined) continue;
    if (part['type'] !== 'object') {
      throw new Error(`${operation.id} takes no object as its ${place}: no tool can be made of it`);
    }
    const needed = new Set(part['required'] as readonly string[] | undefined);
    for (const [field, schema] of Object.entries((part['properties'] ?? {}) as JsonSchema)) {
      const name = names[field] ?? (place === 'headers' ? camelCase(field) : field);
      named.set(named.has(name) ? `${place}_${name}` : name, {
        place,
        field,
        schema: schema as JsonSchema,
        isNeeded: needed.has(field),
      });
    }
  }
  return named;
}

function inputSchema(
  named: ReadonlyMap<string, Argument>,
  startsRun: boolean,
): Tool['inputSchema'] {
  const properties: Record<string, JsonSchema> = {};
  // The copy drops what TypeBox keeps beside the schema for its own use.
  for (const [name, { schema }] of named) {
    properties[name] = JSON.parse(JSON.stringify(schema)) as JsonSchema;
  }
  if (startsRun) {
    properties[waitArgument] = {
      type: 'number',
      minimum: 0,
      maximum: mostWaitSeconds,
      default: usualWaitSeconds,
      description: 'How long to wait for the end; 0: not at all',
    };
  }
  const required = [...named].filter(([, { isNeeded }]) => isNeeded).map(([name]) => name);
  return { type: 'object', properties, required, additionalProperties: false } as never;
}

export interface ToolAsking extends Asking {
  readonly waitSeconds: number;
}

/** The arguments of a call as the parts of the request. Throws `invalid_input`; what the route checks is left to it. */
export function askingOf(tool: BridgeTool, given: Readonly<Record<string, unknown>>): ToolAsking {
  const parts: Record<Place, Record<string, unknown>> = {
    params: {},
    query: {},
    body: {},
    headers: {},
  };
  for (const [name, value] of Object.entries(given)) {
    if (tool.startsRun && name === waitArgument) continue;
    const argument = tool.arguments.get(name);
    if (argument === undefined) throw unknownArgument(tool, name);
    parts[argument.place][argument.field] = value;
  }
  for (const [name, { isNeeded }] of tool.arguments) {
    if (isNeeded && given[name] === undefined) {
      throw wrongArgument(name, 'is needed');
    }
  }
  return {
    params: parts.params,
    query: parts.query,
    headers: parts.headers,
    ...(tool.operation.body === undefined ? {} : { body: parts.body }),
    waitSeconds: tool.startsRun ? waitSecondsOf(given[waitArgument]) : 0,
  };
}

function waitSecondsOf(wait: unknown): number {
  if (wait === undefined) return usualWaitSeconds;
  if (typeof wait === 'number' && wait >= 0 && wait <= mostWaitSeconds) return wait;
  throw wrongArgument(waitArgument, `must be a number from 0 to ${mostWaitSeconds}`);
}

function unknownArgument(tool: BridgeTool, name: string): AppError {
  const near = suggest(name, [...tool.arguments.keys()]);
  return wrongArgument(
    name,
    'is not known here',
    near === undefined
      ? `${tool.name} takes ${[...tool.arguments.keys()].join(', ') || 'no arguments'}.`
      : `Did you mean ${near}?`,
  );
}

function wrongArgument(name: string, message: string, remedy?: string): AppError {
  return new AppError('invalid_input', `the argument ${name} ${message}`, {
    details: { errors: [{ in: 'body', field: name, message }] },
    ...(remedy === undefined ? {} : { remedy }),
  });
}

function camelCase(header: string): string {
  return header.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
