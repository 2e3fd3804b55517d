import { json, sql, type Sql } from '../database/database.ts';
import type { ErrorRecord } from '../base/base.ts';
import type { RunStatus } from './types.ts';

/** Channel on which a schedule that was made or changed is announced; the payload is empty. */
export const schedulesChannel = 'centuria_schedules';

export type MissedPolicy = 'skip' | 'once' | 'all';
export type OverlapPolicy = 'allow' | 'skip' | 'cancel';
export type FireStatus = 'starting' | 'started' | 'skipped' | 'failed';

export interface ScheduleRow {
  readonly schedule_id: string;
  readonly name: string;
  readonly workflow: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly priority: number | null;
  readonly cron: string | null;
  readonly every_seconds: number | null;
  readonly timezone: string;
  readonly until_at: Date | null;
  readonly missed: MissedPolicy;
  readonly overlap: OverlapPolicy;
  readonly created_at: Date;
  readonly created_by: string;
  readonly created_by_id: string;
  readonly paused_at: Date | null;
  readonly next_at: Date | null;
  readonly problem: ErrorRecord | null;
}

export interface FireRow {
  readonly schedule_id: string;
  readonly fire_at: Date;
  readonly by_hand: boolean;
  readonly status: FireStatus;
  readonly fires: number;
  readonly reason: string | null;
  readonly error: ErrorRecord | null;
  readonly run_id: string | null;
  readonly started_by: string;
  readonly started_by_id: string;
  readonly failed_tries: number;
  /** Of its run, where there still is one. */
  readonly run_status?: RunStatus | null;
}

/** A fire that this process may start now, with what its schedule says. */
export interface ClaimedFire extends FireRow {
  readonly name: string;
  readonly workflow: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly priority: number | null;
  readonly overlap: OverlapPolicy;
  /** Whether the runs before it have not been asked to end yet, or a minute ago and in vain. */
  readonly may_ask: boolean;
}

/** A fire as it is decided: the columns that are not given have their defaults. */
export interface NewFire {
  readonly fireAt: Date;
  readonly byHand: boolean;
  readonly status: FireStatus;
  readonly fires: number;
  readonly reason: string | null;
  readonly startedBy: string;
  readonly startedById: string;
}

export type NewSchedule = Omit<ScheduleRow, 'paused_at' | 'problem'>;

export const databaseNow = (): Sql<{ now: Date }> =>
  sql`select date_trunc('milliseconds', now()) as now`;

/** No row comes back when the name is taken. */
export const insertSchedule = (row: NewSchedule): Sql<ScheduleRow> =>
  sql`with made as (
      insert into schedules (schedule_id, name, workflow, input, priority, cron, every_seconds, timezone,
        until_at, missed, overlap, created_at, created_by, created_by_id, next_at)
      values (${row.schedule_id}::uuid, ${row.name}, ${row.workflow}, ${json(row.input)}::json,
        ${row.priority}::smallint, ${row.cron}, ${row.every_seconds}::integer, ${row.timezone},
        ${row.until_at}::timestamptz, ${row.missed}, ${row.overlap}, ${row.created_at}::timestamptz,
        ${row.created_by}, ${row.created_by_id}, ${row.next_at}::timestamptz)
      on conflict (name) do nothing
      returning *
    ), told as (select pg_notify(${schedulesChannel}, '') from made)
    select made.* from made, told`;

export const scheduleOfName = (name: string): Sql<ScheduleRow> =>
  sql`select * from schedules where name = ${name}`;

/** The same, and nobody else fires or changes it before the transaction has ended. */
export const lockSchedule = (name: string): Sql<ScheduleRow> =>
  sql`select * from schedules where name = ${name} for update`;

export const listSchedules = (after: string | null, limit: number): Sql<ScheduleRow> =>
  sql`select * from schedules
    where ${after}::text is null or name > ${after}::text
    order by name limit ${limit}::integer`;

