import { AppError } from '../base/base.ts';
import type { Client } from '../client/client.ts';
import type { RunDetail } from '../coordination/coordination.ts';
import type { CliContext } from './context.ts';
import { Exit } from './failure.ts';
import { showProgress } from './live-view.ts';
import { note, printDocument } from './output.ts';
import { asReview, renderReview } from './review-report.ts';
import { hasEnded } from './progress.ts';
import { shortId } from './run-ids.ts';

/** What a shell gives for a program that Ctrl-C ended. */
export const interruptedStatus = 130;

type Watching = Pick<Client, 'follow' | 'run' | 'answerRun'>;

/**
 * Shows a run until it has ended. Ctrl-C lets go of the run, which goes on, and ends the command.
 * Throws `timeout` when the run has not ended by then.
 */
export async function watchRun(
  context: CliContext,
  client: Watching,
  detail: RunDetail,
  timeoutMs?: number,
): Promise<RunDetail> {
  const left = new AbortController();
  const leave = (): void => left.abort();
  const late = new AbortController();
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => late.abort(), Math.min(timeoutMs, maxTimerMs));
  const signal = AbortSignal.any([left.signal, late.signal]);
  // Not `once`: what gives the cursor back ends the process when it is the only one that listens.
  process.on('SIGINT', leave);
  try {
    await showProgress(
      context,
      detail,
      client.follow(detail.id, { after: detail.lastSeq, signal }),
      { answer: client.answerRun, onLeave: leave, refresh: () => client.run(detail.id) },
    );
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
    process.off('SIGINT', leave);
  }
  if (left.signal.aborted) throw letGo(context, detail.id);
  const now = await client.run(detail.id);
  if (late.signal.aborted && !hasEnded(now)) throw notEnded(now);
  return now;
}

/** A longer timer fires at once; nobody waits for 24 days at a terminal. */
const maxTimerMs = 2 ** 31 - 1;

function letGo(context: CliContext, runId: string): Exit {
  const id = shortId(runId);
  note(
    context,
    `Let go of run ${id}; it goes on. Watch it again: centuria run watch ${id}. Stop it: centuria run cancel ${id}.`,
  );
  return new Exit(interruptedStatus);
}

function notEnded(run: RunDetail): AppError {
  const id = shortId(run.id);
  const asks = run.questions.length > 0 ? '; it asks something' : '';
  return new AppError('timeout', `run ${id} has not ended yet: it is ${run.status}${asks}`, {
    details: { run: run.id, status: run.status },
    remedy: `It goes on. Look at it: centuria run show ${id}. Wait again: centuria run wait ${id}.`,
  });
}

/**
 * Shows a run until it has ended and prints what it gave back. Throws `run_failed` or `cancelled`
 * when it did not complete, `timeout` when it has not ended in time.
 */
export async function waitForRun(
  context: CliContext,
  client: Watching,
  detail: RunDetail,
  timeoutMs?: number,
): Promise<void> {
  const ended = await watchRun(context, client, detail, timeoutMs);
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
