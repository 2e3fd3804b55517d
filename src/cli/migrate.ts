import type { Command } from 'commander';
import type { MigrationStatus } from '../database/database.ts';
import type { CliContext } from './context.ts';
import { isUnmade, migrationFolder, migrationNames, openConfigured } from './database-folder.ts';
import { addExamples, addSettingFlags } from './flags.ts';
import { note, plural, printRows } from './output.ts';

interface MigrationRow {
  readonly migration: string;
  readonly state: 'applied' | 'pending' | 'unknown';
  readonly appliedAt?: string;
  /** Older versions refuse a database that has it. */
  readonly breaking?: boolean;
}

/** `centuria migrate`: brings the schema up to this version; `centuria up` does the same. */
export function registerMigrate(program: Command, context: CliContext): void {
  addExamples(
    addSettingFlags(
      program
        .command('migrate')
        .description('Bring the database schema up to this version, without starting a server.')
        .option('--plan', 'Only show what would be applied.'),
    ),
    [
      ['What would be done', 'centuria migrate --plan'],
      [
        'A server whose URL is in a file',
        'CENTURIA_DATABASE_URL_FILE=/etc/centuria/database-url centuria migrate',
      ],
    ],
  ).action(async (options: { plan?: true }) => {
    const rows =
      options.plan === true ? await plan(context, options) : await apply(context, options);
    printRows(context, rows, {
      columns: [
        { title: 'MIGRATION', cell: (row) => row.migration },
        { title: 'STATE', cell: (row) => row.state },
        { title: 'APPLIED AT', cell: (row) => row.appliedAt ?? '–' },
        { title: 'BREAKING', cell: (row) => (row.breaking === true ? 'yes' : '') },
      ],
      empty: 'The schema is up to date.',
    });
  });
}

/** Every migration with its state; changes nothing. */
async function plan(
  context: CliContext,
  options: Readonly<Record<string, unknown>>,
): Promise<MigrationRow[]> {
  const config = context.config(options);
  const folder = migrationFolder(context);
  if (isUnmade(config)) {
    note(context, `The embedded database does not exist yet; it would be made in ${config.home}.`);
    return migrationNames(folder).map((migration) => ({
      migration,
      state: 'pending',
    }));
  }
  const { migrationStatus } = await import('../database/database.ts');
  const log = context.log(config.values.logLevel);
  const database = await openConfigured(config, log, context.clock);
  try {
    const status = await migrationStatus(database, folder);
    const unknown = new Set(status.unknown.map(({ number }) => number));
    return [
      ...status.applied.map((row) => toRow(row, unknown.has(row.number) ? 'unknown' : 'applied')),
      ...status.pending.map(({ name, breaking }): MigrationRow => ({
        migration: name,
        state: 'pending',
        breaking,
      })),
    ];
  } finally {
    await database.close();
  }
}

/** Applies what is pending and returns just that. */
async function apply(
  context: CliContext,
  options: Readonly<Record<string, unknown>>,
): Promise<MigrationRow[]> {
  const config = context.config(options);
  const { migrate, migrationStatus } = await import('../database/database.ts');
  const { clock } = context;
  const folder = migrationFolder(context);
  const log = context.log(config.values.logLevel);
  const database = await openConfigured(config, log, clock);
  try {
    const names = new Set((await migrate(database, { folder, log, clock })).applied);
    if (names.size > 0) note(context, `Applied ${plural(names.size, 'migration')}.`);
    const { applied } = await migrationStatus(database, folder);
    return applied.filter(({ name }) => names.has(name)).map((row) => toRow(row, 'applied'));
  } finally {
    await database.close();
  }
}

function toRow(
  { name, breaking, appliedAt }: MigrationStatus['applied'][number],
  state: MigrationRow['state'],
): MigrationRow {
  return { migration: name, state, appliedAt: appliedAt.toISOString(), breaking };
}
