import { v7, validate, version } from 'uuid';
import type { Clock } from './clock.ts';

/** A new UUIDv7 (RFC 9562): sorts by creation time, so run tables can be partitioned by their key. */
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

/** The smallest UUIDv7 of a moment: a boundary for ranges over ids. */
export function lowestIdAt(timeMs: number): string {
  const hex = Math.trunc(timeMs).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}
