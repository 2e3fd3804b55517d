import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AppError, newId, systemClock } from '../../src/base/base.ts';
import { EventLog, type Append } from '../../src/coordination/event-log.ts';
import { sql } from '../../src/database/database.ts';
import type { GivenFeedback, Outcome } from '../../src/learning/learning.ts';
import { executionsAfter } from '../../src/learning/projections/queries.ts';
import { ratings } from '../../src/learning/router/queries.ts';
import { openRecords, type Records } from '../../src/learning/records/records.ts';
import { openFixture, openStore, type Fixture, type TestStore } from '../support/coordination.ts';
import { drivers, silentLog, unavailable, until } from '../support/databases.ts';
import { Used } from '../support/in-process-agents.ts';

const workflows = {
  retried: `
mode: sequential
inputs:
  topic: { type: string, description: What to write of, required: true }
tasks:
  write: { agent: flaky, retries: 2, description: Write it, input: { task: '\${inputs.topic}', size: 3 } }
  check: { agent: steady, input: { of: '\${tasks.write.output}' } }
`,
  race: `
mode: competitive
description: Answer first
hedgeSeconds: 0
tasks:
  quick: { agent: patient }
  slow: { agent: endless }
`,
};

/** As many as fit. */
const secrets = (length: number): string => 'token=abcd '.repeat(length / 11);

interface Row {
  readonly task: string;
  readonly agent: string;
  readonly task_type: string;
  readonly description: string;
  readonly result: string;
  readonly own_fault: boolean | null;
  readonly error_code: string | null;
  readonly tokens: bigint | null;
  readonly input_bytes: bigint | null;
  readonly partners: readonly string[] | null;
  readonly started_at: Date;
  readonly ended_at: Date;
}

const executionsOf = (runId: string) =>
  sql<Row>`select e.*, t.description from agent_task_executions e join task_texts t using (task_hash)
    where run_id = ${runId}::uuid order by attempt_id`;

