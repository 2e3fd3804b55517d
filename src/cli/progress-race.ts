/** A competition as lanes: who started when, who leads, who won, and what the others cost. */
import type { TaskView, Usage } from '../coordination/coordination.ts';
import { formatDuration, oneLine, truncate } from './output.ts';
import { usageText } from './progress-cost.ts';
import {
  markOf,
  nameOf,
  timeOf,
  type GroupView,
  type Look,
  type TreeLine,
} from './progress-task.ts';
import { taskEnded } from './progress.ts';

const verifier = /^verify#(\d+)$/;

function racersOf({ children }: GroupView): TaskView[] {
  return children.filter(({ id }) => !/^verify(?:#\d+)?$/.test(nameOf(id)));
}

/** Racers by number whose answer is being looked at. */
function beingVerified({ children }: GroupView): ReadonlySet<number> {
  return new Set(
    children.flatMap((task) => {
      const number = verifier.exec(nameOf(task.id))?.[1];
      return number === undefined || taskEnded(task) ? [] : [Number(number)];
    }),
  );
}

function winnerOf({ verdict }: GroupView): string | undefined {
  return verdict?.mode === 'competitive' ? verdict.winner : undefined;
}

/** `won by grep · the others cost $0.01 · 1.2k tokens · 3.1 s`. */
export function raceSummary(group: GroupView, look: Look): string {
  const winner = winnerOf(group);
  const racers = racersOf(group);
  if (group.verdict?.mode === 'competitive') {
    const losers = racers.filter(({ id, usage }) => id !== winner && usage !== undefined);
    const cost = lostCost(losers);
    const result = winner === undefined ? 'nobody won' : `won by ${nameOf(winner)}`;
    return cost === '' ? result : `${result} · the others cost ${cost}`;
  }
  const leader = leaderOf(racers, look.nowMs);
  return leader === undefined ? '' : `${nameOf(leader.task.id)} leads`;
}

function lostCost(losers: readonly TaskView[]): string {
  if (losers.length === 0) return '';
  const sum = (key: keyof Usage) => losers.reduce((all, { usage }) => all + (usage?.[key] ?? 0), 0);
  const usage = { wallMs: sum('wallMs'), tokens: sum('tokens'), microUsd: sum('microUsd') };
  return [usageText(usage), formatDuration(usage.wallMs)].filter((part) => part !== '').join(' · ');
}

/** Who has answered, else who has been at it longest, and by how much. */
function leaderOf(
  racers: readonly TaskView[],
  nowMs: number,
): { readonly task: TaskView; readonly aheadMs: number } | undefined {
  const answered = inTime(
    'finishedAt',
    racers.filter(({ status }) => status === 'completed'),
  );
  if (answered[0] !== undefined) return { task: answered[0], aheadMs: 0 };
  const [first, second] = inTime(
    'startedAt',
    racers.filter((task) => isUnderWay(task)),
  );
  if (first?.startedAt === undefined) return undefined;
  const nextMs = second?.startedAt === undefined ? nowMs : Date.parse(second.startedAt);
  return { task: first, aheadMs: Math.max(0, nextMs - Date.parse(first.startedAt)) };
}

function inTime(key: 'startedAt' | 'finishedAt', among: readonly TaskView[]): TaskView[] {
  return among.toSorted((a, b) => Date.parse(a[key] ?? '') - Date.parse(b[key] ?? ''));
}

function isUnderWay({ status }: TaskView): boolean {
  return status === 'running' || status === 'waiting';
}

export function raceLines(group: GroupView, depth: number, look: Look): TreeLine[] {
  const racers = racersOf(group);
  const starts = racers.flatMap(({ startedAt }) =>
    startedAt === undefined ? [] : [Date.parse(startedAt)],
  );
  const beginMs = Math.min(...starts, Date.parse(group.startedAt ?? '') || Infinity);
  const endMs = group.finishedAt === undefined ? look.nowMs : Date.parse(group.finishedAt);
  const span = { beginMs, endMs: Math.max(endMs, beginMs + 1) };
  const verified = beingVerified(group);
  return racers.map((task, index) => ({
    depth,
    mark: task.id === winnerOf(group) ? look.colours.green('★') : markOf(task, look),
    name: nameOf(task.id),
    status: task.status,
    rest: (room) => {
      const width = Math.min(24, Math.floor(room / 3));
      const said = laneText(task, group, { span, look, isVerified: verified.has(index) });
      const text = `${timeOf(task, look.nowMs)}  ${lane(task, span, width, look.nowMs)}  ${said}`;
      return truncate(text.trimEnd(), room);
    },
  }));
}

interface Span {
  readonly beginMs: number;
  readonly endMs: number;
}

/** The time of the whole race from left to right, and when this racer was at it. */
function lane(task: TaskView, { beginMs, endMs }: Span, width: number, nowMs: number): string {
  if (task.startedAt === undefined) return '·'.repeat(width);
  const place = (atMs: number) => ((atMs - beginMs) / (endMs - beginMs)) * width;
  const from = Math.min(width - 1, Math.max(0, Math.floor(place(Date.parse(task.startedAt)))));
  const untilMs = task.finishedAt === undefined ? nowMs : Date.parse(task.finishedAt);
  const to = Math.min(width, Math.max(from + 1, Math.round(place(untilMs))));
  return `${'·'.repeat(from)}${'━'.repeat(to - from)}${'·'.repeat(width - to)}`;
}

function laneText(
  task: TaskView,
  group: GroupView,
  { span, look, isVerified }: { span: Span; look: Look; isVerified: boolean },
): string {
  const refused =
    group.verdict?.mode === 'competitive'
      ? group.verdict.refused.find((one) => one.task === task.id)
      : undefined;
  const cost = usageText(task.usage);
  if (task.id === winnerOf(group)) return join('won', cost);
  if (refused !== undefined) return join('refused', oneLine(refused.reason), cost);
  if (task.startedAt === undefined) return notStarted(group);
  const lateMs = Date.parse(task.startedAt) - span.beginMs;
  const hedged = lateMs < 50 ? '' : `started ${formatDuration(lateMs)} later`;
  if (task.status === 'failed') return join(oneLine(task.error?.message ?? 'failed'), cost);
  if (task.status === 'cancelled') return join('stopped', hedged, cost);
  if (isVerified) return join('answered, being verified', hedged);
  const leader = leaderOf(racersOf(group), look.nowMs);
  const leads = leader?.task.id === task.id && !group.isOver;
  const ahead = leads && leader.aheadMs > 0 ? ` by ${formatDuration(leader.aheadMs)}` : '';
  return join(leads ? `leads${ahead}` : '', hedged, oneLine(task.progress ?? ''), cost);
}

function notStarted(group: GroupView): string {
  if (group.isOver) return 'was not needed';
  return racersOf(group).some(({ startedAt }) => startedAt !== undefined)
    ? 'starts if nobody wins'
    : 'waits for its turn';
}

function join(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(' · ');
}
