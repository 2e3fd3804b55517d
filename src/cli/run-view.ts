import type {
  RunDetail,
  RunEvent,
  RunStatus,
  RunSummary,
  TaskView,
} from '../coordination/coordination.ts';
import type { CliContext, Colours } from './context.ts';
import {
  formatAge,
  formatBytes,
  formatDuration,
  oneLine,
  renderTable,
  type Column,
} from './output.ts';
import { shortId } from './run-ids.ts';

type Status = RunStatus | TaskView['status'];

/** The columns of a list of runs. */
export function runColumns(context: CliContext): Column<RunSummary>[] {
  const { colours } = context.stdout;
  const nowMs = context.clock.nowMs();
  return [
    { title: 'RUN', cell: (run) => shortId(run.id) },
    { title: 'WORKFLOW', cell: (run) => run.workflow, cut: true },
    {
      title: 'STATUS',
      cell: (run) => run.status,
      style: (text, run) => styled(text, run.status, colours),
    },
    { title: 'TASKS', cell: tasksDone, align: 'right' },
    { title: 'STARTED', cell: (run) => formatAge(run.startedAt ?? run.createdAt, nowMs) },
    { title: 'TOOK', cell: (run) => took(run, nowMs), align: 'right' },
    { title: 'ERROR', cell: (run) => run.error?.message ?? '', cut: true },
  ];
}

/** One run for people: what it is, its tasks, and why it ended as it did. */
export function renderRun(run: RunDetail, context: CliContext): string {
  const { colours, columns } = context.stdout;
  const nowMs = context.clock.nowMs();
  const facts: [string, string][] = [
    ['Run', run.id],
    ['Workflow', `${run.workflow} (${run.mode}, ${run.definitionHash.slice(0, 12)})`],
    ['Status', styled(run.status, run.status, colours)],
    ['Started', `${run.createdAt} (${formatAge(run.createdAt, nowMs)})`],
    ['Took', took(run, nowMs)],
    ['Tasks', tasksDone(run)],
    ['Priority', String(run.priority)],
    ['Input', oneLine(JSON.stringify(run.input))],
  ];
  if (run.overheadMs !== undefined) facts.push(['Overhead', formatDuration(run.overheadMs)]);
  if (run.error !== undefined) {
    facts.push(['Error', `${oneLine(run.error.message)} (${run.error.code})`]);
  }
  const lines = facts.map(([name, value]) => `${colours.bold(name.padEnd(9))} ${value}`);
  const table = renderTable(run.taskList, taskColumns(colours, nowMs), columns, colours.bold);
  return `${lines.join('\n')}\n\n${table}`;
}

function taskColumns(colours: Colours, nowMs: number): Column<TaskView>[] {
  return [
    { title: 'TASK', cell: (task) => task.id, cut: true },
    {
      title: 'STATUS',
      cell: (task) => task.status,
      style: (text, task) => styled(text, task.status, colours),
    },
    { title: 'TRIES', cell: (task) => String(task.attempts), align: 'right' },
    { title: 'TOOK', cell: (task) => took(task, nowMs), align: 'right' },
    {
      title: 'CPU',
      cell: ({ usage }) => (usage?.cpuMs === undefined ? '–' : formatDuration(usage.cpuMs)),
      align: 'right',
    },
    {
      title: 'MEMORY',
      cell: ({ usage }) =>
        usage?.peakMemoryBytes === undefined ? '–' : formatBytes(usage.peakMemoryBytes),
      align: 'right',
    },
    {
      title: 'NOTE',
      cell: (task) => task.error?.message ?? task.skippedBecause ?? task.progress ?? '',
      cut: true,
    },
  ];
}

/** One event as a line: number, time, type, then what it says. */
export function describeRecorded(event: RunEvent): string {
  const { type, ...fields } = event.body;
  const parts = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const number = String(event.seq).padStart(4);
  return `${number} ${event.at} ${type.padEnd(18)} ${oneLine(parts.join(' '))}`;
}

function tasksDone({ tasks }: Pick<RunSummary, 'tasks'>): string {
  const all = Object.values(tasks).reduce((sum, count) => sum + count, 0);
  const failed = tasks.failed ?? 0;
  return `${tasks.completed ?? 0}/${all}${failed > 0 ? ` (${failed} failed)` : ''}`;
}

function took(
  { startedAt, finishedAt }: { readonly startedAt?: string; readonly finishedAt?: string },
  nowMs: number,
): string {
  if (startedAt === undefined) return '–';
  const endMs = finishedAt === undefined ? nowMs : Date.parse(finishedAt);
  return formatDuration(Math.max(0, endMs - Date.parse(startedAt)));
}

function styled(text: string, status: Status, colours: Colours): string {
  if (status === 'completed') return colours.green(text);
  if (status === 'failed') return colours.red(text);
  if (status === 'running') return colours.cyan(text);
  return status === 'cancelled' || status === 'recovering' ? colours.yellow(text) : text;
}
