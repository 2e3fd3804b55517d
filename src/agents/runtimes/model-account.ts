import type { Invocation } from '../agents.ts';
import type { ModelPrice } from './model-catalog.ts';

/** Tokens of one answer, as its provider counted them. */
export interface StepUsage {
  readonly input: number;
  readonly output: number;
  /** Parts of `input`. */
  readonly cacheRead: number;
  readonly cacheWrite: number;
}

/** Less than this is no answer: a step that may write no more is not begun. */
const leastOutput = 256;

/**
 * More tokens than so many bytes have been seen to be: prose has three to four a token, code and
 * other scripts less. It must not be too few, since a budget is held with it.
 */
const bytesPerToken = 2;

export function estimateTokens(bytes: number): number {
  return Math.ceil(bytes / bytesPerToken);
}

/** What one attempt has used, and what its budget leaves. */
export class ModelAccount {
  readonly #price: ModelPrice | undefined;
  readonly #budget: NonNullable<Invocation['budget']>;
  #tokens = 0;
  #microUsd = 0;
  #isKnown = true;

  constructor(price: ModelPrice | undefined, budget: Invocation['budget']) {
    this.#price = price;
    this.#budget = budget ?? {};
  }

  /** What is known of it for sure. Nothing where an answer was not counted: an unknown is not zero. */
  get usage(): { tokens?: number; microUsd?: number } {
    if (!this.#isKnown) return {};
    const microUsd = this.#price === undefined ? {} : { microUsd: Math.ceil(this.#microUsd) };
    return { tokens: this.#tokens, ...microUsd };
  }

  /** With what was only estimated. */
  get tokens(): number {
    return this.#tokens;
  }

  add(usage: StepUsage): void {
    this.#tokens += usage.input + usage.output;
    if (this.#price !== undefined) this.#microUsd += costOf(this.#price, usage);
  }

  /** An answer that nobody counted: it was cut, or the provider does not say. */
  addUnknown(input: number, outputBytes: number): void {
    this.#isKnown = false;
    this.add({ input, output: estimateTokens(outputBytes), cacheRead: 0, cacheWrite: 0 });
  }

  /**
   * How many tokens the next answer may have when its prompt has `input`: `wanted`, or fewer where the
   * budget leaves fewer. 0 when it leaves too few for any answer; undefined when nothing limits it.
   */
  allowance(input: number, wanted: number | undefined): number | undefined {
    const { tokens = Infinity, microUsd = Infinity } = this.#budget;
    const byTokens = tokens - this.#tokens - input;
    const most = Math.floor(Math.min(byTokens, this.#affordable(microUsd, input)));
    if (most < Math.min(leastOutput, wanted ?? leastOutput)) return 0;
    const allowed = Math.min(most, wanted ?? Infinity);
    return allowed === Infinity ? undefined : allowed;
  }

  /** Tokens of output that the money pays for after the input at its dearest. */
  #affordable(limit: number, input: number): number {
    if (limit === Infinity || this.#price === undefined) return Infinity;
    const price = tierOf(this.#price, input);
    const dearest = Math.max(price.input, price.cacheWrite ?? 0);
    const left = limit - this.#microUsd - input * dearest;
    if (left < 0) return 0;
    return price.output === 0 ? Infinity : left / price.output;
  }
}

/** Millionths of a dollar. */
export function costOf(price: ModelPrice, usage: StepUsage): number {
  const tier = tierOf(price, usage.input);
  const plain = Math.max(0, usage.input - usage.cacheRead - usage.cacheWrite);
  return (
    plain * tier.input +
    usage.cacheRead * (tier.cacheRead ?? tier.input) +
    usage.cacheWrite * (tier.cacheWrite ?? tier.input) +
    usage.output * tier.output
  );
}

function tierOf(price: ModelPrice, input: number): Omit<ModelPrice, 'above'> {
  return price.above !== undefined && input > price.above.tokens ? price.above : price;
}
