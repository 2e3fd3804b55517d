/** The router's memory: what is believed of every agent, from its outcomes one by one. */
import type {
  Candidate,
  Estimate,
  Neighbour,
  OutcomeResult,
  Prospect,
  RouteMode,
  RouteRequest,
  TaskFacts,
} from '../types.ts';
import { embeddingLength } from '../types.ts';
import { AmountBelief, nearLogMs } from './amounts.ts';
import { Belief, type Features } from './bayes.ts';
import {
  faded,
  ignorance,
  ratesOf,
  summaryOf,
  taskSummary,
  weighNear,
  type NearWeights,
  type Rates,
  type Tally,
} from './features.ts';
import { logistic, logisticMean, ninety } from './gaussian.ts';
import type { PolicyParameters } from './policy.ts';
import { propensities } from './propensities.ts';

/** An outcome as the model learns it, with the neighbours as they were before it. */
export interface LearnedRow {
  readonly facts: TaskFacts;
  readonly vector: Float32Array;
  readonly near: readonly Neighbour[];
  readonly agent: string;
  readonly result: OutcomeResult;
  /** Not so for a failure that says nothing of the agent. */
  readonly isOwnFault?: boolean;
  readonly ms?: number;
  readonly microUsd?: number;
  /** Above 0, up to 1: reports from outside count for less. */
  readonly weight?: number;
}

export interface ProspectOptions {
  readonly mode: RouteMode;
  readonly worth?: RouteRequest['worth'];
  readonly partners?: readonly string[];
}

/** A prospect with all that it was made of, for explanations. */
export interface View {
  readonly prospect: Prospect;
  readonly candidate: Candidate;
  readonly rates: Rates;
  readonly features: Features;
  readonly belief: Belief;
  /** How much nearer the text is to this definition than to the middle one. */
  readonly lean: number;
  /** What feedback and partners add to the score, and what money and time take off it. */
  readonly added: {
    readonly feedback: number;
    readonly synergy: number;
    readonly usd: number;
    readonly minutes: number;
  };
}

/** What was said of an outcome before it was learned. */
export interface Expected {
  readonly success: Estimate;
  readonly features: Features;
}

interface Known {
  readonly belief: Belief;
  readonly tally: Tally;
  readonly types: Map<string, Tally>;
  readonly ms: AmountBelief;
  readonly microUsd: AmountBelief;
}

/** How a synergy from −1 to 1 counts in the score: a pair that always helps is worth as much as 20 % of success. */
const synergyWorth = 0.2;

/** Holds no text and reaches no database: all that it needs is given to it. */
export class RouterModel {
  readonly policy: PolicyParameters;
  readonly #agents = new Map<string, Known>();
  readonly #fleet: Tally = { tried: 0, succeeded: 0 };
  readonly #profiles = new Map<string, Float32Array>();
  #feedback: ReadonlyMap<string, number> = new Map();
  #synergies: ReadonlyMap<string, number> = new Map();

  constructor(policy: PolicyParameters) {
    this.policy = policy;
  }

  /** Whether the vector of this definition's words is known. */
  knows({ hash }: Candidate): boolean {
    return this.#profiles.has(hash);
  }

  /** Tells the vector of a definition's words. */
  introduce({ hash }: Candidate, vector: Float32Array): void {
    this.#profiles.set(hash, vector);
  }

  /** What ratings add to each agent's score, −0.1 to 0.1. */
  rate(effects: ReadonlyMap<string, number>): void {
    this.#feedback = effects;
  }

  /** Synergies by the two names, sorted and joined by a space. */
  pair(synergies: ReadonlyMap<string, number>): void {
    this.#synergies = synergies;
  }