export const deleteSchedule = (name: string): Sql<{ schedule_id: string }> =>
  sql`delete from schedules where name = ${name} returning schedule_id`;

export const pauseSchedule = (name: string): Sql<{ schedule_id: string }> =>
  sql`update schedules set paused_at = coalesce(paused_at, now()), next_at = null
    where name = ${name} returning schedule_id`;

/** Sets when it fires next, which ends a pause, and wakes whoever waits for that. */
export const resumeSchedule = (id: string, next: Date | null): Sql =>
  sql`with changed as (
      update schedules set paused_at = null, problem = null, next_at = ${next}::timestamptz
      where schedule_id = ${id}::uuid returning schedule_id
    )
    select pg_notify(${schedulesChannel}, '') from changed`;

/** Schedules that are due, each locked by this transaction alone. */
export const lockDue = (limit: number): Sql<ScheduleRow & { readonly now: Date }> =>
  sql`select s.*, date_trunc('milliseconds', now()) as now from schedules s
    where s.next_at <= now() order by s.next_at limit ${limit}::integer
    for update skip locked`;

export const moveOn = (id: string, next: Date | null, problem: ErrorRecord | null): Sql =>
  sql`update schedules set next_at = ${next}::timestamptz,
      problem = ${problem === null ? null : json(problem)}::json
    where schedule_id = ${id}::uuid`;

/**
 * A time that is there already is left as it is, and does not come back. Within the lease nobody but
 * the caller starts them.
 */
export const insertFires = (
  id: string,
  fires: readonly NewFire[],
  leaseMs: number,
): Sql<{ fire_at: Date }> =>
  sql`insert into schedule_fires (schedule_id, fire_at, by_hand, status, fires, reason, started_by,
      started_by_id, try_at)
    select ${id}::uuid, f.fire_at, f.by_hand, f.status, f.fires, f.reason, f.started_by, f.started_by_id,
      now() + make_interval(secs => ${leaseMs}::float8 / 1000)
    from unnest(
      ${fires.map(({ fireAt }) => fireAt.toISOString())}::timestamptz[], ${fires.map(({ byHand }) => byHand)}::boolean[],
      ${fires.map(({ status }) => status)}::text[], ${fires.map((each) => each.fires)}::integer[],
      ${fires.map(({ reason }) => reason)}::text[], ${fires.map(({ startedBy }) => startedBy)}::text[],
      ${fires.map(({ startedById }) => startedById)}::text[]
    ) as f (fire_at, by_hand, status, fires, reason, started_by, started_by_id)
    on conflict (schedule_id, fire_at) do nothing
    returning fire_at`;

/**
 * Fires of a schedule that are being started, or whose run goes on. Those whose run has ended, or is
 * not there any more, are marked so: the list stays short however long the schedule lives.
 */
export const openFires = (id: string): Sql<FireRow> =>
  sql`with looked_at as (
      select f.*, r.status as run_status, r.run_id is null or r.finished_at is not null as over
      from schedule_fires f left join runs r on r.run_id = f.run_id
      where f.schedule_id = ${id}::uuid
        and (f.status = 'starting' or (f.status = 'started' and not f.ended))
    ), marked as (
      update schedule_fires f set ended = true from looked_at l
      where f.schedule_id = l.schedule_id and f.fire_at = l.fire_at and l.status = 'started' and l.over
    )
    select schedule_id, fire_at, by_hand, status, fires, reason, error, run_id, started_by,
      started_by_id, failed_tries, run_status
    from looked_at where status = 'starting' or not over
    order by fire_at`;

/** Fires to be started; nobody else tries them within the lease, by the database's clock. */
export const claimFires = (limit: number, leaseMs: number): Sql<ClaimedFire> =>
  sql`update schedule_fires f
    set try_at = now() + make_interval(secs => ${leaseMs}::float8 / 1000)
    from (
      select schedule_id, fire_at from schedule_fires
      where status = 'starting' and try_at <= now()
      order by try_at limit ${limit}::integer
      for update skip locked
    ) c, schedules s
    where f.schedule_id = c.schedule_id and f.fire_at = c.fire_at and s.schedule_id = f.schedule_id
    returning f.*, s.name, s.workflow, s.input, s.priority, s.overlap,
      f.cancel_asked_at is null or f.cancel_asked_at < now() - interval '1 minute' as may_ask`;

