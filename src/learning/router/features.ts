/** What is known of an agent for a task, as numbers that a belief can weigh. */
import type { Evidence, Neighbour, TaskFacts } from '../types.ts';
import { logit } from './gaussian.ts';
import type { PolicyParameters } from './policy.ts';

/** How often something was tried and how often it succeeded; fractions where outcomes count for less. */
export interface Tally {
  tried: number;
  succeeded: number;
}

/** Rates from the general to the particular, each drawn towards the one before. */
export interface Rates {
  readonly agent: number;
  readonly type: number;
  /** Of almost the same tasks. */
  readonly same: number;
  /** Of the nearest tasks, however far they are. */
  readonly like: number;
  /** How many outcomes stand behind the agent's rate with the type, and with almost the same tasks. */
  readonly triedType: number;
  readonly triedSame: number;
  readonly triedLike: number;
}

const nothing: Readonly<Tally> = { tried: 0, succeeded: 0 };
/** One text that was tried a thousand times must not outweigh all its neighbours a hundredfold. */
const mostOfOneText = 50;

/** Weights of neighbours for the rates `same` and `like`; equal for all candidates, so counted once. */
export interface NearWeights {
  readonly same: readonly number[];
  readonly like: readonly number[];
}

export function weighNear(near: readonly Neighbour[], { reach }: PolicyParameters): NearWeights {
  const nearest = near[0]?.similarity ?? 0;
  const same = near.map(({ similarity }) => Math.min(1, Math.exp((similarity - 1) / reach.same)));
  return {
    same,
    // What is almost the same counts there, and not once more here.
    like: near.map(
      ({ similarity }, index) =>
        (1 - (same[index] ?? 0)) * Math.exp((similarity - nearest) / reach.like),
    ),
  };
}

export function ratesOf(
  known: { readonly fleet: Tally; readonly agent?: Tally; readonly type?: Tally },
  agent: string,
  near: readonly Neighbour[],
  weights: NearWeights,
  { strength }: PolicyParameters,
): Rates {
  const { agent: own = nothing, type = nothing } = known;
  const same = summed(near, weights.same, agent);
  // Each outcome counts where it says most and nowhere else: nine successes with one text are nine, not 36.
  // Of a fleet that has done nothing yet either is as likely.
  const fleetRate = shrunk(less(known.fleet, own), 0.5, 2);
  const agentRate = shrunk(less(own, type), fleetRate, strength.agent);
  const typeRate = shrunk(less(type, same), agentRate, strength.type);
  const like = summed(near, weights.like, agent);
  return {
    agent: agentRate,
    type: typeRate,
    same: shrunk(same, typeRate, strength.near),
    like: shrunk(like, typeRate, strength.near),
    triedType: type.tried,
    triedSame: same.tried,
    triedLike: like.tried,
  };
}

function shrunk({ tried, succeeded }: Tally, towards: number, strength: number): number {
  return (succeeded + strength * towards) / (tried + strength);
}

/** What is left of a tally without a part of it; near tasks may be of other types, so never below 0. */
function less(all: Readonly<Tally>, part: Readonly<Tally>): Tally {
  const tried = Math.max(0, all.tried - part.tried);
  return { tried, succeeded: Math.min(tried, Math.max(0, all.succeeded - part.succeeded)) };
}

function summed(near: readonly Neighbour[], weights: readonly number[], agent: string): Tally {
  const sum = { tried: 0, succeeded: 0 };
  for (const [index, neighbour] of near.entries()) {
    const evidence = evidenceOf(neighbour, agent);
    if (evidence === undefined || evidence.tried === 0) continue;
    const held = Math.min(1, mostOfOneText / evidence.tried) * (weights[index] ?? 0);
    sum.tried += held * evidence.tried;
    sum.succeeded += held * evidence.succeeded;
  }
  return sum;
}

export function evidenceOf({ evidence }: Neighbour, agent: string): Evidence | undefined {
  return evidence.find((each) => each.agent === agent);
}

/** What the task itself is like: the same for all candidates. Around 0, mostly within −2 and 2. */
export function taskSummary({ text, inputBytes, complexity, context }: TaskFacts): number[] {
  const files = context?.['files'];
  const numbers = text.match(/\d+/g)?.length ?? 0;
  return [
    (Math.log1p(text.length) - 5) / 1.5,
    (Math.sqrt(numbers) - 2) / 1.5,
    inputBytes === undefined ? 0 : (Math.log1p(inputBytes) - 9) / 4,
    complexity === undefined ? 0 : (complexity - 0.5) * 3,
    typeof files === 'number' ? (Math.log1p(files) - 4) / 2 : 0,
  ];
}

/** In the order of `summaryFeatures`. `affinity`: how much nearer the text is to this definition than to most. */
export function summaryOf(rates: Rates, affinity: number, task: readonly number[]): Float64Array {
  const type = logit(rates.type);
  return Float64Array.from([
    1,
    logit(rates.agent),
    type - logit(rates.agent),
    logit(rates.same) - type,
    logit(rates.like) - type,
    affinity,
    ...task,
  ]);
}

/**
 * How uncertain the log-odds are because so few outcomes stand behind them: of the type, as far as this
 * very text is not known by itself, and of this text.
 */
export function ignorance(
  rates: Rates,
  { strength }: PolicyParameters,
): { type: number; text: number } {
  const held = Math.min(0.9, Math.max(0.1, rates.same));
  const spread = held * (1 - held);
  const unknown = strength.near / (strength.near + rates.triedSame);
  const others = Math.max(0, rates.triedType - rates.triedSame);
  return {
    type: unknown ** 2 / ((strength.agent + strength.type + others) * spread),
    text: 1 / ((strength.near + rates.triedSame) * spread),
  };
}

/** What a definition says of its agent counts until outcomes say it better. */
export function faded({ triedType }: Rates, { strength }: PolicyParameters): number {
  return strength.type / (strength.type + triedType);
}
