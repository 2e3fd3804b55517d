/** The learner on a real database: sums, figures, takeover, and what SQL answers. */
import { randomUUID } from 'node:crypto';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLog, newId, systemClock } from '../../src/base/base.ts';
import { json, sql, type Database } from '../../src/database/database.ts';
import {
  behind,
  followExecutions,
  openLearner,
  openLists,
  pruneDays,
  synergies,
  type ExecutionRow,
} from '../../src/learning/projections/projections.ts';
import { openStore, type TestStore } from '../support/coordination.ts';
import { drivers, silentLog, unavailable, until } from '../support/databases.ts';

interface Made {
  readonly agent?: string;
  readonly type?: string;
  readonly runId?: string;
  readonly task?: string;
  readonly mode?: string;
  readonly result?: 'succeeded' | 'failed' | 'cancelled';
  readonly ownFault?: boolean;
  readonly ms?: number;
  readonly microUsd?: number;
  readonly tokens?: number;
  readonly complexity?: number;
  readonly partners?: readonly string[];
  readonly reportedBy?: string;
  readonly daysAgo?: number;
}

/** Executions as runs leave them, in one transaction. */
async function write(database: Database, all: readonly Made[]): Promise<void> {
  const rows = all.map((made, index) => ({ ...made, id: randomUUID(), index }));
  await database.query(sql`with n as (
      select *, sha256(convert_to(coalesce(type, 'review'), 'UTF8')) as hash,
        now() - make_interval(days => coalesce("daysAgo", 0)) - interval '1 second' * (1000 - index) as at
      from json_to_recordset(${json(rows)}::json) as r (id uuid, index integer, agent text, type text,
        "runId" uuid, task text, mode text, result text, "ownFault" boolean, ms float8, "microUsd" bigint,
        tokens bigint, complexity real, partners json, "reportedBy" text, "daysAgo" integer)
    ), texts as (
      insert into task_texts (task_hash, task_type, description)
      select distinct hash, coalesce(type, 'review'), 'words' from n on conflict do nothing
    )
    insert into agent_task_executions (attempt_id, run_id, task, mode, agent, task_type, task_hash,
      complexity, started_at, ended_at, result, own_fault, wall_ms, tokens, cost_micro_usd, partners,
      reported_by)
    select id, "runId", task, mode, coalesce(agent, 'ada'), coalesce(type, 'review'), hash, complexity,
      at - interval '1 ms' * coalesce(ms, 1000), at, coalesce(result, 'succeeded'), "ownFault",
      coalesce(ms, 1000), tokens, "microUsd",
      case when partners is null then null else array(select json_array_elements_text(partners)) end,
      "reportedBy"
    from n`);
}

const repeat = (times: number, made: Made): Made[] => Array.from({ length: times }, () => made);

/** What the sums must be, made of the executions anew. */
async function recount(database: Database): Promise<unknown> {
  return database.query(sql`
    select encode(task_hash, 'hex') as hash, agent, count(*)::int as tried,
      (count(*) filter (where result = 'succeeded'))::int as succeeded,
      round(coalesce(sum(ln(greatest(1, wall_ms))) filter (where result = 'succeeded'), 0)::numeric, 6)::text as log_ms
    from agent_task_executions
    where result = 'succeeded' or (result = 'failed' and own_fault is distinct from false)
    group by 1, 2 order by 1, 2`);
}

