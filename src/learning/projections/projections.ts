/** What is made of the outcomes: sums that choices stand on, figures, combinations, insights. */
import type { Database } from '../../database/database.ts';
import { synergyRows, type SynergyRow } from './combination-queries.ts';
import { forgetDays } from './figure-queries.ts';
import { countBehind } from './queries.ts';

export { followExecutions, openLearner } from './learner.ts';
export type { FollowOptions, Follower, Learner, LearnerOptions } from './learner.ts';
export { openLists, type Lists } from './lists.ts';
export { saysOf, weightOf } from './fold.ts';
export type { CursorRow, ExecutionRow } from './queries.ts';

const leastForSynergy = 5;
const mostSynergies = 10_000;
const countedBehind = 1_000_000;
const forgottenAtOnce = 2_000;

/** Combinations with at least 5 executions, the most used first, at most 10,000; agents are sorted. */
export function synergies(database: Database): Promise<readonly SynergyRow[]> {
  return database.query(synergyRows(leastForSynergy, mostSynergies));
}

/** Executions that are not in the sums yet, counted up to a million. */
export async function behind(database: Database): Promise<number> {
  const [row] = await database.query(countBehind(countedBehind));
  return row?.behind ?? 0;
}

/** Forgets the sums of days that are older; figures follow within an hour. Says how many. */
export async function pruneDays(database: Database, keepDays: number): Promise<number> {
  let total = 0;
  for (;;) {
    const gone = await database.query(forgetDays(keepDays, forgottenAtOnce));
    total += gone.length;
    if (gone.length < forgottenAtOnce) return total;
  }
}
