/** What came of attempts, as it is kept: reported, rated, read on, and forgotten. */
import { hash as digestOf } from 'node:crypto';
import { AppError, newId, type Clock } from '../../base/base.ts';
import type { Database } from '../../database/database.ts';
import type { GivenFeedback, Rater, ReportedOutcome, TakenFeedback } from '../learning.ts';
import { checkFeedback, checkReport, commentLength, withoutSecrets } from './checks.ts';
import { outcomeRows } from './outcome-rows.ts';
import * as queries from './queries.ts';
import type { ReadPosition } from './queries.ts';

export interface RecordsOptions {
  readonly database: Database;
  readonly clock: Clock;
  /** Whether there is an agent of that name. */
  readonly known: (agent: string) => boolean;
}

export interface Records {
  /** Throws `invalid_input` and `denied`. A principal's report with the same attempt as an earlier one is that one. */
  report(reported: ReportedOutcome, by: Rater): Promise<{ readonly attemptId: string }>;
  /** Throws `invalid_input`, `denied`, and `not_found` for an attempt of which nothing is known. */
  feedback(given: GivenFeedback): Promise<TakenFeedback>;
  /** Forgets executions that ended so many days ago, 1 at least; says how many. */
  prune(keepDays: number): Promise<number>;
}

/** Before everything. */
const beginning: ReadPosition = {
  tx: '0',
  attemptId: '00000000-0000-0000-0000-000000000000',
};

const batch = 1_000;
const dayMs = 86_400_000;

export function openRecords({ database, clock, known }: RecordsOptions): Records {
  return {
    async report(reported, by) {
      const checked = checkReport(reported, by, { known, nowMs: clock.nowMs() });
      const { endedAtMs } = checked;
      const { attemptId: given } = reported;
      const attemptId = given === undefined ? newId(clock) : reportId(by.id, given);
      const { rows } = outcomeRows([
        {
          outcome: {
            attemptId,
            agent: reported.agent,
            facts: checked.facts,
            startedAtMs: endedAtMs - reported.ms,
            endedAtMs,
            result: reported.result,
            // Who reports a failure means the agent's.
            ...(reported.result === 'failed' ? { isOwnFault: true } : {}),
            ...(reported.errorCode === undefined ? {} : { errorCode: reported.errorCode }),
            usage: {
              wallMs: reported.ms,
              ...(reported.microUsd === undefined ? {} : { microUsd: reported.microUsd }),
              ...(reported.tokens === undefined ? {} : { tokens: reported.tokens }),
            },
          },
          reportedBy: by.id,
        },
      ]);
      await database.query(queries.recordReported(rows ?? '{}'));
      return { attemptId };
    },

    async feedback(given) {
      checkFeedback(given);
      const { score, comment, by } = given;
      const target = await targetOf(database, given.of);
      if (target.agent === by.name) {
        throw new AppError('denied', `agent ${by.name} can not rate what it did itself`);
      }
      const [kept] = await database.query(
        queries.keepFeedback({
          attemptId: target.attempt_id,
          principalId: by.id,
          principal: by.name,
          score,
          comment: comment === undefined ? null : withoutSecrets(comment, commentLength),
        }),
      );
      if (kept === undefined) throw unknown(target.attempt_id);
      const [raters] = await database.query(queries.countRaters(kept.agent));
      const principals = raters?.principals ?? 0;
      return { attemptId: target.attempt_id, agent: kept.agent, score, principals };
    },

    prune: (keepDays) => prune(database, clock, keepDays),
  };
}

/**
 * What a report is kept under whose sender gave it an id: one of its own for each principal (version 8,
 * RFC 9562 §5.8). Else who knows the id of somebody's attempt could tell of it first, and what came of
 * it in truth would be taken for a repetition.
 */
function reportId(principalId: string, given: string): string {
  const digits = digestOf('sha256', `${principalId}\0${given.toLowerCase()}`, 'hex');
  const variant = '89ab'.charAt(Number.parseInt(digits.charAt(15), 16) % 4);
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `8${digits.slice(12, 15)}`,
    `${variant}${digits.slice(16, 19)}`,
    digits.slice(19, 31),
  ].join('-');
}

async function targetOf(
  database: Database,
  of: GivenFeedback['of'],
): Promise<{ readonly attempt_id: string; readonly agent: string }> {
  const [target] = await database.query(
    'attemptId' in of
      ? queries.executionOfAttempt(of.attemptId)
      : queries.lastExecutionOfRun(of.runId, of.task ?? null),
  );
  if (target !== undefined) return target;
  if ('attemptId' in of) throw unknown(of.attemptId);
  const what = of.task === undefined ? `run ${of.runId}` : `task ${of.task} of run ${of.runId}`;
  throw new AppError('not_found', `no attempt of ${what} has ended`, {
    remedy: 'Ratings are for what has ended: see `centuria run show`.',
  });
}

function unknown(attemptId: string): AppError {
  return new AppError('not_found', `nothing is known of an attempt ${attemptId}`, {
    remedy: 'Give the id of an attempt that has ended, or of its run.',
  });
}

/** In batches, oldest first: no statement holds locks for long, and a stop in between loses nothing. */
async function prune(database: Database, clock: Clock, keepDays: number): Promise<number> {
  if (!Number.isInteger(keepDays) || keepDays < 1 || keepDays > 36_500) {
    throw new AppError('invalid_input', `keepDays is ${keepDays}, and must be 1 to 36500`, {
      details: { field: 'keepDays' },
    });
  }
  const before = new Date(clock.nowMs() - keepDays * dayMs);
  let total = 0;
  let after = beginning;
  for (;;) {
    const [row] = await database.query(queries.deleteExecutions(after, before, batch));
    // They were written about when they ended, so behind a whole batch of later ones are only later ones.
    if (row === undefined || row.last_tx === null || row.last_attempt === null) break;
    total += row.deleted;
    if (row.deleted === 0) break;
    after = { tx: row.last_tx, attemptId: row.last_attempt };
  }
  for (let hash = ''; ;) {
    const [row] = await database.query(queries.deleteUnusedTexts(hash, batch));
    if (row === undefined || row.last === null) return total;
    hash = row.last;
  }
}
