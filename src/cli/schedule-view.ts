/** How schedules and their times are shown to people. */
import type { Fire, FireTime, Schedule } from '../coordination/coordination.ts';
import type { CliContext, Colours } from './context.ts';
import { renderFacts } from './facts.ts';
import { formatAge, formatDuration, oneLine, plural, renderTable, type Column } from './output.ts';
import { shortId } from './run-ids.ts';

export function scheduleColumns(context: CliContext): Column<Schedule>[] {
  const { colours } = context.stdout;
  const nowMs = context.clock.nowMs();
  return [
    { title: 'SCHEDULE', cell: (row) => row.name, cut: true },
    { title: 'WORKFLOW', cell: (row) => row.workflow, cut: true },
    { title: 'WHEN', cell: whenOf, cut: true },
    {
      title: 'STATE',
      cell: (row) => row.state,
      style: (text, row) =>
        row.state === 'broken'
          ? colours.red(text)
          : row.state === 'active'
            ? text
            : colours.dim(text),
    },
    { title: 'NEXT', cell: (row) => row.next[0]?.local ?? row.problem?.message ?? '–', cut: true },
    { title: 'LAST', cell: (row) => lastOf(row, nowMs) },
    {
      title: 'CAME TO',
      cell: ({ lastFire }) => (lastFire === undefined ? '' : cameTo(lastFire)),
      cut: true,
      style: (text, { lastFire }) => styled(text, lastFire, colours),
    },
  ];
}

/** The times to come, one a line, with what the clock does then. */
export function renderTimes(times: readonly FireTime[]): string {
  const lines = times.map(({ at, local, note }) => {
    const said = note === undefined ? '' : `  (${note})`;
    return `  ${local}  ${at}${said}`;
  });
  return lines.join('\n');
}

export function renderSchedule(
  schedule: Schedule,
  fires: readonly Fire[],
  context: CliContext,
): string {
  const { columns, colours } = context.stdout;
  const facts = renderFacts(context, [
    ['Schedule', `${schedule.name} (${schedule.state})`],
    ['Workflow', schedule.workflow],
    ...Object.entries(schedule.input).map(
      ([name, value]) => [`  ${name}`, oneLine(JSON.stringify(value))] as const,
    ),
    ['When', whenOf(schedule)],
    ['Missed times', missedTexts[schedule.missed]],
    ['Overlapping', overlapTexts[schedule.overlap]],
    ...(schedule.until === undefined ? [] : [['Until', schedule.until] as const]),
    ...(schedule.problem === undefined ? [] : [['Problem', schedule.problem.message] as const]),
    ['Created', `${schedule.createdAt} by ${schedule.createdBy}`],
  ]);
  const next = schedule.next.length === 0 ? [] : ['', 'Next', renderTimes(schedule.next)];
  const past =
    fires.length === 0
      ? ['', 'It has not fired yet.']
      : ['', renderTable(fires, fireColumns(context), columns, colours.bold).trimEnd()];
  return [facts, ...next, ...past].join('\n');
}

function fireColumns(context: CliContext): Column<Fire>[] {
  const { colours } = context.stdout;
  return [
    { title: 'TIME', cell: ({ at }) => at },
    { title: 'RUN', cell: ({ run }) => (run === undefined ? '–' : shortId(run)) },
    { title: 'BY', cell: ({ byHand, startedBy }) => (byHand ? startedBy : 'itself') },
    {
      title: 'CAME TO',
      cell: cameTo,
      style: (text, fire) => styled(text, fire, colours),
    },
    { title: 'WHY', cell: ({ reason }) => reason ?? '', cut: true },
  ];
}

const missedTexts: Readonly<Record<Schedule['missed'], string>> = {
  skip: 'skipped',
  once: 'made up for once, by the newest',
  all: 'made up for, the newest 100 at most',
};

const overlapTexts: Readonly<Record<Schedule['overlap'], string>> = {
  allow: 'allowed',
  skip: 'skipped while a run goes on',
  cancel: 'the run that goes on is cancelled first',
};

function whenOf({ cron, everySeconds, timezone }: Schedule): string {
  if (cron !== undefined) return `${cron} ${timezone}`;
  return `every ${formatDuration((everySeconds ?? 0) * 1_000)}`;
}

function lastOf({ lastFire }: Schedule, nowMs: number): string {
  return lastFire === undefined ? 'never' : formatAge(lastFire.at, nowMs);
}

function cameTo({ status, runStatus, fires, error }: Fire): string {
  if (status === 'started') return runStatus ?? 'a run that is not kept';
  if (status === 'failed') return `not started: ${error?.code ?? 'unknown'}`;
  return fires === 1 ? status : `${status} ${plural(fires, 'time')}`;
}

function styled(text: string, fire: Fire | undefined, colours: Colours): string {
  if (fire?.status === 'failed' || fire?.runStatus === 'failed') return colours.red(text);
  return fire?.status === 'skipped' ? colours.yellow(text) : text;
}
