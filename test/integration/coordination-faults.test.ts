/** Known faults of systems of this kind: each has a test, here or by name elsewhere, that fails where it is there. */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openRegistry, type AgentRegistry } from '../../src/agents/agents.ts';
import { AppError, systemClock } from '../../src/base/base.ts';
import { openDatabase, sql } from '../../src/database/database.ts';
import { openFixture, openStore, type Fixture, type TestStore } from '../support/coordination.ts';
import { silentLog } from '../support/databases.ts';
import { postgresUnavailable } from '../support/postgres.ts';
import { openStatementRelay } from '../support/statement-relay.ts';

/** The fault, the file, and how the name of its test begins. */
const faults: readonly (readonly [fault: string, file: string, name: string])[] = [
  ['dependent steps are skipped in silence', 'runs', 'is failed, never completed, when a task'],
  ['parallel mode ignores dependencies', 'runs', 'honours dependencies in parallel mode'],
  ['retries are not used', 'runs', 'tries a failed task again as often as it may'],
  ['a cancelled run goes on', 'runs', 'is cancelled down to what is under way'],
  ['a dead worker’s run is lost', 'takeover', 'a run whose worker was killed goes on in another'],
  ['a budget is only advice', 'coordination-limits', 'asks for more when its own budget'],
  ['a breaker never opens', 'coordination-limits', 'waits while a breaker is open'],
  ['a rollback changes nothing', 'coordination-undo', 'a completed one in a %s folder is as if'],
];

test.each(faults)('a test would find that %s', (_fault, file, name) => {
  const text = readFileSync(join(import.meta.dirname, `${file}.test.ts`), 'utf8');
  expect(text).toContain(`'${name}`);
});

const workflows = {
  vote: `
mode: consensus
quorum: 3
agreement: 0.6
tasks:
  first: { agent: says, input: minority }
  second: { agent: says, input: majority }
  third: { agent: says, input: majority }
`,
  torn: `
mode: consensus
quorum: 3
tasks:
  first: { agent: says, input: a }
  second: { agent: says, input: b }
  third: { agent: says, input: c }
`,
  changing: `
mode: sequential
tasks:
  only: { agent: changes, input: { list: [1], deep: { n: 1 } }, retries: 1, timeoutSeconds: 20 }
`,
  batch: `
mode: pipeline
items: [1, 2, 3]
tasks:
  only: { agent: odd, input: "\${item}" }
`,
  tolerant: `
mode: pipeline
items: [1, 2, 3]
tasks:
  only: { agent: odd, input: "\${item}", onFailure: continue }
`,
};

describe('a run of agents that are functions', () => {
  let store: TestStore;
  let fixture: Fixture;
  let said: string[] = [];
  const seen: string[] = [];

  beforeAll(async () => {
    store = await openStore('embedded');
    fixture = await openFixture(store, workflows, {
      says: ({ input, idempotencyKey }) => {
        said.push(idempotencyKey);
        return input;
      },
      changes: ({ input, timeoutMs, idempotencyKey }) => {
        const given = input as { list: number[]; deep: { n: number } };
        seen.push(JSON.stringify({ given, timeoutMs, idempotencyKey }));
        if (seen.length > 1) return given;
        try {
          given.list.push(2);
          given.deep.n = 2;
        } catch {
          // It need not be let.
        }
        throw new AppError('agent_failed', 'once more');
      },
      odd: ({ input }) => {
        if (input === 2) throw new AppError('agent_failed', 'not this', { retryable: false });
        return input;
      },
    });
  });

  afterAll(async () => {
    await fixture.part.stop(0);
    await store.close();
  });

  test('asks each voter once, and takes what most say, not what the first says', async () => {
    said = [];
    const { id, status, output } = await fixture.run('vote');
    expect({ status, output }).toEqual({ status: 'completed', output: 'majority' });
    expect(said.toSorted()).toEqual([`${id}/first`, `${id}/second`, `${id}/third`]);
    const torn = await fixture.run('torn');
    expect(torn).toMatchObject({ status: 'failed', error: { code: 'no_consensus' } });
    expect(torn).not.toHaveProperty('output');
  });

  test('tries a task again with what it was given at first, whatever the agent made of it', async () => {
    const { status } = await fixture.run('changing');
    expect(status).toBe('completed');
    expect(seen).toHaveLength(2);
    expect(seen[1]).toBe(seen[0]);
    const { output } = await fixture.run('changing');
    expect(output).toEqual({ only: { list: [1], deep: { n: 1 } } });
    const stored = await store.database.query(
      sql<{
        n: number;
      }>`select count(*)::int as n from workflow_definitions where name = 'changing'`,
    );
    expect(stored).toEqual([{ n: 1 }]);
  });

  test('is failed when an item of its batch failed, and says which when it may go on', async () => {
    expect(await fixture.run('batch')).toMatchObject({
      status: 'failed',
      error: { code: 'agent_failed', message: 'task only#1: not this' },
    });
    expect(await fixture.run('tolerant')).toMatchObject({
      status: 'completed',
      output: [1, null, 3],
      verdict: { items: 3, completed: 2, dropped: [1] },
    });
  });
});

