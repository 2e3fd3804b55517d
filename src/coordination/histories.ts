/** What is known of runs that were just claimed. */
import { AppError, toAppError } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { EventBody, RunEvent } from './events.ts';
import * as queries from './queries.ts';
import type { ClaimedWhole, SignalRow } from './queries.ts';
import { signalsOfRuns } from './request-queries.ts';
import { eventViews } from './views.ts';

export interface History {
  readonly events: readonly RunEvent[];
  readonly signals: readonly SignalRow[];
}

/** Reads a run's history, out of what was read for all; throws `run_corrupt` when it can not be read. */
export type Histories = (runId: string) => History;

/** The history that came with the claim of a free run; throws `run_corrupt` when it can not be read. */
export function historyOfClaim(row: ClaimedWhole): History {
  const { run_id: runId, turns, signals } = row;
  try {
    return {
      events: eventViews(
        (turns ?? []).map(([seq, ms, epoch, body]) => ({
          run_id: runId,
          seq,
          at: new Date(ms),
          epoch: BigInt(epoch),
          body,
        })),
      ),
      signals: (signals ?? []).map(([id, kind, body]) => ({
        run_id: runId,
        signal_id: id,
        kind,
        body,
      })),
    };
  } catch (cause) {
    // A time that is none, put there by a hand.
    throw new AppError('run_corrupt', 'its events can not be read', { cause });
  }
}

/**
 * Reads all histories in one look. Where the database can not give out what one of them holds, each is
 * read by itself, so that the others do not suffer for it. Throws when the database is not there.
 */
export async function readHistories(
  database: Database,
  runIds: readonly string[],
): Promise<Histories> {
  try {
    const turns = await database.query(queries.eventsOfRuns(runIds));
    const signals = await database.query(signalsOfRuns(runIds));
    const turnsOf = Map.groupBy(turns, (row) => row.run_id);
    const signalsOf = Map.groupBy(signals, (row) => row.run_id);
    return (runId) => ({
      events: eventViews(turnsOf.get(runId) ?? []),
      signals: signalsOf.get(runId) ?? [],
    });
  } catch (thrown) {
    const error = toAppError(thrown);
    if (error.retryable) throw error;
    if (runIds.length > 1) return readEach(database, runIds);
    return () => {
      throw new AppError('run_corrupt', `its events can not be read: ${error.message}`, {
        cause: error,
      });
    };
  }
}

async function readEach(database: Database, runIds: readonly string[]): Promise<Histories> {
  const each = new Map<string, Histories>();
  for (const runId of runIds) each.set(runId, await readHistories(database, [runId]));
  return (runId) => each.get(runId)?.(runId) ?? { events: [], signals: [] };
}

/** Attempts that had begun and not ended by the last event: whoever ran them is gone. */
export function openAttempts(events: readonly { readonly body: EventBody }[]): string[] {
  const open = new Map<string, string>();
  for (const { body } of events) {
    if (!isEvent(body)) continue;
    if (body.type === 'attempt.started') open.set(body.task, body.attemptId);
    else if ('task' in body && endsAttempt(body)) open.delete(body.task);
  }
  return [...open.values()];
}

/** What is told of an attempt under way (its progress, its folder, who does it) does not end it. */
function endsAttempt({ type }: EventBody): boolean {
  return type.startsWith('attempt.') && type !== 'attempt.progress';
}

function isEvent(body: unknown): body is EventBody {
  return typeof body === 'object' && body !== null;
}
