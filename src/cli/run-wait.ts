import { AppError } from '../base/base.ts';
import type { Client } from '../client/client.ts';
import type { RunDetail } from '../coordination/coordination.ts';
import type { CliContext } from './context.ts';
import { Exit } from './failure.ts';
import { showProgress } from './live-view.ts';
import { note, printDocument } from './output.ts';
import { asReview, renderReview } from './review-report.ts';
import { shortId } from './run-ids.ts';

/** What a shell gives for a program that Ctrl-C ended. */
export const interruptedStatus = 130;

/**
 * Shows a run until it has ended and prints what it gave back. Throws `run_failed` or `cancelled`
 * when it did not complete. Ctrl-C lets go of the run, which goes on.
 */
export async function waitForRun(
  context: CliContext,
  client: Pick<Client, 'follow' | 'run'>,
  detail: RunDetail,
): Promise<void> {
  const left = new AbortController();
  const leave = (): void => left.abort();
  // Not `once`: what gives the cursor back ends the process when it is the only one that listens.
  process.on('SIGINT', leave);
  try {
    await showProgress(
      context,
      detail,
      client.follow(detail.id, { after: detail.lastSeq, signal: left.signal }),
    );
  } catch (error) {
    if (!left.signal.aborted) throw error;
  } finally {
    process.off('SIGINT', leave);
  }
  const id = shortId(detail.id);
  if (left.signal.aborted) {
    note(
      context,
      `Let go of run ${id}; it goes on. Watch it again: centuria run wait ${id}. Stop it: centuria run cancel ${id}.`,
    );
    throw new Exit(interruptedStatus);
  }
  const ended = await client.run(detail.id);
  printOutput(context, ended);
  assertCompleted(ended);
}

/** The result of a run on standard output: a review as its summary, anything else as it is. */
export function printOutput(context: CliContext, run: RunDetail): void {
  if (context.format !== 'table') {
    printDocument(context, run, () => '');
    return;
  }
  if (run.output === undefined) return;
  const review = asReview(run.output);
  context.stdout.write(
    review === undefined
      ? `${JSON.stringify(run.output, undefined, 2)}\n`
      : renderReview(review, context.stdout.colours, context.stdout.columns),
  );
}

/** Throws `run_failed` or `cancelled` for a run that ended otherwise. */
export function assertCompleted(run: RunDetail): void {
  if (run.status === 'completed') return;
  const id = shortId(run.id);
  const remedy = `See centuria run show ${id}. Try what did not complete again: centuria run retry ${id}.`;
  const why = run.error === undefined ? '' : `: ${run.error.message}`;
  throw new AppError(
    run.status === 'cancelled' ? 'cancelled' : 'run_failed',
    `run ${id} ${run.status === 'cancelled' ? 'was cancelled' : run.status}${why}`,
    { details: { run: run.id, status: run.status }, remedy },
  );
}