/** Programs that fail in every way that programs can, and a runtime that is not there. */
const broken: Readonly<Record<string, { code: string; runtime: string; verify?: string }>> = {
  exits: { code: 'agent_failed', runtime: command('process.exit(3)') },
  'says-so-and-exits': {
    code: 'agent_failed',
    runtime: command(`console.log('{"success":true}'); process.exitCode = 1`),
  },
  dies: { code: 'agent_crashed', runtime: command(`process.kill(process.pid, 'SIGSEGV')`) },
  babbles: { code: 'agent_output_invalid', runtime: command(`console.log('{"half":')`) },
  unfit: {
    code: 'agent_output_invalid',
    runtime: command(`console.log('{}')`),
    verify: '  verify: { schema: { required: [answer] } }\n',
  },
  missing: {
    code: 'agent_unavailable',
    runtime: '    kind: command\n    program: no-such-program\n',
  },
  model: { code: 'agent_unavailable', runtime: '    kind: model\n    model: none\n' },
};

function command(program: string): string {
  const where = JSON.stringify(process.execPath);
  const args = JSON.stringify(['-e', program]);
  return `    kind: command\n    program: ${where}\n    arguments: ${args}\n    stdout: json\n`;
}

describe('a run of an agent that', () => {
  let store: TestStore;
  let registry: AgentRegistry;
  let fixture: Fixture;

  beforeAll(async () => {
    store = await openStore('embedded');
    const folder = join(store.home, 'agents');
    await mkdir(folder);
    for (const [name, { runtime, verify = '' }] of Object.entries(broken)) {
      const text = `---\nname: ${name}\ndescription: Fails.\ncenturia:\n  category: development\n  retries: 0\n${verify}  runtime:\n${runtime}---\n`;
      await writeFile(join(folder, `${name}.md`), text);
    }
    const { database } = store;
    registry = await openRegistry({
      folders: [{ path: folder, shipped: false }],
      database,
      packageRoot: join(import.meta.dirname, '../..'),
      log: silentLog,
      clock: systemClock,
      watch: false,
    });
    const each = Object.keys(broken).map((name): [string, string] => [
      name,
      `mode: sequential\ntasks:\n  only: { agent: ${name} }\n  behind: { agent: ${name} }\n`,
    ]);
    fixture = await openFixture(store, Object.fromEntries(each), registry);
  });

  afterAll(async () => {
    await fixture.part.stop(0);
    await registry.close();
    await store.close();
  });

  test.each(Object.entries(broken))(
    '%s is failed, with no output at all',
    async (name, { code }) => {
      const detail = await fixture.run(name);
      expect(detail).toMatchObject({ status: 'failed', error: { code } });
      expect(detail).not.toHaveProperty('output');
      const [only, behind] = detail.taskList;
      expect(only).toMatchObject({ status: 'failed', error: { code } });
      expect(only).not.toHaveProperty('output');
      expect(behind).toMatchObject({ status: 'skipped', attempts: 0 });
    },
  );
});

describe.skipIf(postgresUnavailable !== undefined)('a run that ends while it is read', () => {
  test('is shown with its end, and not as one that goes on', async () => {
    const store = await openStore('server');
    const workflow = { waiting: 'mode: parallel\ntasks: { go: { wait: { signal: go } } }\n' };
    const { part } = await openFixture(store, workflow, {});
    const relay = await openStatementRelay(Number(new URL(store.url).port));
    const url = new URL(store.url);
    url.port = String(relay.port);
    const database = await openDatabase({
      url: url.href,
      home: store.home,
      poolSize: 2,
      log: silentLog,
      clock: systemClock,
    });
    const reader = await openFixture({ ...store, database }, workflow, {}, { worker: false });
    const { id } = await part.runs.start({ workflow: 'waiting', input: {} });
    const looked = relay.count;
    await reader.part.runs.get(id);
    const again = relay.count;
    await reader.part.runs.get(id);
    expect(again - looked).toBeGreaterThan(relay.count - again);
    // The row has been read, and its events are about to be.
    relay.set({
      at: relay.count - again,
      moment: 'before',
      async act() {
        await part.runs.cancel(id, { reason: 'while it is read' });
        await part.runs.wait(id);
        return 'pass' as const;
      },
    });
    const read = await reader.part.runs.get(id);
    expect(relay.clear()).toBe(true);
    expect(read.status).toBe('cancelled');
    expect(read).toEqual(await part.runs.get(id));
    await reader.part.stop(0);
    await part.stop(0);
    await database.close();
    await relay.close();
    await store.close();
  });
});
