import { isUtf8 } from 'node:buffer';
import { AppError, redact } from '../../base/base.ts';
import type { ChildEnd } from './child.ts';
import { readJsonText } from './json-text.ts';

/** What a message about a command needs to know of it. */
export interface CommandContext {
  readonly agent: string;
  readonly timeoutMs: number;
  readonly memoryMb: number;
  readonly outputMb: number;
  /** The exit status of a good end. */
  readonly goodExit: number;
}

const shownLines = 5;
const shownCharacters = 1_000;

/** Conventions of sysexits(3) and the shell. */
const exitUnavailable = 69;
const exitTryAgain = 75;
/** Wrong usage, bad input, not executable, not found: the same call fails the same way. */
const hopelessExits = new Set([2, 64, 65, 66, 126, 127]);

/** The error of a command that did not end well; undefined when it did. */
export function endError(end: ChildEnd, context: CommandContext): AppError | undefined {
  const who = `agent ${context.agent}`;
  const said = lastLines(end.stderr);
  const details = {
    agent: context.agent,
    ...(end.exitCode === null ? {} : { exit: end.exitCode }),
    ...(end.signal === null ? {} : { signal: end.signal }),
    ...(said === '' ? {} : { stderr: said }),
  };
  const message = (what: string): string => (said === '' ? what : `${what}: ${said}`);
  switch (end.stopped) {
    case 'timeout':
      return new AppError('timeout', message(`${who} took longer than ${context.timeoutMs} ms`), {
        details,
        remedy: 'Raise timeoutSeconds, or give it less to do.',
      });
    case 'cancelled':
      return new AppError('cancelled', `${who} was cancelled`, { details });
    case 'memory':
      return new AppError(
        'agent_memory_exceeded',
        message(`${who} used more than ${context.memoryMb} MiB of memory`),
        { details, remedy: 'Raise runtime.limits.memoryMb, or give it less to do.' },
      );
    case 'output':
      return new AppError(
        'agent_output_too_large',
        message(`${who} wrote more than ${context.outputMb} MiB`),
        { details, remedy: 'Raise runtime.limits.outputMb, or have it write less.' },
      );
    case undefined:
      break;
  }
  if (end.signal !== null) {
    return new AppError('agent_crashed', message(`${who} was ended by ${end.signal}`), { details });
  }
  if (end.exitCode === context.goodExit) return undefined;
  return exitError(end, who, details, message);
}

function exitError(
  end: ChildEnd,
  who: string,
  details: Readonly<Record<string, unknown>>,
  message: (what: string) => string,
): AppError {
  if (end.exitCode === exitUnavailable) {
    const reason = lastLines(end.stderr, 1);
    const told = reason === '' ? 'it did not say why' : reason;
    return new AppError('agent_unavailable', `${who} can not work here: ${told}`, { details });
  }
  // setpriv stands between us and the program, so that "not found" arrives as its exit status.
  if (end.exitCode === 127 && end.stderr.startsWith('setpriv: failed to execute')) {
    return new AppError('agent_unavailable', message(`${who} could not be started`), { details });
  }
  const code = end.exitCode ?? -1;
  const retryable = code === exitTryAgain || !hopelessExits.has(code);
  return new AppError('agent_failed', message(`${who} failed with exit status ${code}`), {
    details,
    retryable,
  });
}

/** The error of a program that was never started. */
export function startError(thrown: unknown, agent: string, file: string): AppError {
  const { code, message } = thrown as NodeJS.ErrnoException;
  const options = { details: { agent, file, reason: code ?? message }, cause: thrown };
  const what = `agent ${agent} could not be started: ${message}`;
  if (code === 'ENOENT') return new AppError('agent_unavailable', what, options);
  if (code === 'ERR_INVALID_ARG_VALUE') return new AppError('invalid_input', what, options);
  const passing = ['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE'].includes(code ?? '');
  return new AppError('agent_failed', what, { ...options, retryable: passing });
}

/** The output as the definition says; in a text wrong UTF-8 becomes U+FFFD. JSON that does not parse is `agent_output_invalid` with its place. */
export function readOutput(stdout: Buffer, format: 'json' | 'text', agent: string): unknown {
  const text = stdout.toString('utf8');
  if (format === 'text') return text;
  if (!isUtf8(stdout)) {
    throw new AppError('agent_output_invalid', `agent ${agent} wrote JSON that is not UTF-8`, {
      details: { agent },
    });
  }
  return readJsonText(text, agent);
}

function lastLines(stderr: string, most: number = shownLines): string {
  const lines = stderr.split(/\r?\n|\r/).filter((line) => line.trim() !== '');
  return redact(lines.slice(-most).join('\n').slice(-shownCharacters));
}
