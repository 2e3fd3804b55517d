/** The tasks of a run as a tree of lines, in the order in which they can start. */
import type { RunDetail, TaskStatus, TaskView } from '../coordination/coordination.ts';
import { oneLine, truncate } from './output.ts';
import { raceLines, raceSummary } from './progress-race.ts';
import { stageLines, streamSummary } from './progress-stages.ts';
import {
  nameOf,
  noteOf,
  taskLine,
  timeOf,
  type GroupView,
  type Look,
  type TreeLine,
} from './progress-task.ts';
import { voteLines, voteSummary } from './progress-votes.ts';
import { taskEnded } from './progress.ts';

/** A group of more tasks than this is one line with counts. */
const mostChildren = 8;
/** What failed in a folded group is worth a line, up to so many. */
const mostFailed = 3;

export function treeLines(run: RunDetail, look: Look): TreeLine[] {
  const children = childrenOf(run.taskList);
  const root: GroupView = {
    id: '',
    mode: run.mode,
    isOver: run.finishedAt !== undefined,
    startedAt: run.startedAt,
    finishedAt: run.finishedAt,
    verdict: run.verdict,
    items: run.items,
    children: children.get('') ?? [],
  };
  return groupLines(root, 0, children, look);
}

/** The tasks of each group by its path, in the order in which they can start. */
function childrenOf(tasks: readonly TaskView[]): ReadonlyMap<string, readonly TaskView[]> {
  const found = new Map<string, TaskView[]>();
  for (const task of tasks) {
    if (task.id === '') continue;
    const parent = task.parent ?? '';
    const siblings = found.get(parent);
    if (siblings === undefined) found.set(parent, [task]);
    else siblings.push(task);
  }
  return new Map([...found].map(([parent, siblings]) => [parent, inStartOrder(siblings)]));
}

function groupLines(
  group: GroupView,
  depth: number,
  children: ReadonlyMap<string, readonly TaskView[]>,
  look: Look,
): TreeLine[] {
  if (group.mode === 'pipeline') return stageLines(group, depth, look);
  if (group.mode === 'competitive') return raceLines(group, depth, look);
  if (group.mode === 'consensus' || group.mode === 'redundant')
    return voteLines(group, depth, look);
  return group.children.flatMap((task) => {
    if (task.kind !== 'group' || task.mode === undefined) return [taskLine(task, depth, look)];
    const own = groupView(task, children);
    const isFolded =
      (own.mode === 'sequential' || own.mode === 'parallel') && own.children.length > mostChildren;
    const head = groupLine(task, own, depth, look);
    if (isFolded) {
      const failed = own.children.filter(({ status }) => status === 'failed').slice(0, mostFailed);
      return [head, ...failed.map((child) => taskLine(child, depth + 1, look))];
    }
    return [head, ...groupLines(own, depth + 1, children, look)];
  });
}

function groupView(task: TaskView, children: ReadonlyMap<string, readonly TaskView[]>): GroupView {
  return {
    id: task.id,
    mode: task.mode ?? 'parallel',
    isOver: taskEnded(task),
    startedAt: task.startedAt,
    finishedAt: task.finishedAt,
    verdict: task.verdict,
    items: task.items,
    children: children.get(task.id) ?? [],
  };
}

function groupLine(task: TaskView, group: GroupView, depth: number, look: Look): TreeLine {
  const line = taskLine(task, depth, look);
  return {
    ...line,
    rest: (room) => {
      const parts = [timeOf(task, look.nowMs), task.mode ?? '', groupSummary(group, look)];
      if (task.status === 'created' || task.status === 'skipped') parts.push(noteOf(task, look));
      else if (task.error !== undefined) parts.push(oneLine(task.error.message));
      return truncate(parts.filter((part) => part.trim() !== '').join('  '), room);
    },
  };
}

function groupSummary(group: GroupView, look: Look): string {
  if (group.mode === 'pipeline') return streamSummary(group);
  if (group.mode === 'competitive') return raceSummary(group, look);
  if (group.mode === 'consensus' || group.mode === 'redundant') return voteSummary(group);
  return group.children.length > mostChildren ? countsText(group.children) : '';
}

/** The order of words where tasks are counted. */
const counted: readonly TaskStatus[] = ['running', 'waiting', 'failed', 'cancelled', 'skipped'];

/** `12 of 40 done · 3 running · 1 failed`. */
export function countsText(tasks: readonly { readonly status: TaskStatus }[]): string {
  const counts = new Map<TaskStatus, number>();
  for (const { status } of tasks) counts.set(status, (counts.get(status) ?? 0) + 1);
  const parts = counted.flatMap((status) => {
    const count = counts.get(status);
    return count === undefined ? [] : [`${count} ${status}`];
  });
  return [`${counts.get('completed') ?? 0} of ${tasks.length} done`, ...parts].join(' · ');
}

/** By the longest way from a task without dependencies; within that, as the workflow lists them. */
function inStartOrder(tasks: readonly TaskView[]): TaskView[] {
  // Siblings are named by the last part of their paths.
  const byName = new Map(tasks.map((task) => [nameOf(task.id), task]));
  const depths = new Map<string, number>();
  const depthOf = (task: TaskView): number => {
    const known = depths.get(task.id);
    if (known !== undefined) return known;
    // Set first, so that a cycle (which the server refuses) could not recurse for ever.
    depths.set(task.id, 0);
    const earlier = [...task.needs, ...task.after].flatMap((id) => byName.get(nameOf(id)) ?? []);
    const depth = Math.max(-1, ...earlier.map(depthOf)) + 1;
    depths.set(task.id, depth);
    return depth;
  };
  return tasks
    .map((task, index) => ({ task, index, depth: depthOf(task) }))
    .toSorted((a, b) => a.depth - b.depth || a.index - b.index)
    .map(({ task }) => task);
}
