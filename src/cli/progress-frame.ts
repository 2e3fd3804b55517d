/** A run as the lines that a terminal shows in place: pure, so that what is seen can be tested. */
import type { RunDetail, RunStatus, TaskStatus } from '../coordination/coordination.ts';
import type { Colours } from './context.ts';
import { formatDuration, oneLine, plural, textWidth, truncate } from './output.ts';
import { costLines } from './progress-cost.ts';
import { questionLines } from './progress-questions.ts';
import type { Look, TreeLine } from './progress-task.ts';
import { treeLines } from './progress-tree.ts';
import { shortId } from './run-ids.ts';

export interface FrameOptions {
  readonly columns: number;
  readonly rows: number;
  readonly nowMs: number;
  readonly colours: Colours;
  /** Drawn again and again, so that what runs turns; otherwise a still. */
  readonly isLive?: boolean;
  /** Somebody can answer questions with a key. */
  readonly keys?: boolean;
  /** What was said of the run last: why it is paused, that it is being cancelled. */
  readonly said?: string | undefined;
}

/** The run as lines that fit the terminal: none is wider, and there are no more than it has rows. */
export function renderFrame(run: RunDetail, options: FrameOptions): string[] {
  const { columns, rows, nowMs, colours, isLive = false, keys = false, said } = options;
  // The last column stays free: some terminals wrap as soon as it is written.
  const width = Math.max(20, columns - 1);
  const title = truncate(`${run.workflow} ${shortId(run.id)}`, width - run.status.length - 2);
  const head = [
    `${colours.bold(title)}  ${statusText(run.status, colours)}`,
    ...costLines(run, width, colours),
  ];
  const why = run.error?.message ?? said;
  const foot = [
    ...questionLines(run, { width, rows, colours, keys }),
    truncate([countsLine(run), ...standing(run, nowMs)].join(' · '), width),
    ...(why === undefined ? [] : [truncate(oneLine(why), width)]),
  ];
  // One row is for the cursor, which rests below.
  const room = Math.max(1, rows - head.length - foot.length - 1);
  const look = { nowMs, colours, isLive };
  // What changes all the time stands below, so that a redraw leaves the lines above it alone.
  return [...head, ...drawTree(fit(treeLines(run, look), room), width, look), ...foot];
}

/** Deeper groups stand where the sixth does: a narrow terminal has nothing left otherwise. */
function indent({ depth }: TreeLine): number {
  return 2 * Math.min(depth, 6);
}

function drawTree(lines: readonly (TreeLine | string)[], width: number, look: Look): string[] {
  const labels = lines.map((line) =>
    typeof line === 'string' ? 0 : indent(line) + textWidth(line.name),
  );
  const labelWidth = Math.min(Math.max(0, ...labels), Math.max(10, Math.floor(width / 3)));
  return lines.map((line) => {
    if (typeof line === 'string') return look.colours.dim(truncate(line, width));
    const left = ' '.repeat(indent(line));
    const name = truncate(line.name, Math.max(4, labelWidth - left.length));
    const padding = ' '.repeat(Math.max(0, labelWidth - left.length - textWidth(name)));
    const rest = line.rest(Math.max(0, width - left.length - textWidth(name) - padding.length - 4));
    const shown =
      line.status === 'created' || line.status === 'skipped' ? look.colours.dim(rest) : rest;
    return `${left}${line.mark} ${name}${padding}  ${shown}`.trimEnd();
  });
}

/** The state of a run in its colour; `text` where it stands in other words or cut. */
export function statusText(status: RunStatus, colours: Colours, text: string = status): string {
  if (status === 'completed') return colours.green(text);
  if (status === 'failed') return colours.red(text);
  if (status === 'running') return colours.cyan(text);
  return status === 'created' || status === 'queued' ? text : colours.yellow(text);
}

/** How long it took so far, and what it waits for. */
function standing(run: RunDetail, nowMs: number): string[] {
  const endMs = run.finishedAt === undefined ? nowMs : Date.parse(run.finishedAt);
  const wakeMs = run.wakeAt === undefined ? Number.NaN : Date.parse(run.wakeAt);
  const undo = { requested: 'being undone', undone: 'undone', failed: 'not all was undone' };
  return [
    formatDuration(Math.max(0, endMs - Date.parse(run.createdAt))),
    ...(wakeMs > nowMs ? [`goes on in ${formatDuration(wakeMs - nowMs)}`] : []),
    ...(run.undo === undefined ? [] : [undo[run.undo]]),
  ];
}

/** The order of words in the line of counts. */
const counted: readonly TaskStatus[] = ['running', 'waiting', 'failed', 'cancelled', 'skipped'];

/** `12 of 20 tasks done · 3 running · 1 failed · 4 to come`. */
export function countsLine({ tasks }: Pick<RunDetail, 'tasks'>): string {
  const all = Object.values(tasks).reduce((sum, count) => sum + count, 0);
  const parts = [`${tasks.completed ?? 0} of ${plural(all, 'task')} done`];
  for (const status of counted) {
    const count = tasks[status] ?? 0;
    if (count > 0) parts.push(`${count} ${status}`);
  }
  const toCome = (tasks.created ?? 0) + (tasks.ready ?? 0);
  return [...parts, ...(toCome > 0 ? [`${toCome} to come`] : [])].join(' · ');
}

/** What gives way when a terminal has too few rows: the last first, what is not here never before them. */
const lessTelling: readonly TaskStatus[] = [
  'cancelled',
  'skipped',
  'ready',
  'created',
  'completed',
];

function rank({ status }: TreeLine): number {
  return lessTelling.indexOf(status);
}

/** The lines for which there is room; the others are counted in one line before and one after. */
function fit(lines: readonly TreeLine[], room: number): (TreeLine | string)[] {
  if (lines.length <= room) return [...lines];
  // Two rows are kept for the lines that count what is hidden.
  const target = Math.max(1, room - 2);
  const shown = new Set(lines.toSorted((a, b) => rank(a) - rank(b)).slice(0, target));
  const hidden = lines.filter((line) => !shown.has(line));
  const done = hidden.filter(({ status }) => status === 'completed').length;
  return [
    ...(done > 0 ? [`  … ${done} completed`] : []),
    ...lines.filter((line) => shown.has(line)),
    ...(hidden.length > done ? [`  … ${hidden.length - done} more`] : []),
  ];
}
