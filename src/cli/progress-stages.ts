/** A pipeline as one bar a stage: what is through, in work, lost, and waiting in front. */
import type { TaskStatus, TaskView } from '../coordination/coordination.ts';
import { plural, truncate } from './output.ts';
import { bar } from './progress-cost.ts';
import {
  markOf,
  nameOf,
  taskLine,
  type GroupView,
  type Look,
  type TreeLine,
} from './progress-task.ts';

/** Items that were lost are worth a line each, up to so many. */
const mostLost = 3;

interface Stage {
  readonly name: string;
  readonly done: number;
  readonly busy: number;
  readonly lost: readonly TaskView[];
  readonly stopped: number;
  readonly begun: number;
}

function begunAt({ startedAt }: TaskView): string {
  return startedAt ?? '';
}

/** In the order of the file where the stages are listed, else as their first items came. */
function stagesOf({ children }: GroupView): Stage[] {
  const byStage = new Map<string, TaskView[]>();
  const listed = children.filter(({ id }) => !nameOf(id).includes('#'));
  for (const { id } of listed) byStage.set(nameOf(id), []);
  const items = children.filter(({ id }) => nameOf(id).includes('#'));
  for (const task of items.toSorted((a, b) => (begunAt(a) < begunAt(b) ? -1 : 1))) {
    const stage = nameOf(task.id).replace(/#.*$/, '');
    const own = byStage.get(stage);
    if (own === undefined) byStage.set(stage, [task]);
    else own.push(task);
  }
  return [...byStage].map(([name, tasks]) => {
    const begun = tasks.filter(({ status }) => status !== 'created');
    const done = tasks.filter(({ status }) => status === 'completed').length;
    const stopped = tasks.filter(({ status }) => status === 'cancelled').length;
    const lost = tasks.filter(({ status }) => status === 'failed' || status === 'skipped');
    const busy = begun.length - done - stopped - lost.length;
    return { name, done, lost, stopped, begun: begun.length, busy };
  });
}

function totalOf({ items, verdict, children }: GroupView): number {
  if (verdict?.mode === 'pipeline') return verdict.items;
  if (items !== undefined) return items;
  const numbers = children.map(({ id }) => Number(/#(\d+)$/.exec(id)?.[1] ?? -1));
  return Math.max(-1, ...numbers) + 1;
}

/** `48 of 120 items through · 2 lost`. */
export function streamSummary(group: GroupView): string {
  const stages = stagesOf(group);
  const { verdict } = group;
  const through = verdict?.mode === 'pipeline' ? verdict.completed : (stages.at(-1)?.done ?? 0);
  const lost =
    verdict?.mode === 'pipeline'
      ? verdict.dropped.length
      : stages.reduce((sum, stage) => sum + stage.lost.length, 0);
  const total = totalOf(group);
  if (total === 0) return '';
  return `${through} of ${plural(total, 'item')} through${lost > 0 ? ` · ${lost} lost` : ''}`;
}

export function stageLines(group: GroupView, depth: number, look: Look): TreeLine[] {
  const total = totalOf(group);
  const stages = stagesOf(group);
  return stages.flatMap((stage, index) => {
    const arrived = index === 0 ? total : (stages[index - 1]?.done ?? 0);
    const inFront = Math.max(0, arrived - stage.begun);
    const status = statusOf(stage, group.isOver, total);
    const line: TreeLine = {
      depth,
      mark: markOf({ status }, look),
      name: stage.name,
      // A bar stays when there is little room while its pipeline goes on: it stands for many tasks.
      status: group.isOver ? 'completed' : 'running',
      rest: (room) =>
        stageText(stage, { total, inFront, isFirst: index === 0, isOver: group.isOver }, room),
    };
    const lost = stage.lost.filter((task) => task.status === 'failed').slice(0, mostLost);
    return [line, ...lost.map((task) => taskLine(task, depth + 1, look))];
  });
}

function statusOf({ done, lost, busy }: Stage, isOver: boolean, total: number): TaskStatus {
  if (!isOver) return busy > 0 ? 'running' : 'created';
  return done + lost.length >= total ? 'completed' : 'cancelled';
}

interface Place {
  readonly total: number;
  readonly inFront: number;
  readonly isFirst: boolean;
  readonly isOver: boolean;
}

function stageText(
  { done, busy, lost, stopped }: Stage,
  { total, inFront, isFirst, isOver }: Place,
  room: number,
): string {
  const drawn = bar(total === 0 ? 0 : done / total, room < 50 ? 8 : 20);
  const counts = [
    `${done}/${total}`.padStart(2 * String(total).length + 1),
    ...(busy > 0 ? [`${busy} in work`] : []),
    ...(lost.length > 0 ? [`${lost.length} lost`] : []),
    ...(stopped > 0 ? [`${stopped} stopped`] : []),
    ...(inFront > 0 && !isOver ? [`${inFront} ${isFirst ? 'to come' : 'in front'}`] : []),
  ];
  return truncate(`${drawn} ${counts.join(' · ')}`, room);
}
