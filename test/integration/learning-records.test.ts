import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AppError } from '../../src/base/base.ts';
import { sql } from '../../src/database/database.ts';
import { openFixture, openStore, type Fixture, type TestStore } from '../support/coordination.ts';
import { drivers, unavailable } from '../support/databases.ts';
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
  },
);
