/**
 * Whether agents do better together than each of them would lead to expect. Pure.
 *
 * A voting or racing group is one observation. Of a chain (pipeline, sequential) every stage is one,
 * of the agents before it and its own: whether it succeeded after those, against its own rate. That a
 * chain ends with its first failure would else make all short ones failures, and all long ones
 * successes. Of each member the first attempt counts that says something, since rates are of attempts.
 */
import { createHash } from 'node:crypto';
import type { GroupKey, MemberRow } from './combination-queries.ts';
import { saysOf } from './fold.ts';
import { wilson } from './intervals.ts';
import type { ExecutionRow } from './queries.ts';

export const votingModes: readonly string[] = ['consensus', 'competitive', 'redundant'];
export const chainModes: readonly string[] = ['pipeline', 'sequential'];
/** Executions that a synergy of 0 counts for. */
const doubt = 10;

/** What an agent's rate is by itself; in between while little is known. */
export type OwnRate = (agent: string) => number;

/** One time that agents worked together. */
export interface Occasion {
  readonly mode: string;
  /** Sorted, each once, at least two. */
  readonly agents: readonly string[];
  readonly succeeded: boolean;
  /** Probability of that success by the members' own rates, if they did not affect each other. */
  readonly expected: number;
}

/** SHA-256 of mode and agents, lower-case hex. */
export function combinationHash(mode: string, agents: readonly string[]): string {
  return createHash('sha256')
    .update([mode, ...agents].join('\0'))
    .digest('hex');
}

export function parentOf(task: string): string {
  return task.slice(0, Math.max(0, task.lastIndexOf('/')));
}

/** The voting or racing group that an execution belongs to. */
export function groupOf(row: ExecutionRow): GroupKey | undefined {
  const { run_id: runId, task, mode } = row;
  if (runId === null || task === null || mode === null || !votingModes.includes(mode))
    return undefined;
  return { run_id: runId, parent: parentOf(task), mode };
}

/** Of a stage of a chain, with those before it. */
export function stageOccasion(row: ExecutionRow, ownRate: OwnRate): Occasion | undefined {
  const says = saysOf(row);
  if (row.mode === null || !chainModes.includes(row.mode) || says === 'nothing') return undefined;
  const agents = sorted([...(row.partners ?? []), row.agent]);
  if (agents.length < 2) return undefined;
  const succeeded = says === 'succeeded';
  return { mode: row.mode, agents, succeeded, expected: ownRate(row.agent) };
}

/** Of a voting or racing group, as far as its members have ended; oldest attempts first. */
export function groupOccasion(
  mode: string,
  members: readonly Pick<MemberRow, 'task' | 'agent' | 'result' | 'own_fault'>[],
  ownRate: OwnRate,
): Occasion | undefined {
  const agents = sorted(members.map(({ agent }) => agent));
  const first = new Map<string, (typeof members)[number]>();
  for (const each of members) {
    if (saysOf(each) !== 'nothing' && !first.has(each.task)) first.set(each.task, each);
  }
  const judged = [...first.values()];
  if (agents.length < 2 || judged.length === 0) return undefined;
  const successes = judged.filter((each) => saysOf(each) === 'succeeded').length;
  const needed = mode === 'consensus' ? Math.floor(judged.length / 2) + 1 : 1;
  const expected = atLeast(
    needed,
    judged.map(({ agent }) => ownRate(agent)),
  );
  return { mode, agents, succeeded: successes >= needed, expected };
}

/** Probability that at least so many of independent trials succeed. */
export function atLeast(needed: number, rates: readonly number[]): number {
  // Chances of 0, 1, 2 … successes among the trials so far.
  let chances = [1];
  for (const rate of rates) {
    chances = [...chances, 0].map(
      (chance, successes) => chance * (1 - rate) + (chances[successes - 1] ?? 0) * rate,
    );
  }
  const sum = chances.slice(needed).reduce((total, chance) => total + chance, 0);
  return Math.min(1, Math.max(0, sum));
}

export interface Judged {
  readonly synergy: number;
  readonly confidence: number;
}

/** How much better than expected, −1 to 1, drawn towards 0 by little evidence; and how narrow its interval is. */
export function judge(executions: number, succeeded: number, expected: number): Judged {
  if (executions <= 0) return { synergy: 0, confidence: 0 };
  const surplus = (succeeded - expected) / executions;
  const synergy = (surplus * executions) / (executions + doubt);
  const { low, high } = wilson(Math.min(succeeded, executions), executions);
  return {
    synergy: Math.min(1, Math.max(-1, synergy)),
    confidence: Math.min(1, Math.max(0, 1 - (high - low))),
  };
}

function sorted(agents: readonly string[]): readonly string[] {
  return [...new Set(agents)].toSorted();
}
