import { access, constants, stat } from 'node:fs/promises';
import { errorRecord, type Clock } from '../base/base.ts';
import { sql, type Database } from '../database/database.ts';

export interface DatabaseHealth {
  readonly status: 'ok' | 'unavailable';
  readonly reason?: string;
}

const answerWithinMs = 2_000;
/** The check is open to everybody, so the database is asked once a second at most. */
const keptMs = 1_000;

/** Asks the database, and says what it answered; never throws. */
export function createDatabaseCheck(database: Database, clock: Clock) {
  let last: { readonly atMs: number; readonly answer: Promise<DatabaseHealth> } | undefined;
  return (): Promise<DatabaseHealth> => {
    const now = clock.monotonicMs();
    if (last === undefined || now - last.atMs >= keptMs) {
      last = { atMs: now, answer: ask(database, clock) };
    }
    return last.answer;
  };
}

async function ask(database: Database, clock: Clock): Promise<DatabaseHealth> {
  const answered = new AbortController();
  try {
    // Its own bound as well: a database that hangs may not keep the statement's.
    const late = clock.sleep(answerWithinMs, answered.signal).then(
      (): DatabaseHealth => ({
        status: 'unavailable',
        reason: `no answer within ${answerWithinMs} ms`,
      }),
      (): DatabaseHealth => ({ status: 'ok' }),
    );
    const statement = sql<{ one: number }>`select 1 as one`;
    const answer = database
      .query(statement, { timeoutMs: answerWithinMs })
      .then((): DatabaseHealth => ({ status: 'ok' }));
    return await Promise.race([answer, late]);
  } catch (error) {
    // The code and not the message: it may name hosts and users, and this is shown to anybody.
    return { status: 'unavailable', reason: errorRecord(error).code };
  } finally {
    answered.abort();
  }
}

/** Whether this process may list the folder. */
export async function isReadableFolder(path: string): Promise<boolean> {
  try {
    await access(path, constants.R_OK | constants.X_OK);
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
