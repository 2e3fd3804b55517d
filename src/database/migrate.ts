/**
 * Migrations: plain SQL files, forward only, each applied once in its own transaction, in order, by
 * one process at a time.
 */
import { AppError, toAppError, type Clock, type Log } from '../base/base.ts';
import type { Database, Queryable, Session } from './database.ts';
import { readMigrations, type MigrationFile } from './migration-files.ts';
import { sql } from './sql.ts';

export interface MigrateOptions {
  readonly folder: string;
  readonly log: Log;
  readonly clock: Clock;
}

export interface Migrated {
  /** The files that this call applied. */
  readonly applied: string[];
  /** The highest number in the database. */
  readonly version: number;
}

export interface AppliedMigration {
  readonly number: number;
  readonly name: string;
  readonly checksum: string;
  readonly breaking: boolean;
  readonly appliedAt: Date;
}

export interface MigrationStatus {
  readonly version: number;
  readonly applied: readonly AppliedMigration[];
  /** In the folder, not yet in the database. */
  readonly pending: readonly { readonly name: string; readonly breaking: boolean }[];
  /** In the database, but not in the folder: applied by a newer Centuria. */
  readonly unknown: readonly AppliedMigration[];
}

/** "centuria" in ASCII: the key of the advisory lock that a migrating process holds. */
const lockKey = 0x63656e7475726961n;

const waiting = { pauseMs: 200, limitMs: 600_000 } as const;

/**
 * Brings the schema up to the folder. Throws `migration_changed` when an applied file was edited,
 * `schema_too_new` when a newer Centuria has applied a breaking one, `migration_failed` when a file
 * fails (nothing of it is kept; those before it are) or the folder is wrong, `timeout` when another
 * process migrates for more than ten minutes.
 */
export async function migrate(db: Database, options: MigrateOptions): Promise<Migrated> {
  const files = readMigrations(options.folder);
  return db.session(async (session) => {
    await takeLock(session, options);
    await session.query(createTable);
    const applied = await readApplied(session);
    const { pending, unknown } = compare(files, applied);
    for (const { name } of unknown) {
      options.log.warn({ migration: name }, 'a newer Centuria has applied this migration');
    }
    for (const file of pending) await apply(session, file, options);
    // The end of the session releases the lock.
    return {
      applied: pending.map((file) => file.name),
      version: Math.max(0, ...applied.map(({ number }) => number), files.length),
    };
  });
}

/** What is applied, pending and unknown. Throws like `migrate`, and changes nothing. */
export async function migrationStatus(db: Database, folder: string): Promise<MigrationStatus> {
  const files = readMigrations(folder);
  const [table] = await db.query(tableExists);
  const applied = table?.exists === true ? await readApplied(db) : [];
  const { pending, unknown } = compare(files, applied);
  return {
    version: Math.max(0, ...applied.map(({ number }) => number)),
    applied,
    pending: pending.map(({ name, breaking }) => ({ name, breaking })),
    unknown,
  };
}

/**
 * Asks again and again instead of waiting inside PostgreSQL, where a waiting statement holds a
 * snapshot that `create index concurrently` would wait for in turn.
 */
async function takeLock(session: Session, { log, clock }: MigrateOptions): Promise<void> {
  const beganMs = clock.monotonicMs();
  for (let attempt = 1; ; attempt += 1) {
    const [row] = await session.query(
      sql<{ taken: boolean }>`select pg_try_advisory_lock(${lockKey}::bigint) as taken`,
    );
    if (row?.taken === true) return;
    if (attempt === 1) log.info({}, 'waiting for another process that migrates the database');
    if (clock.monotonicMs() - beganMs > waiting.limitMs) {
      throw new AppError(
        'timeout',
        'another process has been migrating the database for too long',
        {
          details: { waitedMs: waiting.limitMs },
          remedy: 'Find it in pg_locks (locktype advisory) and see what it waits for.',
        },
      );
    }
    await clock.sleep(waiting.pauseMs);
  }
}

function compare(
  files: readonly MigrationFile[],
  applied: readonly AppliedMigration[],
): { pending: MigrationFile[]; unknown: AppliedMigration[] } {
  const byNumber = new Map(files.map((file) => [file.number, file]));
  for (const row of applied) {
    const file = byNumber.get(row.number);
    if (file !== undefined) assertSame(file, row);
  }
  const unknown = applied.filter(({ number }) => !byNumber.has(number));
  const breaking = unknown.findLast((row) => row.breaking);
  if (breaking !== undefined) {
    throw new AppError(
      'schema_too_new',
      `the database has ${breaking.name}, which this version of Centuria does not know`,
      {
        details: { migration: breaking.name, known: files.length },
        remedy: 'Use the newer Centuria that migrated it, or restore a backup from before.',
      },
    );
  }
  const done = new Set(applied.map(({ number }) => number));
  return { pending: files.filter(({ number }) => !done.has(number)), unknown };
}

function assertSame(file: MigrationFile, row: AppliedMigration): void {
  if (file.checksum === row.checksum) return;
  const what =
    file.name === row.name
      ? `${file.name} was edited after it had been applied`
      : `${file.name} has the number of ${row.name}, which has been applied`;
  throw new AppError('migration_changed', what, {
    details: { file: file.name, applied: row.name, number: row.number },
    remedy: 'Restore the file, and write what should change as a new migration.',
  });
}

/** One transaction for the file and the row that records it: both or neither. */
async function apply(
  session: Session,
  file: MigrationFile,
  { log, clock }: MigrateOptions,
): Promise<void> {
  const beganMs = clock.monotonicMs();
  try {
    await session.script(`begin;\n${file.text}\n;`);
    await session.query(recordMigration(file));
    await session.script('commit');
  } catch (thrown) {
    const error = toAppError(thrown);
    // A lost connection has rolled back by itself, and keeps its own code, which says so.
    await session.script('rollback').catch(() => undefined);
    if (error.code !== 'database_failed' && error.code !== 'internal') throw error;
    throw failed(file, error);
  }
  const tookMs = Math.round(clock.monotonicMs() - beganMs);
  log.info({ migration: file.name, tookMs }, 'migration applied');
}

function failed(file: MigrationFile, error: AppError): AppError {
  const position = error.details['position'];
  // The script has a line of ours before the file's first.
  const line =
    typeof position === 'number'
      ? `begin;\n${file.text}`.slice(0, position - 1).split('\n').length - 1
      : undefined;
  const where = line === undefined ? file.name : `${file.name}:${line}`;
  return new AppError('migration_failed', `${where}: ${error.message}`, {
    details: { ...error.details, file: file.name, ...(line === undefined ? {} : { line }) },
    remedy: 'Nothing of this file has been applied. Correct it and migrate again.',
    cause: error,
  });
}

const createTable = sql`
  create table if not exists schema_migrations (
    number integer primary key,
    name text not null,
    checksum text not null,
    breaking boolean not null,
    applied_at timestamptz not null default now()
  )`;

const tableExists = sql<{
  exists: boolean;
}>`select to_regclass('schema_migrations') is not null as exists`;

const readApplied = (db: Queryable): Promise<AppliedMigration[]> =>
  db.query(sql<AppliedMigration>`
    select number, name, checksum, breaking, applied_at as "appliedAt"
    from schema_migrations
    order by number`);

const recordMigration = ({ number, name, checksum, breaking }: MigrationFile) => sql`
  insert into schema_migrations (number, name, checksum, breaking)
  values (${number}, ${name}, ${checksum}, ${breaking})`;
