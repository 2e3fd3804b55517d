/** Agents and the server as they go over HTTP; what the agents' part owns is held to its types by the compiler. */
import { Type, type Static } from 'typebox';
import type {
  AgentCategory,
  AgentDefinition,
  AgentState,
  AgentStatus,
  InvocationResult,
  Problem,
} from '../agents/agents.ts';
import { agentCategories } from '../agents/agents.ts';
import type { Usage } from '../coordination/coordination.ts';
import { usageSchema } from './run-event-schemas.ts';
import {
  count,
  describes,
  errorRecordSchema,
  id,
  maybe,
  oneOf,
  record,
  text,
  texts,
  time,
  type Same,
} from './schema-terms.ts';

const agentStates = [
  'initializing',
  'active',
  'degraded',
  'unavailable',
  'failed',
  'shutting_down',
] as const satisfies readonly AgentState[];

const runtimeKinds = ['command', 'http', 'mcp', 'a2a', 'model', 'claude-code'] as const;
const runtimeSchema = Type.Unsafe<NonNullable<AgentDefinition['runtime']>>(
  Type.Object({ kind: oneOf(runtimeKinds) }, { additionalProperties: true }),
);
const category = oneOf<AgentCategory>(agentCategories);

/** A definition as it is sent: `runtime` and `verify` are absent where the file has none. */
const agentDefinitionSchema = Type.Object(
  {
    name: text,
    description: text,
    category,
    capabilities: texts,
    runtime: maybe(runtimeSchema),
    timeoutMs: Type.Number(),
    retries: count,
    invokes: texts,
    requires: Type.Object({ binaries: texts, environment: texts }),
    sideEffects: oneOf<AgentDefinition['sideEffects']>(['none', 'workspace', 'external']),
    verify: maybe(record),
    input: maybe(record),
    budget: maybe(Type.Object({ tokens: maybe(count), usd: maybe(Type.Number()) })),
    frontmatter: record,
    prompt: text,
    hash: text,
    source: text,
    file: text,
  },
  { title: 'AgentDefinition' },
);

const agentStatusSchema = describes<AgentStatus>()(
  Type.Object({
    name: text,
    state: oneOf(agentStates),
    reason: maybe(text),
    checkedAt: time,
    lastError: maybe(errorRecordSchema),
  }),
  'AgentStatus',
);

const agentProblemSchema = describes<Problem>()(
  Type.Object({
    file: text,
    line: Type.Integer(),
    column: Type.Integer(),
    severity: oneOf<Problem['severity']>(['error', 'warning']),
    message: text,
    suggestion: maybe(text),
  }),
  'AgentProblem',
);
export const agentProblemsSchema = Type.Object(
  { items: Type.Array(agentProblemSchema), count },
  { title: 'AgentProblems' },
);

/** An agent in a list: enough to choose one, and to see why it can not work. */
const agentRowSchema = Type.Object(
  {
    name: text,
    description: text,
    category,
    capabilities: texts,
    runtime: maybe(oneOf(runtimeKinds)),
    hash: text,
    status: agentStatusSchema,
  },
  { title: 'AgentRow' },
);
export const agentListSchema = Type.Object(
  { items: Type.Array(agentRowSchema), count },
  { title: 'AgentList' },
);

export const agentDetailSchema = Type.Object(
  {
    definition: agentDefinitionSchema,
    status: agentStatusSchema,
    problems: Type.Array(agentProblemSchema),
  },
  { title: 'AgentDetail' },
);

export const invocationResultSchema = Type.Object(
  { agent: text, attemptId: id, output: Type.Unknown(), usage: usageSchema },
  { title: 'InvocationResult' },
);
type InvocationUsage = InvocationResult['usage'];
/** The usage of a call by hand and of a task's attempt are the same shape. */
export type UsageAgrees = Same<InvocationUsage, Usage> extends true ? true : never;

export const bridgeAgentsSchema = Type.Object(
  {
    agents: Type.Array(
      Type.Object({ name: text, description: text, category, status: oneOf(agentStates) }),
    ),
    count,
  },
  { title: 'BridgeAgents' },
);

const reachability = oneOf(['ok', 'unavailable']);
export const healthSchema = Type.Object(
  {
    status: oneOf(['ok', 'starting', 'degraded']),
    service: Type.Literal('bridge'),
    database: reachability,
    reason: maybe(text),
    version: text,
    uptimeSeconds: Type.Number(),
    timestamp: time,
  },
  { title: 'Health' },
);

export const bridgeStatusSchema = Type.Object(
  {
    bridge: oneOf(['ok', 'starting']),
    learning_api: reachability,
    postgres: reachability,
    agents_dir: Type.Boolean(),
    config_dir: Type.Boolean(),
    reasons: Type.Record(Type.String(), text, {
      description: 'Why a part is not ok, by its name',
    }),
  },
  { title: 'BridgeStatus' },
);

export const systemStatusSchema = Type.Object(
  {
    version: text,
    startedAt: time,
    uptimeSeconds: Type.Number(),
    node: text,
    pid: Type.Integer(),
    home: text,
    database: Type.Object({
      driver: oneOf(['embedded', 'server']),
      versionNumber: Type.Integer({ description: 'As server_version_num: 170004 is 17.4' }),
      vector: Type.Boolean(),
      status: reachability,
      reason: maybe(text),
    }),
    memory: Type.Object({ residentBytes: count, heapUsedBytes: count, heapLimitBytes: count }),
    agents: Type.Object({ count, byState: Type.Record(Type.String(), count), problems: count }),
    runs: Type.Object({
      open: count,
      byStatus: Type.Record(Type.String(), count),
    }),
    worker: maybe(
      Type.Object(
        { id: text, runs: count, attempts: count, concurrency: count },
        { description: 'The worker of this process; absent where it has none' },
      ),
    ),
    bridge: Type.Object({ eventStreams: count, longPolls: count, invocations: count }),
  },
  { title: 'SystemStatus' },
);

export const loginLinkSchema = Type.Object(
  { url: text, expiresInSeconds: Type.Integer() },
  { title: 'LoginLink' },
);

export const invokeSchema = Type.Object(
  {
    input: Type.Unknown(),
    timeoutSeconds: maybe(Type.Number({ exclusiveMinimum: 0, maximum: 3_600 })),
  },
  { title: 'InvokeRequest', additionalProperties: false },
);

export const startAgentRunSchema = Type.Object(
  { input: Type.Unknown(), priority: maybe(Type.Integer({ minimum: 1, maximum: 100 })) },
  { title: 'StartAgentRun', additionalProperties: false },
);

export type StartAgentRunRequest = Static<typeof startAgentRunSchema>;
export type InvokeRequest = Static<typeof invokeSchema>;
export type AgentList = Static<typeof agentListSchema>;
export type AgentDetail = Static<typeof agentDetailSchema>;
export type AgentProblems = Static<typeof agentProblemsSchema>;
export type InvocationAnswer = Static<typeof invocationResultSchema>;
export type BridgeAgents = Static<typeof bridgeAgentsSchema>;
export type BridgeStatus = Static<typeof bridgeStatusSchema>;
export type Health = Static<typeof healthSchema>;
export type SystemStatus = Static<typeof systemStatusSchema>;
export type LoginLink = Static<typeof loginLinkSchema>;
