import type { Command } from 'commander';
import picocolors from 'picocolors';
import {
  createLog,
  loadConfig,
  systemClock,
  type Clock,
  type Config,
  type Log,
  type LogLevel,
} from '../base/base.ts';

export type OutputFormat = 'table' | 'json' | 'jsonl';
export const outputFormats: readonly OutputFormat[] = ['table', 'json', 'jsonl'];

export type Colours = ReturnType<typeof picocolors.createColors>;

/** One of the two output streams. */
export interface Terminal {
  write(text: string): void;
  readonly isTTY: boolean;
  /** Width in columns now; undefined without a terminal, or where it does not know its size. */
  readonly columns: number | undefined;
  readonly rows: number | undefined;
  readonly colours: Colours;
  /** The stream itself: for a view that is drawn in place. */
  readonly stream: NodeJS.WriteStream;
}

/** What a process is given, as an argument, so that a test can give something else. */
export interface ProcessFace {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/**
 * What every command works with. Data goes to `stdout`, everything else to `stderr`. The options
 * that hold for all commands are read when they are asked for, since they may stand anywhere on the
 * command line.
 */
export interface CliContext {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly clock: Clock;
  readonly format: OutputFormat;
  readonly verbose: boolean;
  /** The URL of `--server`. */
  readonly server: string | undefined;
  /** The folder of the program itself: where the shipped agents and workflows are. */
  readonly root: string;
  readonly version: string;
  /** Reads the configuration; `options` are the command's own, some of which may be settings. */
  config(options?: Readonly<Record<string, unknown>>): Config;
  /** A log of JSON lines on standard error. */
  log(level: LogLevel): Log;
}

/** The options of the program itself, as commander keeps them. */
interface GlobalOptions {
  readonly home?: string;
  readonly output?: OutputFormat;
  readonly color?: boolean;
  readonly verbose?: boolean;
  readonly server?: string;
}

export function createContext(
  face: ProcessFace,
  program: Command,
  about: { readonly root: string; readonly version: string },
): CliContext {
  const options = (): GlobalOptions => program.opts<GlobalOptions>();
  const terminal = (stream: NodeJS.WriteStream): Terminal => ({
    write: (text) => void stream.write(text),
    stream,
    isTTY: stream.isTTY === true,
    get columns() {
      return stream.isTTY === true ? stream.columns || undefined : undefined;
    },
    get rows() {
      return stream.isTTY === true ? stream.rows || undefined : undefined;
    },
    get colours() {
      const wanted = options().color !== false && wantsColour(face.env, stream.isTTY === true);
      return picocolors.createColors(wanted);
    },
  });
  return {
    stdin: face.stdin,
    stdout: terminal(face.stdout),
    stderr: terminal(face.stderr),
    env: face.env,
    cwd: face.cwd,
    clock: systemClock,
    root: about.root,
    version: about.version,
    get format() {
      return options().output ?? 'table';
    },
    get verbose() {
      return options().verbose === true;
    },
    get server() {
      return options().server;
    },
    config: (own = {}) =>
      loadConfig({ flags: { ...own, home: options().home }, env: face.env, cwd: face.cwd }),
    log: (level) =>
      createLog({ level, destination: { write: (line) => void face.stderr.write(line) } }),
  };
}

/**
 * NO_COLOR and FORCE_COLOR count when they are not empty (no-color.org, force-color.org). FORCE_COLOR
 * wins as it does in Node itself, which warns of the two being set in every program.
 */
export function wantsColour(
  env: Readonly<Record<string, string | undefined>>,
  isTTY: boolean,
): boolean {
  const force = env['FORCE_COLOR'] ?? '';
  if (force !== '') return force !== '0' && force !== 'false';
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  return isTTY && env['TERM'] !== 'dumb';
}
