/** When a schedule fires: pure, from its cron expression or its interval. */
import { Cron } from 'croner';
import { AppError, suggest } from '../base/base.ts';

export type Timing =
  | { readonly kind: 'cron'; readonly cron: string; readonly timezone: string }
  /** Every so many seconds from a moment on, whatever the clocks on walls do. */
  | { readonly kind: 'every'; readonly seconds: number; readonly fromMs: number };

/** A fire to come, with what the clock does around it. */
export interface FireTime {
  /** ISO 8601, UTC. */
  readonly at: string;
  /** The same as the clock in the schedule's zone shows it, with its offset. */
  readonly local: string;
  /** Said when the clock is put forward or back around it. */
  readonly note?: string;
}

export const longestSeconds = 366 * 86_400;
const fields = ['minute', 'hour', 'day of month', 'month', 'day of week'] as const;
const hourMs = 3_600_000;
const longestExpression = 200;

/** Throws `invalid_input` naming what is wrong: the field of the expression, or the zone. */
export function cronTiming(cron: string, timezone: string): Timing {
  const timing = { kind: 'cron', cron: cron.trim(), timezone } as const;
  checkTimezone(timezone);
  checkExpression(timing.cron);
  const [first] = nextTimes(timing, 0, 1);
  if (first !== undefined) return timing;
  throw wrong('cron', `${timing.cron} never comes: no month has such a day`);
}

/** Throws `invalid_input`. */
export function everyTiming(seconds: number, fromMs: number): Timing {
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= longestSeconds) {
    return { kind: 'every', seconds, fromMs };
  }
  throw wrong(
    'everySeconds',
    `an interval has 1 to ${longestSeconds} whole seconds, got ${seconds}`,
  );
}

/** The first times after a moment, ascending; fewer when there are no more. */
export function nextTimes(timing: Timing, afterMs: number, count: number): number[] {
  if (timing.kind === 'cron') {
    return parsed(timing)
      .nextRuns(count, new Date(afterMs))
      .map((date) => date.getTime());
  }
  const step = timing.seconds * 1_000;
  const first = Math.max(1, Math.floor((afterMs - timing.fromMs) / step) + 1);
  return Array.from({ length: count }, (_, index) => timing.fromMs + (first + index) * step);
}

/**
 * The newest times from `fromMs` to `toMs`, both included, ascending; `more` when there are others
 * before them. Years of missed minutes cost no more than `most` of them.
 */
export function newestTimes(
  timing: Timing,
  fromMs: number,
  toMs: number,
  most: number,
): { readonly times: readonly number[]; readonly more: boolean } {
  const found = backwards(timing, toMs, most + 1).filter((atMs) => atMs >= fromMs);
  return { times: found.slice(0, most).toReversed(), more: found.length > most };
}

/** A time as the zone's clock shows it, and what is odd about it. */
export function describeTime(timing: Timing, atMs: number): FireTime {
  const timezone = timing.kind === 'cron' ? timing.timezone : 'UTC';
  const note = timing.kind === 'cron' ? noteOf(timing, atMs) : undefined;
  return {
    at: new Date(atMs).toISOString(),
    local: localText(timezone, atMs),
    ...(note === undefined ? {} : { note }),
  };
}

function backwards(timing: Timing, toMs: number, count: number): number[] {
  if (timing.kind === 'cron') {
    // It leaves out the moment that it starts from, and reads whole seconds.
    return parsed(timing)
      .previousRuns(count, new Date(Math.floor(toMs / 1_000) * 1_000 + 1_000))
      .map((date) => date.getTime())
      .filter((atMs) => atMs <= toMs);
  }
  const step = timing.seconds * 1_000;
  const last = Math.floor((toMs - timing.fromMs) / step);
  return Array.from({ length: Math.max(0, Math.min(count, last)) }, (_, index) => {
    return timing.fromMs + (last - index) * step;
  });
}

/**
 * A list of hours counts as fixed times, as in Vixie cron: 02:30 of `30 2,14 * * *` is not lost on
 * the day on which there is no 02:30, and does not come twice on the day that has two.
 */
function parsed({ cron, timezone }: { cron: string; timezone: string }): Cron {
  return new Cron(cron, { timezone, mode: '5-part', fixedTimeRule: 'no-wildcard' });
}

