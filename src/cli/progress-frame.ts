/** The progress of a run as the lines that a terminal shows in place. */
import type { Colours } from './context.ts';
import { formatDuration, oneLine, textWidth, truncate } from './output.ts';
import { countsLine, type ProgressState, type RunProgress, type TaskProgress } from './progress.ts';

export interface FrameOptions {
  readonly columns: number;
  readonly rows: number;
  readonly nowMs: number;
  readonly colours: Colours;
}

/** The run as lines that fit the terminal: none is wider, and there are no more than it has rows. */
export function renderFrame(progress: RunProgress, options: FrameOptions): string[] {
  const { columns, rows, nowMs, colours } = options;
  // The last column stays free: some terminals wrap as soon as it is written.
  const width = Math.max(20, columns - 1);
  const elapsed = formatDuration((progress.endedAtMs ?? nowMs) - progress.createdAtMs);
  // What changes all the time stands below, so that a redraw leaves the lines above it alone.
  const title = truncate(
    `${progress.workflow} ${progress.runId.slice(-8)}  ${progress.status}`,
    width,
  );
  const footer = truncate(`${countsLine(progress)} · ${elapsed}`, width);
  const why = progress.line === undefined ? [] : [truncate(oneLine(progress.line), width)];
  const nameWidth = Math.min(
    Math.max(0, ...progress.tasks.map((task) => textWidth(task.id))),
    Math.max(8, Math.floor(width / 3)),
  );
  // Title, counts, the reason, and the row on which the cursor rests.
  const room = Math.max(1, rows - 3 - why.length);
  return [
    colours.bold(title),
    ...fitTasks(progress.tasks, room).map((item) =>
      typeof item === 'string'
        ? colours.dim(truncate(item, width))
        : taskLine(item, nameWidth, width, nowMs, colours),
    ),
    footer,
    ...why,
  ];
}

const faces: Readonly<Record<ProgressState, readonly [string, keyof Colours & ColourName]>> = {
  pending: ['·', 'dim'],
  running: ['▸', 'cyan'],
  retrying: ['↻', 'yellow'],
  completed: ['✓', 'green'],
  failed: ['✗', 'red'],
  cancelled: ['■', 'yellow'],
  skipped: ['↷', 'dim'],
};
type ColourName = 'dim' | 'cyan' | 'yellow' | 'green' | 'red';

function taskLine(
  task: TaskProgress,
  nameWidth: number,
  width: number,
  nowMs: number,
  colours: Colours,
): string {
  const [glyph, colour] = faces[task.state];
  const name = truncate(task.id, nameWidth);
  const padding = ' '.repeat(nameWidth - textWidth(name));
  const spent =
    task.startedAtMs === undefined
      ? ''
      : formatDuration(Math.max(0, (task.endedAtMs ?? nowMs) - task.startedAtMs));
  const attempts = task.attempts > 1 ? `attempt ${task.attempts}` : '';
  const rest = [spent.padStart(9), attempts, oneLine(task.line ?? '')]
    .filter((part) => part !== '')
    .join('  ');
  const room = width - nameWidth - 4;
  return `${colours[colour](glyph)} ${name}${padding}  ${truncate(rest, room)}`.trimEnd();
}

/** What gives way when a terminal has too few rows: the last first, what is not here never before them. */
const lessTelling: readonly ProgressState[] = ['cancelled', 'skipped', 'pending', 'completed'];

/** The tasks for which there is room; the others are counted in one line before and one after. */
function fitTasks(tasks: readonly TaskProgress[], room: number): (TaskProgress | string)[] {
  if (tasks.length <= room) return [...tasks];
  // Two rows are kept for the lines that count what is hidden.
  const target = Math.max(1, room - 2);
  const byRank = tasks.toSorted(
    (a, b) => lessTelling.indexOf(a.state) - lessTelling.indexOf(b.state),
  );
  const shown = new Set(byRank.slice(0, target));
  const hidden = tasks.filter((task) => !shown.has(task));
  const done = hidden.filter(({ state }) => state === 'completed').length;
  return [
    ...(done > 0 ? [`  … ${done} completed`] : []),
    ...tasks.filter((task) => shown.has(task)),
    ...(hidden.length > done ? [`  … ${hidden.length - done} more`] : []),
  ];
}
