import { CommanderError } from 'commander';
import { AppError, errorRecord, redact, toAppError } from '../base/base.ts';
import type { CliContext } from './context.ts';

/** Carries an exit status for an ending that has been told already, and is no error to print. */
export class Exit extends Error {
  override readonly name = 'Exit';
  readonly status: number;

  constructor(status: number) {
    super(`exit ${status}`);
    this.status = status;
  }
}

/**
 * Prints what was thrown and returns the exit status: `error:` and `hint:` on standard error, as one
 * JSON document there with `-o json` or `jsonl`.
 */
export function reportFailure(thrown: unknown, context: CliContext): number {
  if (thrown instanceof Exit) return thrown.status;
  const error = thrown instanceof CommanderError ? fromCommander(thrown) : toAppError(thrown);
  if (error === undefined) return (thrown as CommanderError).exitCode === 0 ? 0 : 2;
  if (context.format === 'table') printForPeople(error, context);
  else context.stderr.write(`${redact(JSON.stringify({ error: errorRecord(error) }))}\n`);
  return error.exitCode;
}

function printForPeople(error: AppError, context: CliContext): void {
  const { colours } = context.stderr;
  const lines = [`${colours.red('error:')} ${error.message}`];
  if (error.remedy !== undefined) lines.push(`${colours.cyan('hint:')} ${error.remedy}`);
  if (error.code === 'internal') {
    lines.push(`${colours.cyan('hint:')} This is a defect. Run again with -v for what to report.`);
  }
  if (context.verbose) {
    lines.push(`${colours.dim('code:')} ${error.code}`);
    if (error.code === 'internal' && error.stack !== undefined) lines.push(error.stack);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
      lines.push(`${colours.dim('because:')} ${context.verbose ? cause.stack : cause.message}`);
    }
  }
  context.stderr.write(redact(`${lines.join('\n')}\n`));
}

/** Commander's complaints as ours; undefined where it only showed help or the version. */
function fromCommander(thrown: CommanderError): AppError | undefined {
  if (thrown.code === 'commander.help' || thrown.exitCode === 0) return undefined;
  const [first = '', ...rest] = thrown.message.replace(/^error: /, '').split('\n');
  const suggestion = /^\((.*)\)$/.exec(rest.join(' ').trim())?.[1];
  return new AppError('usage', first.replace(/\.$/, ''), {
    remedy: suggestion ?? 'Add --help to see what it takes.',
  });
}