/** A fire whose lease the caller has. */
export const leasedFire = (id: string, fireAt: Date): Sql<ClaimedFire> =>
  sql`select f.*, s.name, s.workflow, s.input, s.priority, s.overlap, true as may_ask
    from schedule_fires f join schedules s using (schedule_id)
    where f.schedule_id = ${id}::uuid and f.fire_at = ${fireAt}::timestamptz and f.status = 'starting'`;

/** There is a run, so this stands whatever anybody else has found. */
export const recordStarted = (id: string, fireAt: Date, runId: string): Sql =>
  sql`update schedule_fires set status = 'started', run_id = ${runId}::uuid, reason = null, error = null
    where schedule_id = ${id}::uuid and fire_at = ${fireAt}::timestamptz`;

export const recordNotStarted = (
  id: string,
  fireAt: Date,
  status: 'skipped' | 'failed',
  reason: string,
  error: ErrorRecord | null,
): Sql =>
  sql`update schedule_fires set status = ${status}, reason = ${reason},
      error = ${error === null ? null : json(error)}::json
    where schedule_id = ${id}::uuid and fire_at = ${fireAt}::timestamptz and status = 'starting'`;

/** The fire is tried again after a while, by whoever is there then; `reason` says what it waits for. */
export const postponeFire = (
  id: string,
  fireAt: Date,
  waitMs: number,
  failed: boolean,
  reason: string,
): Sql =>
  sql`with postponed as (
      update schedule_fires set reason = ${reason},
        try_at = now() + make_interval(secs => ${waitMs}::float8 / 1000),
        failed_tries = failed_tries + case when ${failed}::boolean then 1 else 0 end
      where schedule_id = ${id}::uuid and fire_at = ${fireAt}::timestamptz and status = 'starting'
      returning fire_at
    )
    select pg_notify(${schedulesChannel}, '') from postponed`;

export const recordCancelAsked = (id: string, fireAt: Date): Sql =>
  sql`update schedule_fires set cancel_asked_at = now()
    where schedule_id = ${id}::uuid and fire_at = ${fireAt}::timestamptz`;

/** Milliseconds until something is due; null when nothing will be. */
export const untilDue = (): Sql<{ ms: number | null }> =>
  sql`select (extract(epoch from least(
      (select min(next_at) from schedules where next_at is not null),
      (select min(try_at) from schedule_fires where status = 'starting')
    ) - now()) * 1000)::float8 as ms`;

/** Newest first. */
export const firesOf = (id: string, before: Date | null, limit: number): Sql<FireRow> =>
  sql`select f.*, r.status as run_status from schedule_fires f left join runs r on r.run_id = f.run_id
    where f.schedule_id = ${id}::uuid
      and (${before}::timestamptz is null or f.fire_at < ${before}::timestamptz)
    order by f.fire_at desc limit ${limit}::integer`;

/** The newest of each. */
export const lastFires = (ids: readonly string[]): Sql<FireRow> =>
  sql`select f.*, r.status as run_status from unnest(${ids}::uuid[]) as s (schedule_id)
    cross join lateral (
      select * from schedule_fires f where f.schedule_id = s.schedule_id
      order by f.fire_at desc limit 1
    ) f left join runs r on r.run_id = f.run_id`;

/** Forgets fires of a schedule beyond the newest `keep`; those not yet started stay. */
export const trimFires = (id: string, keep: number): Sql =>
  sql`delete from schedule_fires f
    where f.schedule_id = ${id}::uuid and f.status <> 'starting' and f.fire_at < (
      select fire_at from schedule_fires
      where schedule_id = ${id}::uuid order by fire_at desc offset ${keep}::integer limit 1
    )`;