describe.for(drivers.filter((each) => unavailable(each) === undefined))(
  'on the %s database',
  (driver) => {
    let store: TestStore;
    let fixture: Fixture;
    let calls = 0;
    const both = Promise.withResolvers<void>();

    beforeAll(async () => {
      store = await openStore(driver);
      fixture = await openFixture(store, workflows, {
        steady: () => new Used('done', { tokens: 12, microUsd: 3 }),
        flaky: () => {
          calls += 1;
          if (calls > 1) return 'written';
          throw new AppError('agent_failed', 'not yet', { retryable: true });
        },
        patient: async () => both.promise,
        endless: ({ signal }) =>
          new Promise((_, reject) => {
            both.resolve();
            signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
          }),
      });
    });
    afterAll(async () => {
      await fixture.part.stop(0);
      await store.close();
    });

    test('each attempt of a run leaves one row, failed ones with their error', async () => {
      const { id, status } = await fixture.run('retried', { topic: 'a river' });
      expect(status).toBe('completed');
      const rows = await store.database.query(executionsOf(id));
      expect(
        rows.map((row) => [row.task, row.agent, row.result, row.own_fault, row.error_code]),
      ).toStrictEqual([
        ['write', 'flaky', 'failed', true, 'agent_failed'],
        ['write', 'flaky', 'succeeded', null, null],
        ['check', 'steady', 'succeeded', null, null],
      ]);
      expect(rows[0]).toMatchObject({
        task_type: 'retried/write',
        description: 'Write it\na river',
        input_bytes: 27n,
        partners: null,
      });
      expect(rows[2]).toMatchObject({
        task_type: 'retried/check',
        description: 'retried/check',
        tokens: 12n,
        partners: ['flaky'],
      });
      for (const row of rows) {
        expect(row.ended_at.getTime()).toBeGreaterThanOrEqual(row.started_at.getTime());
      }
    });

    test('who lost a race is cancelled, and was asked for the same as who won', async () => {
      const { id } = await fixture.run('race');
      const rows = await store.database.query(executionsOf(id));
      expect(rows.map((row) => [row.agent, row.result, row.partners])).toStrictEqual([
        ['patient', 'succeeded', ['endless']],
        ['endless', 'cancelled', ['patient']],
      ]);
      expect(new Set(rows.map((row) => `${row.task_type}: ${row.description}`))).toStrictEqual(
        new Set(['race: Answer first']),
      );
    });

    describe('an append', () => {
      const owner = newId();
      let log: EventLog;

      beforeAll(() => {
        log = new EventLog({
          database: store.database,
          worker: owner,
          clock: systemClock,
          log: silentLog,
          random: () => 0.5,
        });
      });
      afterAll(async () => log.close(true));

      /** A run that `owner` holds under epoch 7, in the month of which there are tables. */
      async function heldRun(): Promise<string> {
        const runId = newId();
        await store.database.query(
          sql`insert into runs (run_id, workflow, definition_hash, status, priority, format, owner, epoch)
            values (${runId}::uuid, 'w', 'none', 'running', 50, 1, ${owner}::uuid, 7)`,
        );
        return runId;
      }

      test('of a run that was lost writes neither its events nor its outcomes', async () => {
        const [held, lost] = [await heldRun(), await heldRun()];
        const results = await Promise.all([
          log.append(appendOf(held, 7n)),
          log.append(appendOf(lost, 6n)),
        ]);
        expect(results).toStrictEqual([{ at: null }, 'fenced']);
        expect(await written(store, held)).toStrictEqual({ events: 1, outcomes: 1 });
        expect(await written(store, lost)).toStrictEqual({ events: 0, outcomes: 0 });
      });

      test('that is repeated writes its outcome once', async () => {
        const runId = await heldRun();
        const append = appendOf(runId, 7n);
        await log.append(append);
        await log.append(append).catch(() => undefined);
        expect(await written(store, runId)).toStrictEqual({ events: 1, outcomes: 1 });
      });

      test('brings a text that is gone again, and is written without an outcome that the database refuses', async () => {
        const facts = { type: `lost-${newId()}`, text: 'What is not there' };
        const runs = [await heldRun(), await heldRun(), await heldRun(), await heldRun()];
        const [first = '', second = '', third = '', fourth = ''] = runs;
        await log.append(appendOf(first, 7n, { facts }));
        await store.database.query(sql`delete from task_texts where task_type = ${facts.type}`);
        await log.append(appendOf(second, 7n, { facts }));
        await log.append(appendOf(third, 7n, { facts }));
        const texts = await store.database.query(
          sql<{
            description: string;
          }>`select description from task_texts where task_type = ${facts.type}`,
        );
        expect(texts).toStrictEqual([{ description: facts.text }]);
        await log.append(appendOf(fourth, 7n, { startedAtMs: 2_000, endedAtMs: 1_000 }));
        expect(await written(store, fourth)).toStrictEqual({ events: 1, outcomes: 0 });
      });
    });

    describe('what is told from outside', () => {
      let records: Records;
      const nowMs = Date.parse('2026-11-21T12:00:00Z');
      const ada = { id: 'p-ada', name: 'ada' };
      const good = {
        agent: 'steady',
        type: 'outside',
        text: 'Sort it',
        result: 'succeeded',
        ms: 5,
      };
      const report = (fields: object, by = ada) =>
        records.report({ ...good, ...fields } as never, by);

      beforeAll(() => {
        const clock = { ...systemClock, nowMs: () => nowMs };
        records = openRecords({ database: store.database, clock, known: isSteady });
      });

      test.for([
        ['agent', { agent: 'nobody' }],
        ['ms', { ms: -1 }],
        ['ms', { ms: Number.NaN }],
        ['text', { text: 'a\0b' }],
        ['text', { text: 'x'.repeat(4_001) }],
        ['text', { text: '' }],
        ['type', { type: 'a'.repeat(201) }],
        ['result', { result: 'fine' }],
        ['endedAt', { endedAt: '2026-11-21T12:00:00.001Z' }],
        ['endedAt', { endedAt: 'yesterday' }],
        ['complexity', { complexity: 1.1 }],
        ['tokens', { tokens: -3 }],
        ['microUsd', { microUsd: 0.5 }],
        ['microUsd', { microUsd: 1e12 + 1 }],
        ['attemptId', { attemptId: 'one' }],
      ] as const)('is refused for its %s: %o', async ([field, fields]) => {
        await expect(report(fields)).rejects.toMatchObject({
          code: 'invalid_input',
          details: { field },
        });
      });

      test('is kept once for one attempt, in order, and counts less the more of one principal there is', async () => {
        const attemptId = newId();
        await report({ attemptId });
        await report({ attemptId, ms: 7 });
        await report({}, { id: 'p-bob', name: 'bob' });
        await report({ result: 'failed', errorCode: 'wrong', microUsd: 4 });
        await until(async () => (await visible(store)) === (await countWritten(store)));
        const rows = (await tail(store)).filter(({ task_type: type }) => type === 'outside');
        expect(rows.map((row) => [row.reported_by, row.ms, row.reports_before])).toStrictEqual([
          ['p-ada', 5, 0],
          ['p-bob', 5, 0],
          ['p-ada', 5, 1],
        ]);
        expect(rows[2]).toMatchObject({
          result: 'failed',
          own_fault: true,
          error_code: 'wrong',
          micro_usd: 4,
          description: 'Sort it',
          run_id: null,
        });
        await expect(report({}, { id: 'p-steady', name: 'steady' })).rejects.toMatchObject({
          code: 'denied',
        });
      });

      test('of a transaction that is still open is not read before it ends', async () => {
        await until(async () => (await visible(store)) === (await countWritten(store)));
        const before = await visible(store);
        if (driver === 'server') {
          const other = await store.another();
          await other.transaction(async (transaction) => {
            await transaction.query(sql`select pg_current_xact_id()`);
            await report({});
            expect(await visible(store)).toBe(before);
          });
        } else await report({});
        await until(async () => (await visible(store)) === before + 1);
      });

      const rate = (score: number, of: GivenFeedback['of'], by = ada) =>
        records.feedback({ of, score, by, comment: 'As asked' });

      test('a rating takes the place of the one before, and needs an attempt that somebody else made', async () => {
        const { id } = await fixture.run('retried', { topic: 'a lake' });
        await rate(3, { runId: id, task: 'check' });
        const taken = await rate(8, { runId: id });
        expect(taken).toMatchObject({ agent: 'steady', score: 8, principals: 1 });
        await rate(4, { attemptId: taken.attemptId }, { id: 'p-bob', name: 'bob' });
        const given = await store.database.query(ratings());
        expect(given.toSorted((a, b) => b.score - a.score)).toStrictEqual([
          { agent: 'steady', principalId: 'p-ada', score: 8 },
          { agent: 'steady', principalId: 'p-bob', score: 4 },
        ]);
        const itself = { id: 'p-steady', name: 'steady' };
        await expect(rate(10, { runId: id }, itself)).rejects.toMatchObject({ code: 'denied' });
        await expect(rate(5, { attemptId: newId() })).rejects.toMatchObject({ code: 'not_found' });
        await expect(rate(5, { runId: newId() })).rejects.toMatchObject({ code: 'not_found' });
        for (const score of [0, 11, 5.5, Number.NaN]) {
          await expect(rate(score, { runId: id })).rejects.toMatchObject({ code: 'invalid_input' });
        }
      });

      test('can not take the place of what comes of an attempt of a run', async () => {
        const { id } = await fixture.run('retried', { topic: 'a pond' });
        const [own] = await store.database.query(
          sql<{ attempt_id: string }>`select attempt_id from agent_task_executions
            where run_id = ${id}::uuid limit 1`,
        );
        const attemptId = own?.attempt_id ?? '';
        const told = await report({ attemptId });
        const again = await report({ attemptId: attemptId.toUpperCase() });
        const other = await report({ attemptId }, { id: 'p-bob', name: 'bob' });
        expect(again).toStrictEqual(told);
        expect(new Set([attemptId, told.attemptId, other.attemptId]).size).toBe(3);
        const taken = { score: 5, by: ada, of: { attemptId: told.attemptId } };
        await expect(records.feedback(taken)).resolves.toMatchObject({ agent: 'steady' });
      });

      test('holds no secret, also where what stands in its place is longer', async () => {
        const { attemptId } = await report({
          type: secrets(200),
          text: secrets(4_000),
          attemptId: newId(),
        });
        await records.feedback({ of: { attemptId }, score: 5, by: ada, comment: secrets(2_000) });
        const [kept] = await store.database.query(
          sql<{ words: string }>`select task_type || description || comment as words
            from agent_task_executions join task_texts t using (task_hash, task_type)
            join agent_feedback using (attempt_id) where attempt_id = ${attemptId}::uuid`,
        );
        expect(kept?.words).toContain('token=[redacted]');
        expect(kept?.words).not.toContain('abcd');
      });

      test('what is old is forgotten, with the texts that nobody refers to any more', async () => {
        // Outcomes of the tests before this one are as old as they say.
        await records.prune(30);
        await report({ type: 'old', text: 'Long ago', endedAt: '2026-10-01T00:00:00Z' });
        await report({ type: 'new', text: 'Just now' });
        await store.database.query(
          sql`update task_texts set first_seen_at = now() - interval '2 days' where task_type in ('old', 'new')`,
        );
        expect(await records.prune(30)).toBe(1);
        expect(await records.prune(30)).toBe(0);
        const types = await store.database.query(
          sql<{
            task_type: string;
          }>`select task_type from task_texts where task_type in ('old', 'new')`,
        );
        expect(types).toStrictEqual([{ task_type: 'new' }]);
        await expect(records.prune(0)).rejects.toMatchObject({ code: 'invalid_input' });
      });
    });
  },
);

