/** The typed client of the bridge: what the command line and other programs call. It needs no part of the server. */
import type {
  AgentDetail,
  AgentList,
  AgentProblems,
  BridgeAgents,
  BridgeStatus,
  EventPage,
  Health,
  InvocationAnswer,
  InvokeRequest,
  LoginLink,
  RunPage,
  StartRunRequest,
  SystemStatus,
  WorkflowList,
} from '../api/api.ts';
import type {
  RunDetail,
  RunEvent,
  RunPlan,
  RunStatus,
  RunSummary,
  WorkflowDefinition,
} from '../coordination/coordination.ts';
import { followRun, type FollowOptions } from './follow.ts';
import { identityClient } from './identity-client.ts';
import { query } from './query.ts';
import { scheduleClient } from './schedule-client.ts';
import { createTransport, type TransportOptions } from './transport.ts';

export type { FollowOptions } from './follow.ts';
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
export type ClientOptions = TransportOptions;

export interface StartOptions {
  /** Two starts with the same key give the same run; 1 to 255 printable characters. */
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

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
    /** Runs an agent once; aborting the signal stops it. */
    invokeAgent: (name: string, body: InvokeRequest, call: StartOptions = {}) =>
      post<InvocationAnswer>(`/api/v1/agents/${encodeURIComponent(name)}/invoke`, body, call),

    workflows: (call?: CallOptions) => get<WorkflowList>('/api/v1/workflows', call),
    workflow: (name: string, call?: CallOptions) =>
      get<WorkflowDefinition>(`/api/v1/workflows/${encodeURIComponent(name)}`, call),

    /** What a run would do; nothing is started. */
    planRun: (body: StartRunRequest, call?: CallOptions) =>
      post<RunPlan>('/api/v1/runs?plan=true', body, call),
    startRun: (body: StartRunRequest, call: StartOptions = {}) =>
      post<RunSummary>('/api/v1/runs', body, call),
    /** One page, newest first; `limit` 1 to 500, default 50. */
    runs: (filter: RunFilter = {}, call?: CallOptions) =>
      get<RunPage>(`/api/v1/runs${query({ ...filter })}`, call),
    run: (id: string, call?: CallOptions) => get<RunDetail>(runPath(id), call),
    /** One page of events with seq > `after`; `limit` 1 to 1,000, default 200. */
    events: (id: string, page: { after?: number; limit?: number } = {}, call?: CallOptions) =>
      get<EventPage>(`${runPath(id)}/events${query(page)}`, call),
    cancelRun: (id: string, reason?: string, call?: CallOptions) =>
      post<RunSummary>(`${runPath(id)}/cancel`, reason === undefined ? {} : { reason }, call),
    retryRun: (id: string, call?: CallOptions) =>
      post<RunSummary>(`${runPath(id)}/retry`, undefined, call),

    /** The run when it has ended. Rejects with the signal's reason. */
    async waitForRun(id: string, call: CallOptions = {}): Promise<RunDetail> {
      for (;;) {
        call.signal?.throwIfAborted();
        const now = await get<RunDetail>(`${runPath(id)}/wait?timeoutSeconds=60`, call);
        if (hasEnded(now)) return now;
      }
    },

    ...scheduleClient((method, path, body) => request(method, path, body, {})),
    ...identityClient((method, path, body, call = {}) => request(method, path, body, call)),

    /** Events of a run as they are appended, each once, until it ends; goes on after a cut connection. */
    follow: (id: string, follow: FollowOptions = {}): AsyncIterable<RunEvent> =>
      followRun(open, `${runPath(id)}/events`, follow),
  };
}

export type Client = ReturnType<typeof createClient>;

export interface RunFilter {
  readonly status?: RunStatus;
  readonly workflow?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

function runPath(id: string): string {
  return `/api/v1/runs/${encodeURIComponent(id)}`;
}

function hasEnded({ status }: Pick<RunDetail, 'status'>): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}
