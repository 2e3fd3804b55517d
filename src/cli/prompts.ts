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
  const answer = await withReader(context, context.stderr.stream, (ask) =>
    ask(`${question} [y/N] `),
  );
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
  const [first, second] = await askHidden(context, ['Password: ', 'Again: ']);
  if (first !== undefined && first === second) return first;
  throw new AppError('usage', 'the two passwords are not the same');
}

function oneLineOf(given: string): string {
  const line = given.replace(/\r?\n$/, '');
  if (line !== '' && !/[\r\n]/.test(line)) return line;
  throw new AppError('usage', '--password-stdin takes one line that is not empty');
}

/** The answers to several questions, which the terminal never shows: not even what is typed too early. */
function askHidden(context: CliContext, questions: readonly string[]): Promise<string[]> {
  // The terminal is in raw mode while it is read line by line, and what would echo goes nowhere.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  return withReader(context, nowhere, async (ask) => {
    const answers: string[] = [];
    for (const question of questions) {
      context.stderr.write(question);
      answers.push(await ask(''));
      context.stderr.write('\n');
    }
    return answers;
  });
}

/** Ctrl-C and the end of the input end the question as well. */
async function withReader<Result>(
  context: CliContext,
  output: Writable,
  work: (ask: (question: string) => Promise<string>) => Promise<Result>,
): Promise<Result> {
  const reader = createInterface({ input: context.stdin, output, terminal: true });
  const ask = (question: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const leave = (): void => reject(new AppError('cancelled', 'nothing was done'));
      reader.once('SIGINT', leave);
      reader.once('close', leave);
      reader.question(question, resolve);
    });
  try {
    return await work(ask);
  } finally {
    reader.close();
  }
}
