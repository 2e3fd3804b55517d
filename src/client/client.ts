/** The typed client of the bridge: what the command line and other programs call. It needs no part of the server. */
import type {
  AcceptToolRequest,
  AgentDetail,
  AgentList,
  AgentProblems,
  AgentTools,
  BridgeAgents,
  BridgeStatus,
  Health,
  InvocationAnswer,
  InvokeRequest,
  StartAgentRunRequest,
  LoginLink,
  SystemStatus,
  WorkflowList,
} from '../api/api.ts';
import type { RunSummary, WorkflowDefinition } from '../coordination/coordination.ts';
import { identityClient } from './identity-client.ts';
import { runClient, type StartOptions } from './run-client.ts';
import type { CallOptions } from './send.ts';
import { learningClient } from './learning-client.ts';
import { limitsClient } from './limits-client.ts';
import { scheduleClient } from './schedule-client.ts';
import { createTransport, type TransportOptions } from './transport.ts';

export type { BreakerListFilter, BudgetUseFilter } from './limits-client.ts';
export type { FollowOptions } from './follow.ts';
export type { RunFilter, StartOptions, WaitOptions } from './run-client.ts';
export type { CallOptions } from './send.ts';
export type {
  PageOptions,
  PrincipalFilter,
  SecurityEventFilter,
  SessionFilter,
} from './identity-client.ts';
export {
  awaitDeviceLogin,
  refreshLogin,
  startDeviceLogin,
  type DeviceLogin,
  type LoginTokens,
} from './device-login.ts';
export {
  attemptDoor,
  callFromAttempt,
  type AttemptAnswer,
  type AttemptDoor,
} from './attempt-calls.ts';
export { createHttpDoor, type HttpDoorOptions } from './http-door.ts';
export type ClientOptions = TransportOptions;

/**
 * A client of the bridge at `baseUrl`. Every failure is an AppError: with the code of the server's
 * problem document, `server_not_running` where nothing listens, `unavailable` where the connection broke.
 */
export function createClient(options: ClientOptions) {
  const { request, open } = createTransport(options);
  const get = <Answer>(path: string, call: CallOptions = {}) =>
    request<Answer>('GET', path, undefined, call);
  const post = <Answer>(path: string, body: unknown, call: CallOptions = {}) =>
    request<Answer>('POST', path, body, call);

  return {
    /** Health as it is told, good or bad; throws only when nobody answers. */
    health: (call?: CallOptions) =>
      request<Health>('GET', '/health', undefined, { ...call, accepts: [503] }),
    bridgeAgents: (call?: CallOptions) => get<BridgeAgents>('/agents', call),
    bridgeStatus: (call?: CallOptions) => get<BridgeStatus>('/status', call),
    systemStatus: (call?: CallOptions) => get<SystemStatus>('/api/v1/system/status', call),
    openapi: (call?: CallOptions) => get<Record<string, unknown>>('/openapi.json', call),
    /** A link that lets one browser in, once. */
    createLoginLink: (call?: CallOptions) =>
      post<LoginLink>('/api/v1/login-links', undefined, call),

    agents: (call?: CallOptions) => get<AgentList>('/api/v1/agents', call),
    agentProblems: (call?: CallOptions) => get<AgentProblems>('/api/v1/agents/problems', call),
    agent: (name: string, call?: CallOptions) =>
      get<AgentDetail>(`/api/v1/agents/${encodeURIComponent(name)}`, call),
    agentTools: (name: string, call?: CallOptions) =>
      get<AgentTools>(`/api/v1/agents/${encodeURIComponent(name)}/tools`, call),
    /** Lets agents use a quarantined tool as its server describes it now. */
    acceptAgentTool: (name: string, body: AcceptToolRequest) =>
      post<AgentTools>(`/api/v1/agents/${encodeURIComponent(name)}/tools/accept`, body),
    /** Runs an agent once; aborting the signal stops it. */
    startAgentRun: (name: string, body: StartAgentRunRequest, call: StartOptions = {}) =>
      post<RunSummary>(`/api/v1/agents/${encodeURIComponent(name)}/runs`, body, call),
    invokeAgent: (name: string, body: InvokeRequest, call: StartOptions = {}) =>
      post<InvocationAnswer>(`/api/v1/agents/${encodeURIComponent(name)}/invoke`, body, call),

    workflows: (call?: CallOptions) => get<WorkflowList>('/api/v1/workflows', call),
    workflow: (name: string, call?: CallOptions) =>
      get<WorkflowDefinition>(`/api/v1/workflows/${encodeURIComponent(name)}`, call),

    ...runClient((method, path, body, call) => request(method, path, body, call), open),
    ...scheduleClient((method, path, body) => request(method, path, body, {})),
    ...identityClient((method, path, body, call = {}) => request(method, path, body, call)),
    ...learningClient((method, path, body, call = {}) => request(method, path, body, call)),
    ...limitsClient((method, path, body, call = {}) => request(method, path, body, call)),
  };
}

export type Client = ReturnType<typeof createClient>;
