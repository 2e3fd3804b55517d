import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { InstallProgress, PostgresInstall } from '../database/database.ts';
import type { CliContext } from './context.ts';
import { addExamples, wholeNumber } from './flags.ts';
import { formatBytes, note, printDocument, printRows } from './output.ts';
import { onStopSignals } from './stop-signals.ts';
import { createTerminalLog } from './terminal-log.ts';

const defaultMajor = 17;
const parseMajor = wholeNumber(1, 99);

interface ListRow {
  readonly what: 'install' | 'server';
  readonly version: string;
  /** The programs of an install, the data of a server. */
  readonly folder: string;
  readonly origin?: PostgresInstall['origin'];
  readonly hasVector?: boolean;
  readonly pid?: number;
  readonly port?: number;
}

/** `centuria pg`: a real PostgreSQL on this machine, without root. Works without a server of ours. */
export function registerPg(program: Command, context: CliContext): void {
  const group = program
    .command('pg')
    .description('Install and run a local PostgreSQL with pgvector, without root.');
  registerGet(group, context);
  registerStart(group, context);
  registerStop(group, context);
  registerList(group, context);
}

function registerGet(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('get')
      .description('Install PostgreSQL into the cache and print the folder of its programs.')
      .argument('[major]', 'The major version: 13, 15, 17 or 18.', parseMajor, defaultMajor)
      .option('--update', 'Take the newest packages instead of the pinned or installed ones.'),
    [
      ['Its psql', '"$(centuria pg get 17)/psql" --version'],
      ['After a security update', 'centuria pg get 17 --update'],
    ],
  ).action(async (major: number, options: { update?: true }) => {
    const install = await get(context, major, options.update === true);
    printDocument(context, install, ({ binFolder }) => binFolder);
  });
}

function registerStart(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('start')
      .description('Start a server that goes on by itself, and print its URL with its password.')
      .argument('[major]', 'The major version.', parseMajor, defaultMajor)
      .option('--folder <path>', 'The folder of the server; made where it is empty.')
      .option(
        '--port <port>',
        'Its port on 127.0.0.1; 0 takes a free one. Without it: as last time, else a free one.',
        wholeNumber(0, 65_535),
      ),
    [
      ['Use it', 'CENTURIA_DATABASE_URL=$(centuria pg start) centuria up'],
      ['On a fixed port', 'centuria pg start 17 --port 5433'],
    ],
  ).action(async (major: number, options: { folder?: string; port?: number }) => {
    const install = await get(context, major, false);
    const { startPostgres } = await import('../database/database.ts');
    const folder = serverFolder(context, major, options.folder);
    const server = await startPostgres(install, {
      folder,
      ...(options.port === undefined ? {} : { port: options.port }),
      lifetime: 'detached',
      clock: context.clock,
      log: terminalLog(context),
    });
    const state = server.started ? 'runs' : 'ran already';
    note(context, `PostgreSQL ${install.version} ${state} in ${folder}, process id ${server.pid}.`);
    printDocument(
      context,
      { url: server.url, pid: server.pid, port: server.port, folder, started: server.started },
      ({ url }) => url,
    );
  });
}

function registerStop(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('stop')
      .description('Stop a server, whoever started it, and wait until it has ended.')
      .argument('[major]', 'The major version.', parseMajor, defaultMajor)
      .option('--folder <path>', 'The folder of the server.')
      .option('--immediate', 'Without a checkpoint; the next start recovers.'),
    [['The one that `centuria pg start` started', 'centuria pg stop']],
  ).action(async (major: number, options: { folder?: string; immediate?: true }) => {
    const { stopPostgres } = await import('../database/database.ts');
    const folder = serverFolder(context, major, options.folder);
    const stopped = await stopPostgres(folder, {
      mode: options.immediate === true ? 'immediate' : 'fast',
      clock: context.clock,
      log: terminalLog(context),
    });
    if (!stopped) {
      throw new AppError('not_found', `no server runs in ${folder}`, {
        details: { folder },
        remedy: 'centuria pg list shows those that run.',
      });
    }
    printDocument(context, { folder, stopped }, () => `Stopped the server of ${folder}.`);
  });
}

