/** What happens to runs when the process that drives them dies, freezes or stops. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  openFixture,
  openStore,
  startProcess,
  type Fixture,
  type TestStore,
} from '../support/coordination.ts';
import { postgresUnavailable } from '../support/postgres.ts';
import { successRouter } from '../support/success-router.ts';

const workflow = `
mode: sequential
inputs: { ms: { type: integer, default: 150 } }
tasks:
${Array.from({ length: 8 }, (_, index) => `  t${index}: { agent: step, input: { ms: "\${inputs.ms}" } }`).join('\n')}
`;

const chosen = `
mode: sequential
tasks:
  t0: { agent: step, input: { ms: 1 } }
  t1: { route: { among: [left, right] }, input: { ms: 1000 } }
  t2: { route: { among: [left, right] }, input: { ms: 1 } }
output: { t1: '\${tasks.t1.agent}', t2: '\${tasks.t2.agent}' }
`;
const neverHere = (): string => 'never here';

describe.skipIf(postgresUnavailable)('with several worker processes on one PostgreSQL', () => {
  let store: TestStore;
  let fixture: Fixture;
  let workers: ChildProcess[];

  beforeEach(async () => {
    store = await openStore('server');
    workers = [];
    // This process starts and watches runs; it drives none.
    fixture = await openFixture(
      store,
      { steps: workflow, chosen },
      { step: neverHere, left: neverHere, right: neverHere },
      { worker: false, router: successRouter() },
    );
  });

  afterEach(async () => {
    for (const worker of workers) worker.kill('SIGKILL');
    await Promise.all(
      workers.map((worker) => worker.exitCode ?? worker.signalCode ?? once(worker, 'exit')),
    );
    await store.close();
  });

  async function startWorker(prefers = ''): Promise<ChildProcess> {
    const worker = await startProcess(store, 'worker-process', prefers);
    workers.push(worker);
    return worker;
  }

  async function lines(): Promise<string[]> {
    const text = await readFile(join(store.home, 'ran.log'), 'utf8').catch(() => '');
    return text.split('\n').filter((line) => line !== '');
  }

  /** The worker that has begun a task last. */
  async function holder(): Promise<ChildProcess> {
    for (;;) {
      const pid = Number((await lines()).at(-1)?.split(' ')[2]);
      const found = workers.find((worker) => worker.pid === pid);
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async function started(runId: string, task: string): Promise<void> {
    for await (const { body } of fixture.part.runs.follow(runId, 0)) {
      if (body.type === 'attempt.started' && body.task === task) return;
    }
  }

  test('whoever takes a run over keeps the agent that was chosen, and chooses for what comes after', async () => {
    const first = await startWorker('left');
    const { id } = await fixture.part.runs.start({ workflow: 'chosen', input: {} });
    for await (const { body } of fixture.part.runs.follow(id, 0)) {
      if (body.type === 'task.routed') break;
    }
    // What is durable is seen here before the call: it is killed in it, or just before.
    first.kill('SIGKILL');
    await startWorker('right');
    const run = await fixture.part.runs.wait(id);
    expect(run.output).toEqual({ t1: 'left', t2: 'right' });
    const bodies = (await fixture.events(id)).map(({ body }) => body);
    const routed = bodies.filter((body) => body.type === 'task.routed');
    expect(routed).toMatchObject([
      { task: 't1', attempt: 1, agent: 'left', decision: { candidates: ['left', 'right'] } },
      { task: 't1', attempt: 2, agent: 'left', stays: true, decision: routed[0]?.decision },
      { task: 't2', attempt: 1, agent: 'right' },
    ]);
    const began = (await lines()).filter((line) => line.includes(' start '));
    expect(began.some((line) => line.startsWith(`${id}/t1@right`))).toBe(false);
  });

  test('a run whose worker was killed goes on in another, and no finished task runs again', async () => {
    await Promise.all([startWorker(), startWorker()]);
    const { id } = await fixture.part.runs.start({ workflow: 'steps', input: {} });
    await started(id, 't3');
    (await holder()).kill('SIGKILL');
    const detail = await fixture.part.runs.wait(id);
    expect(detail.status).toBe('completed');

    const ran = await lines();
    for (const task of detail.taskList) {
      const done = ran.filter((line) => line.startsWith(`${id}/${task.id} done`));
      expect(done).toHaveLength(1);
      // Only the task that was under way at the kill may have been started twice.
      const starts = ran.filter((line) => line.startsWith(`${id}/${task.id} start`));
      expect(starts).toHaveLength(task.attempts);
    }
    expect(detail.taskList.reduce((sum, { attempts }) => sum + attempts, 0)).toBeLessThanOrEqual(9);
    const events = await fixture.events(id);
    expect(
      events.filter(({ body }) => body.type === 'run.claimed').map(({ body }) => body),
    ).toMatchObject([{ takeover: false }, { takeover: true }]);
  });

  test('a frozen worker that wakes writes nothing, and the run is as if it had died', async () => {
    await Promise.all([startWorker(), startWorker()]);
    const { id } = await fixture.part.runs.start({ workflow: 'steps', input: { ms: 300 } });
    await started(id, 't2');
    const first = await holder();
    first.kill('SIGSTOP');
    for await (const { body } of fixture.part.runs.follow(id, 0)) {
      if (body.type === 'run.claimed' && body.takeover) break;
    }
    first.kill('SIGCONT');
    const detail = await fixture.part.runs.wait(id);
    expect(detail.status).toBe('completed');
    const events = await fixture.events(id);
    const takeover = events.findIndex(({ body }) => body.type === 'run.claimed' && body.takeover);
    expect(events.slice(takeover).every(({ epoch }) => epoch === 2)).toBe(true);
    const after = events.slice(takeover).filter(({ body }) => body.type === 'attempt.succeeded');
    expect(after.map(({ body }) => 'output' in body && body.output)).not.toContain(first.pid);
  });

  test('a worker that stops gives its runs back at once', async () => {
    await Promise.all([startWorker(), startWorker()]);
    const { id } = await fixture.part.runs.start({ workflow: 'steps', input: { ms: 200 } });
    await started(id, 't2');
    const first = await holder();
    first.kill('SIGTERM');
    await once(first, 'exit');
    expect(first.exitCode).toBe(0);
    const detail = await fixture.part.runs.wait(id);
    expect(detail.status).toBe('completed');
    const types = (await fixture.events(id)).map(({ body }) => body.type);
    expect(types).toContain('run.released');
    expect(types.filter((type) => type === 'attempt.abandoned')).toHaveLength(1);
    // Given back, not taken over: nobody had to wait for the lease to end.
    const claims = (await fixture.events(id)).filter(({ body }) => body.type === 'run.claimed');
    expect(claims.map(({ body }) => 'takeover' in body && body.takeover)).toEqual([false, false]);
  });

  test('runs are shared by all workers, each is driven by one at a time', async () => {
    await Promise.all([startWorker(), startWorker(), startWorker()]);
    const starts = await Promise.all(
      Array.from({ length: 30 }, () =>
        fixture.part.runs.start({ workflow: 'steps', input: { ms: 5 } }),
      ),
    );
    for (const { id } of starts)
      expect((await fixture.part.runs.wait(id)).status).toBe('completed');
    const ran = await lines();
    expect(ran.filter((line) => line.includes(' start '))).toHaveLength(240);
    const drivers = new Set(ran.map((line) => line.split(' ')[2]));
    expect(drivers.size).toBeGreaterThan(1);
  });
});
