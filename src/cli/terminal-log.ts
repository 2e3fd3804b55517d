import { createLog, type Log, type LogLevel } from '../base/base.ts';
import type { CliContext } from './context.ts';
import { oneLine } from './output.ts';

/** Where log lines go now: over a live view, while there is one, or simply out. */
export interface LogOutlet {
  line(text: string): void;
}

/** A log for a person at a terminal: level, message and fields on one line instead of JSON. */
export function createTerminalLog(
  context: CliContext,
  level: () => LogLevel,
  outlet: () => LogOutlet,
): Log {
  const { colours } = context.stderr;
  const styles: Record<string, (text: string) => string> = {
    debug: colours.dim,
    info: colours.cyan,
    warn: colours.yellow,
    error: colours.red,
  };
  return createLog({
    level: 'debug',
    destination: {
      write(line) {
        const { level: name, time: _time, msg, ...fields } = JSON.parse(line) as LogLine;
        if (levels.indexOf(name) < levels.indexOf(level())) return;
        const details = Object.entries(fields).map(([key, value]) => `${key}=${shown(value)}`);
        const tail = details.length === 0 ? '' : `  ${colours.dim(oneLine(details.join(' ')))}`;
        outlet().line(`${styles[name]?.(name.padEnd(5)) ?? name} ${oneLine(msg)}${tail}`);
      },
    },
  });
}

interface LogLine {
  readonly level: LogLevel;
  readonly time: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

const levels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];

/** An error as its message: its stack would fill the screen, and `-v` is there for it. */
function shown(value: unknown): string {
  if (typeof value === 'string') return value;
  const message = (value as { message?: unknown } | null)?.message;
  return typeof message === 'string' ? message : JSON.stringify(value);
}