  /** Outcomes of before that are not learned one by one: counts alone. */
  count(agent: string, type: string, { tried, succeeded }: Readonly<Tally>): void {
    const known = this.#known(agent);
    for (const tally of [this.#fleet, known.tally, typeOf(known, type)]) {
      tally.tried += tried;
      tally.succeeded += succeeded;
    }
  }

  /**
   * Learns one outcome, and says what was expected of it before. Cancelled ones, and failures that are not
   * the agent's, say nothing and are passed over.
   */
  learn(row: LearnedRow): Expected | undefined {
    const { facts, vector, near, agent, result, isOwnFault = true, weight = 1 } = row;
    if (result === 'cancelled' || (result === 'failed' && !isOwnFault)) return undefined;
    const known = this.#known(agent);
    const weights = weighNear(near, this.policy);
    const rates = this.#rates(agent, facts.type, near, weights);
    // Rivals are not known here, so what the definition says explains nothing of an outcome.
    const summary = summaryOf(rates, 0, taskSummary(facts));
    const happened = result === 'succeeded' ? 1 : 0;
    const features: Features = { summary, text: vector };
    const success = this.success({ belief: known.belief, features, rates });
    known.belief.learnEvent(features, happened, weight);
    if (happened === 1 && row.ms !== undefined) {
      known.ms.learn(facts, nearLogMs(near, weights.like, agent), row.ms, weight);
    }
    if (row.microUsd !== undefined) known.microUsd.learn(facts, undefined, row.microUsd, weight);
    this.count(agent, facts.type, { tried: weight, succeeded: weight * happened });
    return { success, features };
  }

  /** Best first by score, whatever their propensities. */
  prospects(
    task: TaskFacts,
    vector: Float32Array,
    near: readonly Neighbour[],
    candidates: readonly Candidate[],
    options: ProspectOptions,
  ): Prospect[] {
    return this.views(task, vector, near, candidates, options).map(({ prospect }) => prospect);
  }

  views(
    task: TaskFacts,
    vector: Float32Array,
    near: readonly Neighbour[],
    candidates: readonly Candidate[],
    options: ProspectOptions,
  ): View[] {
    const weights = weighNear(near, this.policy);
    const own = taskSummary(task);
    const lean = this.#leanings(vector, candidates);
    const drafts = candidates.map((candidate, index) =>
      this.#draft({ candidate, task, vector, near, weights, own, lean: lean[index] ?? 0 }),
    );
    const worth = { ...this.policy.worth, ...options.worth };
    const usual = { ms: middle(drafts, 'ms'), microUsd: middle(drafts, 'microUsd') };
    const scored = drafts.map((draft) => {
      const { name } = draft.candidate;
      const added = {
        feedback: this.#feedback.get(name) ?? 0,
        synergy: this.#synergy(name, options.partners ?? []),
        // What nobody has measured counts as what is usual among the others: neither praised nor punished.
        usd: (-worth.perUsd * (draft.expected.microUsd?.mean ?? usual.microUsd)) / 1e6,
        minutes: (-worth.perMinute * (draft.expected.ms?.mean ?? usual.ms)) / 60_000,
      };
      const score = draft.success.mean + added.feedback + added.synergy + added.usd + added.minutes;
      return { draft, added, score };
    });
    const shares = propensities(
      scored.map(({ draft, score }) => ({
        ...draft.odds,
        added: score - draft.success.mean,
      })),
      scored.map(({ score }) => score),
      options.mode,
    );
    return scored
      .map(({ draft, added, score }, index): View => {
        const { candidate, rates, features, belief, lean: leaning, success, expected } = draft;
        const prospect: Prospect = {
          agent: candidate.name,
          score,
          success,
          evidence: Math.max(rates.triedSame, rates.triedType),
          expected,
          propensity: shares[index] ?? 0,
        };
        return { prospect, candidate, rates, features, belief, lean: leaning, added };
      })
      .toSorted((a, b) => b.prospect.score - a.prospect.score);
  }

  /** The stated probability at these features under a belief: calibrated, with its 90 % interval. */
  success({ belief, features, rates }: Pick<View, 'belief' | 'features' | 'rates'>): Estimate {
    const { mean, variance } = belief.at(features);
    const unknown = ignorance(rates, this.policy);
    return this.#stated(mean, variance + unknown.type + unknown.text);
  }

  #draft(of: {
    readonly candidate: Candidate;
    readonly task: TaskFacts;
    readonly vector: Float32Array;
    readonly near: readonly Neighbour[];
    readonly weights: NearWeights;
    readonly own: readonly number[];
    readonly lean: number;
  }) {
    const { candidate, task, vector, near, weights, own, lean } = of;
    const { name } = candidate;
    const known = this.#known(name);
    const rates = this.#rates(name, task.type, near, weights);
    const features: Features = {
      summary: summaryOf(rates, lean * faded(rates, this.policy), own),
      text: vector,
    };
    const { mean, variance } = known.belief.at(features);
    const unknown = ignorance(rates, this.policy);
    const success = this.#stated(mean, variance + unknown.type + unknown.text);
    const ms = known.ms.expected(task, nearLogMs(near, weights.like, name));
    const microUsd = known.microUsd.expected(task, undefined);
    const curious = variance + unknown.type + this.policy.curiosity * unknown.text;
    return {
      candidate,
      rates,
      features,
      belief: known.belief,
      lean,
      success,
      odds: this.#calibrated(mean, curious),
      expected: {
        ...(ms === undefined ? {} : { ms }),
        ...(microUsd === undefined ? {} : { microUsd }),
      },
    };
  }

  #stated(mean: number, variance: number): Estimate {
    const odds = this.#calibrated(mean, variance);
    return {
      mean: logisticMean(odds.mean, odds.deviation ** 2),
      low: logistic(odds.mean - ninety * odds.deviation),
      high: logistic(odds.mean + ninety * odds.deviation),
    };
  }

  #calibrated(mean: number, variance: number): { mean: number; deviation: number } {
    const { slope, offset } = this.policy.calibration;
    return { mean: slope * mean + offset, deviation: Math.abs(slope) * Math.sqrt(variance) };
  }

  #rates(agent: string, type: string, near: readonly Neighbour[], weights: NearWeights): Rates {
    const known = this.#agents.get(agent);
    const own = known?.types.get(type);
    return ratesOf(
      {
        fleet: this.#fleet,
        ...(known === undefined ? {} : { agent: known.tally }),
        ...(own === undefined ? {} : { type: own }),
      },
      agent,
      near,
      weights,
      this.policy,
    );
  }

  /** How much nearer the text is to each definition than to the middle one of them. */
  #leanings(vector: Float32Array, candidates: readonly Candidate[]): number[] {
    const cosines = candidates.map(({ hash }) => {
      const profile = this.#profiles.get(hash);
      return profile === undefined ? undefined : dot(vector, profile);
    });
    const known = cosines.filter((each) => each !== undefined).toSorted((a, b) => a - b);
    const typical = known[Math.floor((known.length - 1) / 2)] ?? 0;
    return cosines.map((each) => (each === undefined ? 0 : each - typical));
  }

  #synergy(agent: string, partners: readonly string[]): number {
    if (partners.length === 0) return 0;
    const sum = partners.reduce(
      (total, partner) => total + (this.#synergies.get(pairOf(agent, partner)) ?? 0),
      0,
    );
    return (synergyWorth * sum) / partners.length;
  }

  #known(agent: string): Known {
    const known = this.#agents.get(agent);
    if (known !== undefined) return known;
    const made: Known = {
      belief: new Belief(this.policy.prior, embeddingLength),
      tally: { tried: 0, succeeded: 0 },
      types: new Map(),
      ms: new AmountBelief(),
      microUsd: new AmountBelief(),
    };
    this.#agents.set(agent, made);
    return made;
  }
}

/** The two names, sorted: under what a synergy is kept. */
export function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

function typeOf({ types }: Known, type: string): Tally {
  const tally = types.get(type) ?? { tried: 0, succeeded: 0 };
  types.set(type, tally);
  return tally;
}

function middle(
  drafts: readonly { readonly expected: Prospect['expected'] }[],
  what: 'ms' | 'microUsd',
): number {
  const known = drafts
    .flatMap(({ expected }) => (expected[what] === undefined ? [] : [expected[what].mean]))
    .toSorted((a, b) => a - b);
  return known[Math.floor(known.length / 2)] ?? 0;
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index += 1) sum += (a[index] ?? 0) * (b[index] ?? 0);
  return sum;
}
