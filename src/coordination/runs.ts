import type { AgentRegistry } from '../agents/agents.ts';
import { AppError, isId, type Clock, type Log } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { Learning } from '../learning/learning.ts';
import type { Workspaces } from '../workspaces/workspaces.ts';
import type { CallGate } from './call-gate.ts';
import { Definitions } from './definitions.ts';
import type { RunEvent } from './events.ts';
import * as queries from './queries.ts';
import type { RunFeed } from './run-feed.ts';
import { checkedId, RunReads } from './run-reads.ts';
import { RunRequests } from './run-requests.ts';
import { RunStarts } from './run-starts.ts';
import { runEnded } from './state.ts';
import type { CalledRun, Coordination, Page, RunDetail, RunStatus, RunSummary } from './types.ts';
import { calledView, eventViews, shownEvent, summaryView } from './views.ts';

export interface RunsOptions {
  readonly database: Database;
  readonly registry: AgentRegistry;
  readonly workflowFolders: readonly string[];
  /** What relative defaults of path inputs start from. */
  readonly cwd: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly feed: RunFeed;
  readonly workspaces?: Workspaces;
  readonly gate?: CallGate;
  /** Whether agents are chosen in this process; absent: runs that ask for it are refused. */
  readonly router?: Pick<Learning, 'choose'>;
}

/**
 * How long a follower waits for a wake-up before it looks by itself: what happens in other processes
 * is seen so; what happens here is published, and looking is a safety net.
 */
const pollMs = { elsewhere: 300, here: 5_000 } as const;
const followPage = 500;
const mostCalled = 1_000;

/** Runs as the faces see them: started, listed, followed, and asked for something. */
export function openRuns(options: RunsOptions): Coordination {
  const definitions = new Definitions(options.database, options.clock);
  const reads = new RunReads(options.database, definitions);
  const starts = new RunStarts(options, reads, definitions);
  const requests = new RunRequests(options, reads);
  const looks = new RunLooks(options, reads);
  return {
    workflows: () => starts.workflows(),
    plan: (request) => starts.plan(request),
    start: (request) => starts.start(request),
    startAgent: (request) => starts.startAgent(request),
    fork: (runId, request) => starts.fork(runId, request),
    list: (filter) => looks.list(filter),
    get: (runId) => looks.get(runId),
    events: (runId, after, limit) => looks.events(runId, after, limit),
    follow: (runId, after, signal) => looks.follow(runId, after, signal),
    calls: (runId) => looks.calls(runId),
    wait: (runId, signal) => looks.wait(runId, signal),
    cancel: (runId, request) => requests.cancel(runId, request),
    pause: (runId, request) => requests.pause(runId, request),
    resume: (runId, request) => requests.resume(runId, request),
    retry: (runId, request) => requests.retry(runId, request),
    answer: (runId, request) => requests.answer(runId, request),
    signal: (runId, request) => requests.signal(runId, request),
    undoPlan: (runId) => requests.undoPlan(runId),
    undo: (runId, request) => requests.undo(runId, request),
  };
}

/** Looks at runs, once or for as long as they go on. */
class RunLooks {
  readonly #options: RunsOptions;
  readonly #reads: RunReads;

  constructor(options: RunsOptions, reads: RunReads) {
    this.#options = options;
    this.#reads = reads;
  }

  async list(filter: {
    status?: RunStatus;
    workflow?: string;
    limit?: number;
    cursor?: string;
  }): Promise<Page<RunSummary>> {
    const limit = Math.min(500, Math.max(1, Math.trunc(filter.limit ?? 50)));
    if (filter.cursor !== undefined && !isId(filter.cursor)) {
      throw new AppError('invalid_input', `cursor: ${filter.cursor} is not a cursor of this list`);
    }
    const rows = await this.#options.database.query(
      queries.listRuns({
        status: filter.status ?? null,
        workflow: filter.workflow ?? null,
        before: filter.cursor ?? null,
        limit: limit + 1,
      }),
    );
    const items = rows.slice(0, limit).map(summaryView);
    const last = items.at(-1);
    return rows.length > limit && last !== undefined ? { items, nextCursor: last.id } : { items };
  }

  async get(runId: string): Promise<RunDetail> {
    return this.#reads.detail(await this.#reads.row(runId));
  }

  async events(runId: string, after: number, limit = 200): Promise<readonly RunEvent[]> {
    const most = Math.min(1_000, Math.max(1, Math.trunc(limit)));
    const from = Math.min(2_147_483_647, Math.max(0, Math.trunc(after)));
    const rows = await this.#options.database.query(
      queries.eventsAfter(checkedId(runId), from, most),
    );
    if (rows.length === 0) await this.#reads.row(runId);
    return eventViews(rows)
      .filter(({ seq }) => seq > from)
      .slice(0, most)
      .map(shownEvent);
  }

  async *follow(runId: string, after: number, signal?: AbortSignal): AsyncIterable<RunEvent> {
    let seen = after;
    for (let ended = false; ;) {
      signal?.throwIfAborted();
      // Listening begins before looking, so that nothing falls between the two.
      const next = this.#next(runId, 'event', signal);
      const events = await this.events(runId, seen, followPage);
      yield* events;
      seen = events.at(-1)?.seq ?? seen;
      if (events.length > 0) continue;
      // Its last events may have come after the look above: only a look after its end is the last.
      if (ended) return;
      ended = runEnded((await this.#reads.row(runId)).status);
      if (!ended) await next;
    }
  }

  async calls(runId: string): Promise<readonly CalledRun[]> {
    const { run_id: id } = await this.#reads.row(runId);
    const rows = await this.#options.database.query(queries.runsBelow(id, mostCalled));
    return rows.map(calledView);
  }

  async wait(runId: string, signal?: AbortSignal): Promise<RunDetail> {
    const id = checkedId(runId).toLowerCase();
    for (;;) {
      // The end of a run that is driven here is published here: looking before it is in vain.
      const here = this.#options.feed.driven.has(id);
      const next = this.#next(id, 'end', signal);
      const end = here ? await next : undefined;
      signal?.throwIfAborted();
      if (end !== undefined) return end;
      const row = await this.#reads.row(id);
      if (runEnded(row.status)) return this.#reads.detail(row);
      const later = here ? undefined : await next;
      if (later !== undefined) return later;
    }
  }

  #next(runId: string, until: 'event' | 'end', signal: AbortSignal | undefined) {
    const { feed } = this.#options;
    return feed.next(runId, until, feed.driven.has(runId) ? pollMs.here : pollMs.elsewhere, signal);
  }
}
