/** Which answers count as one, and how much weight stands behind each. Pure. */
import type { Judge, Voting } from './definition.ts';
import type { Verdict, Vote } from './events.ts';
import { canonicalJson, type ErrorRecord } from '../base/base.ts';
import { likeness } from './likeness.ts';

/** What became of one voter. */
export interface Ballot {
  readonly task: string;
  readonly name: string;
  /** Absent when it gave no answer. */
  readonly cast?: { readonly output: unknown };
  readonly error?: ErrorRecord;
}

export type Tally = Extract<Verdict, { mode: 'consensus' | 'redundant' }>;

/**
 * Counts the votes. Answers are ordered by weight, equal ones by the voter who came first in the
 * file. `chosen` is 0 when the first has the agreed share, else -1 with `decidedBy` `nobody`. A vote
 * without weight is kept and counts nothing.
 */
export function tally(
  mode: Tally['mode'],
  { judge, weights, agreement }: Voting,
  ballots: readonly Ballot[],
): Tally {
  const weightOf = ({ name }: Ballot): number => weights[name] ?? 1;
  const total = ballots.reduce(
    (sum, each) => sum + (each.cast === undefined ? 0 : weightOf(each)),
    0,
  );
  if (judge.kind === 'elements') return byElement(mode, judge, agreement, ballots, weightOf, total);
  const groups: { output: unknown; weight: number; members: Ballot[] }[] = [];
  for (const ballot of ballots) {
    const { cast } = ballot;
    if (cast === undefined) continue;
    const same = groups.find(({ output }) => isSame(judge, output, cast.output));
    if (same === undefined) {
      groups.push({ output: cast.output, weight: weightOf(ballot), members: [ballot] });
    } else {
      same.weight += weightOf(ballot);
      same.members.push(ballot);
    }
  }
  const ordered = groups.toSorted((a, b) => b.weight - a.weight);
  const [first, second] = ordered;
  const share = first === undefined || total === 0 ? 0 : first.weight / total;
  // Half each is no agreement, however low the share asked for.
  const isAgreed =
    first !== undefined && reaches(share, agreement) && first.weight > (second?.weight ?? 0);
  return {
    mode,
    votes: ballots.map((ballot): Vote => {
      const answer = ordered.findIndex(({ members }) => members.includes(ballot));
      return voteOf(ballot, weightOf(ballot), answer);
    }),
    answers: ordered.map(({ output, weight }) => ({
      output,
      share: total === 0 ? 0 : weight / total,
    })),
    chosen: isAgreed ? 0 : -1,
    decidedBy: isAgreed ? 'agreement' : 'nobody',
  };
}

function isSame(judge: Exclude<Judge, { kind: 'elements' }>, a: unknown, b: unknown): boolean {
  if (judge.kind === 'identical') return canonicalJson(a) === canonicalJson(b);
  return reaches(likeness(a, b), judge.least);
}

/** Shares are sums of fractions: 1/3 + 1/3 + 1/3 must reach 1. */
function reaches(share: number, wanted: number): boolean {
  return share >= wanted - 1e-9;
}

function voteOf(ballot: Ballot, weight: number, answer: number): Vote {
  const { task, error } = ballot;
  return { task, weight, answer, ...(error === undefined ? {} : { error }) };
}

/** Each voter's list is put to the vote element by element; an element counts once a voter. */
function byElement(
  mode: Tally['mode'],
  { fields }: Extract<Judge, { kind: 'elements' }>,
  agreement: number,
  ballots: readonly Ballot[],
  weightOf: (ballot: Ballot) => number,
  total: number,
): Tally {
  const found = new Map<string, { element: unknown; weight: number }>();
  for (const ballot of ballots) {
    if (ballot.cast === undefined) continue;
    const { output } = ballot.cast;
    const seen = new Set<string>();
    for (const element of Array.isArray(output) ? (output as unknown[]) : [output]) {
      const key = keyOf(element, fields);
      if (seen.has(key)) continue;
      seen.add(key);
      const known = found.get(key);
      if (known === undefined) found.set(key, { element, weight: weightOf(ballot) });
      else known.weight += weightOf(ballot);
    }
  }
  const elements = [...found.values()]
    .map(({ element, weight }) => {
      const share = total === 0 ? 0 : weight / total;
      return { element, share, taken: reaches(share, agreement) };
    })
    .toSorted((a, b) => b.share - a.share);
  const taken = elements.filter((each) => each.taken).map(({ element }) => element);
  const anyVote = ballots.some(({ cast }) => cast !== undefined);
  return {
    mode,
    votes: ballots.map((ballot) =>
      voteOf(ballot, weightOf(ballot), ballot.cast === undefined ? -1 : 0),
    ),
    answers: anyVote ? [{ output: taken, share: 1 }] : [],
    chosen: anyVote ? 0 : -1,
    decidedBy: anyVote ? 'agreement' : 'nobody',
    elements,
  };
}

function keyOf(element: unknown, fields: readonly string[] | undefined): string {
  if (fields === undefined || element === null || typeof element !== 'object') {
    return canonicalJson(element);
  }
  return canonicalJson(fields.map((field) => Reflect.get(element, field) ?? null));
}
