import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Option, type Command } from 'commander';
import { AppError, type Config, type Log, type LogLevel } from '../base/base.ts';
import type { Role, RunningServer } from '../server.ts';
import type { CliContext } from './context.ts';
import { Exit } from './failure.ts';
import { runFirst } from './first-run.ts';
import { addExamples, addSettingFlags, collect } from './flags.ts';
import type { LiveView } from './live-view.ts';
import { formatDuration, note, printDocument } from './output.ts';
import { interruptedStatus } from './run-wait.ts';
import { onStopSignals } from './stop-signals.ts';
import { createTerminalLog } from './terminal-log.ts';

/** Repeated here, since loading the server for it would slow every command down. */
const roles = ['bridge', 'learning', 'worker'] as const satisfies readonly Role[];

interface UpOptions {
  readonly only?: readonly Role[];
  readonly firstRun?: string;
  readonly input?: readonly string[];
}

/** `centuria up`: serves until it is told to stop. */
export function registerUp(program: Command, context: CliContext): void {
  addExamples(
    addSettingFlags(
      program
        .command('up')
        .description('Start Centuria and serve until Ctrl-C or SIGTERM.')
        .addOption(
          new Option('--only <role>', 'Only this role; may repeat. Otherwise all.')
            .choices(roles)
            .argParser(collectRoles),
        )
        .option('--first-run <workflow>', 'Run this workflow once, when there has been no run yet.')
        .option('--input <name=value>', 'An input of the first run. May repeat.', collect),
    ),
    [
      ['On the nearest .centuria', 'centuria up'],
      ['A worker beside another machine', 'CENTURIA_DATABASE_URL=… centuria up --only worker'],
      ['On a free port', 'centuria up --bridge-port 0'],
    ],
  ).action(async (options: UpOptions) => {
    if (options.input !== undefined && options.firstRun === undefined) {
      throw new AppError('usage', '--input needs --first-run');
    }
    throw new Exit(await serve(context, context.config({ ...options }), options));
  });
}

/** One role or several with commas, given once or several times. */
function collectRoles(text: string, before: readonly Role[] = []): Role[] {
  const named = text.split(',').map((word) => {
    const role = roles.find((known) => known === word.trim());
    if (role !== undefined) return role;
    throw new AppError('usage', `--only ${text}: there is no role ${word}`, {
      remedy: `The roles are ${roles.slice(0, -1).join(', ')} and ${roles.at(-1)}.`,
    });
  });
  return [...new Set([...before, ...named])];
}

/** What an `up` goes through; signals may come at any moment of it. */
interface Serving {
  server?: RunningServer;
  view?: LiveView | undefined;
  isReady: boolean;
}

/** Starts the server and returns the exit status when it has stopped: 0 in order, 130 by force. */
async function serve(context: CliContext, config: Config, options: UpOptions): Promise<number> {
  const { startServer } = await import('../server.ts');
  const state: Serving = { isReady: false };
  const log = logOf(context, config, state);
  const stopping = stopper(context, config, state);
  const startedMs = context.clock.monotonicMs();
  try {
    state.server = await startServer(config, {
      log,
      clock: context.clock,
      roles: options.only ?? roles,
      root: context.root,
      version: context.version,
      cwd: context.cwd,
      onStep: (step) => {
        if (isAttended(context)) note(context, context.stderr.colours.dim(`${step} …`));
      },
      onLost: stopping.lost,
    });
    state.isReady = true;
    if (!stopping.isWanted()) {
      announce(context, config, state.server, context.clock.monotonicMs() - startedMs);
      if (options.firstRun !== undefined) {
        await runFirst(context, state.server, options.firstRun, options.input ?? [], {
          signal: stopping.signal,
          onView: (view) => {
            state.view = view;
          },
        });
      }
    }
    return await stopping.finished(state.server);
  } finally {
    stopping.release();
  }
}

