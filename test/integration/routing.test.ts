/** Tasks that name no agent: who may be chosen, when it is, and what holds from then on. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AppError, newId, systemClock } from '../../src/base/base.ts';
import {
  openBreakers,
  openBudgets,
  type EventBody,
  type RunDetail,
} from '../../src/coordination/coordination.ts';
import { openFixture, openStore, type Fixture, type TestStore } from '../support/coordination.ts';
import { silentLog, until } from '../support/databases.ts';
import { inProcessAgents, type AgentFunction } from '../support/in-process-agents.ts';
import { successRouter } from '../support/success-router.ts';

const one = (route: string, more = ''): string =>
  `mode: sequential\ntasks:\n  t: { route: ${route}, input: { text: look at it }${more} }\n`;
const workflows = {
  pair: one('{ among: [a, b] }'),
  named: `${one('{ among: [a, b], mode: exploration, perUsd: 0.5 }', ', type: looking, description: Looks, budget: { usd: 0.2 }')}output: '\${tasks.t.agent}'\n`,
  outside: one('{ among: [ext, a] }', ', retries: 0'),
  hurt: one('{ among: [ext, a] }', ', compensate: { agent: a }'),
  experts: one('{ category: data }'),
  team: `
mode: parallel
tasks:
  team: { mode: consensus, agents: { route: { category: data }, count: 3 }, input: { text: which } }
`,
  stages: `
mode: pipeline
items: [1, 2]
tasks:
  first: { route: { among: [a, b] }, input: '\${item}' }
  second: { agent: c, input: '\${previous}' }
`,
};
const names = ['a', 'b', 'c', 'ext', 'r1', 'r2', 'r3', 'lost'];

const taskOf = (run: RunDetail, id = 't') => run.taskList.find((task) => task.id === id);
const fail =
  (more: { retryable?: boolean } = {}): AgentFunction =>
  () => {
    throw new AppError('agent_failed', 'it would not', more);
  };

const onlyR3 = (name: string): boolean => name === 'r3';

describe('tasks whose agents are chosen', () => {
  let store: TestStore;
  let fixture: Fixture;
  let router: ReturnType<typeof successRouter>;
  let breakers: Awaited<ReturnType<typeof openBreakers>>;
  const acts = new Map<string, AgentFunction>();
  const down = new Map<string, string>();
  const keys: string[] = [];

  const act =
    (name: string): AgentFunction =>
    async (invocation) => {
      keys.push(invocation.idempotencyKey);
      return (await acts.get(name)?.(invocation)) ?? name;
    };

  function registry() {
    const functions = Object.fromEntries(names.map((name) => [name, act(name)]));
    const expert = { category: 'data' } as const;
    const agents = inProcessAgents(functions, {
      ext: { sideEffects: 'external' },
      lost: { ...expert, sideEffects: 'external' },
      r1: expert,
      r2: expert,
      r3: expert,
    });
    return {
      ...agents,
      status: (name: string) => {
        const reason = down.get(name);
        const checkedAt = new Date().toISOString();
        if (reason !== undefined) return { name, state: 'unavailable', reason, checkedAt } as const;
        return agents.status(name);
      },
    };
  }

  async function open(options: { worker?: boolean; router?: boolean } = {}): Promise<Fixture> {
    const { database } = store;
    const parts = { database, clock: systemClock, log: silentLog };
    return openFixture(store, workflows, registry(), {
      worker: options.worker ?? true,
      limits: { breakers, budgets: await openBudgets(parts) },
      ...(options.router === false ? {} : { router }),
    });
  }

  beforeAll(async () => {
    store = await openStore('embedded');
    breakers = await openBreakers({
      database: store.database,
      clock: systemClock,
      log: silentLog,
    });
    router = successRouter();
    fixture = await open();
  });
  afterEach(() => {
    acts.clear();
    down.clear();
    keys.length = 0;
    for (const name of names) router.tell(name, 0, 0);
  });
  afterAll(async () => {
    await fixture.part.stop(0);
    await breakers.close();
    await store.close();
  });

  async function bodies(id: string): Promise<EventBody[]> {
    return (await fixture.events(id)).map(({ body }) => body);
  }
  async function routed(id: string): Promise<(EventBody & { type: 'task.routed' })[]> {
    return (await bodies(id)).filter((body) => body.type === 'task.routed');
  }
  test('the choice is written before the agent is called, with what it stands on', async () => {
    router.tell('b', 9, 10);
    let seen: readonly string[] = [];
    acts.set('b', async ({ idempotencyKey }) => {
      seen = (await bodies(idempotencyKey.split('/')[0] ?? '')).map(({ type }) => type);
      return 'done';
    });
    const run = await fixture.run('named');
    expect(seen.slice(-2)).toEqual(['attempt.started', 'task.routed']);
    expect(run.output).toBe('b');
    expect(await routed(run.id)).toMatchObject([
      {
        attempt: 1,
        agent: 'b',
        decision: { policy: 'most-successes', mode: 'exploration', candidates: ['a', 'b'] },
      },
    ]);
    expect(taskOf(run)).toMatchObject({
      agent: 'b',
      routed: { of: 2, basis: 'outcomes', evidence: 10, success: 10 / 12 },
    });
    const { candidates, ...asked } = router.asked.at(-1) ?? ({} as never);
    expect(asked).toMatchObject({
      task: { type: 'looking', text: 'Looks\nlook at it' },
      mode: 'exploration',
      worth: { perUsd: 0.5 },
    });
    expect(candidates[0]).toMatchObject({ name: 'a', timeoutMs: 30_000, budgetMicroUsd: 200_000 });
  });

  test('another agent takes a task at which one has failed, and the first of them when all have', async () => {
    router.tell('a', 5);
    acts.set('a', fail());
    const run = await fixture.run('pair');
    expect((await routed(run.id)).map(({ agent }) => agent)).toEqual(['a', 'b']);
    expect(run.status).toBe('completed');
    // Each has a key of its own: neither is taken for the other.
    expect(keys).toEqual([`${run.id}/t@a`, `${run.id}/t@b`]);
  });

  test('an agent that turns out to be missing here gives the task to another at once', async () => {
    router.tell('a', 5);
    acts.set('a', () => {
      throw new AppError('agent_unavailable', 'its program is missing');
    });
    const run = await fixture.run('pair');
    expect((await routed(run.id)).map(({ agent }) => agent)).toEqual(['a', 'b']);
    expect(run.status).toBe('completed');
  });

  test('a choice that fails is a failure of the attempt, and is tried again', async () => {
    const { choose } = router;
    router.choose = () => Promise.reject(new AppError('embedding_invalid', 'a vector of 3'));
    const { id } = await fixture.part.runs.start({ workflow: 'pair', input: {} });
    await until(async () => (await bodies(id)).some(({ type }) => type === 'attempt.failed'));
    router.choose = choose;
    const run = await fixture.part.runs.wait(id);
    expect(run.status).toBe('completed');
    const failed = (await bodies(id)).find(({ type }) => type === 'attempt.failed');
    expect(failed).toMatchObject({
      error: { code: 'embedding_invalid', message: 'no agent was chosen: a vector of 3' },
    });
  });

  test('whoever acts outside keeps its task after a failure, also when the run is retried', async () => {
    router.tell('ext', 5);
    acts.set('ext', fail());
    const { id, status } = await fixture.run('outside');
    expect(status).toBe('failed');
    router.tell('a', 90, 90);
    acts.delete('ext');
    await fixture.part.runs.retry(id, {});
    const run = await fixture.part.runs.wait(id);
    expect(await routed(id)).toMatchObject([
      { agent: 'ext', external: true, irreversible: true },
      { agent: 'ext', external: true, stays: true },
    ]);
    expect((await routed(id))[1]?.decision).toBeUndefined();
    expect(keys).toEqual([`${id}/t@ext`, `${id}/t@ext`]);
    expect(taskOf(run)).toMatchObject({ agent: 'ext', routed: { stays: true } });
  });

  test('a retried run chooses anew', async () => {
    router.tell('a', 5);
    acts.set('a', fail({ retryable: false }));
    const { id } = await fixture.run('pair');
    router.tell('b', 50);
    await fixture.part.runs.retry(id, {});
    await fixture.part.runs.wait(id);
    expect((await routed(id)).map(({ agent }) => agent)).toEqual(['a', 'b']);
  });

  const undone = async (agent: string): Promise<string | undefined> => {
    router.tell(agent, 20);
    const { id, irreversible } = await fixture.run('outside');
    expect(irreversible).toEqual(['t']);
    await fixture.part.runs.undo(id, { force: false });
    await until(async () => (await fixture.part.runs.get(id)).undo !== 'requested');
    router.tell(agent, 0);
    return (await fixture.part.runs.get(id)).undo;
  };

  test('undoing counts what the chosen agent does, not what another would have done', async () => {
    expect(await undone('a')).toBe('undone');
    expect(await undone('ext')).toBe('failed');
  });

  test('a team is three different agents, each chosen in the knowledge of the others', async () => {
    for (const name of ['r1', 'r2', 'r3']) acts.set(name, () => 'the same');
    router.tell('r2', 3);
    const before = router.asked.length;
    const run = await fixture.run('team');
    expect(run.status).toBe('completed');
    const chosen = (await routed(run.id)).map(({ agent }) => agent);
    expect(chosen.toSorted()).toEqual(['r1', 'r2', 'r3']);
    expect(router.asked.slice(before).map(({ partners = [] }) => partners)).toEqual([
      [],
      ['r2'],
      ['r1', 'r2'],
    ]);
    expect(router.asked.at(-1)?.candidates.map(({ name }) => name)).toEqual(['r3']);
  });

  test('in a pipeline each item has a choice of its own', async () => {
    router.tell('a', 1);
    const run = await fixture.run('stages');
    expect((await routed(run.id)).map(({ task, agent }) => [task, agent])).toEqual([
      ['first#0', 'a'],
      ['first#1', 'a'],
    ]);
    expect(taskOf(run, 'second#1')?.agent).toBe('c');
  });

  test('who starts a run is held to what may be called, but for whom the workflow names', async () => {
    const { runs } = fixture.part;
    const plan = await runs.plan({ workflow: 'experts', input: {}, mayCall: onlyR3 });
    expect(plan.routes).toEqual({ t: ['r3'] });
    const { id } = await runs.start({ workflow: 'experts', input: {}, mayCall: onlyR3 });
    await runs.wait(id);
    // The one that acts outside is no candidate, whoever may call it.
    expect((await bodies(id))[0]).toMatchObject({ routes: { t: ['r3'] } });
    const refused = runs.start({ workflow: 'experts', input: {}, mayCall: () => false });
    await expect(refused).rejects.toMatchObject({
      code: 'denied',
      details: { reasons: { r1: 'you may not call it', lost: expect.stringMatching(/outside/) } },
    });
    const few = runs.start({ workflow: 'team', input: {}, mayCall: (name) => name !== 'r1' });
    await expect(few).rejects.toMatchObject({ code: 'agent_unavailable' });
    const named = await runs.start({ workflow: 'pair', input: {}, mayCall: () => false });
    expect((await runs.wait(named.id)).status).toBe('completed');
    const fork = runs.fork(id, { from: 't', mayCall: () => false });
    await expect(fork).rejects.toMatchObject({ code: 'denied' });
  });

  test('a fork keeps who did what it takes over', async () => {
    router.tell('a', 1);
    const { id } = await fixture.run('stages');
    const { id: forked } = await fixture.part.runs.fork(id, { from: 'second#0' });
    const run = await fixture.part.runs.wait(forked);
    expect(taskOf(run, 'first#1')?.agent).toBe('a');
    expect(run.output).toEqual(['c', 'c']);
  });

  test('who can not work now is no candidate, and nobody left is said with each reason', async () => {
    router.tell('a', 5);
    down.set('a', 'no network');
    const run = await fixture.run('pair');
    expect(taskOf(run)?.agent).toBe('b');
    expect((await routed(run.id))[0]?.decision?.candidates).toEqual(['b']);
    down.set('b', 'no key');
    const { error } = await fixture.run('pair');
    expect(error).toMatchObject({
      code: 'agent_unavailable',
      message: 'task t: no agent can do task t now (a: no network; b: no key)',
    });
  });

  test('behind open breakers a task waits until the first of them lets through', async () => {
    for (let call = 0; call < 5; call += 1) {
      await breakers.record(['agent:r1'], newId(), 'failure', 'timeout');
    }
    await until(() => breakers.refusing(['agent:r1']) !== undefined);
    router.tell('r1', 9);
    down.set('r2', 'no key');
    expect(taskOf(await fixture.run('experts'))?.agent).toBe('r3');
    down.set('r3', 'no network');
    const { id } = await fixture.part.runs.start({ workflow: 'experts', input: {} });
    await until(async () => (await bodies(id)).some(({ type }) => type === 'attempt.deferred'));
    const put = (await bodies(id)).find(({ type }) => type === 'attempt.deferred');
    expect(put).toMatchObject({
      retryAt: breakers.refusing(['agent:r1'])?.until.toISOString(),
      error: { code: 'agent_unavailable', details: { reasons: { r2: 'no key' } } },
    });
    await fixture.part.runs.cancel(id, { reason: 'seen' });
    await breakers.reset('agent:r1', 'the test');
  });

  test('where nobody chooses, a run that needs it is refused before it exists', async () => {
    const alone = await open({ worker: false, router: false });
    const refused = alone.part.runs.start({ workflow: 'pair', input: {} });
    await expect(refused).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('whoever takes a run over keeps the choice of an attempt whose worker died', async () => {
    router.tell('a', 5);
    let begin: (() => void) | undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    acts.set('a', ({ signal }) => {
      begin?.();
      return new Promise((_resolve, reject) => signal.addEventListener('abort', reject));
    });
    const { id } = await fixture.part.runs.start({ workflow: 'pair', input: {} });
    await begun;
    acts.delete('a');
    router.tell('b', 90);
    // Only one process can have the embedded database open: the worker before counts as dead.
    const next = await open();
    const run = await next.part.runs.wait(id);
    expect(run.status).toBe('completed');
    const [first, second] = await routed(id);
    expect([first?.agent, second?.agent, second?.stays]).toEqual(['a', 'a', true]);
    expect(second?.decision).toEqual(first?.decision);
    await next.part.stop(0);
  });
});
