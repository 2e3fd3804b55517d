/** Breakers between their rows, their states and what the faces show. */
import type { BreakerChange, BreakerRow } from './breaker-queries.ts';
import {
  breakerStateAt,
  type BreakerLimits,
  type BreakerState,
  type CallTime,
} from './breaker-state.ts';

/** A breaker as it is shown. Times are ISO 8601, by the database's clock. */
export interface BreakerView {
  /** `agent:NAME`, `model:NAME` or `tool:NAME`. */
  readonly key: string;
  readonly state: BreakerState['name'];
  /** Calls that failed within the window; only while it is closed. */
  readonly failures: number;
  /** While it is open: when it lets the first calls through. */
  readonly openUntil?: string;
  /** In half-open: calls under way that were let through, and those that succeeded. */
  readonly trying: number;
  readonly successes: number;
  /** How often it has opened. */
  readonly openings: number;
  readonly lastFailureAt?: string;
  /** The error code of the last failure. */
  readonly lastFailure?: string;
  /** Since when it is closed, open or half-open. */
  readonly changedAt: string;
  readonly resetAt?: string;
  readonly resetBy?: string;
}

export function stateOf(row: BreakerRow): BreakerState {
  const calls = row.calls.map((callId, index) => ({
    callId,
    atMs: row.calls_at[index]?.getTime() ?? 0,
  }));
  if (row.state === 'closed') return { name: 'closed', failures: calls };
  if (row.state === 'open') return { name: 'open', untilMs: row.open_until?.getTime() ?? 0 };
  return { name: 'half_open', permits: calls, successes: row.successes };
}

/** What is to be written of a breaker; nothing when it is as it was. */
export function changesOf(
  row: BreakerRow,
  states: ReadonlyMap<string, BreakerState>,
  failures: ReadonlyMap<string, string | undefined>,
  nowMs: number,
): (BreakerChange & { readonly announced: boolean })[] {
  const state = states.get(row.key);
  if (state === undefined) return [];
  const isFailure = failures.has(row.key);
  const calls = callsOf(state);
  const isSame =
    state.name === row.state &&
    calls.length === row.calls.length &&
    calls.every(({ callId, atMs }, index) => {
      return callId === row.calls[index] && atMs === row.calls_at[index]?.getTime();
    });
  if (isSame && !isFailure) return [];
  return [
    {
      key: row.key,
      state: state.name,
      calls: calls.map(({ callId }) => callId),
      calls_at: calls.map(({ atMs }) => new Date(atMs).toISOString()),
      open_until: state.name === 'open' ? new Date(state.untilMs).toISOString() : null,
      successes: state.name === 'half_open' ? state.successes : 0,
      opened: state.name === 'open' && row.state !== 'open',
      failed_at: isFailure ? new Date(nowMs).toISOString() : null,
      failure_code: failures.get(row.key) ?? null,
      announced: state.name !== row.state,
    },
  ];
}

function callsOf(state: BreakerState): readonly CallTime[] {
  if (state.name === 'closed') return state.failures;
  return state.name === 'half_open' ? state.permits : [];
}

export function viewOf(
  row: BreakerRow & { readonly now: Date },
  limits: BreakerLimits,
): BreakerView {
  const state = stateOf(row);
  const nowMs = row.now.getTime();
  const name = breakerStateAt(state, nowMs);
  const failures =
    state.name === 'closed'
      ? state.failures.filter(({ atMs }) => atMs > nowMs - limits.windowMs).length
      : 0;
  const trying =
    state.name === 'half_open' ? state.permits.filter(({ atMs }) => atMs > nowMs).length : 0;
  return {
    key: row.key,
    state: name,
    failures,
    ...(name === 'open' && row.open_until !== null
      ? { openUntil: row.open_until.toISOString() }
      : {}),
    trying,
    successes: row.successes,
    openings: Number(row.openings),
    ...(row.last_failure_at === null ? {} : { lastFailureAt: row.last_failure_at.toISOString() }),
    ...(row.last_failure_code === null ? {} : { lastFailure: row.last_failure_code }),
    changedAt: row.changed_at.toISOString(),
    ...(row.reset_at === null ? {} : { resetAt: row.reset_at.toISOString() }),
    ...(row.reset_by === null ? {} : { resetBy: row.reset_by }),
  };
}
