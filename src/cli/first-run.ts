import { AppError, toAppError } from '../base/base.ts';
import type { RunningServer } from '../server.ts';
import type { CliContext } from './context.ts';
import { reportFailure } from './failure.ts';
import { readInputs } from './inputs.ts';
import { showProgress, type LiveView } from './live-view.ts';
import { note } from './output.ts';
import { shortId } from './run-ids.ts';
import { noteIrreversible } from './run-plan.ts';
import { assertCompleted, printOutput } from './run-wait.ts';

/**
 * Runs a workflow where there has been no run yet, with its progress, and prints what it gave. A
 * failure is told and does not stop the server.
 */
export async function runFirst(
  context: CliContext,
  server: RunningServer,
  workflow: string,
  inputs: readonly string[],
  options: {
    readonly signal: AbortSignal;
    readonly onView: (view: LiveView | undefined) => void;
  },
): Promise<void> {
  try {
    if (!(await server.firstRun())) {
      note(context, 'The data folder has runs already: centuria run list shows them.');
      return;
    }
    const { coordination } = server;
    const { definitions } = await coordination.workflows();
    const specs = definitions.find(({ name }) => name === workflow)?.inputs;
    const input = await readInputs({ input: inputs }, specs, context);
    noteIrreversible(context, await coordination.plan({ workflow, input }));
    const run = await coordination.start({ workflow, input });
    const detail = await coordination.get(run.id);
    const events = coordination.follow(run.id, detail.lastSeq, options.signal);
    await showProgress(context, detail, events, {
      onView: options.onView,
      refresh: () => coordination.get(run.id),
    });
    if (options.signal.aborted) return;
    const ended = await coordination.get(run.id);
    printOutput(context, ended);
    assertCompleted(ended);
    note(
      context,
      `Look at it again: centuria run show ${shortId(run.id)}. Ctrl-C stops the server.`,
    );
  } catch (thrown) {
    const error = toAppError(thrown);
    if (options.signal.aborted) return;
    reportFailure(
      new AppError(error.code, `the first run: ${error.message}`, {
        ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
        cause: error,
      }),
      context,
    );
  }
}