function outcomeOf(runId: string, fields: Partial<Outcome>): Outcome {
  return {
    attemptId: newId(),
    runId,
    task: 'a',
    workflow: 'w',
    mode: 'sequential',
    agent: 'steady',
    definitionHash: 'none',
    facts: { type: 'w/a', text: 'A, with a comma' },
    startedAtMs: 1_000,
    endedAtMs: 2_000,
    result: 'succeeded',
    ...fields,
  };
}

function appendOf(runId: string, epoch: bigint, outcome: Partial<Outcome> = {}): Append {
  return {
    runId,
    epoch,
    events: [{ seq: 1, body: { type: 'attempt.progress', task: 'a', text: 'on the way' } }],
    outcomes: [outcomeOf(runId, outcome)],
  };
}

function isSteady(agent: string): boolean {
  return agent === 'steady';
}

/** How many rows a run has. */
async function written(
  { database }: TestStore,
  runId: string,
): Promise<{ events: number; outcomes: number } | undefined> {
  const [row] = await database.query(
    sql<{ events: number; outcomes: number }>`select
        (select count(*)::int from run_events where run_id = ${runId}::uuid) as events,
        (select count(*)::int from agent_task_executions where run_id = ${runId}::uuid) as outcomes`,
  );
  return row;
}

/** How many executions a reader may see. */
async function visible(store: TestStore): Promise<number> {
  return (await tail(store)).length;
}

/** With those that a transaction elsewhere on the server may still come before. */
async function countWritten({ database }: TestStore): Promise<number> {
  const [row] = await database.query(
    sql<{ total: number }>`select count(*)::int as total from agent_task_executions`,
  );
  return row?.total ?? 0;
}

/** All executions that are visible, in their order. */
function tail({ database }: TestStore) {
  const none = '00000000-0000-0000-0000-000000000000';
  return database.query(executionsAfter('0', none, 1_000, 10, true));
}
