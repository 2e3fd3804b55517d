/** Asking the person at the terminal. Questions go to standard error, so that results stay clean. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { AppError } from '../base/base.ts';
import type { CliContext } from './context.ts';

/** Whether there is somebody to ask. */
export function canAsk(context: CliContext): boolean {
  return 'isTTY' in context.stdin && context.stdin.isTTY === true && context.stderr.isTTY;
}

/** Asks before something that can't be taken back; without a terminal, or with `--yes`, it is done. */
export async function confirm(
  context: CliContext,
  question: string,
  options: { readonly yes?: boolean },
): Promise<void> {
  if (options.yes === true || !canAsk(context)) return;
  const answer = await ask(context, `${question} [y/N] `, context.stderr.stream);
  if (/^y(es)?$/i.test(answer.trim())) return;
  throw new AppError('cancelled', 'nothing was done');
}

/**
 * A new password: typed twice without being shown, or the one line of standard input. Never an
 * argument, since other users can see command lines.
 */
export async function readNewPassword(
  context: CliContext,
  options: { readonly passwordStdin?: boolean },
): Promise<string> {
  if (options.passwordStdin === true) return oneLineOf(await text(context.stdin));
  if (!canAsk(context)) {
    throw new AppError('usage', 'there is no terminal to type a password at', {
      remedy: 'Give it as one line on standard input, with --password-stdin.',
    });
  }
  const first = await askHidden(context, 'Password: ');
  const second = await askHidden(context, 'Again: ');
  if (first === second) return first;
  throw new AppError('usage', 'the two passwords are not the same');
}

function oneLineOf(given: string): string {
  const line = given.replace(/\r?\n$/, '');
  if (line !== '' && !/[\r\n]/.test(line)) return line;
  throw new AppError('usage', '--password-stdin takes one line that is not empty');
}

function askHidden(context: CliContext, question: string): Promise<string> {
  context.stderr.write(question);
  // The terminal is in raw mode while it is read line by line, and what would echo goes nowhere.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  return ask(context, '', nowhere).finally(() => context.stderr.write('\n'));
}

async function ask(context: CliContext, question: string, output: Writable): Promise<string> {
  const reader = createInterface({ input: context.stdin, output, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      const leave = (): void => reject(new AppError('cancelled', 'nothing was done'));
      reader.once('SIGINT', leave);
      reader.once('close', leave);
      reader.question(question, resolve);
    });
  } finally {
    reader.close();
  }
}
