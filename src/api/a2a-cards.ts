/** Agent cards of A2A 1.0 (section 8): what anybody may know of the fleet, and each agent for who may see it. */
import type { FastifyRequest } from 'fastify';
import type { AgentDefinition } from '../agents/agents.ts';
import { AppError } from '../base/base.ts';
import type { WorkflowDefinition } from '../coordination/coordination.ts';
import { workflowSkill } from './a2a-access.ts';
import { jsonType, mediaTypes } from './a2a-parts.ts';
import { mayRead, renew } from './callers.ts';
import type { RouteParts } from './parts.ts';

export const protocolVersion = '1.0';
export const fleetPath = '/a2a';
export const agentPath = (name: string) => `${fleetPath}/agents/${encodeURIComponent(name)}`;

/** What an agent takes, for programs: the JSON Schema of its input is in the extension's `params`. */
const inputSchemaExtension = 'urn:centuria:a2a:input-schema:1';

export interface AgentSkill {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly inputModes?: readonly string[];
}

export interface AgentCard {
  readonly name: string;
  readonly description: string;
  readonly version: string;
  readonly supportedInterfaces: readonly object[];
  readonly capabilities: object;
  readonly securitySchemes: object;
  readonly securityRequirements: readonly object[];
  readonly defaultInputModes: readonly string[];
  readonly defaultOutputModes: readonly string[];
  readonly skills: readonly AgentSkill[];
}

type CardParts = Pick<
  RouteParts,
  'publicAddress' | 'version' | 'agents' | 'coordination' | 'identity'
>;

/** The fleet, without a word about who is in it. */
export function publicCard(parts: CardParts): AgentCard {
  return fleet(parts, [
    {
      id: 'fleet',
      name: 'Fleet',
      description:
        'Runs agents and workflows durably. Which ones, GetExtendedAgentCard says to who may see them.',
      tags: ['agents', 'workflows'],
    },
  ]);
}

/** The same with a skill for each agent and workflow that the caller may see. */
export async function fleetCard(parts: CardParts, request: FastifyRequest): Promise<AgentCard> {
  const { definitions } = await parts.coordination.workflows();
  await renew(request, parts);
  const skills = [
    ...visibleAgents(parts, request).map(agentSkill),
    ...definitions
      .filter(({ name }) => mayRead(request, 'workflows.read', name))
      .map(workflowAsSkill),
  ];
  return skills.length === 0 ? publicCard(parts) : fleet(parts, skills);
}

/** Agents that the caller may see, by name. */
export function visibleAgents(
  { agents }: Pick<RouteParts, 'agents'>,
  request: FastifyRequest,
): AgentDefinition[] {
  return agents
    .list()
    .filter(({ name }) => mayRead(request, 'agents.read', name))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Throws `agent_not_found`, the same for an agent that there is not and for one that the caller may not see. */
export function ownCard(parts: CardParts, request: FastifyRequest, name: string): AgentCard {
  const agent = mayRead(request, 'agents.read', name) ? parts.agents.get(name) : undefined;
  if (agent !== undefined) return agentCard(parts, agent);
  throw new AppError('agent_not_found', `there is no agent ${name}`, {
    details: { agent: name },
    remedy: 'GET /a2a/agents lists them.',
  });
}

export function agentCard(parts: CardParts, agent: AgentDefinition): AgentCard {
  const { name, description, category, capabilities, input } = agent;
  const inputModes = inputModesOf(agent);
  return {
    ...common(parts, agentPath(name), input),
    name,
    description,
    // Any change of its file is another version.
    version: agent.hash.slice(0, 12),
    defaultInputModes: inputModes,
    skills:
      capabilities.length === 0
        ? [{ id: name, name, description, tags: [category] }]
        : capabilities.map((capability) => ({
            id: capability,
            name: capability,
            description,
            tags: [category, capability],
          })),
  };
}

function fleet(parts: CardParts, skills: readonly AgentSkill[]): AgentCard {
  return {
    ...common(parts, fleetPath, undefined),
    name: 'Centuria',
    description:
      'A fleet of agents and workflows. A message names in metadata.skill for whom it is; each agent has a card and an address of its own as well.',
    version: parts.version,
    defaultInputModes: mediaTypes,
    skills,
  };
}

function common(
  { publicAddress }: CardParts,
  path: string,
  input: AgentDefinition['input'],
): Omit<AgentCard, 'name' | 'description' | 'version' | 'defaultInputModes' | 'skills'> {
  const base = publicAddress.url();
  const extension = {
    uri: inputSchemaExtension,
    description: 'The JSON Schema of the data part that a message brings',
    required: false,
    params: { schema: input },
  };
  return {
    supportedInterfaces: [{ url: `${base}${path}`, protocolBinding: 'JSONRPC', protocolVersion }],
    capabilities: {
      streaming: true,
      pushNotifications: false,
      extendedAgentCard: true,
      ...(input === undefined ? {} : { extensions: [extension] }),
    },
    securitySchemes: {
      bearer: {
        httpAuthSecurityScheme: {
          scheme: 'Bearer',
          description: 'An access token or an API key of the bridge',
        },
      },
      oauth2: {
        oauth2SecurityScheme: {
          description: 'Access tokens, also bound to a key (DPoP)',
          oauth2MetadataUrl: `${base}/.well-known/oauth-authorization-server`,
          flows: {
            authorizationCode: {
              authorizationUrl: `${base}/oauth/authorize`,
              tokenUrl: `${base}/oauth/token`,
              refreshUrl: `${base}/oauth/token`,
              scopes: {
                'agents.read': 'See agents',
                'agents.execute': 'Send messages to agents',
                'runs.read': 'See tasks and their results',
                'runs.write': 'Cancel tasks',
              },
              pkceRequired: true,
            },
          },
        },
      },
    },
    securityRequirements: [
      { schemes: { bearer: { list: [] } } },
      { schemes: { oauth2: { list: ['agents.execute', 'runs.read'] } } },
    ],
    defaultOutputModes: mediaTypes,
  };
}

function agentSkill(agent: AgentDefinition): AgentSkill {
  const { name, description, category, capabilities } = agent;
  return {
    id: name,
    name,
    description,
    tags: [category, ...capabilities],
    inputModes: inputModesOf(agent),
  };
}

function workflowAsSkill({ name, description }: WorkflowDefinition): AgentSkill {
  return {
    id: workflowSkill(name),
    name,
    description,
    tags: ['workflow'],
    inputModes: [jsonType],
  };
}

/** An input of a certain shape is a data part, unless it has a field for words. */
function inputModesOf({ input }: AgentDefinition): readonly string[] {
  const properties = input?.['properties'];
  const hasTask = typeof properties === 'object' && properties !== null && 'task' in properties;
  return input?.['type'] === 'object' && !hasTask ? [jsonType] : mediaTypes;
}
