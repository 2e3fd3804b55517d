import { v7, validate, version } from 'uuid';
import type { Clock } from './clock.ts';

/**
 * A new UUIDv7 (RFC 9562): sorts by creation time, so run tables can be partitioned by their key.
 * Ids of one process are in order even within a millisecond, unless a clock is given.
 */
export function newId(clock?: Clock): string {
  return clock === undefined ? v7() : v7({ msecs: clock.nowMs() });
}

/** Whether the text is a UUIDv7 in its usual lower- or upper-case form. */
export function isId(text: string): boolean {
  return validate(text) && version(text) === 7;
}

/** The creation time held in a UUIDv7, milliseconds since 1970. */
export function idTimeMs(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** The last millisecond that 48 bits hold, in the year 10889. */
const lastTimeMs = 2 ** 48 - 1;

/**
 * The smallest UUIDv7 of a moment: a boundary for ranges over ids. A time before 1970 or past the
 * last that an id can hold gives the boundary nearest to it.
 */
export function lowestIdAt(timeMs: number): string {
  const inRange = Math.min(lastTimeMs, Math.max(0, Math.trunc(timeMs)));
  const hex = inRange.toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}
