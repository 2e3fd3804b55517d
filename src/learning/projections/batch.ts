/** One step of the learner: executions read, sums added to, cursor moved, in one transaction. */
import type { Queryable } from '../../database/database.ts';
import * as combinations from './combination-queries.ts';
import type { CombinationWrite, GroupKey } from './combination-queries.ts';
import {
  combinationHash,
  groupOccasion,
  groupOf,
  judge,
  parentOf,
  stageOccasion,
  type Occasion,
  type OwnRate,
} from './combinations.ts';
import { countedReports, dayKeys, fold, weightOf } from './fold.ts';
import * as queries from './queries.ts';
import type { AgentDelta, AgentStateRow, CursorRow, ExecutionRow } from './queries.ts';

/** Members of one group that are looked at: a vote of more is judged by these. */
const mostMembers = 1_000;

/**
 * Applies the next executions, at most `limit`; says how many, or `busy` when another learner is at
 * it. What this does not commit is done again by whoever comes next, from the same cursor.
 */
export async function applyBatch(transaction: Queryable, limit: number): Promise<number | 'busy'> {
  const [lock] = await transaction.query(queries.tryLock());
  if (lock?.taken !== true) return 'busy';
  const [cursor] = await transaction.query(queries.readCursor());
  if (cursor === undefined) return 0;
  const rows = await transaction.query(
    queries.executionsAfter(cursor.tx, cursor.attempt_id, limit, countedReports, false),
  );
  const last = rows.at(-1);
  if (last === undefined) return 0;
  // Attempts of one transaction come in the order of their ids; the detectors want that of their ends.
  const counted = rows
    .filter((row) => weightOf(row) > 0)
    .toSorted((a, b) => a.ended_at_ms - b.ended_at_ms);
  await addSums(transaction, counted, cursor, last);
  await transaction.query(queries.moveCursor(last.tx, last.attempt_id));
  return rows.length;
}

async function addSums(
  transaction: Queryable,
  rows: readonly ExecutionRow[],
  from: CursorRow,
  to: CursorRow,
): Promise<void> {
  if (rows.length === 0) return;
  const groups = groupsOf(rows);
  const members =
    groups.length === 0
      ? []
      : await transaction.query(
          combinations.membersOf(
            groups,
            from.tx,
            from.attempt_id,
            to.tx,
            to.attempt_id,
            mostMembers,
          ),
        );
  const names = new Set([...rows, ...members].map(({ agent }) => agent));
  const before = await transaction.query(queries.agentStates([...names]));
  const times = await transaction.query(queries.dayTimes(dayKeys(rows)));
  const deltas = fold(rows, before, times);
  if (deltas.evidence.length > 0) await transaction.query(queries.addEvidence(deltas.evidence));
  await transaction.query(queries.addDays(deltas.days));
  await transaction.query(queries.addToAgents(deltas.agents));
  await transaction.query(queries.addToTypes(deltas.types));
  const ownRate = ratesAfter(before, deltas.agents);
  const changes = new Changes();
  for (const row of rows) changes.add(stageOccasion(row, ownRate), 1, row.ended_at_ms);
  addGroups(changes, groups, members, ownRate, Math.max(...rows.map((row) => row.ended_at_ms)));
  await writeChanges(transaction, changes);
}

function groupsOf(rows: readonly ExecutionRow[]): readonly GroupKey[] {
  const groups = new Map<string, GroupKey>();
  for (const row of rows) {
    const group = groupOf(row);
    if (group !== undefined) groups.set(keyOf(group), group);
  }
  return [...groups.values()];
}

const keyOf = ({ run_id: run, parent, mode }: GroupKey): string => `${run}\0${parent}\0${mode}`;

/** With what this batch adds: the first groups would else be held against rates that nobody knows yet. */
function ratesAfter(before: readonly AgentStateRow[], added: readonly AgentDelta[]): OwnRate {
  const sums = new Map<string, { tried: number; succeeded: number }>();
  for (const { agent, tried, succeeded } of [...before, ...added]) {
    const sum = sums.get(agent) ?? { tried: 0, succeeded: 0 };
    sums.set(agent, { tried: sum.tried + tried, succeeded: sum.succeeded + succeeded });
  }
  return (agent) => {
    const { tried, succeeded } = sums.get(agent) ?? { tried: 0, succeeded: 0 };
    return (succeeded + 1) / (tried + 2);
  };
}

/** What this batch adds to combinations, and takes away again where a group has grown. */
class Changes {
  readonly all = new Map<string, CombinationWrite>();

  add(occasion: Occasion | undefined, sign: 1 | -1, atMs: number): void {
    if (occasion === undefined) return;
    const { mode, agents, succeeded, expected } = occasion;
    const hash = combinationHash(mode, agents);
    const old = this.all.get(hash);
    this.all.set(hash, {
      hash,
      mode,
      agents,
      executions: (old?.executions ?? 0) + sign,
      succeeded: (old?.succeeded ?? 0) + (succeeded ? sign : 0),
      expected: (old?.expected ?? 0) + sign * expected,
      synergy: 0,
      confidence: 0,
      last_at_ms: Math.max(old?.last_at_ms ?? 0, atMs),
    });
  }
}

/** A group counts once, as it stands now: what was counted of it before is taken away. */
function addGroups(
  changes: Changes,
  groups: readonly GroupKey[],
  members: readonly combinations.MemberRow[],
  ownRate: OwnRate,
  atMs: number,
): void {
  const direct = members.filter(({ task, parent }) => parentOf(task) === parent);
  const byGroup = Map.groupBy(direct, keyOf);
  for (const group of groups) {
    const now = byGroup.get(keyOf(group)) ?? [];
    const known = now.filter((member) => member.known);
    changes.add(groupOccasion(group.mode, known, ownRate), -1, atMs);
    changes.add(groupOccasion(group.mode, now, ownRate), 1, atMs);
  }
}

async function writeChanges(transaction: Queryable, changes: Changes): Promise<void> {
  const hashes = [...changes.all.keys()];
  if (hashes.length === 0) return;
  const there = await transaction.query(combinations.combinationCounts(hashes));
  const before = new Map(there.map((row) => [row.hash, row]));
  const written = [...changes.all.values()].map((change): CombinationWrite => {
    const old = before.get(change.hash);
    const executions = Math.max(0, (old?.executions ?? 0) + change.executions);
    const within = (sum: number): number => Math.min(executions, Math.max(0, sum));
    const succeeded = within((old?.succeeded ?? 0) + change.succeeded);
    const expected = within((old?.expected ?? 0) + change.expected);
    return {
      ...change,
      executions,
      succeeded,
      expected,
      ...judge(executions, succeeded, expected),
    };
  });
  await transaction.query(combinations.writeCombinations(written));
  await transaction.query(combinations.dropEmptyCombinations(hashes));
}
