/**
 * The states of a circuit breaker and what moves it between them: no I/O, and time as an argument.
 * Closed lets every call through and opens after too many failures; open lets none through; half-open
 * lets a few through and goes by how they end.
 */
export interface BreakerLimits {
  /** So many failures within the window open it. */
  readonly failures: number;
  readonly windowMs: number;
  readonly openMs: number;
  /** Half-open lets so many calls through, and closes when so many have succeeded. */
  readonly trials: number;
  /** A place in half-open is free again after so long unless its worker renews it: that one died. */
  readonly permitMs: number;
  /** Who finds no place in half-open may ask again after so long. */
  readonly askAgainMs: number;
}

export const defaultBreakerLimits: BreakerLimits = {
  failures: 5,
  windowMs: 300_000,
  openMs: 60_000,
  trials: 3,
  permitMs: 30_000,
  askAgainMs: 2_000,
};

/** A call and a moment: of its failure, or of the end of its permit. */
export interface CallTime {
  readonly callId: string;
  readonly atMs: number;
}

export type BreakerState =
  | { readonly name: 'closed'; readonly failures: readonly CallTime[] }
  | { readonly name: 'open'; readonly untilMs: number }
  | {
      readonly name: 'half_open';
      /** Calls let through that have not ended. */
      readonly permits: readonly CallTime[];
      readonly successes: number;
    };

export type BreakerOutcome = 'success' | 'failure' | 'none';

export const closedBreaker: BreakerState = { name: 'closed', failures: [] };

/** Whether a call may go, and the state with it; asking again for the same call takes nothing more. */
export function admitCall(
  state: BreakerState,
  callId: string,
  nowMs: number,
  limits: BreakerLimits,
): { readonly state: BreakerState; readonly admitted: boolean; readonly untilMs?: number } {
  if (state.name === 'closed') return { state, admitted: true };
  if (state.name === 'open') {
    if (nowMs < state.untilMs) return { state, admitted: false, untilMs: state.untilMs };
    return admitCall({ name: 'half_open', permits: [], successes: 0 }, callId, nowMs, limits);
  }
  const permits = state.permits.filter(({ atMs }) => atMs > nowMs);
  const has = permits.some((permit) => permit.callId === callId);
  if (!has && permits.length + state.successes >= limits.trials) {
    const freeMs = Math.min(...permits.map(({ atMs }) => atMs));
    const untilMs = Math.min(freeMs, nowMs + limits.askAgainMs);
    return { state: { ...state, permits }, admitted: false, untilMs };
  }
  if (!has) permits.push({ callId, atMs: nowMs + limits.permitMs });
  return { state: { ...state, permits }, admitted: true };
}

/**
 * The state after a call has ended. Half-open goes by the calls that it let through and no others: one
 * that began before it opened says nothing about how the callee does since. A failure that is told
 * twice counts once.
 */
export function recordCall(
  state: BreakerState,
  callId: string,
  outcome: BreakerOutcome,
  nowMs: number,
  limits: BreakerLimits,
): BreakerState {
  if (state.name === 'open') return state;
  if (state.name === 'closed') {
    if (outcome !== 'failure') return state;
    const failures = state.failures.filter(
      (failure) => failure.atMs > nowMs - limits.windowMs && failure.callId !== callId,
    );
    failures.push({ callId, atMs: nowMs });
    if (failures.length < limits.failures) return { name: 'closed', failures };
    return { name: 'open', untilMs: nowMs + limits.openMs };
  }
  const permits = state.permits.filter(({ atMs }) => atMs > nowMs);
  const others = permits.filter((permit) => permit.callId !== callId);
  if (others.length === permits.length) return { ...state, permits };
  if (outcome === 'failure') return { name: 'open', untilMs: nowMs + limits.openMs };
  const successes = state.successes + (outcome === 'success' ? 1 : 0);
  if (successes >= limits.trials) return closedBreaker;
  return { name: 'half_open', permits: others, successes };
}

/** The state with the permits of these calls made longer; one that has ended meanwhile stays so. */
export function renewPermits(
  state: BreakerState,
  callIds: ReadonlySet<string>,
  nowMs: number,
  limits: BreakerLimits,
): BreakerState {
  if (state.name !== 'half_open') return state;
  const permits = state.permits.map((permit) =>
    callIds.has(permit.callId) && permit.atMs > nowMs
      ? { callId: permit.callId, atMs: nowMs + limits.permitMs }
      : permit,
  );
  return { ...state, permits };
}

/** The state as somebody sees it who asks now: an open one whose time is over would let a call through. */
export function breakerStateAt(state: BreakerState, nowMs: number): BreakerState['name'] {
  return state.name === 'open' && nowMs >= state.untilMs ? 'half_open' : state.name;
}
