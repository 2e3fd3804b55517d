import { createLogUpdate } from 'log-update';
import type { RunDetail, RunEvent } from '../coordination/coordination.ts';
import type { CliContext } from './context.ts';
import { note } from './output.ts';
import { renderFrame } from './progress-frame.ts';
import { advance, beginProgress, describeEvent, type RunProgress } from './progress.ts';

/** Ten redraws a second are as many as an eye can use, and spare a slow connection. */
const redrawMs = 100;

/** Shows something while a run goes on, and takes lines that must not be drawn over. */
export interface LiveView {
  show(progress: RunProgress): void;
  /** Prints above the view. */
  line(text: string): void;
  /** Leaves the last picture standing and gives the cursor back. */
  close(): void;
}

/**
 * Follows a run to its end on standard error: drawn in place on a terminal, one line a transition
 * elsewhere. Returns where it stood when the events ended.
 */
export async function showProgress(
  context: CliContext,
  detail: RunDetail,
  events: AsyncIterable<RunEvent>,
  onView?: (view: LiveView | undefined) => void,
): Promise<RunProgress> {
  let progress = beginProgress(detail);
  // A terminal of unknown size (a serial line) can not be drawn on.
  if (context.stderr.columns === undefined || context.format !== 'table') {
    // What had begun before anybody looked is told too: its own line was before the first event here.
    for (const { id, state, startedAtMs } of progress.tasks) {
      if (state !== 'running' || startedAtMs === undefined) continue;
      note(context, `${new Date(startedAtMs).toISOString().slice(11, 19)} started ${id}`);
    }
    for await (const event of events) {
      progress = advance(progress, event);
      const text = describeEvent(progress, event);
      if (text !== undefined) note(context, `${event.at.slice(11, 19)} ${text}`);
    }
    return progress;
  }
  const view = openView(context);
  onView?.(view);
  try {
    view.show(progress);
    for await (const event of events) {
      progress = advance(progress, event);
      view.show(progress);
    }
    return progress;
  } finally {
    onView?.(undefined);
    view.close();
  }
}

function openView(context: CliContext): LiveView {
  const { stream } = context.stderr;
  const update = createLogUpdate(stream);
  let shown: RunProgress | undefined;
  const draw = (): void => {
    if (shown === undefined) return;
    const lines = renderFrame(shown, {
      columns: context.stderr.columns ?? 80,
      rows: context.stderr.rows ?? 24,
      nowMs: context.clock.nowMs(),
      colours: context.stderr.colours,
    });
    update(lines.join('\n'));
  };
  // Only the timer draws: a burst of events costs one picture, and the elapsed time moves on.
  const timer = setInterval(draw, redrawMs);
  stream.on('resize', draw);
  return {
    show(progress) {
      const isFirst = shown === undefined;
      shown = progress;
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
      draw();
      update.done();
    },
  };
}
