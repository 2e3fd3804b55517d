/** Runs that failed, grouped by how: to be looked at once, tried again together, or put aside. */
import { AppError, errorRecord, isId, type ErrorRecord } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import * as queries from './dead-letter-queries.ts';
import type { FailurePlace, GroupRow, HeadRow } from './dead-letter-queries.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { Page, RunSummary } from './types.ts';
import { summaryView } from './views.ts';

/** Failures of one kind. Times are ISO 8601. */
export interface FailureGroup {
  readonly fingerprint: string;
  /** At most 10,000; there are more when `isMore`. */
  readonly count: number;
  readonly isMore: boolean;
  readonly firstAt: string;
  readonly lastAt: string;
  /** Those of the newest thousand. */
  readonly workflows: readonly string[];
  /** The latest of them. */
  readonly lastRun: string;
  readonly error: ErrorRecord;
  readonly dismissedAt?: string;
  readonly dismissedBy?: string;
}

/** What trying failures of one kind again came to. */
export interface RetriedFailures {
  readonly retried: readonly string[];
  readonly refused: readonly { readonly run: string; readonly error: ErrorRecord }[];
  /** Whether some were left for another call. */
  readonly isMore: boolean;
}

export interface DeadLetters {
  /** By their latest failure, newest first; dismissed ones only when asked for. `limit` 1 to 500, default 50. */
  list(filter: {
    dismissed?: boolean;
    limit?: number;
    cursor?: string;
  }): Promise<Page<FailureGroup>>;
  /** Throws `not_found`, as all below. */
  get(fingerprint: string): Promise<FailureGroup>;
  /** Newest failure first; `limit` 1 to 500, default 50. */
  runs(
    fingerprint: string,
    filter: { workflow?: string; limit?: number; cursor?: string },
  ): Promise<Page<RunSummary>>;
  /** Tries the newest of them again, at most `limit` (1 to 500, default 500). */
  retry(
    fingerprint: string,
    request: { workflow?: string; limit?: number; by: string },
  ): Promise<RetriedFailures>;
  /** Not shown any more until it happens again. */
  dismiss(fingerprint: string, by: string): Promise<FailureGroup>;
}

export interface DeadLettersOptions {
  readonly database: Database;
  /** Tries a run again; what it throws is told of that run alone. */
  readonly retry: (runId: string, by: string) => Promise<unknown>;
}

const mostCounted = 10_000;
const mostScanned = 5_000;
const retriedAtOnce = 8;
const backfillBatch = 500;

export function openDeadLetters({ database, retry }: DeadLettersOptions): DeadLetters {
  async function get(fingerprint: string): Promise<FailureGroup> {
    const [head] = await database.query(queries.headOf(fingerprint));
    if (head === undefined) throw notFound(fingerprint);
    const [group] = await groupsOf(database, [head]);
    if (group === undefined) throw notFound(fingerprint);
    return group;
  }

  return {
    get,

    async list({ dismissed = false, limit, cursor }) {
      const most = bounded(limit, 50);
      const before = placeOf(cursor);
      const heads = await database.query(
        queries.failureHeads(before, dismissed, mostScanned, most + 1),
      );
      const shown = heads.slice(0, most);
      const items = await groupsOf(database, shown);
      const [last] = await database.query(queries.lastScanned(before, mostScanned));
      const end = heads.length > most ? shown.at(-1) : last;
      return end === undefined ? { items } : { items, nextCursor: cursorOf(end) };
    },

    async runs(fingerprint, { workflow, limit, cursor }) {
      const most = bounded(limit, 50);
      const rows = await database.query(
        queries.failuresOf(fingerprint, workflow ?? null, placeOf(cursor), most + 1),
      );
      if (rows.length === 0 && cursor === undefined) await get(fingerprint);
      const shown = rows.slice(0, most);
      const last = shown.at(-1);
      const items = shown.map(summaryView);
      return rows.length > most && last !== undefined
        ? { items, nextCursor: cursorOf(last) }
        : { items };
    },

    async retry(fingerprint, { workflow, limit, by }) {
      const most = bounded(limit, 500);
      const rows = await database.query(
        queries.failuresOf(fingerprint, workflow ?? null, null, most + 1),
      );
      if (rows.length === 0) await get(fingerprint);
      const ids = rows.slice(0, most).map((row) => row.run_id);
      return { ...(await retryAll(ids, (id) => retry(id, by))), isMore: rows.length > most };
    },

    async dismiss(fingerprint, by) {
      const [row] = await database.query(queries.dismissFailure(fingerprint, by));
      if (row === undefined) throw notFound(fingerprint);
      return get(fingerprint);
    },
  };
}

