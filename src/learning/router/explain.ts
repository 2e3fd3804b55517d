/** Why a choice came out as it did, and what would change it: from the same numbers that made it. */
import type { Factor, NearTask, Neighbour } from '../types.ts';
import type { View } from './model.ts';
import { summaryFeatures, type PolicyParameters } from './policy.ts';

const mostNear = 5;
/** Below this a factor moves nothing that anybody would notice: half a percent of success. */
const leastWeight = 0.005;
/** Outcomes that are tried in thought before it is said that they would not change the choice. */
const mostThought = 50;

/** The first against the second: what speaks for it and against it, the weightiest first. */
export function factorsOf(first: View, second: View | undefined): Factor[] {
  if (second === undefined) {
    return [{ name: 'the only one', weight: first.prospect.score, text: 'Nobody else can do it.' }];
  }
  const names = [first.candidate.name, second.candidate.name] as const;
  const factors = [...evidenceFactors(first, second), ...addedFactors(first, second)]
    .filter(({ weight }) => Math.abs(weight) >= leastWeight)
    .toSorted((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
  if (factors.length > 0) return factors;
  return [
    { name: 'nothing', weight: 0, text: `Nothing known tells ${names[0]} from ${names[1]}.` },
  ];
}

/** Parts of the log-odds as parts of the expected success, and what is left: how sure each is. */
function evidenceFactors(first: View, second: View): Factor[] {
  const [own, other] = [first, second].map(({ belief, features }) => belief.parts(features));
  const [mine, theirs] = [first.prospect.success, second.prospect.success];
  const middle = (mine.mean + theirs.mean) / 2;
  const slope = middle * (1 - middle);
  const names: readonly string[] = [...summaryFeatures, 'the words of the task'];
  const factors = (own ?? []).map((part, index) => ({
    name: names[index] ?? '',
    weight: (part - (other?.[index] ?? 0)) * slope,
    text: told(index, first, second),
  }));
  const rest = mine.mean - theirs.mean - factors.reduce((total, { weight }) => total + weight, 0);
  const [a, b] = [first.candidate.name, second.candidate.name];
  const text = `How sure it is: ${a} ${range(mine)}, ${b} ${range(theirs)}. The less is known, the nearer to one half.`;
  return [...factors, { name: 'how much is known', weight: rest, text }];
}

function range({ low, high }: { readonly low: number; readonly high: number }): string {
  return `${percent(low)} to ${percent(high)}`;
}

function told(index: number, first: View, second: View): string {
  const [a, b] = [first.candidate.name, second.candidate.name];
  const pair = (of: (view: View) => number): string =>
    `${a} ${percent(of(first))}, ${b} ${percent(of(second))}`;
  switch (index) {
    case 1:
      return `Over all tasks: ${pair(({ rates }) => rates.agent)} succeed.`;
    case 2:
      return `Tasks of this type: ${pair(({ rates }) => rates.type)} (${count(first.rates.triedType)} and ${count(second.rates.triedType)}).`;
    case 3:
      return `Almost the same tasks: ${pair(({ rates }) => rates.same)} (${count(first.rates.triedSame)} and ${count(second.rates.triedSame)}).`;
    case 4:
      return `The tasks most like it: ${pair(({ rates }) => rates.like)}.`;
    case 5:
      return `The definition of ${a} says ${first.lean >= second.lean ? 'more' : 'less'} of such a task than that of ${b}.`;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
      return `With tasks like this in ${summaryFeatures[index]?.replace('the ', '')}, ${a} and ${b} did differently.`;
    case 11:
      return `With such words in a task, ${a} and ${b} did differently.`;
    default:
      return `What their outcomes show beside all this: ${a} and ${b} differ.`;
  }
}

function addedFactors(first: View, second: View): Factor[] {
  const [a, b] = [first.candidate.name, second.candidate.name];
  const difference = (of: keyof View['added']): number => first.added[of] - second.added[of];
  return [
    { name: 'feedback', weight: difference('feedback'), text: `How ${a} and ${b} were rated.` },
    {
      name: 'partners',
      weight: difference('synergy'),
      text: 'How well each works with those already chosen.',
    },
    {
      name: 'cost',
      weight: difference('usd'),
      text: `Money: ${usd(first)} against ${usd(second)}.`,
    },
    {
      name: 'time',
      weight: difference('minutes'),
      text: `Time: ${time(first)} against ${time(second)}.`,
    },
  ];
}

export function nearTasks(near: readonly Neighbour[]): NearTask[] {
  return near.slice(0, mostNear).map(({ text, type, similarity, evidence }) => ({
    text: text.length > 200 ? `${text.slice(0, 199)}…` : text,
    type,
    similarity,
    agents: evidence.map(({ agent, tried, succeeded }) => ({ agent, tried, succeeded })),
  }));
}

/** Sentences on what would make the second the first. */
export function wouldChange(
  first: View,
  second: View | undefined,
  of: {
    readonly policy: PolicyParameters;
    readonly success: (view: Pick<View, 'belief' | 'features' | 'rates'>) => {
      readonly mean: number;
    };
    readonly worth: { readonly perUsd: number; readonly perMinute: number };
  },
): string[] {
  if (second === undefined) return [];
  const [a, b] = [first.candidate.name, second.candidate.name];
  const gap = first.prospect.score - second.prospect.score;
  const thought = (view: View, happened: 0 | 1): number | undefined => {
    const belief = view.belief.copy();
    for (let tried = 1; tried <= mostThought; tried += 1) {
      belief.learnEvent(view.features, happened);
      const rates = more(view.rates, happened, tried, of.policy);
      const moved = of.success({ ...view, belief, rates }).mean - view.prospect.success.mean;
      if (happened === 1 ? moved > gap : -moved > gap) return tried;
    }
    return undefined;
  };
  const gains = thought(second, 1);
  const losses = thought(first, 0);
  return [
    gains === undefined
      ? `Not even ${mostThought} successes of ${b} with this task would put it before ${a}.`
      : `${b} would be chosen after ${plural(gains, 'success', 'successes')} with this task.`,
    ...(losses === undefined
      ? []
      : [
          `${b} would be chosen after ${plural(losses, 'failure', 'failures')} of ${a} with this task.`,
        ]),
    ...limitOf(gap, first.added.usd - second.added.usd, of.worth.perUsd, 'perUsd', b),
    ...limitOf(gap, first.added.minutes - second.added.minutes, of.worth.perMinute, 'perMinute', b),
  ];
}

/** Rates as they would be after so many more outcomes of the very same task; the belief has them already. */
function more(
  rates: View['rates'],
  happened: 0 | 1,
  tried: number,
  { strength }: PolicyParameters,
): View['rates'] {
  const at = (rate: number, before: number, held: number): number =>
    (rate * (before + held) + happened * tried) / (before + held + tried);
  return {
    ...rates,
    type: at(rates.type, rates.triedType, strength.type),
    same: at(rates.same, rates.triedSame, strength.near),
    triedType: rates.triedType + tried,
    triedSame: rates.triedSame + tried,
  };
}

/** From which worth of money or time on the order would be the other one. */
function limitOf(gap: number, part: number, worth: number, field: string, other: string): string[] {
  // part = −worth · (what the first needs more): it counts against the first when below 0.
  if (part >= 0 || worth <= 0) return [];
  const limit = worth * (1 + gap / -part);
  if (!Number.isFinite(limit) || limit > 100 * worth) return [];
  return [`${other} would be chosen with ${field} above ${limit.toPrecision(3)} (now ${worth}).`];
}

function percent(rate: number): string {
  return `${Math.round(rate * 100)} %`;
}

function count(tried: number): string {
  return plural(Math.round(tried), 'outcome', 'outcomes');
}

function plural(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}

function usd({ prospect }: View): string {
  const { microUsd } = prospect.expected;
  return microUsd === undefined ? 'not measured' : `${(microUsd.mean / 1e6).toFixed(4)} US dollars`;
}

function time({ prospect }: View): string {
  const { ms } = prospect.expected;
  return ms === undefined ? 'not measured' : `${(ms.mean / 1_000).toPrecision(3)} s`;
}
