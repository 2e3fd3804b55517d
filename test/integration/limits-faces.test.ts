/** Budgets and circuit breakers as clients and people meet them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/base/base.ts';
import { openTestBridge, type TestBridge } from '../support/bridge.ts';
import { testHome, type Ended, type Started, type TestHome } from '../support/cli.ts';
import { fleetFiles } from '../support/cli-fleet.ts';
import { freshDatabase, postgresUnavailable, type TestDatabase } from '../support/postgres.ts';

describe('over HTTP', () => {
  let bridge: TestBridge;
  beforeAll(async () => {
    bridge = await openTestBridge();
  });
  afterAll(() => bridge.end());

  test('a budget is made, changed, read and deleted', async () => {
    const { client } = bridge;
    expect((await client.budgets()).items).toEqual([]);
    const made = await client.setBudget('team-a', {
      period: 'week',
      limits: { microUsd: 50_000_000, tokens: 2_000_000, ms: 36_000_000, concurrency: 8 },
    });
    expect(made).toMatchObject({ name: 'team-a', period: 'week', running: 0, reached: [] });
    expect(await client.setBudget('team-a', { limits: { tokens: null } })).toMatchObject({
      limits: { microUsd: 50_000_000, ms: 36_000_000, concurrency: 8 },
    });
    expect(await client.budget('team-a')).not.toHaveProperty('limits.tokens');
    const runId = newId();
    const attemptId = newId();
    await bridge.budgets.reserve({
      names: ['team-a'],
      attemptId,
      runId,
      agent: 'echo',
      estimate: { microUsd: 1_000_000 },
      expiresInMs: 60_000,
    });
    expect((await client.budgets()).items).toMatchObject([
      { running: 1, reserved: { microUsd: 1_000_000, tokens: 0, ms: 0 } },
    ]);
    await bridge.budgets.settle(attemptId, { microUsd: 900_000, tokens: 12, ms: 30 });
    expect((await client.budgetUse('team-a', { by: 'agent' })).items).toMatchObject([
      { key: 'echo', microUsd: 900_000, tokens: 12, ms: 30, calls: 1, unknownCalls: 0 },
    ]);
    expect((await client.budgetUse('team-a')).items).toMatchObject([{ key: runId }]);
    await client.deleteBudget('team-a');
    await expect(client.budget('team-a')).rejects.toMatchObject({ code: 'budget_not_found' });
  });

  test('what is wrong with a change is said by its field, and nothing is half done', async () => {
    const patch = async (body: unknown, name = 'wrong'): Promise<unknown> => {
      const response = await bridge.fetch(`/api/v1/budgets/${name}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      return { status: response.status, text: await response.text() };
    };
    const cases: [unknown, RegExp][] = [
      [{}, /body/],
      [{ limits: {} }, /would limit nothing/],
      [{ limits: { microUsd: -1 } }, /microUsd/],
      [{ limits: { microUsd: 1.5 } }, /microUsd/],
      [{ limits: { usd: 5 } }, /usd/],
      [{ period: 'year', limits: { ms: 1 } }, /period/],
    ];
    for (const [body, expected] of cases) {
      expect(await patch(body)).toMatchObject({
        status: expect.toSatisfy((status: number) => status === 400 || status === 422),
        text: expect.stringMatching(expected),
      });
    }
    expect(await patch({ limits: { ms: 1 } }, 'Not%20A%20Name')).toMatchObject({ status: 422 });
    expect((await bridge.client.budgets()).items).toEqual([]);
  });

  test('a circuit breaker is seen and reset, by who asked for it', async () => {
    const { client, breakers } = bridge;
    expect((await client.breakers()).items).toEqual([]);
    const key = 'tool:files/read';
    for (let call = 0; call < 5; call += 1) {
      await breakers.record([key], newId(), 'failure', 'timeout');
    }
    expect((await client.breakers({ state: 'open' })).items).toMatchObject([
      { key, state: 'open', openings: 1, lastFailure: 'timeout' },
    ]);
    expect(await client.resetBreaker(key)).toMatchObject({ state: 'closed', failures: 0 });
    expect((await client.breakers({ state: 'open' })).items).toEqual([]);
    expect((await client.breakers()).items).toMatchObject([
      { key, resetBy: expect.stringMatching(/./) },
    ]);
    await expect(client.resetBreaker('tool:files/raed')).rejects.toMatchObject({
      code: 'not_found',
      remedy: `Did you mean ${key}?`,
    });
  });
});

// Each command is a process of its own: a second each, and several on a busy machine.
describe.skipIf(postgresUnavailable !== undefined)(
  'on the command line',
  { timeout: 180_000 },
  () => {
    let database: TestDatabase;
    let home: TestHome;
    let server: Started;
    beforeAll(async () => {
      database = await freshDatabase();
      home = await testHome(fleetFiles, { seeded: true });
      server = home.start(['up'], {
        env: { CENTURIA_DATABASE_URL: database.url, CENTURIA_BRIDGE_PORT: '0' },
      });
      await server.until('stdout', /serves (http:\S+)/);
    });
    afterAll(async () => {
      server.child.kill('SIGTERM');
      const ended = await server.ended;
      await database.drop();
      await home.remove();
      if (ended.status !== 0) throw new Error(`the server ended with ${ended.status}`);
    });

    const cli = (line: string): Promise<Ended> => home.cli(line.split(' '));
    async function good(line: string): Promise<string> {
      const { status, stdout, stderr } = await cli(line);
      expect({ line, status, stderr }).toMatchObject({ line, status: 0 });
      return stdout;
    }

    test('empty lists say what to do', async () => {
      expect((await cli('budget list')).stderr).toBe(
        'No budgets. Make one: centuria budget set team-a --usd 50 --per month\n',
      );
      expect((await cli('breaker list')).stderr).toBe('Nothing has ever failed.\n');
      expect((await cli('breaker list --in open')).stderr).toBe('No circuit breaker is open.\n');
      expect(JSON.parse(await good('budget list -o json'))).toEqual({ items: [] });
    });

    test('a budget is set, shown and deleted in the units of people', async () => {
      expect(
        await good(
          'budget set team-a --usd 50 --tokens 2M --seconds 10h --concurrency 8 --per day',
        ),
      ).toBe('Budget team-a: $50.00, 2M tokens, 10 h 00 m of calls a day, 8 calls at once.\n');
      expect(await good('budget list')).toMatch(
        /^team-a +day +\$0\.00 \/ \$50\.00 +0 \/ 2M +0 ms \/ 10 h 00 m +0 \/ 8$/m,
      );
      expect(await good('budget set team-a --tokens none')).not.toContain('tokens');
      const shown = await good('budget show team-a');
      expect(shown).toMatch(/^Money +\$0\.00 used, \$0\.00 set aside, \$50\.00 left of \$50\.00$/m);
      expect(shown).toMatch(/^Tokens +0 used, 0 set aside, no limit$/m);
      expect((await cli('budget history team-a')).stderr).toBe(
        'Nothing was used of budget team-a in this period.\n',
      );
      expect(await good('budget delete team-a --yes')).toBe('Budget team-a was deleted.\n');
    });

    test('what is wrong is refused with what would be right', async () => {
      await good('budget set team-a --concurrency 1');
      const wrong: [string, number, RegExp][] = [
        ['budget set team-a', 2, /Give --usd, --tokens/],
        ['budget set team-a --usd fifty', 2, /It takes US dollars, as in 50 or 12\.75/],
        ['budget set team-a --per year', 2, /day, week, month, forever/],
        ['budget set Team --usd 1', 2, /can be no name of a budget/],
        ['budget set team-a --concurrency none', 2, /would limit nothing/],
        ['budget show team-b', 4, /Did you mean team-a\?/],
        ['breaker reset agent:none', 4, /has ever failed/],
      ];
      for (const [line, status, expected] of wrong) {
        const ended = await cli(line);
        expect({ line, status: ended.status }).toEqual({ line, status });
        expect(ended.stderr).toMatch(expected);
      }
    });
  },
);