async function evidence(database: Database): Promise<unknown> {
  return database.query(sql`select encode(task_hash, 'hex') as hash, agent, tried, succeeded,
    round(log_ms::numeric, 6)::text as log_ms from task_evidence order by 1, 2`);
}

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let store: TestStore;
    let database: Database;
    let learner: ReturnType<typeof openLearner>;

    beforeAll(async () => {
      store = await openStore(driver);
      ({ database } = store);
      learner = openLearner({ database, clock: systemClock, log: silentLog });
    });
    afterAll(async () => {
      await learner.stop();
      await store.close();
    });

    test('sums equal a recount; cancelled attempts and failures of others say nothing', async () => {
      const runId = newId();
      await write(database, [
        ...repeat(700, { agent: 'ada', ms: 800, microUsd: 20, tokens: 5 }),
        ...repeat(60, { agent: 'ada', result: 'failed', ownFault: true, ms: 90 }),
        ...repeat(20, { agent: 'ada', result: 'failed', ownFault: false }),
        ...repeat(10, { agent: 'ada', result: 'cancelled' }),
        ...repeat(30, { agent: 'bob', type: 'plan', ms: 2_000, complexity: 0.5, runId }),
      ]);
      await learner.catchUp();
      expect(await evidence(database)).toEqual(await recount(database));
      expect(await behind(database)).toBe(0);
      const { items } = await openLists(database).agents();
      expect(items.map(({ agent }) => agent)).toEqual(['ada', 'bob']);
      expect(items[0]).toMatchObject({
        executions: 790,
        succeeded: 700,
        failed: 80,
        cancelled: 10,
        successRate: 700 / 760,
        averageMicroUsd: 20,
        averageTokens: 5,
        feedbackPrincipals: 0,
        alerts: [],
      });
      expect(items[0]?.averageMs).toBeCloseTo((700 * 800 + 60 * 90) / 760, 6);
      expect(Math.abs((items[0]?.p95Ms ?? 0) / 800 - 1)).toBeLessThan(0.0201);
      expect(items[0]).not.toHaveProperty('trend7d');
      const types = await openLists(database).taskTypes();
      expect(types.items).toMatchObject([
        { type: 'plan', executions: 30, averageComplexity: 0.5, agents: 1, best: { agent: 'bob' } },
        { type: 'review', executions: 790, best: { agent: 'ada', rate: 700 / 760 } },
      ]);
      expect(types.items[1]).not.toHaveProperty('averageComplexity');
    });

    test('lists go on where a page ended, and refuse what no page ended with', async () => {
      const lists = openLists(database);
      const first = await lists.agents({ limit: 1 });
      const second = await lists.agents({ limit: 1, cursor: first.nextCursor ?? '' });
      expect([first, second].map(({ items }) => items[0]?.agent)).toEqual(['ada', 'bob']);
      expect(second).not.toHaveProperty('nextCursor');
      const refused = { code: 'invalid_input' };
      await expect(lists.agents({ limit: 501 })).rejects.toMatchObject(refused);
      await expect(lists.combinations({ cursor: 'eHg' })).rejects.toMatchObject(refused);
      await expect(lists.agent('nobody')).rejects.toMatchObject({ code: 'agent_not_found' });
    });

    test('a group counts once however it came in, a chain stage by stage', async () => {
      const votes = async (results: readonly ('succeeded' | 'failed')[], apart: boolean) => {
        const runId = newId();
        const members = results.map((result, index) => {
          const task = `many#2/vote/m${index}`;
          return { runId, mode: 'consensus', agent: `voter-${index}`, task, result };
        });
        if (!apart) return write(database, members);
        for (const each of members) {
          await write(database, [each]);
          await learner.catchUp();
        }
      };
      await votes(['succeeded', 'succeeded', 'failed'], true);
      await votes(['succeeded', 'succeeded', 'failed'], false);
      await votes(['failed', 'failed', 'succeeded'], false);
      const stage = { mode: 'pipeline', runId: newId() };
      await write(database, [
        { ...stage, task: 'draft#1', agent: 'voter-0' },
        { ...stage, task: 'check#1', agent: 'voter-1', partners: ['voter-0'] },
        {
          ...stage,
          task: 'fix#1',
          agent: 'bob',
          partners: ['voter-1', 'voter-0'],
          result: 'failed',
        },
      ]);
      await learner.catchUp();
      const { items } = await openLists(database).combinations();
      expect(items).toHaveLength(3);
      expect(items[0]).toMatchObject({
        mode: 'consensus',
        agents: ['voter-0', 'voter-1', 'voter-2'],
        executions: 3,
        successRate: 2 / 3,
      });
      expect(items.find(({ agents }) => agents.includes('bob'))).toMatchObject({
        agents: ['bob', 'voter-0', 'voter-1'],
        mode: 'pipeline',
        executions: 1,
        successRate: 0,
      });
      expect(await synergies(database)).toEqual([]);
    });

    test('alerts, trends, feedback and insights follow the outcomes, and end with them', async () => {
      const lists = openLists(database);
      await write(database, [
        ...repeat(30, { agent: 'cal', type: 'triage', daysAgo: 12 }),
        ...repeat(30, { agent: 'cal', type: 'triage', result: 'failed', ms: 150_000 }),
      ]);
      await database.query(sql`insert into agent_feedback (attempt_id, principal_id, principal, agent, score)
        select attempt_id, 'p' || row_number() over (), 'p', agent, 2 + 2 * (row_number() over ())::int
        from agent_task_executions where agent = 'cal' limit 3`);
      await learner.catchUp();
      const cal = await lists.agent('cal');
      expect(cal).toMatchObject({ trend7d: -1, feedback: 6, feedbackPrincipals: 3 });
      expect(cal).not.toHaveProperty('trend30d');
      expect(cal.alerts).toEqual([
        'success rate 50 % in 60 outcomes of 30 days: below 70 %',
        expect.stringMatching(/took over 2.5 min: more than 2.0 min$/),
      ]);
      expect(cal.anomaly).toMatch(/^failing more often since 20/);
      const kinds = cal.insights.map(({ kind }) => kind);
      expect(kinds).toEqual(['anomaly_detection', 'trend_alert']);
      expect(cal.insights[1]?.statement).toBe(
        'cal succeeds less often than before: in 0 % of 30 outcomes of the last 7 days, after 100 % of 30 in the 23 days before.',
      );
      await database.query(sql`update agent_task_days set day = day - 400 where agent = 'cal'`);
      expect(await pruneDays(database, 365)).toBe(2);
      await learner.catchUp();
      const after = await lists.insights();
      expect(after.items.filter(({ kind }) => kind === 'trend_alert')).toEqual([]);
    });

    test('reports of one principal on one agent count ten times', async () => {
      const report = {
        agent: 'dee',
        type: 'reported',
        reportedBy: 'one',
        result: 'failed',
      } as const;
      await write(database, repeat(8, report));
      await learner.catchUp();
      await write(database, [
        ...repeat(400, report),
        ...repeat(3, { ...report, reportedBy: 'two' }),
      ]);
      await learner.catchUp();
      expect(await openLists(database).agent('dee')).toMatchObject({ executions: 13, failed: 13 });
    });

    test('whoever follows gets every execution once, in order, with its text', async () => {
      const rows: ExecutionRow[] = [];
      const follower = followExecutions({
        database,
        clock: systemClock,
        log: silentLog,
        onRows: (more) => void rows.push(...more),
      });
      await follower.caughtUp();
      await write(database, [{ agent: 'eve' }]);
      await follower.caughtUp();
      await follower.stop();
      const [count] = await database.query(
        sql<{ n: number }>`select count(*)::int as n from agent_task_executions`,
      );
      expect(new Set(rows.map((row) => row.attempt_id)).size).toBe(count?.n);
      expect(rows).toHaveLength(count?.n ?? 0);
      expect(rows.at(-1)).toMatchObject({
        agent: 'eve',
        description: 'words',
        task_type: 'review',
      });
      expect(rows.map((row) => BigInt(row.tx))).toEqual(
        rows.map((row) => BigInt(row.tx)).toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)),
      );
    });

    test('who follows reads no further once it is stopped, whoever waits for the rest', async () => {
      await write(database, repeat(600, { agent: 'eve' }));
      let read = 0;
      let stopped: Promise<void> | undefined;
      const follower = followExecutions({
        database,
        clock: systemClock,
        log: silentLog,
        onRows: (more) => {
          read += more.length;
          stopped = follower.stop();
        },
      });
      await follower.caughtUp();
      await stopped;
      expect(read).toBe(500);
    });

    test('SQL gives the agents of a type, the surest first, and no probability without an outcome', async () => {
      await write(database, [
        ...repeat(4, { agent: 'few', type: 'deploy' }),
        ...repeat(90, { agent: 'many', type: 'deploy', ms: 500, microUsd: 7 }),
        ...repeat(10, { agent: 'many', type: 'deploy', ms: 500, result: 'failed' }),
        ...repeat(2, { agent: 'rare', type: 'deploy' }),
        ...repeat(9, { agent: 'bad', type: 'deploy', result: 'failed' }),
      ]);
      await learner.catchUp();
      const best = await database.query(sql<{
        agent: string;
        confidence: number;
      }>`select agent, executions::int as executions, success_rate, confidence, avg_ms, avg_micro_usd
        from get_optimal_agents('deploy')`);
      expect(best).toEqual([
        {
          agent: 'many',
          executions: 100,
          success_rate: 0.9,
          avg_ms: 500,
          avg_micro_usd: 7,
          confidence: expect.closeTo(0.8256, 4),
        },
        {
          agent: 'few',
          executions: 4,
          success_rate: 1,
          avg_ms: 1000,
          avg_micro_usd: null,
          confidence: expect.closeTo(0.5101, 4),
        },
      ]);
      const one = await database.query(
        sql`select agent from get_optimal_agents('deploy', 1, 0.5, 2)`,
      );
      expect(one).toEqual([{ agent: 'many' }]);
      const all = await database.query(sql`select * from get_optimal_agents('deploy', -1)`);
      expect(all).toEqual([]);
      const predicted = await database.query(
        sql<{
          agent: string;
          probability: number | null;
          low: number | null;
          high: number | null;
        }>`select agent, probability, low, high, samples::int as samples, basis
          from predict_task_success('deploy', array['nobody', 'bob', 'many', 'bob', null])`,
      );
      expect(predicted).toMatchObject([
        { agent: 'nobody', probability: null, low: null, high: null, samples: 0, basis: 'nothing' },
        { agent: 'bob', samples: 31, basis: 'agent' },
        { agent: 'many', samples: 100, basis: 'task type' },
      ]);
      const [, bob, many] = predicted;
      expect(many?.probability).toBeCloseTo((90 + 4 * 0.5) / 104, 10);
      for (const { low, high, probability } of [bob, many].filter((row) => row !== undefined)) {
        expect(low).toBeLessThan(probability ?? 0);
        expect(high).toBeGreaterThan(probability ?? 1);
      }
      expect((bob?.high ?? 0) - (bob?.low ?? 1)).toBeGreaterThan(
        (many?.high ?? 1) - (many?.low ?? 0),
      );
    });
  });
}

