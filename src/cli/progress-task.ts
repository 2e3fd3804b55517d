/** One task of a run as a line: its mark, its name, its time, and what is worth knowing of it now. */
import type { TaskStatus, TaskView, WorkflowMode } from '../coordination/coordination.ts';
import type { Colours } from './context.ts';
import { formatBytes, formatDuration, oneLine, plural, truncate } from './output.ts';
import { choiceText } from './progress-choice.ts';
import { usageText } from './progress-cost.ts';
import { taskEnded } from './progress.ts';

/** How it is drawn: at which moment, with which colours, moving or not. */
export interface Look {
  readonly nowMs: number;
  readonly colours: Colours;
  /** On a terminal that is drawn again and again: what runs turns. */
  readonly isLive: boolean;
}

/** A line of the tree, drawn only when there is room for it: `rest` gets the columns that are left. */
export interface TreeLine {
  readonly depth: number;
  readonly mark: string;
  readonly name: string;
  readonly status: TaskStatus;
  readonly rest: (room: number) => string;
}

/** A group as it is drawn: a task that is one, or the workflow itself. */
export interface GroupView {
  readonly id: string;
  readonly mode: WorkflowMode;
  readonly isOver: boolean;
  readonly startedAt?: string | undefined;
  readonly finishedAt?: string | undefined;
  readonly verdict?: TaskView['verdict'] | undefined;
  readonly items?: number | undefined;
  readonly children: readonly TaskView[];
}

const turning = [...'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'];
const turnMs = 100;

export function taskLine(task: TaskView, depth: number, look: Look): TreeLine {
  const attempts = task.attempts > 1 ? `attempt ${task.attempts}` : '';
  return {
    depth,
    mark: markOf(task, look),
    name: nameOf(task.id),
    status: task.status,
    rest: (room) => {
      const parts = [timeOf(task, look.nowMs), attempts, chosenOf(task), noteOf(task, look)];
      return truncate(parts.filter((part) => part !== '').join('  '), room);
    },
  };
}

/** Who was chosen to do it, where that was a choice. */
function chosenOf({ agent, routed }: TaskView): string {
  if (agent === undefined || routed === undefined) return '';
  return routed.stays === true ? `kept: ${agent}` : `chosen: ${agent}${choiceText(routed)}`;
}

/** The last part of a path: what it stands in is shown by where it stands. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function markOf(
  task: { readonly status: TaskStatus; readonly kind?: TaskView['kind'] },
  { colours, nowMs, isLive }: Look,
): string {
  const isOpen = !taskEnded(task) && task.status !== 'created';
  if (isOpen && task.kind === 'approval') return colours.yellow('?');
  if (isOpen && task.kind === 'wait') return colours.yellow('◔');
  switch (task.status) {
    case 'running':
      return colours.cyan(
        isLive ? (turning[Math.floor(nowMs / turnMs) % turning.length] ?? '▸') : '▸',
      );
    case 'waiting':
      return colours.yellow('↻');
    case 'completed':
      return colours.green('✓');
    case 'failed':
      return colours.red('✗');
    case 'cancelled':
      return colours.yellow('■');
    case 'skipped':
      return colours.dim('↷');
    default:
      return colours.dim('·');
  }
}

export function timeOf(
  task: { readonly startedAt?: string | undefined; readonly finishedAt?: string | undefined },
  nowMs: number,
): string {
  if (task.startedAt === undefined) return ''.padStart(9);
  const endMs = task.finishedAt === undefined ? nowMs : Date.parse(task.finishedAt);
  return formatDuration(Math.max(0, endMs - Date.parse(task.startedAt))).padStart(9);
}

/** What is worth knowing of a task now: what it says, what it waits for, why it ended so, what it cost. */
export function noteOf(task: TaskView, look: Look): string {
  const { waitsFor, progress } = task;
  switch (task.status) {
    case 'created':
    case 'ready':
      return progress === undefined ? before(task) : oneLine(progress);
    case 'waiting': {
      const why = oneLine(task.error?.message ?? waitsFor?.what ?? '');
      const leftMs = leftUntil(waitsFor?.until, look.nowMs);
      if (leftMs === undefined) return why;
      return `again ${leftMs === 0 ? 'now' : `in ${formatDuration(leftMs)}`}: ${why}`;
    }
    case 'running': {
      if (waitsFor === undefined) return oneLine(progress ?? '');
      const leftMs = leftUntil(waitsFor.until, look.nowMs);
      const left = leftMs === undefined ? '' : `${formatDuration(leftMs)} left`;
      return [oneLine(waitsFor.what), left].filter((part) => part !== '').join(', ');
    }
    case 'completed':
      return look.isLive ? usageText(task.usage) : resources(task);
    default:
      return oneLine(task.error?.message ?? task.skippedBecause ?? '');
  }
}

function leftUntil(until: string | undefined, nowMs: number): number | undefined {
  const untilMs = until === undefined ? Number.NaN : Date.parse(until);
  return Number.isNaN(untilMs) ? undefined : Math.max(0, untilMs - nowMs);
}

function resources({ usage }: TaskView): string {
  return [
    usageText(usage),
    ...(usage?.cpuMs === undefined ? [] : [`${formatDuration(usage.cpuMs)} of processor`]),
    ...(usage?.peakMemoryBytes === undefined ? [] : [formatBytes(usage.peakMemoryBytes)]),
  ]
    .filter((part) => part !== '')
    .join(' · ');
}

/** `← lint, types and 3 more`: the edges of the graph that lead here. */
function before({ needs, after }: TaskView): string {
  const most = 3;
  const all = [...needs, ...after].map(nameOf);
  if (all.length === 0) return '';
  const rest = all.length - most;
  return `← ${all.slice(0, most).join(', ')}${rest > 0 ? ` and ${plural(rest, 'more', 'more')}` : ''}`;
}
