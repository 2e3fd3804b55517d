/** How probable it is that each of several uncertain choices is the best, and the choice by that. */
import type { RouteMode } from '../types.ts';
import { normalCdf } from './gaussian.ts';

/** What a choice is worth: σ(z) + added, where z is normal. A probability of success stays below 1. */
export interface Believed {
  /** The log-odds of success. */
  readonly mean: number;
  readonly deviation: number;
  /** What is certain: ratings, partners, less money and time. */
  readonly added: number;
}

/** Twice as many points move no probability by more than 0.005, and cost half a millisecond with eighty. */
const gridSize = 64;
/** Below this a candidate is not tried: an outcome that counts 1,000-fold says nothing of a policy. */
const leastPropensity = 0.001;
/** In exploration: how much wider beliefs are taken, and the share that is given to all alike. */
const explorationWidth = 2;
const explorationShare = 0.2;

/**
 * With which probability each is chosen; the sum is 1. `exploitation`: the best score alone (equal ones
 * share). `balanced`: as probable as it is the best, which is Thompson sampling (Thompson 1933) with its
 * probabilities written out. `exploration`: the same with wider beliefs, and a share for all.
 */
export function propensities(
  values: readonly Believed[],
  scores: readonly number[],
  mode: RouteMode,
): number[] {
  if (mode === 'exploitation') return bestOnly(scores);
  const width = mode === 'exploration' ? explorationWidth : 1;
  const best = probabilitiesOfBest(
    values.map((value) => ({ ...value, deviation: value.deviation * width })),
  );
  const share = mode === 'exploration' ? explorationShare : 0;
  const mixed = best.map((each) => (1 - share) * each + share / values.length);
  const held = mixed.map((each) => (each < leastPropensity ? 0 : each));
  const sum = held.reduce((a, b) => a + b, 0);
  return held.map((each) => each / sum);
}

function bestOnly(scores: readonly number[]): number[] {
  const most = Math.max(...scores);
  const count = scores.filter((score) => score === most).length;
  return scores.map((score) => (score === most ? 1 / count : 0));
}

/**
 * P(i is the best) = ∫ Πⱼ≠ᵢ Fⱼ(x) dFᵢ(x) for independent values, on one grid for all: the product of F is
 * shared, so that eighty candidates cost 10,000 steps and not 800,000.
 */
export function probabilitiesOfBest(values: readonly Believed[]): number[] {
  const count = values.length;
  if (count === 1) return [1];
  const ends = values.map(({ mean, deviation, added }) => ({
    low: 1 / (1 + Math.exp(4 * deviation - mean)) + added,
    high: 1 / (1 + Math.exp(-4 * deviation - mean)) + added,
  }));
  const low = Math.max(...ends.map((end) => end.low));
  // Who can't reach the lower end of the one that has the highest is never the best.
  const open = ends.flatMap(({ high }, index) => (high > low ? [index] : []));
  if (open.length <= 1) {
    const only = ends.findIndex((end) => end.low === low);
    return values.map((_, index) => (index === only ? 1 : 0));
  }
  const high = Math.max(...open.map((index) => ends[index]?.high ?? low));
  const step = (high - low) / gridSize;
  const sums = new Float64Array(count);
  const before = new Float64Array(open.length);
  const now = new Float64Array(open.length);
  const middles = new Float64Array(open.length);
  for (let point = 0; point <= gridSize; point += 1) {
    const x = low + point * step;
    let product = 1;
    for (let at = 0; at < open.length; at += 1) {
      const value = values[open[at] ?? 0];
      const own = value === undefined ? 0 : chanceBelow(value, x);
      now[at] = own;
      // In the middle of the step, where its share of the density stands.
      const middle = (own + (point === 0 ? own : (before[at] ?? 0))) / 2;
      middles[at] = middle;
      product *= middle;
    }
    for (let at = 0; at < open.length; at += 1) {
      // What lies below the grid lies in its first point.
      const mass = (now[at] ?? 0) - (point === 0 ? 0 : (before[at] ?? 0));
      const index = open[at] ?? 0;
      // Where the product is too small for a number, nothing that counts is lost.
      if (mass > 0) sums[index] = (sums[index] ?? 0) + (mass * product) / (middles[at] ?? 1);
      before[at] = now[at] ?? 0;
    }
  }
  const sum = sums.reduce((a, b) => a + b, 0);
  return Array.from(sums, (each) => each / sum);
}

/** P(σ(z) + added ≤ x). */
function chanceBelow({ mean, deviation, added }: Believed, x: number): number {
  const p = x - added;
  if (p <= 0) return 0;
  if (p >= 1) return 1;
  return normalCdf((Math.log(p / (1 - p)) - mean) / Math.max(deviation, 1e-6));
}

/** The index that a number from 0 up to 1 falls on. */
export function drawn(shares: readonly number[], draw: number): number {
  let left = draw;
  for (const [index, share] of shares.entries()) {
    left -= share;
    if (left < 0 && share > 0) return index;
  }
  return shares.findLastIndex((share) => share > 0);
}
