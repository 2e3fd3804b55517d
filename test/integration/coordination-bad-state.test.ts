/** Rows that no worker would have written: found out, said, and kept from all other runs. */
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../src/base/base.ts';
import type { CoordinationOptions } from '../../src/coordination/coordination.ts';
import { sql } from '../../src/database/database.ts';
import {
  openFixture,
  openStore,
  startProcess,
  type Fixture,
  type TestStore,
} from '../support/coordination.ts';
import { recordedLog, until } from '../support/databases.ts';
import { inProcessAgents, type AgentFunction } from '../support/in-process-agents.ts';
import { postgresUnavailable } from '../support/postgres.ts';

const workflows = {
  waits: `
mode: sequential
tasks:
  go: { wait: { signal: go } }
  next: { agent: echo, input: "\${tasks.go.output}" }
`,
  steps: `
mode: sequential
tasks:
  one: { agent: step, input: { ms: 60000 } }
  two: { agent: echo, input: 2 }
`,
  gated: `
mode: sequential
tasks:
  one: { agent: gate }
  two: { agent: echo, input: 2 }
`,
};

/** Twenty times as fast: what a worker looks at every half minute is looked at soon. */
const hurried: Clock = {
  nowMs: () => systemClock.nowMs(),
  monotonicMs: () => systemClock.monotonicMs() * 20,
  after: (ms, wake) => systemClock.after(ms / 20, wake),
  sleep: (ms, signal) => systemClock.sleep(ms / 20, signal),
};

