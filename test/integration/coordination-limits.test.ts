/** Runs under breakers, budgets, stalls and each other: what makes them wait, and that they go on. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openRegistry } from '../../src/agents/agents.ts';
import { AppError, systemClock } from '../../src/base/base.ts';
import { openBreakers, openBudgets } from '../../src/coordination/coordination.ts';
import { openFixture, openStore, type Fixture, type TestStore } from '../support/coordination.ts';
import { silentLog, unavailable, until } from '../support/databases.ts';
import { Used } from '../support/in-process-agents.ts';

const many = (count: number, agent: string): string =>
  Array.from({ length: count }, (_, n) => `  t${n}: { agent: ${agent}, input: t${n} }`).join('\n');

const workflows = {
  failing: `
mode: sequential
tasks:
  only: { agent: sick, retries: 0 }
`,
  shared: `
mode: sequential
budgets: [team]
tasks:
  one: { agent: spends, input: { tokens: 60 }, budget: { tokens: 60 } }
  two: { agent: spends, input: { tokens: 60 }, budget: { tokens: 60 } }
`,
  asking: `
mode: sequential
budget: { tokens: 150 }
tasks:
  one: { agent: spends, input: { tokens: 100 }, budget: { tokens: 100 } }
  two: { agent: spends, input: { tokens: 100 }, budget: { tokens: 100 } }
`,
  strict: `
mode: sequential
budget: { tokens: 150 }
onBudget: fail
tasks:
  one: { agent: spends, input: { tokens: 100 }, budget: { tokens: 100 } }
  two: { agent: spends, input: { tokens: 100 }, budget: { tokens: 100 } }
`,
  busy: `
mode: sequential
tasks:
  only: { agent: busy, retries: 0 }
`,
  big: `
mode: parallel
maxParallel: 200
tasks:
${many(200, 'counts')}
`,
  small: `
mode: parallel
tasks:
${many(1, 'counts')}
`,
};

describe.skipIf(unavailable('server') !== undefined)('a run', () => {
  let store: TestStore;
  let fixture: Fixture;
  let breakers: Awaited<ReturnType<typeof openBreakers>>;
  let budgets: ReturnType<typeof openBudgets>;
  let isSick = true;
  let sickCalls = 0;
  let busyCalls = 0;
  const order: string[] = [];

  beforeAll(async () => {
    store = await openStore('server');
    const { database } = store;
    const common = { database, clock: systemClock, log: silentLog };
    breakers = await openBreakers({ ...common, limits: { openMs: 1_500 } });
    budgets = openBudgets(common);
    fixture = await openFixture(
      store,
      workflows,
      {
        sick: () => {
          sickCalls += 1;
          if (isSick) throw new AppError('agent_failed', 'it is ill');
          return 'well';
        },
        spends: ({ input }) => new Used('spent', input as { tokens: number }),
        busy: () => {
          busyCalls += 1;
          if (busyCalls > 3) return 'free';
          throw new AppError('agent_busy', 'call later', { details: { retryAfterMs: 20 } });
        },
        counts: async ({ input, idempotencyKey }) => {
          order.push(idempotencyKey);
          await systemClock.sleep(10);
          return input;
        },
      },
      { limits: { breakers, budgets }, concurrency: 4 },
    );
  });

  afterAll(async () => {
    await fixture.part.stop(1_000);
    await breakers.close();
    await budgets.close();
    await store.close();
  });

  test('waits while a breaker is open, calls nobody meanwhile, and goes on when it is not', async () => {
    for (let failed = 0; failed < 5; failed += 1) {
      expect(await fixture.run('failing')).toMatchObject({ status: 'failed' });
    }
    await until(async () => !(await breakers.admit(['agent:sick'], 'nobody')).admitted);
    expect(sickCalls).toBe(5);
    isSick = false;
    const detail = await fixture.run('failing');
    expect(detail).toMatchObject({ status: 'completed', output: { only: 'well' } });
    const deferred = (await fixture.events(detail.id)).flatMap(({ body }) =>
      body.type === 'attempt.deferred' ? [body.error.message] : [],
    );
    expect(deferred.length).toBeGreaterThan(0);
    expect(deferred[0]).toMatch(/^agent sick failed too often and is left alone/);
    expect(sickCalls).toBe(6);
  });

  test('waits for a shared budget that is used up, and goes on when it is raised', async () => {
    const { runs } = fixture.part;
    await budgets.set('team', { period: 'forever', limits: { tokens: 100 } }, 'ann');
    const { id } = await runs.start({ workflow: 'shared', input: {} });
    await until(async () => (await runs.get(id)).status === 'waiting');
    const waiting = await runs.get(id);
    expect(waiting.taskList.map(({ status }) => status)).toEqual(['completed', 'waiting']);
    expect(waiting.taskList[1]?.waitsFor?.what).toContain('team');
    expect((await budgets.get('team')).spent.tokens).toBe(60);
    await budgets.set('team', { limits: { tokens: 120 } }, 'ann');
    expect(await runs.wait(id)).toMatchObject({ status: 'completed' });
    expect((await budgets.get('team')).spent.tokens).toBe(120);
  }, 150_000);

  test('asks for more when its own budget does not do, spends nothing meanwhile, and goes on with what is added', async () => {
    const { runs } = fixture.part;
    const { id } = await runs.start({ workflow: 'asking', input: {} });
    await until(async () => (await runs.get(id)).status === 'waiting');
    const asked = await runs.get(id);
    expect(asked.questions).toMatchObject([
      { kind: 'budget', task: 'two', lacking: { tokens: 50 } },
    ]);
    expect(asked.spent.tokens).toBe(100);
    const answer = { decision: 'approve', by: 'ann' } as const;
    await expect(runs.answer(id, { ...answer, add: { tokens: 10 } })).rejects.toMatchObject({
      code: 'invalid_input',
      message: 'at least 50 tokens must be added',
    });
    await runs.answer(id, { ...answer, add: { tokens: 50 } });
    const done = await runs.wait(id);
    expect(done).toMatchObject({
      status: 'completed',
      spent: { tokens: 200 },
      budget: { tokens: 200 },
    });
  });

  test('fails when no more is granted, or when it was told to', async () => {
    const { runs } = fixture.part;
    const { id } = await runs.start({ workflow: 'asking', input: {} });
    await until(async () => (await runs.get(id)).questions.length === 1);
    await runs.answer(id, { decision: 'reject', by: 'ann' });
    for (const ended of [await runs.wait(id), await fixture.run('strict')]) {
      expect(ended).toMatchObject({
        status: 'failed',
        error: { code: 'budget_exceeded' },
        spent: { tokens: 100 },
      });
      expect(ended.taskList[1]).toMatchObject({ status: 'skipped', attempts: 0 });
    }
  });

  test('calls a busy agent later without counting it as a try', async () => {
    const detail = await fixture.run('busy');
    expect(detail).toMatchObject({ status: 'completed', output: { only: 'free' } });
    const types = (await fixture.events(detail.id)).map(({ body }) => body.type);
    expect(types.filter((type) => type === 'attempt.deferred')).toHaveLength(3);
    expect(types).not.toContain('attempt.failed');
  });

  test('with one task is not starved by one with two hundred', async () => {
    const { runs } = fixture.part;
    const big = await runs.start({ workflow: 'big', input: {} });
    await until(() => order.length >= 4);
    const small = await runs.start({ workflow: 'small', input: {} });
    expect(await runs.wait(small.id)).toMatchObject({ status: 'completed' });
    expect((await runs.get(big.id)).status).toBe('running');
    expect(await runs.wait(big.id)).toMatchObject({ tasks: { completed: 200 } });
    expect(order).toHaveLength(201);
  });

  test('of a higher priority gets more of the places than one of a lower', async () => {
    const { runs } = fixture.part;
    const low = await runs.start({ workflow: 'big', input: {}, priority: 30 });
    const high = await runs.start({ workflow: 'big', input: {}, priority: 80 });
    await Promise.all([runs.wait(low.id), runs.wait(high.id)]);
    const isHigh = (key: string): boolean => key.startsWith(high.id);
    const meanwhile = order.slice(order.findIndex(isHigh), order.findLastIndex(isHigh));
    expect(meanwhile.filter((key) => key.startsWith(low.id)).length).toBeLessThan(130);
  });
});

test('an agent that reports nothing for too long is stopped, and its next try gets what it had given', async () => {
  const store = await openStore('embedded');
  const folder = join(store.home, 'agents');
  await mkdir(folder);
  const program = `
    const [number, partial] = process.argv.slice(1);
    if (number === '1') { process.stdout.write('half'); setInterval(() => {}, 1000); }
    else process.stdout.write(partial + ' and the rest');`;
  await writeFile(
    join(folder, 'stalls.md'),
    `---
name: stalls
description: Stalls at its first try.
centuria:
  category: development
  runtime:
    kind: command
    program: ${process.execPath}
    arguments: ['-e', ${JSON.stringify(program)}, '\${attempt.number}', '\${attempt.partial}']
---
`,
  );
  const registry = await openRegistry({
    folders: [{ path: folder, shipped: false }],
    database: store.database,
    packageRoot: join(import.meta.dirname, '../..'),
    log: silentLog,
    clock: systemClock,
    watch: false,
  });
  const text = 'mode: sequential\ntasks:\n  only: { agent: stalls, stallSeconds: 1.5 }\n';
  const fixture = await openFixture(store, { stalling: text }, registry);
  const detail = await fixture.run('stalling');
  expect(detail).toMatchObject({ status: 'completed', output: { only: 'half and the rest' } });
  expect(detail.taskList[0]?.attempts).toBe(2);
  const failed = (await fixture.events(detail.id)).find(
    ({ body }) => body.type === 'attempt.failed',
  );
  expect(failed?.body).toMatchObject({ error: { code: 'agent_stalled' }, partial: 'half' });
  await fixture.part.stop(0);
  await registry.close();
  await store.close();
});
