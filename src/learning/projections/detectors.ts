/**
 * Whether an agent does otherwise than before: slower or faster, failing more or less. Pure: a state
 * that fits into JSON, one observation after the other.
 *
 * Time: each logarithm is held against the mean and deviation of those before it (Welford 1962), as a
 * normal score of Student's distribution, so that scores are standard normal from the first one on
 * (a self-starting chart: Hawkins 1987; the transform: Wallace 1959). More than 2 σ off is an anomaly;
 * a two-sided tabular CUSUM of the scores (Page 1954; Montgomery, Introduction to Statistical Quality
 * Control, chapter 9; k = 0.5, h = 5) finds drifts: one false alarm in 465 observations, 10.4 of them
 * until a shift by 1 σ is found.
 *
 * Success: the same of log-likelihood ratios (Reynolds & Stoumbos 1999) for odds of failure that have
 * tripled, or are a third (as Steiner et al. 2000 do for doubled ones: between agents that fail once in
 * twenty, only larger changes matter, and those are found sooner so). With the limit ln 1000 there
 * are at least 1,000 outcomes between two false alarms (Lorden 1971) of a rate that is known.
 */
import { wilson, z95, type Interval } from './intervals.ts';

/** Below that nothing is said of an agent. */
export const leastObservations = 20;
const slackSigmas = 0.5;
export const timeLimitSigmas = 5;
export const successLimit = Math.log(1_000);
const oddsRatio = 3;
const anomalySigmas = 2;
/** Times that always agree would make any other one an anomaly: 5 % off is nothing to tell of. */
const leastDeviation = 0.05;
/** Of a rate that is estimated: what 20 outcomes without a failure can not tell from 0. */
const leastFailureRate = 0.01;
/** An agent that fails less has nothing to recover from. */
const leastToRecoverFrom = 0.05;
const keptFlags = 100;
const keptDrifts = 4;

/** One sum of a CUSUM, and what it was made of since it was last 0: where the drift began. */
export interface Side {
  readonly value: number;
  readonly n: number;
  readonly sum: number;
  readonly sinceMs: number;
}

export interface DetectorState {
  /** Logarithms of the times of successes, in ms, since the last drift. */
  readonly time: { n: number; mean: number; squares: number; slower: Side; faster: Side };
  readonly success: { succeeded: number; failed: number; failing: Side; recovering: Side };
  /** The last ones that were held against others, oldest first: `1` is an anomaly. */
  readonly flags: string;
  /** Newest last. */
  readonly drifts: readonly Drift[];
}

export type DriftKind = 'slower' | 'faster' | 'failing' | 'recovering';

export interface Drift {
  readonly kind: DriftKind;
  /** When it began, as far as the sums show, and when that was seen. */
  readonly sinceMs: number;
  readonly foundAtMs: number;
  /** Geometric mean of the times in ms, or the success rate; of so many outcomes. */
  readonly before: number;
  readonly beforeOutcomes: number;
  readonly after: number;
  readonly afterOutcomes: number;
  /** Holds what `after` estimates with a probability of 95 %. */
  readonly interval: Interval;
}

export interface Observation {
  readonly atMs: number;
  readonly succeeded: boolean;
  readonly ms: number;
}

const zero: Side = { value: 0, n: 0, sum: 0, sinceMs: 0 };

export function newDetectors(): DetectorState {
  return {
    time: { n: 0, mean: 0, squares: 0, slower: zero, faster: zero },
    success: { succeeded: 0, failed: 0, failing: zero, recovering: zero },
    flags: '',
    drifts: [],
  };
}

/** The state after one more outcome, which is the agent's own. A drift that is found begins its part anew. */
export function observe(state: DetectorState, observation: Observation): DetectorState {
  const success = observeSuccess(state.success, observation);
  const found = success.drift === undefined ? [] : [success.drift];
  if (!observation.succeeded)
    return { ...state, success: success.state, drifts: keep(state, found) };
  const time = observeTime(state.time, observation);
  if (time.drift !== undefined) found.push(time.drift);
  const flag = time.isAnomaly === undefined ? '' : time.isAnomaly ? '1' : '0';
  return {
    time: time.state,
    success: success.state,
    flags: `${state.flags}${flag}`.slice(-keptFlags),
    drifts: keep(state, found),
  };
}

/** Share of anomalies among the last hundred that could be judged; undefined for fewer than 20. */
export function anomalyRate({ flags }: DetectorState): number | undefined {
  if (flags.length < leastObservations) return undefined;
  return flags.replaceAll('0', '').length / flags.length;
}

function keep(state: DetectorState, found: readonly Drift[]): readonly Drift[] {
  return found.length === 0 ? state.drifts : [...state.drifts, ...found].slice(-keptDrifts);
}