/**
 * Gives a fingerprint to runs that failed without one: before there were any, or set aside unread.
 * At most one batch; returns how many.
 */
export async function backfillFingerprints(database: Database): Promise<number> {
  const rows = await database.query(queries.withoutFingerprint(backfillBatch));
  if (rows.length === 0) return 0;
  const unknown = { code: 'run_failed', message: 'no reason is known', retryable: false } as const;
  const set = await database.query(
    queries.setFingerprints(
      rows.map((row) => row.run_id),
      rows.map(({ error }) => fingerprintOf(error ?? unknown)),
    ),
  );
  return set.length;
}

async function groupsOf(database: Database, heads: readonly HeadRow[]): Promise<FailureGroup[]> {
  if (heads.length === 0) return [];
  const rows = await database.query(
    queries.failureGroups(
      heads.map(({ fingerprint }) => fingerprint),
      mostCounted,
    ),
  );
  const groups = new Map(rows.map((row) => [row.fingerprint, row]));
  return heads.flatMap((head) => {
    const group = groups.get(head.fingerprint);
    // The last of them was tried again between the two statements.
    return group === undefined ? [] : [groupView(head, group)];
  });
}

function groupView(head: HeadRow, group: GroupRow): FailureGroup {
  const isDismissed = group.dismissed_at !== null && group.dismissed_at >= head.finished_at;
  return {
    fingerprint: head.fingerprint,
    count: Math.min(group.count, mostCounted),
    isMore: group.count > mostCounted,
    firstAt: group.first_at.toISOString(),
    lastAt: head.finished_at.toISOString(),
    workflows: group.workflows,
    lastRun: head.run_id,
    error: head.error ?? { code: 'run_failed', message: 'no reason is known', retryable: false },
    ...(isDismissed && group.dismissed_at !== null
      ? { dismissedAt: group.dismissed_at.toISOString() }
      : {}),
    ...(isDismissed && group.dismissed_by !== null ? { dismissedBy: group.dismissed_by } : {}),
  };
}

async function retryAll(
  ids: readonly string[],
  retry: (id: string) => Promise<unknown>,
): Promise<Pick<RetriedFailures, 'retried' | 'refused'>> {
  const retried: string[] = [];
  const refused: { run: string; error: ErrorRecord }[] = [];
  const left = [...ids];
  const work = async (): Promise<void> => {
    for (let id = left.shift(); id !== undefined; id = left.shift()) {
      try {
        await retry(id);
        retried.push(id);
      } catch (error) {
        refused.push({ run: id, error: errorRecord(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: retriedAtOnce }, work));
  return { retried, refused };
}

function cursorOf({ at_us: at, run_id: id }: FailurePlace): string {
  return `${at}_${id}`;
}

function placeOf(cursor: string | undefined): FailurePlace | null {
  if (cursor === undefined) return null;
  const [, at, id = ''] = /^(\d{1,16})_(.+)$/.exec(cursor) ?? [];
  if (at !== undefined && isId(id)) return { at_us: BigInt(at), run_id: id };
  throw new AppError('invalid_input', `cursor: ${cursor} is not a cursor of this list`, {
    details: { field: 'cursor' },
  });
}

function bounded(limit: number | undefined, usual: number): number {
  return Math.min(500, Math.max(1, Math.trunc(limit ?? usual)));
}

function notFound(fingerprint: string): AppError {
  return new AppError('not_found', `no failed run has the fingerprint ${fingerprint}`, {
    details: { fingerprint },
    remedy: '`centuria run failures list` shows what there is.',
  });
}
