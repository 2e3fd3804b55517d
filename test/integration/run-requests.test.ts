/** What may be asked of a run while it goes on, and after it: on both databases, through the public door. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AppError } from '../../src/base/base.ts';
import type { RunDetail } from '../../src/coordination/coordination.ts';
import { sql } from '../../src/database/database.ts';
import { openFixture, openStore, type Fixture, type TestStore } from '../support/coordination.ts';
import { until } from '../support/databases.ts';
import { postgresUnavailable } from '../support/postgres.ts';

const workflows = {
  steps: `
mode: sequential
tasks:
  one: { agent: count, input: one }
  two: { agent: gate, input: two }
  three: { agent: count, input: three }
`,
  approved: `
mode: sequential
tasks:
  one: { agent: count, input: one }
  ok: { approval: "Go on with \${tasks.one.output}?" }
  two: { agent: count, input: "\${tasks.ok.output.by}" }
`,
  signalled: `
mode: sequential
tasks:
  go: { wait: { signal: go } }
  next: { agent: count, input: "\${tasks.go.output.n}" }
`,
  forked: `
mode: parallel
inputs: { word: { default: a } }
tasks:
  top: { agent: count, input: top }
  left: { agent: count, input: "left \${inputs.word}", needs: [top] }
  right: { agent: count, input: right, needs: [top] }
  bottom: { agent: count, input: "\${tasks.left.output} and \${tasks.right.output}", needs: [left, right] }
`,
  dear: `
mode: sequential
budget: { tokens: 250 }
tasks:
  one: { agent: spends, budget: { tokens: 100 } }
  two: { agent: spends, budget: { tokens: 100 } }
  three: { agent: spends, budget: { tokens: 100 } }
`,
  votes: `
mode: sequential
tasks:
  vote:
    mode: consensus
    quorum: 2
    agreement: 0.6
    tasks:
      a: { agent: count, input: same }
      b: { agent: count, input: same }
      c: { agent: gate, input: other }
`,
  race: `
mode: competitive
hedgeSeconds: 0.05
tasks:
  slow: { agent: hangs }
  fast: { agent: count, input: fast }
`,
};

describe.each(['embedded', 'server'] as const)('on the %s database', (driver) => {
  const skip = driver === 'server' ? postgresUnavailable : undefined;
  describe.skipIf(skip)('a run', () => {
    let store: TestStore;
    let fixture: Fixture;
    let calls: string[] = [];
    let gate = open();

    beforeAll(async () => {
      store = await openStore(driver);
      fixture = await openFixture(store, workflows, {
        count: ({ input }) => {
          calls.push(String(input));
          return input;
        },
        gate: async ({ input, signal }) => {
          calls.push(String(input));
          await Promise.race([gate.opened, rejectOn(signal)]);
          return input;
        },
        hangs: ({ signal }) => rejectOn(signal),
        spends: () => {
          throw new AppError('internal', 'replaced below');
        },
      });
    });

    afterAll(async () => {
      await fixture.part.stop(1_000);
      await store.close();
    });

    test('pauses: what is under way ends, nothing new starts, and it resumes where it was', async () => {
      const { runs } = fixture.part;
      calls = [];
      gate = open();
      const { id } = await runs.start({ workflow: 'steps', input: {} });
      await until(() => calls.includes('two'));
      await runs.pause(id, { reason: 'lunch', by: 'ann' });
      await until(async () => (await runs.get(id)).status === 'paused');
      gate.release();
      await until(async () => (await ownerOf(id)) === null);
      const paused = await runs.get(id);
      expect(paused).toMatchObject({ status: 'paused', tasks: { completed: 2, created: 1 } });
      await runs.resume(id, { by: 'ann' });
      expect(await runs.wait(id)).toMatchObject({ status: 'completed' });
      expect(calls).toEqual(['one', 'two', 'three']);
      const types = (await runs.events(id, 0)).map(({ body }) => body.type);
      expect(types).toEqual(expect.arrayContaining(['run.paused', 'run.released', 'run.resumed']));
    });

    test('waits for an answer without a worker, and goes on with it', async () => {
      const { runs } = fixture.part;
      const { id } = await runs.start({ workflow: 'approved', input: {} });
      await until(async () => (await runs.get(id)).status === 'waiting');
      expect(await ownerOf(id)).toBeNull();
      const asked = await runs.get(id);
      expect(asked.questions).toMatchObject([{ id: 'ok', prompt: 'Go on with one?' }]);
      await expect(runs.answer(id, { question: 'no', decision: 'approve' })).rejects.toMatchObject({
        code: 'invalid_input',
      });
      await runs.answer(id, { decision: 'approve', by: 'ann' });
      const done = await runs.wait(id);
      expect(done).toMatchObject({ status: 'completed', output: { two: 'ann' } });
      await expect(runs.answer(id, { decision: 'approve' })).rejects.toMatchObject({
        code: 'run_finished',
      });
    });

    test('is rejected by a person, who is named', async () => {
      const { runs } = fixture.part;
      const { id } = await runs.start({ workflow: 'approved', input: {} });
      await until(async () => (await runs.get(id)).questions.length === 1);
      await runs.answer(id, { decision: 'reject', by: 'ann', comment: 'too early' });
      expect(await runs.wait(id)).toMatchObject({
        status: 'failed',
        error: { code: 'rejected', message: 'task ok: ann said no: too early' },
      });
    });

    test('takes a signal that came before it waited, and one that comes after', async () => {
      const { runs } = fixture.part;
      for (const early of [true, false]) {
        const { id } = await runs.start({ workflow: 'signalled', input: {} });
        if (!early) await until(async () => (await runs.get(id)).status === 'waiting');
        await runs.signal(id, { name: 'go', data: { n: early ? 1 : 2 } });
        expect(await runs.wait(id)).toMatchObject({ output: { next: early ? 1 : 2 } });
      }
    });

    test('is done again from a task on: what stands on it runs, the rest is kept', async () => {
      const { runs } = fixture.part;
      calls = [];
      const { id } = await runs.start({ workflow: 'forked', input: {} });
      await runs.wait(id);
      calls = [];
      await expect(runs.retry(id, { from: 'lef' })).rejects.toMatchObject({
        code: 'invalid_input',
        remedy: 'Did you mean left?',
      });
      await runs.retry(id, { from: 'left', by: 'ann' });
      expect(await runs.wait(id)).toMatchObject({ status: 'completed' });
      expect(calls).toEqual(['left a', 'left a and right']);
    });

    test('is forked from a task with another input: the new run keeps what does not stand on it', async () => {
      const { runs } = fixture.part;
      const { id } = await runs.start({ workflow: 'forked', input: {} });
      await runs.wait(id);
      calls = [];
      const fork = await runs.fork(id, { from: 'left', input: { word: 'b' }, by: 'ann' });
      expect(fork).toMatchObject({ forkedFrom: id, startedBy: 'ann' });
      const done = await runs.wait(fork.id);
      expect(calls).toEqual(['left b', 'left b and right']);
      expect(done).toMatchObject({ output: { top: 'top', bottom: 'left b and right' } });
      expect(await runs.get(id)).toMatchObject({ output: { bottom: 'left a and right' } });
    });

    test('keeps votes hidden until all are in', async () => {
      const { runs } = fixture.part;
      gate = open();
      const { id } = await runs.start({ workflow: 'votes', input: {} });
      await until(async () => (await runs.get(id)).tasks.completed === 2);
      const during = await runs.get(id);
      expect(outputsOf(during)).toEqual([undefined, undefined, undefined, undefined]);
      expect(JSON.stringify(await runs.events(id, 0))).not.toContain('same"');
      gate.release();
      const after = await runs.wait(id);
      expect(after).toMatchObject({ status: 'completed', output: { vote: 'same' } });
      expect(outputsOf(after)).toEqual(['same', 'same', 'same', 'other']);
    });

    test('races: the first answer wins, the loser is stopped and its cost is kept', async () => {
      const { runs } = fixture.part;
      const { id } = await runs.start({ workflow: 'race', input: {} });
      const done = await runs.wait(id);
      expect(done).toMatchObject({ status: 'completed', output: 'fast' });
      expect(done.taskList.map(({ status }) => status)).toEqual(['cancelled', 'completed']);
    });

    test('is opened by nobody when it is of a format that this version does not know', async () => {
      const { runs } = fixture.part;
      const { id } = await runs.start({ workflow: 'signalled', input: {} });
      await until(async () => (await runs.get(id)).status === 'waiting');
      await store.database.query(sql`update runs set format = 99 where run_id = ${id}::uuid`);
      await runs.signal(id, { name: 'go', data: { n: 1 } });
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      expect(await ownerOf(id)).toBeNull();
      await store.database.query(sql`update runs set format = 2 where run_id = ${id}::uuid`);
      expect(await runs.wait(id)).toMatchObject({ status: 'completed' });
    });

    async function ownerOf(id: string): Promise<string | null> {
      const [row] = await store.database.query(
        sql<{ owner: string | null }>`select owner from runs where run_id = ${id}::uuid`,
      );
      return row?.owner ?? null;
    }
  });
});

function outputsOf({ taskList }: RunDetail): unknown[] {
  return taskList.map(({ output }) => output);
}

function open(): { opened: Promise<void>; release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, release: resolve };
}

function rejectOn(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });
}
