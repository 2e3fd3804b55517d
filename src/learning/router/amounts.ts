/** Time and money of an agent: log-normal, by what a task has to work on and what like tasks took. */
import type { Estimate, Neighbour, TaskFacts } from '../types.ts';
import { Belief } from './bayes.ts';
import { evidenceOf } from './features.ts';
import { ninety } from './gaussian.ts';

/** always, like tasks against this agent's mean, size of input, files, length of text, complexity. */
const prior = {
  mean: [0, 0.7, 0, 0, 0, 0],
  // The mean of the logarithm is centred by the first outcomes; around that by what is known of it.
  variance: [4, 0.1, 0.05, 0.05, 0.02, 0.05],
  textVariance: 0,
};
/** Before anything is seen a factor of two either way is usual. */
const firstNoise = 0.5;
const noiseStrength = 4;

/** One amount of one agent: milliseconds, or millionths of a dollar. */
export class AmountBelief {
  readonly #belief = new Belief(prior, 0);
  #count = 0;
  #centre = 0;
  #squares = 0;

  get count(): number {
    return this.#count;
  }

  learn(facts: TaskFacts, near: number | undefined, amount: number, weight: number): void {
    const log = Math.log1p(amount);
    if (this.#count === 0) this.#centre = log;
    const features = this.#features(facts, near);
    const { mean, variance } = this.#belief.at(features);
    const value = log - this.#centre;
    // What is left of the surprise once the belief's own uncertainty is taken off it is noise.
    if (this.#count > 0) this.#squares += Math.min(9, (value - mean) ** 2 / (1 + variance));
    this.#belief.learnValue(features, value, this.#noise, weight);
    this.#count += 1;
  }

  /** Undefined while nothing was measured. The mean is the median: half take longer. */
  expected(facts: TaskFacts, near: number | undefined): Estimate | undefined {
    if (this.#count === 0) return undefined;
    const { mean, variance } = this.#belief.at(this.#features(facts, near));
    const deviation = Math.sqrt(variance + this.#noise);
    const at = (z: number): number => Math.expm1(this.#centre + mean + z * deviation);
    return {
      mean: Math.max(0, at(0)),
      low: Math.max(0, at(-ninety)),
      high: Math.max(0, at(ninety)),
    };
  }

  get #noise(): number {
    const seen = Math.max(0, this.#count - 1);
    return (this.#squares + noiseStrength * firstNoise) / (seen + noiseStrength);
  }

  #features({ text, inputBytes, complexity, context }: TaskFacts, near: number | undefined) {
    const files = context?.['files'];
    return {
      text: undefined,
      summary: Float64Array.from([
        1,
        near === undefined ? 0 : near - this.#centre,
        inputBytes === undefined ? 0 : (Math.log1p(inputBytes) - 9) / 2,
        typeof files === 'number' ? Math.log1p(files) - 4 : 0,
        (Math.log1p(text.length) - 5) / 1.5,
        complexity === undefined ? 0 : (complexity - 0.5) * 2,
      ]),
    };
  }
}

/** The mean logarithm of what like tasks took this agent, or undefined where none was measured. */
export function nearLogMs(
  near: readonly Neighbour[],
  weights: readonly number[],
  agent: string,
): number | undefined {
  let sum = 0;
  let total = 0;
  for (const [index, neighbour] of near.entries()) {
    const evidence = evidenceOf(neighbour, agent);
    if (evidence === undefined || evidence.succeeded === 0) continue;
    const weight = weights[index] ?? 0;
    sum += (weight * evidence.logMs) / evidence.succeeded;
    total += weight;
  }
  return total < 0.01 ? undefined : sum / total;
}
