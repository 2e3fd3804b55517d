/** What is made of the outcomes: sums that choices stand on, figures, combinations, insights. */
import type { Database, Sql } from '../../database/database.ts';
import { synergyRows, type SynergyRow } from './combination-queries.ts';
import { forgetDays, forgetEvidence } from './figure-queries.ts';
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

/**
 * Forgets the sums of days that are older, and evidence of texts that are gone; figures follow within an
 * hour. Says how many days.
 */
export async function pruneDays(database: Database, keepDays: number): Promise<number> {
  await repeated(database, () => forgetEvidence(forgottenAtOnce));
  return repeated(database, () => forgetDays(keepDays, forgottenAtOnce));
}

/** Short statements, so that nobody waits for long. */
async function repeated(database: Database, statement: () => Sql): Promise<number> {
  let total = 0;
  for (;;) {
    const gone = await database.query(statement());
    total += gone.length;
    if (gone.length < forgottenAtOnce) return total;
  }
}
