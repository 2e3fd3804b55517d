/** Schedules: runs that start by themselves, at the times of a clock or every so often. */
import { AppError, newId } from '../base/base.ts';
import * as queries from './schedule-queries.ts';
import type { NewFire, ScheduleRow } from './schedule-queries.ts';
import { leaseMs, ScheduleTicker } from './schedule-ticker.ts';
import { cronTiming, everyTiming, nextTimes, type Timing } from './schedule-times.ts';
import type {
  Fire,
  NewScheduleRequest,
  Principal,
  Schedule,
  SchedulePlan,
  Schedules,
  SchedulesOptions,
} from './schedule-types.ts';
import { fireView, scheduleView, timesFrom, timingOf } from './schedule-views.ts';
import type { Page } from './types.ts';

const namePattern = /^[a-z0-9][a-z0-9._-]{0,99}$/;
const mostInputBytes = 262_144;

/** Opens schedules on a migrated database. Nothing fires here until `start`. */
export function openSchedules(options: SchedulesOptions): Schedules {
  const ticker = new ScheduleTicker(options);
  return {
    ...readers(options),
    ...writers(options),
    runNow: (name, by) => runNow(options, ticker, name, by),
    start: () => ticker.start(),
    stop: () => ticker.stop(),
  };
}

function readers({ database }: SchedulesOptions): Pick<Schedules, 'list' | 'get' | 'fires'> {
  return {
    async list({ limit, cursor }) {
      const most = pageLimit(limit);
      const rows = await database.query(queries.listSchedules(cursor ?? null, most + 1));
      const shown = rows.slice(0, most);
      const last = await database.query(queries.lastFires(shown.map(({ schedule_id: id }) => id)));
      const items = shown.map((row) =>
        scheduleView(
          row,
          last.find((fire) => fire.schedule_id === row.schedule_id),
        ),
      );
      return page(items, rows.length > most, ({ name }) => name);
    },

    get: (name) => show(database, name),

    async fires(name, { limit, cursor }) {
      const { schedule_id: id } = await find(database, name);
      const most = pageLimit(limit);
      const rows = await database.query(queries.firesOf(id, before(cursor), most + 1));
      return page(rows.slice(0, most).map(fireView), rows.length > most, ({ at }) => at);
    },
  };
}

function writers(
  options: SchedulesOptions,
): Pick<Schedules, 'plan' | 'create' | 'pause' | 'resume' | 'remove'> {
  const { database } = options;
  return {
    async plan(request): Promise<SchedulePlan> {
      const { row, timing, nextMs } = await prepare(options, request, { id: '', name: '' });
      const untilMs = row.until_at?.getTime() ?? Number.POSITIVE_INFINITY;
      const { name, workflow, timezone } = row;
      return { name, workflow, timezone, next: timesFrom(timing, nextMs, untilMs) };
    },

    async create(request, by) {
      const { row } = await prepare(options, request, by);
      const [made] = await database.query(queries.insertSchedule(row));
      if (made !== undefined) return scheduleView(made, undefined);
      throw new AppError('conflict', `there is a schedule ${row.name} already`, {
        details: { field: 'name' },
        remedy: 'Choose another name, or delete the one that there is.',
      });
    },

    async pause(name) {
      const [row] = await database.query(queries.pauseSchedule(name));
      if (row === undefined) throw notFound(name);
      return show(database, name);
    },

    async resume(name) {
      await database.transaction(async (transaction) => {
        const [row] = await transaction.query(queries.lockSchedule(name));
        if (row === undefined) throw notFound(name);
        // Resuming what fires already must not take a time away that is just due.
        if (row.next_at !== null) return;
        const [clock] = await transaction.query(queries.databaseNow());
        const next = firstAfter(timingOf(row), clock?.now.getTime() ?? 0, row.until_at);
        await transaction.query(queries.resumeSchedule(row.schedule_id, next));
      });
      return show(database, name);
    },

    async remove(name) {
      const [gone] = await database.query(queries.deleteSchedule(name));
      if (gone === undefined) throw notFound(name);
    },
  };
}

async function runNow(
  { database }: SchedulesOptions,
  ticker: ScheduleTicker,
  name: string,
  by: Principal,
): Promise<Fire> {
  const { id, fireAt } = await database.transaction(async (transaction) => {
    const [row] = await transaction.query(queries.lockSchedule(name));
    if (row === undefined) throw notFound(name);
    const open =
      row.overlap === 'skip' ? await transaction.query(queries.openFires(row.schedule_id)) : [];
    const [going] = open;
    if (going !== undefined) {
      throw new AppError('conflict', `a run of schedule ${name} goes on`, {
        details: { run: going.run_id, since: going.fire_at.toISOString() },
        remedy: 'Cancel it first, or wait for its end.',
      });
    }
    const [clock] = await transaction.query(queries.databaseNow());
    const fire: NewFire = {
      fireAt: clock?.now ?? new Date(0),
      byHand: true,
      status: 'starting',
      fires: 1,
      reason: null,
      startedBy: by.name,
      startedById: by.id,
    };
    const made = await transaction.query(queries.insertFires(row.schedule_id, [fire], leaseMs));
    if (made.length > 0) return { id: row.schedule_id, fireAt: fire.fireAt };
    throw new AppError('conflict', `schedule ${name} fires in this very millisecond`, {
      retryable: true,
      remedy: 'Try again.',
    });
  });
  await ticker.startLeased(id, fireAt);
  const rows = await database.query(queries.firesOf(id, new Date(fireAt.getTime() + 1), 1));
  const [row] = rows;
  if (row === undefined) throw notFound(name);
  return fireView(row);
}