function checkTimezone(timezone: string): void {
  try {
    offsetMs(timezone, 0);
  } catch {
    const near = suggest(timezone, Intl.supportedValuesOf('timeZone'));
    throw wrong(
      'timezone',
      `${JSON.stringify(timezone)} is no time zone`,
      near === undefined ? 'Name one as in Europe/Berlin, or UTC.' : `Did you mean ${near}?`,
    );
  }
}

/** The library takes dates as well, so the shape is looked at first; then each field by itself. */
function checkExpression(cron: string): void {
  const remedy =
    'Write minute hour day-of-month month day-of-week, as in "0 6 * * 1-5", or @daily.';
  const parts = cron.split(/\s+/);
  const isNickname = /^@[a-z]+$/i.test(cron);
  if (cron.length > longestExpression || (!isNickname && parts.length !== fields.length)) {
    throw wrong('cron', `a cron expression has five fields, got ${JSON.stringify(cron)}`, remedy);
  }
  if (isNickname) return assertParses(cron, `${cron} is no nickname that is known`, remedy);
  for (const [index, name] of fields.entries()) {
    const part = parts[index] ?? '';
    const alone = fields.map((_, at) => (at === index ? part : '*')).join(' ');
    assertParses(alone, `the ${name}, ${JSON.stringify(part)}, can not be read`, remedy);
  }
  assertParses(cron, `${JSON.stringify(cron)} can not be read`, remedy);
}

function assertParses(cron: string, message: string, remedy: string): void {
  try {
    parsed({ cron, timezone: 'UTC' });
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^CronPattern: /, '') : '';
    throw wrong('cron', `${message}: ${why}`, remedy);
  }
}

function wrong(field: string, message: string, remedy?: string): AppError {
  return new AppError('invalid_input', `${field}: ${message}`, {
    details: { field },
    ...(remedy === undefined ? {} : { remedy }),
  });
}

/** The zone's offset from UTC at a moment, milliseconds. */
function offsetMs(timezone: string, atMs: number): number {
  const name = new Intl.DateTimeFormat('en', { timeZone: timezone, timeZoneName: 'longOffset' })
    .formatToParts(atMs)
    .find(({ type }) => type === 'timeZoneName')?.value;
  const [, sign, hours, minutes, seconds] =
    /^GMT([+-])(\d{2}):(\d{2})(?::(\d{2}))?$/.exec(name ?? '') ?? [];
  if (hours === undefined) return 0;
  const ms = Number(hours) * hourMs + Number(minutes) * 60_000 + Number(seconds ?? 0) * 1_000;
  return sign === '-' ? -ms : ms;
}

function localText(timezone: string, atMs: number): string {
  const offset = offsetMs(timezone, atMs);
  return `${wallText(atMs + offset)} ${offsetText(offset)}`;
}

function wallText(wallMs: number): string {
  const iso = new Date(wallMs).toISOString();
  const seconds = iso.slice(16, 19);
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)}${seconds === ':00' ? '' : seconds}`;
}

function offsetText(offset: number): string {
  const minutes = Math.abs(offset) / 60_000;
  const rest = minutes % 60 === 0 ? '' : `:${String(minutes % 60).padStart(2, '0')}`;
  return offset === 0 ? 'UTC' : `UTC${offset < 0 ? '-' : '+'}${Math.floor(minutes / 60)}${rest}`;
}

function noteOf(timing: Timing & { kind: 'cron' }, atMs: number): string | undefined {
  const { timezone } = timing;
  const before = offsetMs(timezone, atMs - 3 * hourMs);
  const after = offsetMs(timezone, atMs + 3 * hourMs);
  if (before === after) return undefined;
  const wall = atMs + offsetMs(timezone, atMs);
  if (after > before) {
    if (parsed(timing).match(new Date(atMs))) return undefined;
    const from = wallText(wall - (after - before)).slice(11);
    return `the clock is put forward from ${from} to ${wallText(wall).slice(11)}: the first time after what is left out`;
  }
  const twice =
    offsetMs(timezone, wall - before) === before && offsetMs(timezone, wall - after) === after;
  if (!twice) return undefined;
  const which = atMs === wall - before ? 'first' : 'second';
  return `the clock is put back and shows ${wallText(wall).slice(11)} twice: this is the ${which} time`;
}
