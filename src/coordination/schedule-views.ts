/** How schedules and what became of their times are shown to the faces. */
import { AppError, errorRecord } from '../base/base.ts';
import type { FireRow, ScheduleRow } from './schedule-queries.ts';
import {
  cronTiming,
  describeTime,
  everyTiming,
  nextTimes,
  type FireTime,
  type Timing,
} from './schedule-times.ts';
import type { Fire, Schedule } from './schedule-types.ts';

const shownTimes = 5;

type Times = Pick<ScheduleRow, 'cron' | 'every_seconds' | 'timezone' | 'created_at'>;

/** Throws `invalid_input` when the row was edited by hand, or the zone is not known any more. */
export function timingOf(row: Times): Timing {
  if (row.cron !== null) return cronTiming(row.cron, row.timezone);
  if (row.every_seconds !== null) {
    return everyTiming(row.every_seconds, row.created_at.getTime());
  }
  throw new AppError('invalid_input', 'cron: it has neither an expression nor an interval');
}

/** Its next times from one that is known, at most five. */
export function timesFrom(timing: Timing, firstMs: number, untilMs: number): FireTime[] {
  return nextTimes(timing, firstMs - 1, shownTimes)
    .filter((atMs) => atMs <= untilMs)
    .map((atMs) => describeTime(timing, atMs));
}

export function scheduleView(row: ScheduleRow, last: FireRow | undefined): Schedule {
  const times = nextOf(row);
  const problem = times.problem ?? row.problem ?? undefined;
  return {
    id: row.schedule_id,
    name: row.name,
    workflow: row.workflow,
    input: row.input,
    ...(row.priority === null ? {} : { priority: row.priority }),
    ...(row.cron === null ? {} : { cron: row.cron }),
    ...(row.every_seconds === null ? {} : { everySeconds: row.every_seconds }),
    timezone: row.timezone,
    ...(row.until_at === null ? {} : { until: row.until_at.toISOString() }),
    missed: row.missed,
    overlap: row.overlap,
    state: stateOf(row, problem !== undefined),
    createdAt: row.created_at.toISOString(),
    createdBy: row.created_by,
    ...(row.paused_at === null ? {} : { pausedAt: row.paused_at.toISOString() }),
    next: times.next,
    ...(last === undefined ? {} : { lastFire: fireView(last) }),
    ...(problem === undefined ? {} : { problem }),
  };
}

export function fireView(row: FireRow): Fire {
  return {
    at: row.fire_at.toISOString(),
    byHand: row.by_hand,
    status: row.status,
    fires: row.fires,
    startedBy: row.started_by,
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.error === null ? {} : { error: row.error }),
    ...(row.run_id === null ? {} : { run: row.run_id }),
    ...(row.run_status === null || row.run_status === undefined
      ? {}
      : { runStatus: row.run_status }),
  };
}

function stateOf(row: ScheduleRow, isBroken: boolean): Schedule['state'] {
  if (row.paused_at !== null) return 'paused';
  if (isBroken) return 'broken';
  return row.next_at === null ? 'over' : 'active';
}

/** One schedule that can not be read must not keep a list from being shown. */
function nextOf(row: ScheduleRow): Pick<Schedule, 'next' | 'problem'> {
  if (row.next_at === null) return { next: [] };
  const untilMs = row.until_at?.getTime() ?? Number.POSITIVE_INFINITY;
  try {
    return { next: timesFrom(timingOf(row), row.next_at.getTime(), untilMs) };
  } catch (error) {
    return { next: [], problem: errorRecord(error) };
  }
}
