/** Schedules as they go over HTTP, held to their types by the compiler. */
import { Type, type Static } from 'typebox';
import type { Fire, FireTime, Page, Schedule, SchedulePlan } from '../coordination/coordination.ts';
import { runStatuses } from './run-schemas.ts';
import {
  describes,
  errorRecordSchema,
  id,
  maybe,
  oneOf,
  record,
  text,
  time,
} from './schema-terms.ts';

const missedPolicies = ['skip', 'once', 'all'] as const;
const overlapPolicies = ['allow', 'skip', 'cancel'] as const;
const priority = Type.Integer({ minimum: 1, maximum: 100 });

const fireTimeSchema = describes<FireTime>()(
  Type.Object({
    at: time,
    local: Type.String({ description: "As the clock of the schedule's zone shows it" }),
    note: maybe(Type.String({ description: 'Said when the clock is put forward or back then' })),
  }),
  'FireTime',
);

export const fireSchema = describes<Fire>()(
  Type.Object({
    at: time,
    byHand: Type.Boolean(),
    status: oneOf<Fire['status']>(['starting', 'started', 'skipped', 'failed']),
    fires: Type.Integer({ minimum: 1, description: 'Times that it stands for' }),
    startedBy: text,
    reason: maybe(text),
    error: maybe(errorRecordSchema),
    run: maybe(id),
    runStatus: maybe(oneOf(runStatuses)),
  }),
  'Fire',
);

export const scheduleSchema = describes<Schedule>()(
  Type.Object({
    id,
    name: text,
    workflow: text,
    input: record,
    priority: maybe(priority),
    cron: maybe(text),
    everySeconds: maybe(Type.Integer({ minimum: 1 })),
    timezone: text,
    until: maybe(time),
    missed: oneOf<Schedule['missed']>(missedPolicies),
    overlap: oneOf<Schedule['overlap']>(overlapPolicies),
    state: oneOf<Schedule['state']>(['active', 'paused', 'over', 'broken']),
    createdAt: time,
    createdBy: text,
    pausedAt: maybe(time),
    next: Type.Array(fireTimeSchema),
    lastFire: maybe(fireSchema),
    problem: maybe(errorRecordSchema),
  }),
  'Schedule',
);

export const schedulePlanSchema = describes<SchedulePlan>()(
  Type.Object({ name: text, workflow: text, timezone: text, next: Type.Array(fireTimeSchema) }),
  'SchedulePlan',
);

export const schedulePageSchema = describes<Page<Schedule>>()(
  Type.Object({ items: Type.Array(scheduleSchema), nextCursor: maybe(text) }),
  'SchedulePage',
);

export const firePageSchema = describes<Page<Fire>>()(
  Type.Object({ items: Type.Array(fireSchema), nextCursor: maybe(text) }),
  'FirePage',
);

export const newScheduleSchema = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 100,
      description: 'Lower-case letters, digits and . _ -, a letter or digit first',
    }),
    workflow: Type.String({ minLength: 1, maxLength: 200 }),
    input: maybe(record),
    priority: maybe(priority),
    cron: maybe(
      Type.String({
        maxLength: 200,
        description: 'Minute, hour, day of month, month and day of week, or @daily and the like',
      }),
    ),
    everySeconds: maybe(Type.Integer({ description: 'Instead of cron, from its creation on' })),
    timezone: maybe(Type.String({ maxLength: 100, description: 'Of cron; UTC unless given' })),
    until: maybe(time),
    missed: maybe(oneOf(missedPolicies)),
    overlap: maybe(oneOf(overlapPolicies)),
  },
  { title: 'NewScheduleRequest', additionalProperties: false },
);

export type NewScheduleBody = Static<typeof newScheduleSchema>;
export type SchedulePage = Page<Schedule>;
export type FirePage = Page<Fire>;
