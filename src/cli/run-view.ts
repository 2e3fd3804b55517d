import type { CalledRun, RunDetail, RunEvent, RunSummary } from '../coordination/coordination.ts';
import type { CliContext } from './context.ts';
import { formatAge, formatDuration, oneLine, type Column } from './output.ts';
import { renderFrame, statusText } from './progress-frame.ts';
import { eventLine } from './progress-lines.ts';
import { shortId } from './run-ids.ts';

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
      style: (text, run) => statusText(run.status, colours, text),
    },
    { title: 'TASKS', cell: tasksDone, align: 'right' },
    { title: 'STARTED', cell: (run) => formatAge(run.startedAt ?? run.createdAt, nowMs) },
    { title: 'TOOK', cell: (run) => took(run, nowMs), align: 'right' },
    { title: 'ERROR', cell: (run) => run.error?.message ?? '', cut: true },
  ];
}

/** One run for people: what it is, then the picture that was drawn while it went on. */
export function renderRun(
  run: RunDetail,
  context: CliContext,
  calls: readonly CalledRun[] = [],
): string {
  const { colours } = context.stdout;
  const nowMs = context.clock.nowMs();
  const facts: [string, string][] = [
    ['Run', run.id],
    ['Workflow', `${run.workflow} (${run.mode}, ${run.definitionHash.slice(0, 12)})`],
    ['Started', `${run.createdAt} (${formatAge(run.createdAt, nowMs)})${startedBy(run)}`],
    ['Priority', String(run.priority)],
    ['Input', oneLine(JSON.stringify(run.input))],
  ];
  if (run.parent !== undefined) {
    facts.push(['Called', `by ${run.parent.task} of run ${run.parent.runId}`]);
  }
  if (run.forkedFrom !== undefined) facts.push(['Forked', `from ${run.forkedFrom}`]);
  if (run.irreversible.length > 0) {
    facts.push(['Stays', `can't be undone: ${run.irreversible.join(', ')}`]);
  }
  if (run.overheadMs !== undefined) facts.push(['Overhead', formatDuration(run.overheadMs)]);
  if (run.fingerprint !== undefined) facts.push(['Failure', run.fingerprint]);
  if (run.error !== undefined) facts.push(['Error', run.error.code]);
  const lines = facts.map(([name, value]) => `${colours.bold(name.padEnd(9))} ${value}`);
  const frame = renderFrame(run, {
    columns: context.stdout.columns ?? widthOfPipes,
    rows: Infinity,
    nowMs,
    colours,
  });
  return [...lines, '', ...frame, ...callLines(run.id, calls, context)].join('\n');
}

/** Who called whom, as a tree. */
function callLines(
  runId: string,
  calls: readonly CalledRun[],
  { clock, stdout: { colours } }: CliContext,
): string[] {
  if (calls.length === 0) return [];
  const below = (parent: string): string[] =>
    calls
      .filter((call) => call.parent.runId === parent)
      .flatMap((call) => {
        const { id, agent, depth, status, createdAt: startedAt, finishedAt, error } = call;
        const time = took(
          { startedAt, ...(finishedAt === undefined ? {} : { finishedAt }) },
          clock.nowMs(),
        );
        const why = error === undefined ? '' : `  ${oneLine(error.message)}`;
        const indent = '  '.repeat(depth);
        const from = depth === 1 ? `${call.parent.task} → ` : '→ ';
        const line = `${indent}${from}${agent}  ${statusText(status, colours, status)}  ${time}  ${shortId(id)}${why}`;
        return [line, ...below(id)];
      });
  return ['', colours.bold('Calls'), ...below(runId)];
}

/** What is read by a program or kept in a file is not cut as early as on a terminal. */
const widthOfPipes = 160;

function startedBy({ startedBy: who }: Pick<RunSummary, 'startedBy'>): string {
  return who === undefined ? '' : ` by ${who}`;
}

/** One event as a line: number, time, type, then what it says. */
export function describeRecorded(event: RunEvent): string {
  const number = String(event.seq).padStart(4);
  return `${number} ${event.at} ${event.body.type.padEnd(18)} ${eventLine(event)}`;
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
