import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId, systemClock } from '../../src/base/base.ts';
import { openBreakers, type BreakerLimits } from '../../src/coordination/coordination.ts';
import { openDatabase, sql, type Database } from '../../src/database/database.ts';
import { openStore, type TestStore } from '../support/coordination.ts';
import { drivers, silentLog, unavailable, until } from '../support/databases.ts';
import { freshDatabase } from '../support/postgres.ts';
import { startProgram } from '../support/cli.ts';

const open = (database: Database, limits: Partial<BreakerLimits> = {}) =>
  openBreakers({ database, clock: systemClock, log: silentLog, limits });
type Open = Awaited<ReturnType<typeof open>>;

async function fail(breakers: Open, key: string, times = 5): Promise<void> {
  for (let call = 0; call < times; call += 1) {
    await breakers.record([key], newId(), 'failure', 'timeout');
  }
}

/** Half-open now: as if its time had gone by. */
async function endOfOpen(database: Database, key: string): Promise<void> {
  await database.query(
    sql`update breakers set open_until = clock_timestamp() where key = ${key} and state = 'open'`,
  );
}

/** Asks until the breaker has been seen to refuse or to be half-open. */
async function seen(breakers: Open, key: string): Promise<void> {
  await until(async () => {
    const answer = await breakers.admit([key], newId());
    return !answer.admitted;
  });
}

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`breakers on the ${driver} database`, () => {
    let store: TestStore;
    let here: Open;
    beforeAll(async () => {
      store = await openStore(driver);
      here = await open(store.database);
    });
    afterAll(async () => {
      await here.close();
      await store.close();
    });

    test('let everything through and write nothing while all goes well', async () => {
      const callId = newId();
      expect(await here.admit(['agent:fine', 'model:fine'], callId)).toEqual({ admitted: true });
      await here.record(['agent:fine', 'model:fine'], callId, 'success');
      await here.record(['agent:fine', 'model:fine'], callId, 'none');
      expect((await here.list()).items.filter(({ key }) => key.endsWith('fine'))).toEqual([]);
    });

    test('open at the fifth failure and say until when', async () => {
      await fail(here, 'agent:opens', 4);
      expect(await here.admit(['agent:opens'], newId())).toEqual({ admitted: true });
      await fail(here, 'agent:opens', 1);
      await seen(here, 'agent:opens');
      const refused = await here.admit(['tool:fine', 'agent:opens'], newId());
      expect(refused).toMatchObject({
        admitted: false,
        key: 'agent:opens',
        message: expect.stringMatching(/^agent opens failed too often and is left alone until 20/),
      });
      const [row] = (await here.list({ state: 'open' })).items;
      expect(row).toMatchObject({
        key: 'agent:opens',
        state: 'open',
        openings: 1,
        lastFailure: 'timeout',
        openUntil: refused.admitted ? '' : refused.until.toISOString(),
      });
    });

    test('let three calls through when half-open, and close when they succeed', async () => {
      const key = 'model:three';
      await fail(here, key);
      await seen(here, key);
      await endOfOpen(store.database, key);
      await until(async () => (await here.list({ state: 'half_open' })).items.length > 0);
      const calls = Array.from({ length: 12 }, () => newId());
      await until(async () => (await here.admit([key], calls[0] ?? '')).admitted);
      const answers = await Promise.all(calls.map((callId) => here.admit([key], callId)));
      const granted = calls.filter((_, index) => answers[index]?.admitted);
      expect(granted).toHaveLength(3);
      expect((await here.list({ state: 'half_open' })).items).toMatchObject([{ key, trying: 3 }]);
      for (const callId of granted) await here.record([key], callId, 'success');
      await until(async () => (await here.admit([key], newId())).admitted);
      expect((await here.list({ state: 'closed' })).items).toMatchObject([{ key, failures: 0 }]);
    });

    test('open again at any failure of a call that was let through, but not of an older one', async () => {
      const key = 'tool:again';
      await fail(here, key);
      await seen(here, key);
      await endOfOpen(store.database, key);
      const callId = newId();
      await until(async () => (await here.admit([key], callId)).admitted);
      await here.record([key], newId(), 'failure', 'agent_failed');
      expect((await here.list({ state: 'half_open' })).items).toMatchObject([{ key, trying: 1 }]);
      await here.record([key], callId, 'failure', 'agent_failed');
      expect((await here.list({ state: 'open' })).items).toContainEqual(
        expect.objectContaining({ key, openings: 2, lastFailure: 'agent_failed' }),
      );
    });

    test('give a place back for a call that was cancelled', async () => {
      const key = 'agent:cancelled';
      await fail(here, key);
      await seen(here, key);
      await endOfOpen(store.database, key);
      const first = newId();
      await until(async () => (await here.admit([key], first)).admitted);
      for (let more = 0; more < 2; more += 1) await here.admit([key], newId());
      expect((await here.admit([key], newId())).admitted).toBe(false);
      await here.record([key], first, 'none');
      expect((await here.admit([key], newId())).admitted).toBe(true);
    });

    test('are closed by hand, with who did it, and a wrong key is answered with the nearest', async () => {
      await fail(here, 'agent:by-hand');
      await seen(here, 'agent:by-hand');
      expect(await here.reset('agent:by-hand', 'ada')).toMatchObject({
        state: 'closed',
        resetBy: 'ada',
      });
      expect(await here.admit(['agent:by-hand'], newId())).toEqual({ admitted: true });
      await expect(here.reset('agent:by-hnad', 'ada')).rejects.toMatchObject({
        code: 'not_found',
        remedy: 'Did you mean agent:by-hand?',
      });
    });

    test('are listed by key in pages', async () => {
      const all = (await here.list({ limit: 500 })).items.map(({ key }) => key);
      expect(all).toEqual(all.toSorted());
      const paged: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await here.list({ limit: 2, ...(cursor === undefined ? {} : { cursor }) });
        paged.push(...page.items.map(({ key }) => key));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(paged).toEqual(all);
      await expect(here.list({ cursor: '!' })).rejects.toMatchObject({ code: 'invalid_input' });
    });

    test('refuse a key that names nothing', async () => {
      for (const key of ['nothing', 'agent:', 'agent:a\u0000']) {
        await expect(here.record([key], newId(), 'failure')).rejects.toMatchObject({
          code: 'invalid_input',
        });
      }
    });
  });
}