function registerList(group: Command, context: CliContext): void {
  addExamples(
    group
      .command('list')
      .description("List what is installed, also by the host's packages, and what runs."),
    [['Ports that are taken', "centuria pg list -o jsonl | jq 'select(.port)|.port'"]],
  ).action(async () => {
    const { cacheFolder, listInstalls, listRunning } = await import('../database/database.ts');
    const installs = await listInstalls(cacheFolder(context.env));
    const rows: ListRow[] = [
      ...installs.map(({ version, binFolder, origin, hasVector }): ListRow => ({
        what: 'install',
        version,
        folder: binFolder,
        origin,
        hasVector,
      })),
      ...(await listRunning()).map(({ major, dataFolder, pid, port }): ListRow => ({
        what: 'server',
        version: String(major),
        folder: dataFolder,
        pid,
        port,
      })),
    ];
    printRows(context, rows, {
      columns: [
        { title: 'WHAT', cell: ({ what }) => what },
        { title: 'VERSION', cell: ({ version }) => version },
        { title: 'PGVECTOR', cell: ({ hasVector }) => yesOrNo(hasVector) },
        { title: 'PORT', cell: ({ port }) => String(port ?? ''), align: 'right' },
        { title: 'PID', cell: ({ pid }) => String(pid ?? ''), align: 'right' },
        { title: 'FROM', cell: ({ origin }) => origin ?? '' },
        { title: 'FOLDER', cell: ({ folder }) => folder, cut: true },
      ],
      empty: 'Nothing is installed and nothing runs. centuria pg get 17 installs PostgreSQL.',
    });
  });
}

/** Installs with progress on standard error; Ctrl-C ends it with nothing half done. */
async function get(context: CliContext, major: number, update: boolean): Promise<PostgresInstall> {
  const { cacheFolder, installPostgres } = await import('../database/database.ts');
  const stopping = new AbortController();
  const forget = onStopSignals(context.clock, () => stopping.abort());
  const progress = showProgress(context, major);
  try {
    return await installPostgres({
      major,
      cacheFolder: cacheFolder(context.env),
      log: terminalLog(context, progress.clear),
      onProgress: progress.show,
      signal: stopping.signal,
      update,
    });
  } finally {
    progress.clear();
    forget();
  }
}

/** One line drawn in place on a terminal; elsewhere one line for each phase. */
function showProgress(
  context: CliContext,
  major: number,
): { show(progress: InstallProgress): void; clear(): void } {
  let lastPhase: string | undefined;
  const drawn = context.stderr.isTTY && context.format === 'table';
  return {
    show(progress) {
      const text = `PostgreSQL ${major}: ${describe(progress)}`;
      if (drawn) context.stderr.write(`\r\u001B[K${text}`);
      else if (lastPhase !== progress.phase) note(context, text);
      lastPhase = progress.phase;
    },
    clear() {
      if (drawn && lastPhase !== undefined) context.stderr.write('\r\u001B[K');
    },
  };
}

function describe({ phase, done, total }: InstallProgress): string {
  switch (phase) {
    case 'wait':
      return 'waiting for another process that installs it';
    case 'index':
      return "reading Debian's package index";
    case 'download':
      return done === 0 ? 'downloading' : `downloading, ${formatBytes(done)}`;
    case 'unpack':
      return `unpacking ${total} packages, ${done} done`;
    case 'check':
      return 'checking that it runs';
  }
}

/** Root's own data folder may be closed to the user that the server runs as; /var/lib is open. */
function serverFolder(context: CliContext, major: number, folder: string | undefined): string {
  if (folder !== undefined) return resolve(context.cwd, folder);
  if (process.getuid?.() === 0) return `/var/lib/centuria/postgres-${major}`;
  return join(context.config().home, `postgres-${major}`);
}

function terminalLog(context: CliContext, beforeLine: () => void = () => {}) {
  return createTerminalLog(
    context,
    () => (context.verbose ? 'debug' : 'warn'),
    () => ({
      line(text) {
        beforeLine();
        note(context, text);
      },
    }),
  );
}

function yesOrNo(value: boolean | undefined): string {
  if (value === undefined) return '';
  return value ? 'yes' : 'no';
}
