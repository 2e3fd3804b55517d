/** Schedules on a real database, with times that a test can make due. */
import { systemClock } from '../../src/base/base.ts';
import {
  openSchedules,
  type Fire,
  type Schedules,
  type SchedulesOptions,
} from '../../src/coordination/coordination.ts';
import { sql, type Database } from '../../src/database/database.ts';
import type { Fixture } from './coordination.ts';
import { silentLog, until } from './databases.ts';

export const ada = { id: 'id-of-ada', name: 'ada' };

export function schedulesOf(
  { part }: Pick<Fixture, 'part'>,
  database: Database,
  options: Partial<SchedulesOptions> = {},
): Schedules {
  const { runs } = part;
  return openSchedules({
    database,
    clock: systemClock,
    log: silentLog,
    coordination: {
      plan: (request) => runs.plan(request),
      start: (request) => runs.start(request),
      cancel: (id, request) => runs.cancel(id, request),
    },
    mayStart: async () => undefined,
    mayCall: async () => true,
    ...options,
  });
}

/** As if nobody had looked at it for so long: its first time after that is due, by the database's clock. */
export async function makeDue(database: Database, name: string, agoMs = 3_600_000): Promise<void> {
  await database.query(sql`
    with moved as (
      update schedules set next_at = case when cron is null
        then created_at + make_interval(secs => every_seconds * (1 + floor(
          (extract(epoch from now() - created_at) - ${agoMs}::float8 / 1000) / every_seconds)))
        else date_trunc('minute', now() - make_interval(secs => ${agoMs}::float8 / 1000)) end
      where name = ${name} returning schedule_id
    )
    select pg_notify('centuria_schedules', '') from moved`);
}

/** As if it had been made so long ago. */
export async function makeOlder(database: Database, name: string, byMs: number): Promise<void> {
  await database.query(sql`
    update schedules set created_at = created_at - make_interval(secs => ${byMs}::float8 / 1000)
    where name = ${name}`);
}

/** The fires of a schedule, oldest first, once there are as many and none is being started. */
export async function settledFires(
  schedules: Schedules,
  name: string,
  atLeast: number,
): Promise<readonly Fire[]> {
  let items: readonly Fire[] = [];
  await until(async () => {
    ({ items } = await schedules.fires(name, { limit: 500 }));
    return items.length >= atLeast && items.every(({ status }) => status !== 'starting');
  });
  return items.toReversed();
}
