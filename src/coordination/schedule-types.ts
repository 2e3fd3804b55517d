/** Schedules as the faces see them. Times are ISO 8601. */
import type { Clock, ErrorRecord, Log } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { FireStatus, MissedPolicy, OverlapPolicy } from './schedule-queries.ts';
import type { FireTime } from './schedule-times.ts';
import type { Page, RunStatus, StartRun } from './types.ts';

export type { FireStatus, FireTime, MissedPolicy, OverlapPolicy };

/** A principal, by the name that people read and the id that stays. */
export interface Principal {
  readonly id: string;
  readonly name: string;
}

export interface NewScheduleRequest {
  /** Lower-case letters, digits and `. _ -`, at most 100, a letter or digit first. */
  readonly name: string;
  readonly workflow: string;
  readonly input?: Readonly<Record<string, unknown>>;
  /** 1 to 100; absent: what runs have. */
  readonly priority?: number;
  /** Five fields, or a nickname such as `@daily`. Either this or `everySeconds`. */
  readonly cron?: string;
  /** Counted from its creation. */
  readonly everySeconds?: number;
  /** Of `cron`; UTC unless given. */
  readonly timezone?: string;
  /** No time after that counts. */
  readonly until?: string;
  /** `skip` unless given: what becomes of times at which nothing was running. */
  readonly missed?: MissedPolicy;
  /** `skip` unless given: what becomes of a time at which the run before has not ended. */
  readonly overlap?: OverlapPolicy;
}

/** One time, or several that were missed in one go, and what became of it. */
export interface Fire {
  readonly at: string;
  readonly byHand: boolean;
  readonly status: FireStatus;
  /** Times that it stands for. */
  readonly fires: number;
  readonly startedBy: string;
  /** Why it was skipped, or what it waits for. */
  readonly reason?: string;
  readonly error?: ErrorRecord;
  readonly run?: string;
  /** Absent when the run is not kept any more. */
  readonly runStatus?: RunStatus;
}

export interface Schedule {
  readonly id: string;
  readonly name: string;
  readonly workflow: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly priority?: number;
  readonly cron?: string;
  readonly everySeconds?: number;
  readonly timezone: string;
  readonly until?: string;
  readonly missed: MissedPolicy;
  readonly overlap: OverlapPolicy;
  readonly state: 'active' | 'paused' | 'over' | 'broken';
  readonly createdAt: string;
  readonly createdBy: string;
  readonly pausedAt?: string;
  /** The next times, at most five; none unless it is active. */
  readonly next: readonly FireTime[];
  readonly lastFire?: Fire;
  /** Why its times can not be told. */
  readonly problem?: ErrorRecord;
}

/** What creating it would do: nothing is written. */
export interface SchedulePlan {
  readonly name: string;
  readonly workflow: string;
  readonly timezone: string;
  readonly next: readonly FireTime[];
}

export interface SchedulesOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly coordination: {
    /** Refuses what can not be started, and writes nothing. */
    plan(request: StartRun): Promise<unknown>;
    start(request: StartRun & { readonly startedBy: string }): Promise<{ readonly id: string }>;
    cancel(runId: string, request: { readonly reason: string }): Promise<unknown>;
  };
  /** Why the principal may not start runs of the workflow now; undefined when it may. */
  readonly mayStart: (principalId: string, workflow: string) => Promise<string | undefined>;
  /** Whether the principal may call an agent: those that the run's agents call are held to it. */
  readonly mayCall: (principalId: string, agent: string) => Promise<boolean>;
}

export interface Schedules {
  /** Throws what `create` throws, but does not look whether the name is taken. */
  plan(request: NewScheduleRequest): Promise<SchedulePlan>;
  /** Throws `invalid_input` by the field, `workflow_*`, `agent_not_found`, `conflict` for a name that is taken. */
  create(request: NewScheduleRequest, by: Principal): Promise<Schedule>;
  /** By name; `limit` 1 to 500, default 50. */
  list(page: { limit?: number; cursor?: string }): Promise<Page<Schedule>>;
  /** Throws `not_found`, as all below. */
  get(name: string): Promise<Schedule>;
  /** Newest first; `limit` 1 to 500, default 50. The newest 1,000 are kept. */
  fires(name: string, page: { limit?: number; cursor?: string }): Promise<Page<Fire>>;
  /** Times that come meanwhile are not missed: they do not count. */
  pause(name: string): Promise<Schedule>;
  resume(name: string): Promise<Schedule>;
  /** Its runs stay, and go on. */
  remove(name: string): Promise<void>;
  /** Starts a run now, paused or not. Throws `conflict` when overlapping is to be skipped and a run goes on. */
  runNow(name: string, by: Principal): Promise<Fire>;
  /** Begins to fire. Any number of processes may do so on one database. */
  start(): Promise<void>;
  stop(): Promise<void>;
}
