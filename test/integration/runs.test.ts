/** Runs on both databases: what a user of coordination may rely on. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AppError } from '../../src/base/base.ts';
import { sql } from '../../src/database/database.ts';
import { openFixture, openStore, type Fixture, type TestStore } from '../support/coordination.ts';
import { postgresUnavailable } from '../support/postgres.ts';

const workflows = {
  chain: `
mode: sequential
inputs: { word: { default: seed } }
tasks:
  one: { agent: echo, input: { say: "\${inputs.word}" } }
  two: { agent: echo, input: { say: "\${tasks.one.output.say}+" } }
output: "\${tasks.two.output.say}"
`,
  diamond: `
mode: parallel
tasks:
  top: { agent: order, input: top }
  left: { agent: order, input: left, needs: [top] }
  right: { agent: order, input: right, needs: [top] }
  bottom: { agent: order, input: bottom, needs: [left, right] }
`,
  wide: `
mode: parallel
maxParallel: 3
tasks:
${Array.from({ length: 12 }, (_, index) => `  t${index}: { agent: together }`).join('\n')}
`,
  broken: `
mode: parallel
tasks:
  bad: { agent: fails }
  behind: { agent: echo, needs: [bad] }
`,
  tolerant: `
mode: parallel
tasks:
  bad: { agent: fails, onFailure: continue }
  report: { agent: echo, input: "\${tasks}", after: [bad] }
`,
  flaky: `
mode: sequential
tasks:
  hard: { agent: flaky, input: { times: 2 }, retries: 2 }
`,
  hopeless: `
mode: sequential
tasks:
  hard: { agent: flaky, input: { times: 99 }, retries: 1 }
`,
  slow: `
mode: parallel
timeoutSeconds: 60
tasks:
  a: { agent: hangs }
  b: { agent: echo, needs: [a] }
`,
  limited: `
mode: parallel
timeoutSeconds: 0.4
tasks:
  a: { agent: hangs }
`,
  odd: `
mode: sequential
tasks:
  a: { agent: odd }
output: "\${tasks.a.output}"
`,
};

describe.each(['embedded', 'server'] as const)('on the %s database', (driver) => {
  const skip = driver === 'server' ? postgresUnavailable : undefined;
  describe.skipIf(skip)('a run', () => {
    let store: TestStore;
    let fixture: Fixture;
    const order: string[] = [];
    let together = 0;
    let most = 0;
    const calls = new Map<string, number>();

    beforeAll(async () => {
      store = await openStore(driver);
      fixture = await openFixture(store, workflows, {
        echo: ({ input }) => input,
        order: ({ input }) => order.push(String(input)),
        together: async () => {
          together += 1;
          most = Math.max(most, together);
          await new Promise((resolve) => setTimeout(resolve, 20));
          together -= 1;
        },
        fails: () => {
          throw new AppError('agent_failed', 'it can not', { retryable: false });
        },
        flaky: ({ input, idempotencyKey }) => {
          const { times } = input as { times: number };
          const call = (calls.get(idempotencyKey) ?? 0) + 1;
          calls.set(idempotencyKey, call);
          if (call <= times) throw new AppError('agent_failed', `try ${call}`, { retryable: true });
          return call;
        },
        hangs: ({ signal }) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error));
          }),
        odd: () => ({
          nul: 'a\0b',
          surrogate: '\ud800',
          emoji: '🏛',
          big: 2 ** 53,
          nothing: undefined,
        }),
      });
    });

    afterAll(async () => {
      await fixture.part.stop(1_000);
      await store.close();
    });

    test('passes outputs on and gives what its definition says', async () => {
      const detail = await fixture.run('chain', { word: 'x' });
      expect(detail).toMatchObject({ status: 'completed', output: 'x+', tasks: { completed: 2 } });
      expect(detail.overheadMs).toBeGreaterThanOrEqual(0);
    });

    test('honours dependencies in parallel mode', async () => {
      order.length = 0;
      expect((await fixture.run('diamond')).status).toBe('completed');
      expect(order[0]).toBe('top');
      expect(order.slice(1, 3).toSorted()).toEqual(['left', 'right']);
      expect(order[3]).toBe('bottom');
    });

    test('runs tasks at the same time, up to its limit and no further', async () => {
      expect((await fixture.run('wide')).status).toBe('completed');
      expect(most).toBe(3);
    });

    test('is failed, never completed, when a task failed and another was skipped', async () => {
      const detail = await fixture.run('broken');
      expect(detail.status).toBe('failed');
      expect(detail.error).toMatchObject({ code: 'agent_failed', message: 'task bad: it can not' });
      expect(detail.taskList.map(({ status }) => status)).toEqual(['failed', 'skipped']);
      expect(detail.taskList[1]?.skippedBecause).toBe('it needs bad, which was failed');
      expect(detail.output).toBeUndefined();
    });

    test('goes on after a failure that it may, and tells the next task of it', async () => {
      const detail = await fixture.run('tolerant');
      expect(detail).toMatchObject({ status: 'completed', tasks: { completed: 1, failed: 1 } });
      expect(detail.taskList[1]?.output).toMatchObject({
        bad: { agent: 'fails', status: 'failed', output: null, error: { message: 'it can not' } },
      });
    });

    test('tries a failed task again as often as it may, with the same key and input', async () => {
      const detail = await fixture.run('flaky');
      expect(detail).toMatchObject({ status: 'completed', output: { hard: 3 } });
      expect(detail.taskList[0]?.attempts).toBe(3);
      const bodies = (await fixture.events(detail.id)).map(({ body }) => body.type);
      expect(bodies.filter((type) => type === 'attempt.failed')).toHaveLength(2);

      const hopeless = await fixture.run('hopeless');
      expect(hopeless).toMatchObject({ status: 'failed', error: { message: 'task hard: try 2' } });
      expect(hopeless.taskList[0]?.attempts).toBe(2);
    }, 30_000);

    test('is cancelled down to what is under way, with the reason kept', async () => {
      const { id } = await fixture.part.runs.start({ workflow: 'slow', input: {} });
      for await (const { body } of fixture.part.runs.follow(id, 0)) {
        if (body.type === 'attempt.started') break;
      }
      await fixture.part.runs.cancel(id, { reason: 'not needed any more' });
      const detail = await fixture.part.runs.wait(id);
      expect(detail.status).toBe('cancelled');
      expect(detail.taskList.map(({ status }) => status)).toEqual(['cancelled', 'skipped']);
      expect((await fixture.events(id)).at(-1)?.body).toEqual({
        type: 'run.cancelled',
        reason: 'not needed any more',
      });
      await expect(fixture.part.runs.cancel(id, { reason: 'again' })).rejects.toMatchObject({
        code: 'run_finished',
      });
    });

    test('ends at its time limit and says so', async () => {
      const detail = await fixture.run('limited');
      expect(detail).toMatchObject({ status: 'failed', error: { code: 'timeout' } });
      expect(detail.taskList[0]?.status).toBe('cancelled');
    });

    test('can be tried again after it failed: what was completed is kept', async () => {
      const failed = await fixture.run('hopeless');
      calls.set(`${failed.id}/hard`, 99);
      await fixture.part.runs.retry(failed.id, {});
      const detail = await fixture.part.runs.wait(failed.id);
      expect(detail).toMatchObject({ status: 'completed', output: { hard: 100 } });
      await expect(fixture.part.runs.retry(failed.id, {})).rejects.toMatchObject({
        code: 'conflict',
      });
    }, 30_000);

    test('keeps an output with a NUL, a lone surrogate and all of Unicode', async () => {
      const detail = await fixture.run('odd');
      expect(detail.output).toEqual({ nul: 'a\0b', surrogate: '\ud800', emoji: '🏛', big: 2 ** 53 });
    });

    test('is started once for one idempotency key, and the key is refused for another request', async () => {
      const { runs } = fixture.part;
      const request = { workflow: 'chain', input: { word: 'k' }, idempotencyKey: `key ${driver}` };
      const starts = await Promise.all(Array.from({ length: 20 }, () => runs.start(request)));
      expect(new Set(starts.map(({ id }) => id)).size).toBe(1);
      await expect(runs.start({ ...request, input: { word: 'other' } })).rejects.toMatchObject({
        code: 'conflict',
      });
      await runs.wait(starts[0]?.id ?? '');
    });

    test('is listed newest first, page by page, without gap or repetition', async () => {
      const { runs } = fixture.part;
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await runs.list({ limit: 3, ...(cursor === undefined ? {} : { cursor }) });
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(seen).toEqual([...new Set(seen)].toSorted().toReversed());
      const failed = await runs.list({ status: 'failed' });
      expect(failed.items.every(({ status }) => status === 'failed')).toBe(true);
      expect(failed.items.length).toBeGreaterThan(0);
    });

    test('can be followed from any event on, to its end', async () => {
      const { id } = await fixture.part.runs.start({ workflow: 'chain', input: {} });
      const seen: number[] = [];
      for await (const { seq } of fixture.part.runs.follow(id, 2)) seen.push(seq);
      const all = await fixture.events(id);
      expect(seen).toEqual(all.map(({ seq }) => seq).filter((seq) => seq > 2));
      expect(all.map(({ seq }) => seq)).toEqual(all.map((_, index) => index + 1));
    });

    test('refuses what it can not start, and writes nothing', async () => {
      const { runs } = fixture.part;
      const before = await store.database.query(
        sql<{ n: number }>`select count(*)::int as n from runs`,
      );
      const start = (workflow: string, input: Record<string, unknown> = {}, more = {}) =>
        runs.start({ workflow, input, ...more });
      await expect(start('chian')).rejects.toMatchObject({
        code: 'workflow_not_found',
        remedy: 'Did you mean chain?',
      });
      await expect(start('chain', { wrod: 1 })).rejects.toMatchObject({
        code: 'invalid_input',
        remedy: 'Did you mean word?',
      });
      await expect(start('chain', { word: 7 })).rejects.toMatchObject({
        message: 'input word must be a text',
      });
      await expect(start('chain', {}, { priority: 101 })).rejects.toMatchObject({
        code: 'invalid_input',
      });
      await expect(runs.get('nonsense')).rejects.toMatchObject({ code: 'run_not_found' });
      await expect(runs.get('01890a5d-ac96-774b-bcce-b302099a8057')).rejects.toMatchObject({
        code: 'run_not_found',
      });
      expect(await store.database.query(sql`select count(*)::int as n from runs`)).toEqual(before);
    });

    test('isolates a run whose events were edited by hand from all others', async () => {
      const { id } = await fixture.part.runs.start({ workflow: 'slow', input: {} });
      for await (const { body } of fixture.part.runs.follow(id, 0)) {
        if (body.type === 'attempt.started') break;
      }
      await store.database.query(
        sql`insert into run_events (run_id, seq, epoch, body) values (${id}::uuid, 4, 1, '{"type":"x"}'::json)`,
      );
      await fixture.part.runs.cancel(id, { reason: 'now it has to write event 4' });
      const [row] = await waitFor(async () =>
        store.database.query(sql<{ status: string; error: { code: string } }>`
          select status, error from runs where run_id = ${id}::uuid and finished_at is not null`),
      );
      expect(row).toMatchObject({ status: 'failed', error: { code: 'run_corrupt' } });
      expect((await fixture.run('chain')).status).toBe('completed');
    });
  });
});

async function waitFor<T>(look: () => Promise<T[]>): Promise<T[]> {
  for (;;) {
    const found = await look();
    if (found.length > 0) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