describe.skipIf(unavailable('server') !== undefined)('breakers of several workers', () => {
  test('an opening here is known there, and so is the end of it', async () => {
    const store = await openStore('server');
    const here = await open(store.database);
    const there = await open(await store.another());
    const heard: string[] = [];
    there.onChange((key, state) => heard.push(`${key} ${state}`));
    await Promise.all([fail(here, 'agent:far', 3), fail(there, 'agent:far', 2)]);
    await seen(there, 'agent:far');
    await seen(here, 'agent:far');
    await here.reset('agent:far', 'ada');
    await until(async () => (await there.admit(['agent:far'], newId())).admitted);
    expect(heard).toEqual(['agent:far open', 'agent:far closed']);
    await here.close();
    await there.close();
    await store.close();
  });

  test('the place of a worker that is gone is free again, and one that works keeps its own', async () => {
    const store = await openStore('server');
    const limits = { permitMs: 3_000, trials: 1, failures: 1, openMs: 1, askAgainMs: 50 };
    const here = await open(store.database, limits);
    const gone = await open(await store.another(), limits);
    const endsAt = async (): Promise<number> => {
      const rows = await store.database.query(
        sql<{ calls_at: Date[] }>`select calls_at from breakers where key = 'agent:left'`,
      );
      return rows[0]?.calls_at[0]?.getTime() ?? 0;
    };
    await fail(here, 'agent:left', 1);
    await until(async () => (await here.list({ state: 'half_open' })).items.length === 1);
    const kept = newId();
    await until(
      async () => (await gone.admit(['agent:left'], kept)).admitted && (await endsAt()) > 0,
    );
    const first = await endsAt();
    await until(async () => (await endsAt()) > first + limits.permitMs);
    expect((await here.admit(['agent:left'], newId())).admitted).toBe(false);
    await gone.close();
    await until(async () => (await here.admit(['agent:left'], newId())).admitted);
    await here.close();
    await store.close();
  });

  test('two processes together let three calls through, not six', async () => {
    const { url, drop } = await freshDatabase();
    const keys = Array.from({ length: 40 }, (_, index) => `agent:race-${index}`);
    const database = await openDatabase({
      url,
      home: '',
      poolSize: 4,
      log: silentLog,
      clock: systemClock,
    });
    const breakers = await open(database);
    for (const key of keys) {
      await fail(breakers, key);
      await endOfOpen(database, key);
    }
    const others = await Promise.all([0, 1].map(() => otherProcess(url, keys)));
    const [here = [], there = []] = await Promise.all(others.map((other) => other.take()));
    expect(here.map((count, index) => count + (there[index] ?? 0))).toEqual(keys.map(() => 3));
    const { items } = await breakers.list({ limit: 500 });
    expect(items.map(({ trying }) => trying)).toEqual(keys.map(() => 3));
    for (const other of others) await other.end();
    await breakers.close();
    await database.close();
    await drop();
  });
});

/** A process that waits to ask ten times for each key. */
async function otherProcess(url: string, keys: readonly string[]) {
  const script = join(import.meta.dirname, '../support/take-permits.ts');
  const env = { ...process.env } as Record<string, string>;
  const args = [script, url, keys.join(','), '10'];
  const started = startProgram(process.execPath, args, { env, stdin: null });
  await started.until('stdout', /ready/);
  return {
    async take(): Promise<number[]> {
      started.child.stdin?.write('go\n');
      const [, counts = ''] = await started.until('stdout', /ready\n([\d,]+)\n/);
      return counts.split(',').map(Number);
    },
    async end(): Promise<void> {
      started.child.stdin?.write('end\n');
      const { status, stderr } = await started.ended;
      expect([status, stderr]).toEqual([0, '']);
    },
  };
}
