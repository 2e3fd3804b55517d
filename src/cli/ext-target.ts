import { hostname, userInfo } from 'node:os';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { AppError } from '../base/base.ts';
import type { ExtTarget, TargetOptions } from '../ext/ext.ts';
import type { CliContext } from './context.ts';
import { extLog } from './ext-progress.ts';
import { findPassword } from './ext-password.ts';
import { collect, wholeNumber } from './flags.ts';
import { note } from './output.ts';
import { onStopSignals } from './stop-signals.ts';

/** The options of every command that has to do with a machine and its server. */
export interface TargetFlags extends HostFlags {
  readonly stagingDir?: string;
  readonly port?: number;
  readonly socket?: string;
  readonly serverHost?: string;
  readonly serverUser?: string;
  readonly recordDatabase: string;
}

export interface HostFlags {
  readonly host?: string;
  readonly sshOption?: string[];
  readonly pgConfig?: string;
}

const group = 'Target:';

/** `--host` and how to get there; `--pg-config` of the server there. */
export function addHostFlags(command: Command): Command {
  return command
    .optionsGroup(group)
    .option('--host <machine>', 'Over SSH: user@host, user@host:port, or a name of ~/.ssh/config.')
    .option('--ssh-option <key=value>', "An option of ssh's configuration; may repeat.", collect)
    .option('--pg-config <path>', 'The pg_config of the server, on the target.');
}

/** The flags of a target whose server runs. */
export function addTargetFlags(command: Command): Command {
  return addHostFlags(command)
    .option(
      '--staging-dir <path>',
      'Where releases lie, on the target (CENTURIA_EXT_STAGING_FOLDER).',
    )
    .option('--port <port>', 'Of the server (PGPORT, 5432).', wholeNumber(1, 65_535))
    .option('--socket <folder>', "Of the server's socket (/var/run/postgresql).")
    .option('--server-host <name>', 'In place of the socket, as the target reaches it (PGHOST).')
    .option('--server-user <name>', 'A superuser of the server (PGUSER, postgres).')
    .option('--record-database <name>', 'Where deployments are recorded.', 'postgres')
    .optionsGroup('Options:');
}

/** What the flags and the environment say of the target; a password comes from the environment or a file. */
export async function targetOptions(
  context: CliContext,
  flags: TargetFlags,
): Promise<TargetOptions> {
  const { env } = context;
  const { extPassword, extStagingFolder } = context.config(
    flags.stagingDir === undefined ? {} : { extStagingFolder: flags.stagingDir },
  ).values;
  if (flags.socket !== undefined && flags.serverHost !== undefined) {
    throw new AppError('usage', '--socket and --server-host are two ways to one server', {
      remedy: 'Give one of them.',
    });
  }
  const host = flags.socket ?? flags.serverHost ?? nonEmpty(env['PGHOST']) ?? '/var/run/postgresql';
  if (flags.socket !== undefined && !flags.socket.startsWith('/')) {
    throw new AppError('usage', `--socket ${flags.socket} is no absolute path of a folder`);
  }
  const address = {
    host,
    port: flags.port ?? portOf(env['PGPORT']),
    user: flags.serverUser ?? nonEmpty(env['PGUSER']) ?? 'postgres',
    database: flags.recordDatabase,
  };
  const password = await findPassword(env, extPassword, address);
  return {
    ...(flags.host === undefined ? {} : { host: flags.host }),
    ...(flags.pgConfig === undefined ? {} : { pgConfig: flags.pgConfig }),
    address: { ...address, ...(password === undefined ? {} : { password }) },
    stagingFolder: extStagingFolder,
  };
}

export interface WithTarget {
  readonly target: ExtTarget;
  /** Aborts at the first Ctrl-C. */
  readonly signal: AbortSignal;
}

/**
 * Opens the target for one command, and closes it. Ctrl-C aborts the work's signal, not the connections:
 * what has to be taken back is taken back over them.
 */
export async function withTarget<Result>(
  context: CliContext,
  flags: TargetFlags,
  options: {
    /** Said at Ctrl-C while the work goes on. */
    readonly onStop?: string;
    /** Whether the work makes sense while the server does not run. */
    readonly mayBeDown?: boolean;
  },
  work: (given: WithTarget) => Promise<Result>,
): Promise<Result> {
  const { openTarget } = await import('../ext/ext.ts');
  const { cacheFolder } = await import('../database/database.ts');
  const opening = new AbortController();
  const working = new AbortController();
  let isOpen = false;
  const forget = onStopSignals(context.clock, () => {
    const reason = new AppError('cancelled', 'stopped as asked');
    if (!isOpen) opening.abort(reason);
    else if (options.onStop !== undefined) note(context, options.onStop);
    working.abort(reason);
  });
  try {
    const target = await openTarget(await targetOptions(context, flags), {
      clock: context.clock,
      log: extLog(context),
      cacheFolder: cacheFolder(context.env),
      sshOptions: flags.sshOption ?? [],
      mayBeDown: options.mayBeDown === true,
      signal: opening.signal,
    });
    isOpen = true;
    try {
      return await work({ target, signal: working.signal });
    } finally {
      await target.close();
    }
  } finally {
    forget();
  }
}

/** Work that only Ctrl-C ends before its time. */
export async function withSignal<Result>(
  context: CliContext,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const stopping = new AbortController();
  const forget = onStopSignals(context.clock, () =>
    stopping.abort(new AppError('cancelled', 'stopped as asked')),
  );
  try {
    return await work(stopping.signal);
  } finally {
    forget();
  }
}

export interface RestartFlags {
  readonly restartCommand?: string;
}

/** Restarts a server can take: it writes a checkpoint first. */
const restartMs = 600_000;

/** The command as the target's sh runs it; a service manager's answer is waited for. */
export function restartOf(
  { host }: ExtTarget,
  { restartCommand }: RestartFlags,
): { restart?: () => Promise<void> } {
  if (restartCommand === undefined) return {};
  return {
    restart: async () => {
      await host.check(restartCommand, { timeoutMs: restartMs });
    },
  };
}

/** Who deploys, for the record: `ada@laptop`. */
export function actorOf(): string {
  return `${userInfo().username}@${hostname()}`;
}

/** The target's flags as they have to be typed again, for commands that are told to people. */
export function typedTarget(flags: TargetFlags): string {
  const words: string[] = [];
  const add = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) words.push(name, quoted(String(value)));
  };
  add('--host', flags.host);
  for (const option of flags.sshOption ?? []) add('--ssh-option', option);
  add('--pg-config', flags.pgConfig);
  add('--staging-dir', flags.stagingDir);
  add('--port', flags.port);
  add('--socket', flags.socket);
  add('--server-host', flags.serverHost);
  add('--server-user', flags.serverUser);
  if (flags.recordDatabase !== 'postgres') add('--record-database', flags.recordDatabase);
  return words.map((word) => ` ${word}`).join('');
}

/** A word as a shell takes it for one. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Where keys of the pipeline are. */
export function keyFolder(context: CliContext): string {
  return resolve(context.config().home, 'ext');
}

function portOf(text: string | undefined): number {
  if (text === undefined || text === '') return 5432;
  const port = /^\d+$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new AppError('usage', `PGPORT is ${JSON.stringify(text)}, which is no port`);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
