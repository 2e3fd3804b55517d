import type {
  AnswerRunRequest,
  EventPage,
  ForkRunRequest,
  QuestionPage,
  RunPage,
  SignalRunRequest,
  StartRunRequest,
} from '../api/api.ts';
import type {
  CalledRun,
  RunDetail,
  RunEvent,
  RunPlan,
  RunStatus,
  RunSummary,
  UndoPlan,
} from '../coordination/coordination.ts';
import { followRun, type FollowOptions } from './follow.ts';
import { query } from './query.ts';
import type { CallOptions } from './send.ts';
import type { Open, RequestOptions } from './transport.ts';

type Request = <Answer>(
  method: string,
  path: string,
  body: unknown,
  call: RequestOptions,
) => Promise<Answer>;

export interface StartOptions extends CallOptions {
  /** Two starts with the same key give the same run; 1 to 255 printable characters. */
  readonly idempotencyKey?: string;
}

export interface RunFilter {
  readonly status?: RunStatus;
  readonly workflow?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

export interface WaitOptions extends CallOptions {
  /** How long to wait for the end; without it for as long as it takes. */
  readonly timeoutMs?: number;
}

/** The server answers a wait after two minutes at the latest; one of a minute outlives most proxies. */
const onePollMs = 60_000;

/** What a client asks about runs and of them. */
export function runClient(request: Request, open: Open) {
  const get = <Answer>(path: string, call: CallOptions = {}) =>
    request<Answer>('GET', path, undefined, call);
  const post = <Answer>(path: string, body: unknown, call: StartOptions = {}) =>
    request<Answer>('POST', path, body, call);
  const change = (id: string, what: string, body: unknown, call?: CallOptions) =>
    post<RunSummary>(`${runPath(id)}/${what}`, body, call);

  return {
    /** What a run would do; nothing is started. */
    planRun: (body: StartRunRequest, call?: CallOptions) =>
      post<RunPlan>('/api/v1/runs?plan=true', body, call),
    startRun: (body: StartRunRequest, call?: StartOptions) =>
      post<RunSummary>('/api/v1/runs', body, call),
    /** One page, newest first; `limit` 1 to 500, default 50. */
    runs: (filter: RunFilter = {}, call?: CallOptions) =>
      get<RunPage>(`/api/v1/runs${query({ ...filter })}`, call),
    run: (id: string, call?: CallOptions) => get<RunDetail>(runPath(id), call),
    /** One page of events with seq > `after`; `limit` 1 to 1,000, default 200. */
    events: (id: string, page: { after?: number; limit?: number } = {}, call?: CallOptions) =>
      get<EventPage>(`${runPath(id)}/events${query(page)}`, call),
    /** Events of a run as they are appended, each once, until it ends; goes on after a cut connection. */
    follow: (id: string, follow: FollowOptions = {}): AsyncIterable<RunEvent> =>
      followRun(open, `${runPath(id)}/events`, follow),

    pauseRun: (id: string, reason?: string, call?: CallOptions) =>
      change(id, 'pause', said(reason), call),
    resumeRun: (id: string, call?: CallOptions) => change(id, 'resume', undefined, call),
    cancelRun: (id: string, reason?: string, call?: CallOptions) =>
      change(id, 'cancel', said(reason), call),
    /** What did not complete; with `from`, that task and all that stands on it. */
    retryRun: (id: string, from?: string, call?: CallOptions) =>
      change(id, 'retry', from === undefined ? {} : { from }, call),
    /** A new run that keeps the results of what does not stand on `from`. */
    forkRun: (id: string, body: ForkRunRequest, call?: CallOptions) =>
      change(id, 'fork', body, call),
    answerRun: (id: string, body: AnswerRunRequest, call?: CallOptions) =>
      change(id, 'answer', body, call),
    signalRun: (id: string, body: SignalRunRequest, call?: CallOptions) =>
      change(id, 'signals', body, call),
    /** What runs ask people; `limit` is of runs that are looked at, 1 to 100, default 50. */
    questions: (page: { limit?: number; cursor?: string } = {}, call?: CallOptions) =>
      get<QuestionPage>(`/api/v1/questions${query(page)}`, call),
    runCalls: (id: string, call?: CallOptions) =>
      get<{ readonly items: readonly CalledRun[] }>(`${runPath(id)}/calls`, call),
    undoPlan: (id: string, call?: CallOptions) => get<UndoPlan>(`${runPath(id)}/undo`, call),
    undoRun: (id: string, force = false, call?: CallOptions) => change(id, 'undo', { force }, call),

    /** The run when it has ended, or as it is when `timeoutMs` have passed. Rejects with the signal's reason. */
    async waitForRun(id: string, { timeoutMs, ...call }: WaitOptions = {}): Promise<RunDetail> {
      const untilMs = performance.now() + (timeoutMs ?? Infinity);
      for (;;) {
        call.signal?.throwIfAborted();
        const leftMs = Math.max(0, untilMs - performance.now());
        const seconds = Math.min(onePollMs, leftMs) / 1_000;
        const now = await get<RunDetail>(`${runPath(id)}/wait?timeoutSeconds=${seconds}`, call);
        if (hasEnded(now) || performance.now() >= untilMs) return now;
      }
    },
  };
}

function runPath(id: string): string {
  return `/api/v1/runs/${encodeURIComponent(id)}`;
}

function said(reason: string | undefined): { readonly reason?: string } {
  return reason === undefined ? {} : { reason };
}

function hasEnded({ status }: Pick<RunDetail, 'status'>): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}
