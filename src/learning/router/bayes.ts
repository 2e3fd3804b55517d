/**
 * Bayesian regression that learns one outcome at a time. The weights of a few summary features have a full
 * covariance; those of the text's 256 components a diagonal one, so that an update and a prediction cost
 * hundreds of operations, not 65,000.
 */
import { logistic } from './gaussian.ts';

/** What the weights are believed to be before anything is seen. */
export interface Prior {
  readonly mean: readonly number[];
  readonly variance: readonly number[];
  /** Of each weight of the text's components; their mean is 0. */
  readonly textVariance: number;
}

/** One agent's features for one task. */
export interface Features {
  readonly summary: Float64Array;
  /** Of unit length, or undefined where no text is known. */
  readonly text: Float32Array | undefined;
}

/** A normal belief about the weights of a linear function of the features. */
export class Belief {
  readonly #mean: Float64Array;
  /** Row by row. */
  readonly #covariance: Float64Array;
  readonly #textMean: Float64Array;
  readonly #textVariance: Float64Array;
  readonly #size: number;
  /** Covariance times features: kept between calls, since both a prediction and its update need it. */
  readonly #gain: Float64Array;

  constructor(prior: Prior, textLength: number) {
    this.#size = prior.mean.length;
    this.#mean = Float64Array.from(prior.mean);
    this.#covariance = new Float64Array(this.#size * this.#size);
    for (const [index, variance] of prior.variance.entries()) {
      this.#covariance[index * this.#size + index] = variance;
    }
    this.#textMean = new Float64Array(textLength);
    this.#textVariance = new Float64Array(textLength).fill(prior.textVariance);
    this.#gain = new Float64Array(this.#size);
  }

  /** A belief of its own that starts with this one's. */
  copy(): Belief {
    const prior = { mean: Array.from(this.#mean), variance: [], textVariance: 0 };
    const copy = new Belief(prior, this.#textMean.length);
    copy.#covariance.set(this.#covariance);
    copy.#textMean.set(this.#textMean);
    copy.#textVariance.set(this.#textVariance);
    return copy;
  }

  /** What the function is believed to be at these features. */
  at({ summary, text }: Features): { mean: number; variance: number } {
    const gain = this.#gainOf(summary);
    let mean = dot(this.#mean, summary);
    let variance = dot(gain, summary);
    if (text !== undefined) {
      // Indexed: an iterator over 256 numbers made a choice among eighty take four times as long.
      for (let index = 0; index < text.length; index += 1) {
        const value = text[index] ?? 0;
        mean += (this.#textMean[index] ?? 0) * value;
        variance += (this.#textVariance[index] ?? 0) * value * value;
      }
    }
    return { mean, variance: Math.max(0, variance) };
  }

  /** What each summary feature is believed to be worth. */
  get weights(): number[] {
    return Array.from(this.#mean);
  }

  /** How much each summary feature, and the text as the last, adds to the mean. */
  parts({ summary, text }: Features): number[] {
    const parts = Array.from(summary, (value, index) => value * (this.#mean[index] ?? 0));
    return [...parts, text === undefined ? 0 : dot(this.#textMean, text)];
  }

  /**
   * Learns that the event happened (1) or not (0) where its log-odds are the function: the normal
   * distribution around the new most probable weights (Laplace's approximation, Spiegelhalter & Lauritzen
   * 1990). `weight` below 1 counts it for less. `offset` is added to the function.
   */
  learnEvent(features: Features, happened: 0 | 1, weight = 1): void {
    const { mean, variance } = this.at(features);
    let z = mean;
    // The new value of the function solves z = mean + variance · weight · (y − σ(z)): Newton, few steps.
    for (let step = 0; step < 8; step += 1) {
      const p = logistic(z);
      const error = z - mean - variance * weight * (happened - p);
      const slope = 1 + variance * weight * p * (1 - p);
      const next = z - error / slope;
      const isDone = Math.abs(next - z) < 1e-9;
      z = next;
      if (isDone) break;
    }
    const p = logistic(z);
    this.#shift(features, variance, weight * (happened - p), weight * p * (1 - p));
  }

  /** Learns a value of the function that was measured with this variance (Kalman 1960). */
  learnValue(features: Features, value: number, noise: number, weight = 1): void {
    const { mean, variance } = this.at(features);
    const precision = weight / noise;
    const shift = (precision * (value - mean)) / (1 + precision * variance);
    this.#shift(features, variance, shift, precision);
  }

  /** Moves the weights along covariance · features and narrows them by the information that came. */
  #shift({ summary, text }: Features, variance: number, shift: number, information: number): void {
    const gain = this.#gainOf(summary);
    const shrink = information / (1 + information * variance);
    for (const [row, own] of gain.entries()) {
      this.#mean[row] = (this.#mean[row] ?? 0) + own * shift;
      for (const [column, other] of gain.entries()) {
        const at = row * this.#size + column;
        this.#covariance[at] = (this.#covariance[at] ?? 0) - own * other * shrink;
      }
    }
    if (text === undefined) return;
    for (let index = 0; index < text.length; index += 1) {
      const value = text[index] ?? 0;
      const own = (this.#textVariance[index] ?? 0) * value;
      this.#textMean[index] = (this.#textMean[index] ?? 0) + own * shift;
      this.#textVariance[index] = (this.#textVariance[index] ?? 0) - own * own * shrink;
    }
  }

  #gainOf(summary: Float64Array): Float64Array {
    for (let row = 0; row < this.#size; row += 1) {
      let sum = 0;
      for (let column = 0; column < this.#size; column += 1) {
        sum += (this.#covariance[row * this.#size + column] ?? 0) * (summary[column] ?? 0);
      }
      this.#gain[row] = sum;
    }
    return this.#gain;
  }
}

function dot(a: Float64Array, b: Float64Array | Float32Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index += 1) sum += (a[index] ?? 0) * (b[index] ?? 0);
  return sum;
}