describe.skipIf(postgresUnavailable)('what a hand has put into the database', () => {
  let store: TestStore;
  let fixture: Fixture;
  let opened: Fixture[];
  let recorded: ReturnType<typeof recordedLog>;
  let gate = Promise.withResolvers<void>();
  let gates = 0;

  const agents: Readonly<Record<string, AgentFunction>> = {
    echo: ({ input }) => input,
    step: () => 'done here',
    gate: async () => {
      gates += 1;
      await gate.promise;
    },
  };

  beforeEach(async () => {
    store = await openStore('server');
    recorded = recordedLog();
    opened = [];
    gate = Promise.withResolvers<void>();
    gates = 0;
    fixture = await open({ worker: false });
  });

  afterEach(async () => {
    gate.resolve();
    for (const each of opened) await each.part.stop(0);
    await store.close();
  });

  async function open(
    options: Partial<CoordinationOptions> & { worker?: boolean } = {},
  ): Promise<Fixture> {
    const { log } = recorded;
    const made = await openFixture(store, workflows, agents, { clock: hurried, log, ...options });
    opened.push(made);
    return made;
  }

  async function start(workflow: keyof typeof workflows): Promise<string> {
    return (await fixture.part.runs.start({ workflow, input: {} })).id;
  }

  const go = (id: string) => fixture.part.runs.signal(id, { name: 'go', data: 1 });

  async function rowOf(id: string) {
    const [row] = await store.database.query(
      sql<{
        status: string;
        owner: string | null;
        error: { code: string; message: string } | null;
        finished_at: Date | null;
      }>`select status, owner, error, finished_at from runs where run_id = ${id}::uuid`,
    );
    return row;
  }

  async function ended(id: string): Promise<void> {
    await until(async () => ((await rowOf(id))?.finished_at ?? null) !== null);
  }

  async function parked(id: string): Promise<void> {
    await until(async () => {
      const row = await rowOf(id);
      return row?.status === 'waiting' && row.owner === null;
    });
  }

  /** A run beside the one that is spoilt: it has to end as if nothing had been. */
  async function expectOthersGoOn(): Promise<void> {
    const id = await start('waits');
    await go(id);
    expect(await fixture.part.runs.wait(id)).toMatchObject({ status: 'completed' });
  }

  const said = (text: string): boolean => recorded.lines.some((line) => line.includes(text));

  const bodies = {
    'of an unknown type': '[{"type":"x"}]',
    'that is null': 'null',
    'that is a number': '[5]',
    'that is a text': '"text"',
    'without a type': '[{}]',
    'of a task that is no text': '[{"type":"attempt.started","task":5,"attempt":1}]',
    'without its question': '[{"type":"question.asked"}]',
    'without its usage': '[{"type":"attempt.started","task":"next"},{"type":"attempt.progress"}]',
    'of a task that can not have ended': '[{"type":"attempt.succeeded","task":"next"}]',
  } as const;

  test.each(Object.entries(bodies))(
    'an event %s ends its run alone, and is named',
    async (_, body) => {
      await open();
      const id = await start('waits');
      await parked(id);
      const [{ last } = { last: 0 }] = await store.database.query(
        sql<{ last: number }>`select max(seq + events - 1)::int as last from run_events
        where run_id = ${id}::uuid`,
      );
      await store.database.query(
        sql`insert into run_events (run_id, seq, epoch, body)
        values (${id}::uuid, ${last + 1}::int, 9, ${body}::json)`,
      );
      await go(id);
      await ended(id);
      expect(await rowOf(id)).toMatchObject({ status: 'failed', error: { code: 'run_corrupt' } });
      await expect(fixture.part.runs.get(id)).rejects.toMatchObject({
        code: 'run_corrupt',
        details: { seq: expect.any(Number) },
      });
      expect((await fixture.part.runs.list({})).items).toMatchObject([{ id, status: 'failed' }]);
      await expectOthersGoOn();
    },
  );

  const edits = {
    'a gap': (id: string) =>
      sql`update run_events set seq = 3 where run_id = ${id}::uuid and seq = 2`,
    'no beginning': (id: string) =>
      sql`delete from run_events where run_id = ${id}::uuid and seq = 1`,
    'rows that overlap': (id: string) =>
      sql`insert into run_events (run_id, seq, epoch, events, body)
        select run_id, seq + 1, epoch, 1, '[{"type":"run.claimed","worker":"x","takeover":false}]'
        from run_events where run_id = ${id}::uuid and events > 1`,
    'a time without end': (id: string) =>
      sql`update run_events set at = 'infinity' where run_id = ${id}::uuid and seq = 1`,
  } as const;

  test.each(Object.entries(edits))('a log with %s ends its run alone', async (_, edit) => {
    await open();
    const [id, other] = [await start('waits'), await start('waits')];
    await parked(id);
    await parked(other);
    await store.database.query(edit(id));
    // In one statement: both are claimed in one batch.
    await store.database.query(
      sql`with asked as (
          insert into run_signals (run_id, signal_id, kind, body)
          select run_id, gen_random_uuid(), 'signal', '{"name":"go","data":1}' from runs
        ) update runs set wake_at = null`,
    );
    expect(await fixture.part.runs.wait(other)).toMatchObject({ status: 'completed' });
    await ended(id);
    expect(await rowOf(id)).toMatchObject({ status: 'failed', error: { code: 'run_corrupt' } });
    await expectOthersGoOn();
  });

  test('a definition that vanished ends the runs of it, and the others go on', async () => {
    const id = await start('waits');
    const other = await start('gated');
    await store.database.query(sql`delete from workflow_definitions where name = 'waits'`);
    gate.resolve();
    const late = await open();
    expect(await late.part.runs.wait(other)).toMatchObject({ status: 'completed' });
    await ended(id);
    expect(await rowOf(id)).toMatchObject({
      status: 'failed',
      error: {
        code: 'workflow_not_found',
        message: expect.stringMatching(/^the definition \w{12} of workflow waits is gone$/),
      },
    });
    await expect(late.part.runs.get(id)).rejects.toMatchObject({ code: 'run_corrupt' });
    expect(await late.part.runs.events(id, 0)).toMatchObject([{ body: { type: 'run.created' } }]);
  });

  test('a run that can not be read can not be undone either, and says so', async () => {
    await open();
    const id = await start('waits');
    await parked(id);
    await store.database.query(edits['a gap'](id));
    await fixture.part.runs.undo(id, { force: false });
    await ended(id);
    const [{ undo } = { undo: null }] = await store.database.query(
      sql<{ undo: string | null }>`select undo from runs where run_id = ${id}::uuid`,
    );
    expect(undo).not.toBe('undone');
    await fixture.part.runs.undo(id, { force: false });
    await ended(id);
    expect((await fixture.part.runs.list({})).items).toMatchObject([
      { id, status: 'failed', undo: 'failed', error: { code: 'run_corrupt' } },
    ]);
  });

  test('a run of an owner that there is not is given back, and goes on', async () => {
    await open();
    const id = await start('waits');
    await parked(id);
    await store.database.query(
      sql`update runs set owner = gen_random_uuid(), wake_at = null, status = 'running'
        where run_id = ${id}::uuid`,
    );
    await go(id);
    expect(await fixture.part.runs.wait(id)).toMatchObject({ status: 'completed' });
    expect(said('runs whose owner is no worker any more are given back')).toBe(true);
  });

  test('a worker whose row was deleted while it works has it again, and loses no run', async () => {
    const id = await start('gated');
    await open();
    await until(() => gates === 1);
    await store.database.query(sql`delete from workers`);
    await until(async () => (await store.database.query(sql`select 1 from workers`)).length === 1);
    gate.resolve();
    expect(await fixture.part.runs.wait(id)).toMatchObject({ status: 'completed' });
  });

  test('a run whose epoch was raised by hand is driven by nobody for a while, and then goes on', async () => {
    const id = await start('gated');
    await open();
    await until(() => gates === 1);
    await store.database.query(sql`update runs set epoch = epoch + 7 where run_id = ${id}::uuid`);
    gate.resolve();
    expect(await fixture.part.runs.wait(id)).toMatchObject({ status: 'completed' });
    const events = await fixture.events(id);
    expect(new Set(events.map(({ epoch }) => epoch))).toEqual(new Set([0, 1, 9]));
    // What the first lease did not get to write was done again.
    expect(gates).toBe(2);
    expect(said('runs without a driver are given back')).toBe(true);
  });

  const rubbish = [
    'null',
    '5',
    '"text"',
    '[]',
    '{}',
    '{"name":5,"question":5,"answer":5,"from":5,"by":5}',
  ];

  test('requests that are rubbish are taken away, said, and keep no run from what it is asked', async () => {
    await open();
    const id = await start('waits');
    const held = await start('gated');
    await until(() => gates === 1);
    for (const run of [id, held]) {
      for (const kind of ['signal', 'answer', 'retry', 'resume']) {
        for (const body of [...rubbish, '{"question":"q","answer":null}']) {
          await store.database.query(
            sql`insert into run_signals (run_id, signal_id, kind, body)
              values (${run}::uuid, gen_random_uuid(), ${kind}, ${body}::json)`,
          );
        }
      }
    }
    await go(id);
    await until(
      async () => (await store.database.query(sql`select 1 from run_signals`)).length === 0,
    );
    gate.resolve();
    for (const run of [id, held]) {
      expect(await fixture.part.runs.wait(run)).toMatchObject({ status: 'completed' });
    }
    expect(said('a request that does not fit the run is taken away')).toBe(true);
    await expectOthersGoOn();
  });

  test('a run is cancelled, paused or undone also by a request with a rubbish body', async () => {
    await open();
    for (const kind of ['cancel', 'undo']) {
      for (const body of rubbish) {
        const id = await start('waits');
        await store.database.query(
          sql`insert into run_signals (run_id, signal_id, kind, body)
            values (${id}::uuid, gen_random_uuid(), ${kind}, ${body}::json)`,
        );
        expect(await fixture.part.runs.wait(id)).toMatchObject({ status: 'cancelled' });
        expect((await fixture.events(id)).at(-1)?.body).toMatchObject(
          kind === 'undo' ? { type: 'run.undone' } : { reason: 'no reason given' },
        );
      }
    }
  });

  /** A worker of another process, killed in the middle of the first step. */
  async function dead(): Promise<string> {
    const child = await startProcess(store, 'worker-process');
    const gone = once(child, 'exit');
    const id = await start('steps');
    for await (const { body } of fixture.part.runs.follow(id, 0)) {
      if (body.type === 'attempt.started') break;
    }
    child.kill('SIGKILL');
    await gone;
    return id;
  }

  test('a lease without end of a worker that died is ended, said, and its runs go on', async () => {
    const id = await dead();
    await store.database.query(sql`update workers set lease_until = 'infinity'`);
    await open();
    await until(() => said('leases that no worker could have were ended'));
    // As if the minute that it was given had gone by.
    await store.database.query(
      sql`update workers set lease_until = now() - interval '1 second'
        where worker_id = (select owner from runs where run_id = ${id}::uuid)`,
    );
    expect(await fixture.part.runs.wait(id)).toMatchObject({ status: 'completed' });
  });

  test('what a dead worker left running is ended before its task begins again, also when its row is gone', async () => {
    const id = await dead();
    await store.database.query(sql`delete from workers`);
    const started = (await fixture.events(id)).find(({ body }) => body.type === 'attempt.started');
    const reaped: string[] = [];
    await open({
      registry: {
        ...inProcessAgents(agents),
        reap: async (ids) => {
          reaped.push(...ids);
          return 0;
        },
      },
    });
    expect(await fixture.part.runs.wait(id)).toMatchObject({ status: 'completed' });
    const { body } = started ?? {};
    expect(reaped).toEqual([body?.type === 'attempt.started' ? body.attemptId : '']);
  });
});
