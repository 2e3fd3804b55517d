import { toAppError, type Config } from '../base/base.ts';
import type { Client } from '../client/client.ts';
import type { Database } from '../database/database.ts';
import { result, type CheckResult } from './checks.ts';
import type { CliContext } from './context.ts';
import { isUnmade, migrationFolder, openConfigured } from './database-folder.ts';
import { plural } from './output.ts';

/** The database through the server that has it open, or by opening it. */
export async function checkDatabase(
  context: CliContext,
  config: Config,
  client: Client | undefined,
): Promise<CheckResult[]> {
  if (client !== undefined) return throughServer(client);
  if (isUnmade(config)) {
    return [
      result(
        'database',
        'unavailable',
        'the embedded database is not made yet',
        'centuria up makes it.',
      ),
    ];
  }
  let database: Database;
  try {
    database = await openConfigured(config, context.log('silent'), context.clock);
  } catch (thrown) {
    const { message, remedy, code } = toAppError(thrown);
    // Somebody else's lock says nothing about the database's health.
    const state = code === 'home_locked' ? 'unavailable' : 'fail';
    return [result('database', state, message, remedy)];
  }
  try {
    return [...describe(database), await checkSchema(database, migrationFolder(context))];
  } catch (thrown) {
    const { message, remedy } = toAppError(thrown);
    return [result('database', 'fail', message, remedy)];
  } finally {
    await database.close();
  }
}

async function throughServer(client: Client): Promise<CheckResult[]> {
  try {
    const { database, agents } = await client.systemStatus();
    const rows = describe({
      driver: database.driver,
      versionNumber: database.versionNumber,
      capabilities: { vector: database.vector },
    });
    if (database.status !== 'ok') {
      rows.push(result('database', 'fail', database.reason ?? 'it does not answer'));
    }
    const served = plural(agents.count, 'agent');
    return [...rows, result('server', 'ok', `it answers and has ${served}`)];
  } catch (thrown) {
    const { message, remedy } = toAppError(thrown);
    return [result('server', 'fail', message, remedy ?? 'Stop it and start it again.')];
  }
}

function describe(
  database: Pick<Database, 'driver' | 'versionNumber' | 'capabilities'>,
): CheckResult[] {
  const { driver, versionNumber, capabilities } = database;
  const version = `${Math.floor(versionNumber / 10_000)}.${versionNumber % 10_000}`;
  const vector = capabilities.vector
    ? result('pgvector', 'ok', 'installed')
    : result(
        'pgvector',
        'unavailable',
        'not installed: similarity is searched in process, with the same results',
        'Install pgvector on the server and run centuria migrate.',
      );
  return [result('database', 'ok', `PostgreSQL ${version}, ${driver}`), vector];
}

async function checkSchema(database: Database, folder: string): Promise<CheckResult> {
  const { migrationStatus } = await import('../database/database.ts');
  const { applied, pending, unknown } = await migrationStatus(database, folder);
  if (pending.length > 0) {
    const names = pending.map(({ name }) => name).join(', ');
    return result(
      'schema',
      'warn',
      `${plural(pending.length, 'migration')} pending: ${names}`,
      'centuria migrate, or the next centuria up, applies them.',
    );
  }
  if (unknown.length > 0) {
    const names = unknown.map(({ name }) => name).join(', ');
    return result('schema', 'warn', `a newer Centuria has applied ${names}`, 'Use that version.');
  }
  return result('schema', 'ok', `${plural(applied.length, 'migration')} applied, none pending`);
}