/** People get lines, and after the start only what needs attention; everything else gets JSON. */
function logOf(context: CliContext, config: Config, state: Serving): Log {
  const { logLevel } = config.values;
  const least: LogLevel = context.verbose ? 'debug' : logLevel;
  if (!isAttended(context)) return context.log(least);
  const isChosen = context.verbose || config.origins.logLevel.origin !== 'default';
  return createTerminalLog(
    context,
    () => (isChosen || !state.isReady ? least : 'warn'),
    () => state.view ?? { line: (text) => note(context, text) },
  );
}

/** Whether a person is watching: then there are words instead of JSON. */
function isAttended(context: CliContext): boolean {
  return context.stderr.isTTY && context.format === 'table';
}

/** Where it serves and how to get in. The link lets a browser in, so it is only shown to a person. */
function announce(
  context: CliContext,
  config: Config,
  server: RunningServer,
  tookMs: number,
): void {
  const { bold } = context.stdout.colours;
  const loginLink = context.stdout.isTTY ? server.loginLink() : undefined;
  const ready = {
    version: context.version,
    pid: process.pid,
    home: config.home,
    bridgeUrl: server.bridgeUrl,
    ...(server.learningUrl === undefined ? {} : { learningUrl: server.learningUrl }),
    ...(loginLink === undefined ? {} : { loginLink }),
  };
  printDocument(context, ready, ({ bridgeUrl, learningUrl }) => {
    const url = bridgeUrl ?? learningUrl;
    const where = url === undefined ? 'works' : `serves ${bold(url)}`;
    const lines = [
      `Centuria ${context.version} ${where}  (${formatDuration(tookMs)}, data in ${config.home})`,
    ];
    if (loginLink !== undefined) lines.push(`Open ${loginLink}`);
    // A clone is on nobody's PATH, and everything else that is printed says `centuria …`.
    if (isCheckout(context))
      lines.push('In this folder, type npx centuria where it says centuria.');
    return lines.join('\n');
  });
}

function isCheckout(context: CliContext): boolean {
  return context.cwd === context.root && existsSync(join(context.root, 'src'));
}

interface Stopper {
  /** Aborts with the first wish to stop, or when the server can't go on. */
  readonly signal: AbortSignal;
  /** The server can't go on. */
  lost(error: AppError): void;
  isWanted(): boolean;
  /** Waits for a wish to stop, stops the server, and returns the exit status. */
  finished(server: RunningServer): Promise<number>;
  release(): void;
}

/** The first wish stops in order, the second at once, the third ends the process where it stands. */
function stopper(context: CliContext, config: Config, state: Serving): Stopper {
  const wanted = new AbortController();
  let isForced = false;
  const say = (text: string): void =>
    (state.view ?? { line: (line) => note(context, line) }).line(text);
  const release = onStopSignals(context.clock, (wish, signal) => {
    if (wish === 1) {
      const grace = formatDuration(config.values.shutdownGraceMs);
      say(
        state.isReady
          ? `${signal}: stopping. Attempts under way may finish within ${grace}; what is left goes on after the next start. Again to force it.`
          : `${signal}: stopping as soon as the start is through. Again to force it.`,
      );
      wanted.abort(new AppError('cancelled', `stopped by ${signal}`));
    } else if (wish === 2 && state.server !== undefined) {
      say('Stopping at once.');
      isForced = true;
      void state.server.stop({ force: true });
    } else {
      process.exit(interruptedStatus);
    }
  });
  let loss: AppError | undefined;
  return {
    signal: wanted.signal,
    lost(error) {
      loss = error;
      wanted.abort(error);
    },
    isWanted: () => wanted.signal.aborted,
    release,
    async finished(server) {
      await aborted(wanted.signal);
      await server.stop({ force: isForced });
      if (loss !== undefined) throw loss;
      note(context, 'Stopped.');
      return isForced ? interruptedStatus : 0;
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