/** Adds a step to a sum that never falls below 0; `what` is summed up while it stands above. */
export function addTo(side: Side, step: number, what: number, atMs: number): Side {
  const value = side.value + step;
  if (value <= 0) return zero;
  return {
    value,
    n: side.n + 1,
    sum: side.sum + what,
    sinceMs: side.n === 0 ? atMs : side.sinceMs,
  };
}

/** Both sums of the tabular CUSUM after one more score. */
export function stepCusum(
  up: Side,
  down: Side,
  score: number,
  what: number,
  atMs: number,
): { readonly up: Side; readonly down: Side } {
  return {
    up: addTo(up, score - slackSigmas, what, atMs),
    down: addTo(down, -score - slackSigmas, what, atMs),
  };
}

/** What one outcome speaks for odds of failure that are `ratio` times those of `rate`. */
export function likelihoodStep(failed: boolean, rate: number, ratio: number): number {
  const odds = (ratio * rate) / (1 - rate);
  const other = odds / (1 + odds);
  return failed ? Math.log(other / rate) : Math.log((1 - other) / (1 - rate));
}

interface Observed<State> {
  readonly state: State;
  readonly drift?: Drift;
  readonly isAnomaly?: boolean;
}

type TimeState = DetectorState['time'];

function observeTime(state: TimeState, { atMs, ms }: Observation): Observed<TimeState> {
  const log = Math.log(Math.max(1, ms));
  const n = state.n + 1;
  const mean = state.mean + (log - state.mean) / n;
  const squares = state.squares + (log - state.mean) * (log - mean);
  if (state.n < leastObservations) return { state: { ...state, n, mean, squares } };
  const score = normalScore(state, log);
  const isAnomaly = Math.abs(score) > anomalySigmas;
  const { up, down } = stepCusum(state.slower, state.faster, score, log, atMs);
  const over = up.value > timeLimitSigmas ? up : down.value > timeLimitSigmas ? down : undefined;
  if (over === undefined) {
    return { state: { n, mean, squares, slower: up, faster: down }, isAnomaly };
  }
  const beforeN = Math.max(1, n - over.n);
  const before = (n * mean - over.sum) / beforeN;
  const after = over.sum / over.n;
  const half = (z95 * deviationOf(state)) / Math.sqrt(over.n);
  const drift: Drift = {
    kind: over === up ? 'slower' : 'faster',
    sinceMs: over.sinceMs,
    foundAtMs: atMs,
    before: Math.exp(before),
    beforeOutcomes: beforeN,
    after: Math.exp(after),
    afterOutcomes: over.n,
    interval: { low: Math.exp(after - half), high: Math.exp(after + half) },
  };
  return { state: newDetectors().time, drift, isAnomaly };
}

function deviationOf({ n, squares }: TimeState): number {
  return Math.max(leastDeviation, Math.sqrt(squares / (n - 1)));
}

/** Standard normal while nothing has changed: Student's t of a new observation, transformed. */
function normalScore(state: TimeState, log: number): number {
  const { n, mean } = state;
  const t = ((log - mean) / deviationOf(state)) * Math.sqrt(n / (n + 1));
  const freedom = n - 1;
  const shape = (8 * freedom + 1) / (8 * freedom + 3);
  return Math.sign(t) * shape * Math.sqrt(freedom * Math.log1p((t * t) / freedom));
}

type SuccessState = DetectorState['success'];

function observeSuccess(
  state: SuccessState,
  { atMs, succeeded }: Observation,
): Observed<SuccessState> {
  const counted = {
    succeeded: state.succeeded + (succeeded ? 1 : 0),
    failed: state.failed + (succeeded ? 0 : 1),
  };
  const tried = state.succeeded + state.failed;
  if (tried < leastObservations) return { state: { ...state, ...counted } };
  const estimate = (state.failed + 0.5) / (tried + 1);
  const rate = Math.min(1 - leastFailureRate, Math.max(leastFailureRate, estimate));
  const what = succeeded ? 1 : 0;
  const worse = likelihoodStep(!succeeded, rate, oddsRatio);
  const better = likelihoodStep(!succeeded, rate, 1 / oddsRatio);
  const failing = addTo(state.failing, worse, what, atMs);
  const recovering =
    estimate < leastToRecoverFrom ? zero : addTo(state.recovering, better, what, atMs);
  const over =
    failing.value > successLimit
      ? failing
      : recovering.value > successLimit
        ? recovering
        : undefined;
  if (over === undefined) return { state: { ...counted, failing, recovering } };
  const beforeOutcomes = Math.max(1, tried + 1 - over.n);
  const drift: Drift = {
    kind: over === failing ? 'failing' : 'recovering',
    sinceMs: over.sinceMs,
    foundAtMs: atMs,
    before: (counted.succeeded - over.sum) / beforeOutcomes,
    beforeOutcomes,
    after: over.sum / over.n,
    afterOutcomes: over.n,
    interval: wilson(over.sum, over.n),
  };
  return { state: newDetectors().success, drift };
}
