import { createLogUpdate } from 'log-update';
import type { RunDetail, RunEvent } from '../coordination/coordination.ts';
import type { CliContext } from './context.ts';
import { note } from './output.ts';
import { renderFrame } from './progress-frame.ts';
import { describeEvent, eventLine } from './progress-lines.ts';
import { advance, withWaits } from './progress.ts';
import { readKeys, type KeyOptions } from './run-keys.ts';

/** Ten redraws a second are as many as an eye can use, and spare a slow connection. */
const redrawMs = 100;
/** Drawing a run of thousands of tasks must leave the processor to them: a fifth of the time at most. */
const restFactor = 4;
/** A pipeline may begin hundreds of waits a second; the server is asked about them at most so often. */
const refreshMs = 1_000;

/** Shows something while a run goes on, and takes lines that must not be drawn over. */
export interface LiveView {
  show(run: RunDetail, said?: string): void;
  /** Prints above the view. */
  line(text: string): void;
  /** Leaves the last picture standing and gives the cursor back. */
  close(): void;
}

export interface ViewOptions extends KeyOptions {
  readonly onView?: (view: LiveView | undefined) => void;
  /** The run as the server tells it now: for what events do not say. */
  readonly refresh?: () => Promise<RunDetail>;
}

/**
 * Follows a run to its end on standard error: drawn in place on a terminal, one line a transition
 * elsewhere. Returns where it stood when the events ended.
 */
export async function showProgress(
  context: CliContext,
  detail: RunDetail,
  events: AsyncIterable<RunEvent>,
  options: ViewOptions = {},
): Promise<RunDetail> {
  let run = detail;
  if (!canDraw(context)) {
    beginLines(context, run);
    for await (const event of events) {
      run = advance(run, event);
      const text = describeEvent(run, event);
      if (text !== undefined) note(context, `${event.at.slice(11, 19)} ${text}`);
    }
    return run;
  }
  const view = openView(context, options);
  options.onView?.(view);
  try {
    let said: string | undefined;
    let askAgainMs = 0;
    view.show(run);
    for await (const event of events) {
      run = advance(run, event);
      said = saidBy(event, said);
      view.show(run, said);
      const isWait = event.body.type === 'task.started' && event.body.dueAt !== undefined;
      if (!isWait || context.clock.monotonicMs() < askAgainMs) continue;
      askAgainMs = context.clock.monotonicMs() + refreshMs;
      // A view without these words is still right: its failure is not one of the run.
      const told = await options.refresh?.().catch(() => undefined);
      if (told !== undefined) run = withWaits(run, told);
    }
    return run;
  } finally {
    options.onView?.(undefined);
    view.close();
  }
}

/** A terminal of unknown size (a serial line) can not be drawn on, nor can one that says it is dumb. */
function canDraw(context: CliContext): boolean {
  const isDumb = context.env['TERM'] === 'dumb';
  return context.stderr.columns !== undefined && !isDumb && context.format === 'table';
}

/** What had begun or was asked before anybody looked is told too: its own line was before the first event here. */
function beginLines(context: CliContext, { taskList, questions, id }: RunDetail): void {
  for (const { id: task, status, startedAt } of taskList) {
    if (status !== 'running' || startedAt === undefined) continue;
    note(context, `${new Date(startedAt).toISOString().slice(11, 19)} started ${task}`);
  }
  for (const { prompt, task } of questions) {
    note(context, `${task} asks: ${prompt}; answer: centuria run approve ${id.slice(-8)}`);
  }
}

/** What stays to be said of the run until it goes on. */
function saidBy(event: RunEvent, before: string | undefined): string | undefined {
  switch (event.body.type) {
    case 'run.paused':
    case 'run.stopping':
    case 'run.cancel_requested':
      return eventLine(event);
    case 'run.resumed':
    case 'run.retried':
    case 'run.completed':
      return undefined;
    case 'run.cancelled':
      return event.body.reason;
    default:
      return before;
  }
}

function openView(context: CliContext, options: ViewOptions): LiveView {
  const { stream } = context.stderr;
  const update = createLogUpdate(stream);
  let shown: { readonly run: RunDetail; readonly said: string | undefined } | undefined;
  const keys = readKeys(context, options, (text) => view.line(text));
  let restUntilMs = 0;
  const draw = (): void => {
    if (shown === undefined) return;
    const begunMs = context.clock.monotonicMs();
    const lines = renderFrame(shown.run, {
      columns: context.stderr.columns ?? 80,
      rows: context.stderr.rows ?? 24,
      nowMs: context.clock.nowMs(),
      colours: context.stderr.colours,
      isLive: true,
      keys: keys.isOn(),
      said: shown.said,
    });
    update(lines.join('\n'));
    const nowMs = context.clock.monotonicMs();
    restUntilMs = nowMs + restFactor * (nowMs - begunMs);
  };
  // Only the timer draws: a burst of events costs one picture, and the elapsed time moves on.
  const timer = setInterval(() => {
    if (context.clock.monotonicMs() >= restUntilMs) draw();
  }, redrawMs);
  stream.on('resize', draw);
  const view: LiveView = {
    show(run, said) {
      const isFirst = shown === undefined;
      shown = { run, said };
      keys.ask(run);
      if (isFirst) draw();
    },
    line(text) {
      update.clear();
      note(context, text);
      draw();
    },
    close() {
      clearInterval(timer);
      stream.off('resize', draw);
      keys.close();
      draw();
      update.done();
    },
  };
  return view;
}