describe.skipIf(unavailable('server') !== undefined)('with several learners', () => {
  let store: TestStore;
  beforeAll(async () => {
    store = await openStore('server');
  });
  afterAll(() => store.close());

  test('one that is killed while it adds up leaves nothing half done, and another goes on', async () => {
    const { database, url, home } = store;
    const waves = Array.from({ length: 4 }, (_, wave) => `type-${wave}`);
    for (const type of waves) await write(database, repeat(1_000, { type, ms: 300 }));
    const program = join(import.meta.dirname, '../support/learner-process.ts');
    const child = spawn(process.execPath, [program, url, home], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    const unread = await behind(database);
    expect(unread).toBeGreaterThan(0);
    const options = { clock: systemClock, log: createLog({ level: 'silent' }) };
    const learners = [database, await store.another()].map((each) =>
      openLearner({ ...options, database: each }),
    );
    await until(async () => (await behind(database)) === 0);
    for (const learner of learners) await learner.stop();
    expect(await evidence(database)).toEqual(await recount(database));
    const [days] = await database.query(
      sql<{ n: number }>`select sum(succeeded)::int as n from agent_task_days`,
    );
    expect(days?.n).toBe(4_000);
  });

  test('an execution of a transaction that is still open holds back later ones, and none is missed', async () => {
    const { database } = store;
    const other = await store.another();
    const learner = openLearner({ database, clock: systemClock, log: silentLog });
    await learner.catchUp();
    await other.transaction(async (transaction) => {
      await transaction.query(sql`select pg_current_xact_id()::text`);
      await write(database, [{ type: 'later' }]);
      await learner.catchUp();
      expect(await behind(database)).toBe(1);
      await transaction.query(sql`insert into task_texts (task_hash, task_type, description)
        values (sha256('earlier'), 'earlier', '')`);
      await transaction.query(sql`insert into agent_task_executions (attempt_id, agent, task_type, task_hash,
        started_at, ended_at, result) values (gen_random_uuid(), 'ada', 'earlier', sha256('earlier'), now(),
        now(), 'succeeded')`);
    });
    await until(async () => (await behind(database)) === 0 || (await learner.catchUp()) > 0);
    await learner.catchUp();
    await learner.stop();
    expect(await evidence(database)).toEqual(await recount(database));
  });
});
