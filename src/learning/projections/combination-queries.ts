/** Which agents worked together, and what came of it: one function a statement. */
import { json, sql, type Sql } from '../../database/database.ts';
import type { OutcomeResult } from '../types.ts';

/** A group of a run by the path of its members' parent; empty for the outermost one. */
export interface GroupKey {
  readonly run_id: string;
  readonly parent: string;
  readonly mode: string;
}

export interface MemberRow extends GroupKey {
  readonly task: string;
  readonly agent: string;
  readonly result: OutcomeResult;
  readonly own_fault: boolean | null;
  /** Whether the learner had read it before this batch. */
  readonly known: boolean;
}

/**
 * Attempts of the members of groups, oldest first, as far as they are read when this batch is. Paths
 * are found between `parent/` and `parent0`, which comes next in the order of bytes; the outermost
 * group has every path of its run.
 */
export const membersOf = (
  groups: readonly GroupKey[],
  tx: string,
  attemptId: string,
  untilTx: string,
  untilAttempt: string,
  most: number,
): Sql<MemberRow> =>
  sql`select g.run_id, g.parent, g.mode, e.task, e.agent, e.result, e.own_fault,
      (e.tx, e.attempt_id) <= (${tx}::xid8, ${attemptId}::uuid) as known
    from json_to_recordset(${json(groups)}::json) as g (run_id uuid, parent text, mode text)
    cross join lateral (
      select * from agent_task_executions m
      where m.run_id = g.run_id and m.mode = g.mode
        and m.task collate "C" >= case when g.parent = '' then '' else g.parent || '/' end
        and m.task collate "C" < case when g.parent = '' then chr(1114111) else g.parent || '0' end
        and (m.tx, m.attempt_id) <= (${untilTx}::xid8, ${untilAttempt}::uuid)
      order by m.task collate "C", m.ended_at, m.attempt_id limit ${most}::integer
    ) e`;

export interface CombinationCounts {
  /** Lower-case hex. */
  readonly hash: string;
  readonly executions: number;
  readonly succeeded: number;
  readonly expected: number;
}

export const combinationCounts = (hashes: readonly string[]): Sql<CombinationCounts> =>
  sql`select encode(c.combination_hash, 'hex') as hash, c.executions::float8 as executions,
      c.succeeded::float8 as succeeded, c.expected
    from unnest(${hashes}::text[]) as h (hash)
    join agent_combination_patterns c on c.combination_hash = decode(h.hash, 'hex')`;

export interface CombinationWrite extends CombinationCounts {
  readonly mode: string;
  readonly agents: readonly string[];
  readonly synergy: number;
  readonly confidence: number;
  readonly last_at_ms: number;
}

export const writeCombinations = (all: readonly CombinationWrite[]): Sql =>
  sql`insert into agent_combination_patterns as c (combination_hash, mode, agents, executions, succeeded,
      expected, synergy, confidence, last_at)
    select decode(hash, 'hex'), mode, array(select json_array_elements_text(agents)), executions,
      succeeded, expected, synergy, confidence, to_timestamp(last_at_ms / 1000)
    from json_to_recordset(${json(all)}::json) as n (hash text, mode text, agents json, executions bigint,
      succeeded bigint, expected float8, synergy float8, confidence float8, last_at_ms float8)
    on conflict (combination_hash) do update set executions = excluded.executions,
      succeeded = excluded.succeeded, expected = excluded.expected, synergy = excluded.synergy,
      confidence = excluded.confidence, last_at = greatest(c.last_at, excluded.last_at), updated_at = now()`;

/** Those whose groups turned out to be larger ones. */
export const dropEmptyCombinations = (hashes: readonly string[]): Sql =>
  sql`delete from agent_combination_patterns
    where combination_hash in (select decode(h, 'hex') from unnest(${hashes}::text[]) as h)
      and executions <= 0`;

export interface SynergyRow {
  readonly agents: readonly string[];
  readonly mode: string;
  readonly synergy: number;
  readonly confidence: number;
}

/** The most used ones. */
export const synergyRows = (least: number, most: number): Sql<SynergyRow> =>
  sql`select agents, mode, synergy, confidence from agent_combination_patterns
    where executions >= ${least}::bigint
    order by executions desc, combination_hash desc limit ${most}::integer`;