/** Checks all of a request and gives the row that it comes to. */
async function prepare(
  { database, clock, coordination }: SchedulesOptions,
  request: NewScheduleRequest,
  by: Principal,
): Promise<{ row: queries.NewSchedule; timing: Timing; nextMs: number }> {
  const { name, workflow, input = {}, priority, cron, everySeconds } = request;
  if (!namePattern.test(name)) {
    throw invalid('name', `${JSON.stringify(name)} is no name of a schedule`, {
      remedy: 'Lower-case letters, digits and . _ -, at most 100, a letter or digit first.',
    });
  }
  if (Buffer.byteLength(JSON.stringify(input)) > mostInputBytes) {
    throw new AppError(
      'too_large',
      `input: a schedule keeps at most ${mostInputBytes} bytes of it`,
    );
  }
  const [row] = await database.query(queries.databaseNow());
  const now = row?.now ?? new Date(clock.nowMs());
  const timing = requestedTiming(request, now.getTime());
  const until = request.until === undefined ? null : new Date(request.until);
  if (until !== null && !(until > now)) {
    throw invalid('until', `${request.until} is no time to come`);
  }
  const next = firstAfter(timing, now.getTime(), until);
  if (next === null) throw invalid('until', 'it would be over before its first time');
  await coordination.plan({ workflow, input, ...(priority === undefined ? {} : { priority }) });
  return {
    timing,
    nextMs: next.getTime(),
    row: {
      schedule_id: newId(clock),
      name,
      workflow,
      input,
      priority: priority ?? null,
      cron: cron?.trim() ?? null,
      every_seconds: everySeconds ?? null,
      timezone: request.timezone ?? 'UTC',
      until_at: until,
      missed: request.missed ?? 'skip',
      overlap: request.overlap ?? 'skip',
      created_at: now,
      created_by: by.name,
      created_by_id: by.id,
      next_at: next,
    },
  };
}

function requestedTiming(
  { cron, everySeconds, timezone }: NewScheduleRequest,
  nowMs: number,
): Timing {
  if ((cron === undefined) === (everySeconds === undefined)) {
    throw invalid('cron', 'a schedule has either a cron expression or an interval', {
      remedy: 'Give one of cron and everySeconds.',
    });
  }
  if (cron !== undefined) return cronTiming(cron, timezone ?? 'UTC');
  if (timezone !== undefined) {
    throw invalid('timezone', 'an interval is the same in every zone');
  }
  return everyTiming(everySeconds ?? 0, nowMs);
}

function firstAfter(timing: Timing, nowMs: number, until: Date | null): Date | null {
  const [first] = nextTimes(timing, nowMs, 1);
  return first === undefined || (until !== null && first > until.getTime())
    ? null
    : new Date(first);
}

async function find(database: SchedulesOptions['database'], name: string): Promise<ScheduleRow> {
  const [row] = await database.query(queries.scheduleOfName(name));
  if (row !== undefined) return row;
  throw notFound(name);
}

async function show(database: SchedulesOptions['database'], name: string): Promise<Schedule> {
  const row = await find(database, name);
  const [last] = await database.query(queries.lastFires([row.schedule_id]));
  return scheduleView(row, last);
}

function before(cursor: string | undefined): Date | null {
  if (cursor === undefined) return null;
  const date = new Date(cursor);
  if (!Number.isNaN(date.getTime())) return date;
  throw invalid('cursor', `${cursor} is not a cursor of this list`);
}

function page<Item>(items: Item[], isMore: boolean, cursorOf: (item: Item) => string): Page<Item> {
  const last = items.at(-1);
  return isMore && last !== undefined ? { items, nextCursor: cursorOf(last) } : { items };
}

function pageLimit(limit = 50): number {
  return Math.min(500, Math.max(1, Math.trunc(limit)));
}

function invalid(
  field: string,
  message: string,
  options: { readonly remedy?: string } = {},
): AppError {
  return new AppError('invalid_input', `${field}: ${message}`, { details: { field }, ...options });
}

function notFound(name: string): AppError {
  return new AppError('not_found', `there is no schedule ${name}`, {
    details: { schedule: name },
    remedy: '`centuria schedule list` shows what there is.',
  });
}
