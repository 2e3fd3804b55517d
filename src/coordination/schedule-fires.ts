/** What becomes of the times that have come since a schedule was last looked at: pure. */
import type { MissedPolicy, OverlapPolicy } from './schedule-queries.ts';
import { newestTimes, nextTimes, type Timing } from './schedule-times.ts';

export interface Due {
  readonly timing: Timing;
  /** The first time that nobody has decided on yet. */
  readonly nextMs: number;
  readonly nowMs: number;
  /** No time after that counts. */
  readonly untilMs: number | undefined;
  readonly missed: MissedPolicy;
  readonly overlap: OverlapPolicy;
  /** Whether a run of it goes on, or is about to start. */
  readonly isOpen: boolean;
}

export interface DecidedFire {
  readonly atMs: number;
  readonly status: 'starting' | 'skipped';
  /** Times that it stands for. */
  readonly fires: number;
  /** Why it is skipped. */
  readonly reason: string | undefined;
}

export interface FireDecision {
  /** Ascending. */
  readonly fires: readonly DecidedFire[];
  /** When it fires next; undefined when it is over. */
  readonly nextMs: number | undefined;
}

/**
 * A time is missed when nobody was there for it within a minute, or when a later one has come since.
 * A restart takes less than a minute, and 06:00 is still meant at 06:00:40.
 */
export const toleranceMs = 60_000;
/** Missed times that `all` makes up for: the newest. What is older is skipped, and that is said. */
export const mostMadeUp = 100;

export function decideFires(due: Due): FireDecision {
  const { timing, nowMs, untilMs = Number.POSITIVE_INFINITY } = due;
  const toMs = Math.min(nowMs, untilMs);
  const [following] = nextTimes(timing, nowMs, 1);
  const nextMs = following !== undefined && following <= untilMs ? following : undefined;
  const { times, more } = newestTimes(timing, due.nextMs, toMs, mostMadeUp);
  const last = times.at(-1);
  if (last === undefined) return { fires: [], nextMs };
  const isOnTime = nowMs - last <= toleranceMs;
  const started = new Set(wanted(due.missed, times, isOnTime));
  const skipped = times.filter((atMs) => !started.has(atMs));
  return {
    fires: [
      ...skippedAsOne(skipped, more, due),
      ...overlapping([...started], due.overlap, due.isOpen),
    ].toSorted((a, b) => a.atMs - b.atMs),
    nextMs,
  };
}

function wanted(missed: MissedPolicy, times: readonly number[], isOnTime: boolean): number[] {
  if (missed === 'all') return [...times];
  const last = times.slice(-1);
  return missed === 'once' || isOnTime ? last : [];
}

/** A minute's schedule that was away for a year leaves one row, not half a million. */
function skippedAsOne(
  times: readonly number[],
  more: boolean,
  { missed, nextMs }: Due,
): DecidedFire[] {
  const lastSkipped = times.at(-1);
  if (lastSkipped === undefined && !more) return [];
  // With `all` the ones left out are those before the newest hundred, so the row stands at the first.
  const atMs = lastSkipped ?? nextMs;
  const count = times.length + (more ? 1 : 0);
  const atLeast = more ? 'at least ' : '';
  const since = new Date(nextMs).toISOString();
  const why =
    missed === 'all'
      ? `only the newest ${mostMadeUp} missed times are made up for`
      : missed === 'once'
        ? 'of missed times only the newest is made up for'
        : 'missed times are not made up for';
  return [
    {
      atMs,
      status: 'skipped',
      fires: count,
      reason: `missed ${atLeast}${count} from ${since} on, when nothing was running: ${why}`,
    },
  ];
}

function overlapping(
  times: readonly number[],
  overlap: OverlapPolicy,
  isOpen: boolean,
): DecidedFire[] {
  const last = times.at(-1);
  return times.map((atMs, index) => {
    const isBehind = isOpen || index > 0;
    const reason =
      overlap === 'skip' && isBehind
        ? 'the run before it had not ended'
        : overlap === 'cancel' && atMs !== last
          ? 'a later time took its place'
          : undefined;
    return { atMs, status: reason === undefined ? 'starting' : 'skipped', fires: 1, reason };
  });
}
