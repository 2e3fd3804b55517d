import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Config, Log } from '../base/base.ts';
import type { Database, OpenOptions } from '../database/database.ts';
import type { CliContext } from './context.ts';

/** Where the migrations that this version knows are. */
export function migrationFolder(context: Pick<CliContext, 'root'>): string {
  return join(context.root, 'migrations');
}

/** Whether opening would make a new embedded database, which looking must not do. */
export function isUnmade(config: Config): boolean {
  return (
    config.values.databaseUrl === '' && !existsSync(join(config.home, 'database', 'PG_VERSION'))
  );
}

/** The names of the migrations, for a database that has none of them. */
export function migrationNames(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sql') && name !== 'schema.sql')
    .toSorted();
}

/** Loads the database part only when it is needed: it brings a whole PostgreSQL with it. */
export async function openConfigured(config: Config, log: Log, clock: Clock): Promise<Database> {
  const { openDatabase } = await import('../database/database.ts');
  const options: OpenOptions = {
    url: config.values.databaseUrl,
    home: config.home,
    poolSize: config.values.databasePoolSize,
    log,
    clock,
  };
  return openDatabase(options);
}
