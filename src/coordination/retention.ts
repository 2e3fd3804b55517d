/** Forgets runs that are old enough: whole months by dropping their partitions, the rest row by row. */
import { idTimeMs, lowestIdAt, toAppError, type Clock, type Log } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import { monthNamed, withLock } from './partitions.ts';
import { deleteOrphanConversations } from './conversation-queries.ts';
import * as queries from './retention-queries.ts';
import type { PartitionRow } from './retention-queries.ts';
import { databaseNow } from './schedule-queries.ts';

/** What was forgotten, or would be. */
export interface PruneReport {
  /** Only runs that began before, ISO 8601. */
  readonly before: string;
  readonly planned: boolean;
  /** Months that lie wholly before, oldest first. */
  readonly months: readonly PrunedMonth[];
  /** Of runs that lie in no month's partition. */
  readonly strays: { readonly runs: number; readonly keptOpen: number };
  /** Idempotency keys of runs that are gone; they go when the runs have gone. */
  readonly keys: number;
  /** Definitions that no run that is left uses. */
  readonly definitions: number;
}

export interface PrunedMonth {
  /** `2027-03`. */
  readonly month: string;
  readonly runs: number;
  readonly bytes: number;
  readonly tables: readonly string[];
  /** Why it stays, and which runs keep it; absent when it goes. */
  readonly keptBecause?: string;
  readonly keptBy?: readonly string[];
}

export interface PruneRequest {
  readonly olderThanMs: number;
  /** Only say what would be done. */
  readonly plan: boolean;
}

export interface PruneParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
}

const batch = 1_000;
/** A bound on one call, not on what there may be: the next one goes on. */
const mostBatches = 1_000;
const keyBatch = 5_000;
const countTimeoutMs = 120_000;

/**
 * Forgets runs that began longer ago than that, by the database's clock. A month goes as a whole, in
 * one transaction, once all of it is older and none of its runs is open. Safe to call at any time, by
 * several processes at once.
 */
export async function pruneRuns(parts: PruneParts, request: PruneRequest): Promise<PruneReport> {
  const { database } = parts;
  const [clock] = await database.query(databaseNow());
  const nowMs = clock?.now.getTime() ?? parts.clock.nowMs();
  const beforeMs = nowMs - request.olderThanMs;
  const beforeId = lowestIdAt(beforeMs);
  const old = (await database.query(queries.runPartitions())).filter(
    ({ month }) => monthNamed(month).toMs <= beforeMs,
  );
  const months: PrunedMonth[] = [];
  for (const partition of old) months.push(await pruneMonth(parts, partition, request.plan));
  const common = { before: new Date(beforeMs).toISOString(), planned: request.plan, months };
  const [stray] = await database.query(queries.defaultRunsBefore(beforeId));
  const keptOpen = stray?.open ?? 0;
  if (request.plan) {
    return { ...common, strays: { runs: stray?.ended ?? 0, keptOpen }, keys: 0, definitions: 0 };
  }
  const runs = await deleteStrays(database, beforeId);
  const keys = await deleteKeys(database, beforeId);
  await deleteConversations(database, beforeId);
  const definitions = await deleteDefinitions(database, nowMs);
  const report: PruneReport = { ...common, strays: { runs, keptOpen }, keys, definitions };
  parts.log.info({ ...report }, 'old runs were forgotten');
  return report;
}

async function pruneMonth(
  { database, clock, log }: PruneParts,
  { month, tables, bytes }: PartitionRow,
  isPlan: boolean,
): Promise<PrunedMonth> {
  const { fromId, toId } = monthNamed(month);
  const [found] = await database.query(queries.runsBetween(fromId, toId), {
    timeoutMs: countTimeoutMs,
  });
  const common = {
    month: month.replace('_', '-'),
    runs: found?.runs ?? 0,
    bytes: Number(bytes),
    tables,
  };
  const open = found?.open ?? 0;
  const kept = (by: readonly string[]): PrunedMonth => ({
    ...common,
    keptBecause: open === 1 ? 'one run of it is open' : `${open} runs of it are open`,
    keptBy: by,
  });
  if (open > 0) return kept(found?.examples ?? []);
  if (isPlan) return common;
  try {
    const reopened = await withLock(database, clock, async (session) => {
      // Nobody writes from here on, so no run of it can be opened again before it is gone.
      await session.script('lock table runs, run_events, run_signals in access exclusive mode');
      const [run] = await session.query(queries.anyOpenBetween(fromId, toId));
      // The names come from the catalog, where they were held to letters, digits and underscores.
      if (run === undefined) await session.script(`drop table if exists ${tables.join(', ')}`);
      return run?.run_id;
    });
    return reopened === undefined ? common : kept([reopened]);
  } catch (thrown) {
    const error = toAppError(thrown);
    log.warn({ error, month }, 'a month of runs could not be dropped; the next call tries again');
    return { ...common, keptBecause: `it could not be dropped now: ${error.message}` };
  }
}

async function deleteStrays(database: Database, beforeId: string): Promise<number> {
  let deleted = 0;
  for (let round = 0; round < mostBatches; round += 1) {
    const rows = await database.query(queries.deleteDefaultRuns(beforeId, batch));
    deleted += rows.length;
    if (rows.length < batch) break;
  }
  return deleted;
}

/** Also those that a call left which ended between dropping a month and this. */
async function deleteKeys(database: Database, beforeId: string): Promise<number> {
  let deleted = 0;
  let after = lowestIdAt(0);
  for (let round = 0; round < mostBatches; round += 1) {
    const [row] = await database.query(queries.deleteOrphanKeys(after, beforeId, keyBatch));
    deleted += row?.deleted ?? 0;
    if (row === undefined || row.last === null || row.seen < keyBatch) break;
    after = row.last;
  }
  return deleted;
}

async function deleteConversations(database: Database, beforeId: string): Promise<void> {
  for (let round = 0; round < mostBatches; round += 1) {
    const gone = await database.query(deleteOrphanConversations(beforeId, batch));
    if (gone.length < batch) return;
  }
}

async function deleteDefinitions(database: Database, nowMs: number): Promise<number> {
  const [oldest] = await database.query(queries.oldestRun());
  const oldestMs = oldest === undefined ? nowMs : Math.min(nowMs, idTimeMs(oldest.run_id));
  const gone = await database.query(queries.deleteUnusedDefinitions(new Date(oldestMs), keyBatch));
  return gone.length;
}
