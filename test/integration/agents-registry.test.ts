import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { openRegistry, type AgentRegistry, type Invocation } from '../../src/agents/agents.ts';
import { processesOf } from '../../src/agents/processes.ts';
import { createLog, newId, systemClock, toAppError } from '../../src/base/base.ts';
import { migrate, openDatabase, sql, type Database } from '../../src/database/database.ts';
import { freshDatabase, postgresUnavailable } from '../support/postgres.ts';
import { testFolder } from '../support/processes.ts';

const behave = resolve(import.meta.dirname, '../fixtures/commands/behave.mjs');
const log = createLog({ level: 'silent' });
let home: string;
let database: Database;
beforeAll(async () => {
  home = await testFolder();
  database = await openDatabase({ home, poolSize: 2, log, clock: systemClock });
  await migrate(database, {
    folder: resolve(import.meta.dirname, '../../migrations'),
    log,
    clock: systemClock,
  });
});
afterAll(async () => {
  await database.close();
  await rm(home, { recursive: true, force: true });
});

let root: string;
let shipped: string;
let own: string;
beforeEach(async () => {
  root = await testFolder();
  shipped = join(root, 'shipped');
  own = join(root, 'own');
  await mkdir(shipped);
  await mkdir(own);
  onTestFinished(() => rm(root, { recursive: true, force: true }));
});

async function opened(
  watch = true,
  environment: Record<string, string | undefined> = process.env,
  onDatabase = database,
): Promise<AgentRegistry> {
  const registry = await openRegistry({
    folders: [
      { path: shipped, shipped: true },
      { path: own, shipped: false },
    ],
    database: onDatabase,
    packageRoot: root,
    log,
    clock: systemClock,
    watch,
    environment,
  });
  onTestFinished(() => registry.close());
  return registry;
}
const textOf = (name: string, description: string, centuria: object = {}, prompt = 'Do it.') =>
  `---\nname: ${name}\ndescription: ${description}\ncenturia: ${JSON.stringify(centuria)}\n---\n${prompt}\n`;
const runs = (...parts: unknown[]) => ({
  runtime: { kind: 'command', program: process.execPath, arguments: [behave, ...parts] },
});
async function write(folder: string, name: string, description: string, centuria?: object) {
  await writeFile(join(folder, `${name}.md`), textOf(name, description, centuria));
}
/** The next change that the registry tells of. */
function nextChange(registry: AgentRegistry) {
  return new Promise((done) => {
    const stop = registry.onChange((change) => {
      stop();
      done(change);
    });
  });
}
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(10);
}
function call(registry: AgentRegistry, name: string, more: Partial<Invocation> = {}) {
  const agent = registry.get(name);
  if (agent === undefined) throw new Error(`no agent ${name}`);
  return registry.invoke({
    agent,
    input: {},
    attemptId: newId(),
    idempotencyKey: 'run/task',
    timeoutMs: 30_000,
    signal: new AbortController().signal,
    ...more,
  });
}
const failure = async (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('it succeeded');
    },
    (thrown: unknown) => toAppError(thrown),
  );

describe('loading', () => {
  test('takes the files of all folders in the order of names, and a later folder over a shipped one', async () => {
    await write(shipped, 'b', 'shipped b');
    await write(shipped, 'c', 'shipped c');
    await write(own, 'b', 'own b');
    await write(own, 'a', 'own a');
    await writeFile(join(shipped, 'README.md'), '# no agent');
    await mkdir(join(shipped, 'tools'));
    await write(join(shipped, 'tools'), 'd', 'not looked at');
    const registry = await opened(false);
    expect(registry.list().map(({ name, description }) => [name, description])).toEqual([
      ['a', 'own a'],
      ['b', 'own b'],
      ['c', 'shipped c'],
    ]);
    expect(registry.problems()).toMatchObject([{ file: join(own, 'b.md'), severity: 'warning' }]);
    expect(registry.problems()[0]?.message).toContain(join(shipped, 'b.md'));
  });

  test('goes on without a file that is wrong, a second one of a name, and a missing folder', async () => {
    await write(shipped, 'a', 'good');
    await writeFile(join(shipped, 'b.md'), textOf('a', 'twice'));
    await writeFile(join(shipped, 'c.md'), '---\nname: c\n');
    await rm(own, { recursive: true });
    const registry = await opened(false);
    expect(registry.list().map(({ description }) => description)).toEqual(['good']);
    const messages = registry.problems().map(({ message }) => message);
    expect(messages).toHaveLength(3);
    expect(messages.join('\n')).toContain('already defined in');
    expect(messages.join('\n')).toContain('not closed');
    expect(messages.join('\n')).toContain('the folder can not be read');
  });
});

describe('watching', () => {
  test('tells what came, what changed and what went', async () => {
    const registry = await opened();
    let change = nextChange(registry);
    await write(own, 'a', 'first');
    expect(await change).toEqual({ added: ['a'], changed: [], removed: [] });
    change = nextChange(registry);
    await write(own, 'a', 'second');
    expect(await change).toEqual({ added: [], changed: ['a'], removed: [] });
    expect(registry.get('a')?.description).toBe('second');
    change = nextChange(registry);
    await rm(join(own, 'a.md'));
    expect(await change).toEqual({ added: [], changed: [], removed: ['a'] });
    expect(registry.get('a')).toBeUndefined();
    expect(registry.status('a')).toBeUndefined();
  });

  test('sees what an editor writes by renaming', async () => {
    await write(own, 'a', 'first');
    const registry = await opened();
    const change = nextChange(registry);
    await writeFile(join(own, '.a.md.tmp'), textOf('a', 'second'));
    await rename(join(own, '.a.md.tmp'), join(own, 'a.md'));
    expect(await change).toEqual({ added: [], changed: ['a'], removed: [] });
  });

  test('keeps the last good definition while a file is broken, and lists the problem', async () => {
    await write(own, 'a', 'first');
    const registry = await opened();
    await writeFile(join(own, 'a.md'), '---\nname: a\ndescr');
    await until(() => registry.problems().length > 0);
    expect(registry.get('a')?.description).toBe('first');
    expect(registry.problems()[0]).toMatchObject({ file: join(own, 'a.md'), line: 1 });
    const change = nextChange(registry);
    await write(own, 'a', 'second');
    await change;
    expect(registry.get('a')?.description).toBe('second');
    expect(registry.problems()).toEqual([]);
  });

  test('sees a folder that comes later', async () => {
    await rm(own, { recursive: true });
    const registry = await opened();
    const change = nextChange(registry);
    await mkdir(own);
    await write(own, 'a', 'first');
    expect(await change).toEqual({ added: ['a'], changed: [], removed: [] });
    const gone = nextChange(registry);
    await rm(own, { recursive: true });
    expect(await gone).toEqual({ added: [], changed: [], removed: ['a'] });
    const back = nextChange(registry);
    await mkdir(own);
    await write(own, 'b', 'second');
    expect(await back).toEqual({ added: ['b'], changed: [], removed: [] });
  });

  test('ends with the registry', async () => {
    const registry = await opened();
    const changes: unknown[] = [];
    registry.onChange((change) => changes.push(change));
    await registry.close();
    await write(own, 'a', 'first');
    await delay(500);
    expect(changes).toEqual([]);
  });
});

describe('pinning', () => {
  test('keeps a definition for the runs that use it, byte for byte, after the file has changed', async () => {
    await writeFile(join(own, 'a.md'), `\uFEFF${textOf('a', 'first ü').replaceAll('\n', '\r\n')}`);
    const registry = await opened();
    const first = registry.get('a');
    if (first === undefined) throw new Error('not loaded');
    await registry.pin([first]);
    await registry.pin([first, first]);
    const change = nextChange(registry);
    await write(own, 'a', 'second');
    await change;
    const again = await registry.byHash(first.hash);
    expect(again).toEqual({ ...first, file: 'a.md' });
    expect((await registry.byHash(registry.get('a')?.hash ?? ''))?.description).toBe('second');
    expect(await registry.byHash('0'.repeat(64))).toBeUndefined();
  });

  test('refuses a stored definition that is not valid now', async () => {
    const hash = 'a'.repeat(64);
    await database.query(
      sql`insert into agent_definitions (hash, name, source) values (${hash}, 'old', 'none'::bytea)`,
    );
    const error = await failure((await opened(false)).byHash(hash));
    expect(error.code).toBe('agent_invalid');
    expect(error.message).toContain('does not begin with frontmatter');
  });
});

describe.skipIf(postgresUnavailable)('pinning on a server', () => {
  test('keeps the same bytes', async () => {
    const fresh = await freshDatabase();
    const server = await openDatabase({
      url: fresh.url,
      home,
      poolSize: 2,
      log,
      clock: systemClock,
    });
    onTestFinished(async () => {
      await server.close();
      await fresh.drop();
    });
    await writeFile(join(own, 'a.md'), `\uFEFF${textOf('a', 'first ü').replaceAll('\n', '\r\n')}`);
    const registry = await opened(false, process.env, server);
    const first = registry.get('a');
    await registry.pin(registry.list());
    await rm(join(own, 'a.md'));
    const later = await opened(false, process.env, server);
    expect(later.list()).toEqual([]);
    expect(await later.byHash(first?.hash ?? '')).toEqual({ ...first, file: 'a.md' });
  });
});

describe('states', () => {
  test('say why an agent can not work here', async () => {
    await write(own, 'good', 'x', runs('print', 'hi'));
    await write(own, 'bare', 'x');
    await write(own, 'model', 'x', { runtime: { kind: 'model', key: 'NO_KEY_HERE' } });
    await write(own, 'binary', 'x', { ...runs(), requires: { binaries: ['no-such-program'] } });
    await write(own, 'variable', 'x', { ...runs(), requires: { environment: ['UNSET_HERE'] } });
    const registry = await opened(false);
    const told = registry.list().map(({ name }) => {
      const status = registry.status(name);
      return [name, status?.state, status?.reason];
    });
    expect(told).toEqual([
      ['bare', 'unavailable', 'no runtime is declared: add centuria.runtime'],
      [
        'binary',
        'unavailable',
        'the program no-such-program was not found: install it, or add its folder to PATH',
      ],
      ['good', 'active', undefined],
      [
        'model',
        'unavailable',
        'no key: set NO_KEY_HERE (the environment variable NO_KEY_HERE is not set)',
      ],
      ['variable', 'unavailable', 'the environment variable UNSET_HERE is not set'],
    ]);
    for (const name of ['bare', 'binary', 'model', 'variable']) {
      const error = await failure(call(registry, name));
      expect(error.code).toBe('agent_unavailable');
      expect(error.message).toContain(registry.status(name)?.reason);
    }
  });

  test('an agent whose program was installed meanwhile runs at once', async () => {
    await write(own, 'tool', 'x', { runtime: { kind: 'command', program: 'late-tool' } });
    const registry = await opened(false);
    expect(registry.status('tool')?.state).toBe('unavailable');
    await mkdir(join(root, 'bin'));
    await writeFile(join(root, 'bin', 'late-tool.mjs'), 'console.log("here")');
    expect((await call(registry, 'tool')).output).toBe('here\n');
  });

  test('the last error is told until it goes well again', async () => {
    await write(own, 'a', 'x', runs('exit', '${input.status}'));
    const registry = await opened(false);
    await failure(call(registry, 'a', { input: { status: 3 } }));
    expect(registry.status('a')).toMatchObject({
      state: 'active',
      lastError: { code: 'agent_failed' },
    });
    await call(registry, 'a', { input: { status: 0 } });
    expect(registry.status('a')?.lastError).toBeUndefined();
  });

  test('closing ends agents at work, and nothing starts after it', async () => {
    const path = join(root, 'pid');
    await write(own, 'a', 'x', runs('hang', path));
    const registry = await opened(false);
    const attemptId = newId();
    const working = failure(call(registry, 'a', { attemptId }));
    await until(() => existsSync(path));
    await registry.close();
    expect((await working).code).toBe('cancelled');
    expect(processesOf([attemptId])).toEqual([]);
    expect(registry.status('a')?.state).toBe('shutting_down');
    expect((await failure(call(registry, 'a'))).code).toBe('cancelled');
  });
});

describe('invoking', () => {
  test('checks the result', async () => {
    const verify = { schema: { type: 'object', required: ['n'] } };
    const { runtime } = runs('print', '${input.text}');
    await write(own, 'a', 'x', { runtime: { ...runtime, stdout: 'json' }, verify });
    const registry = await opened(false);
    expect((await call(registry, 'a', { input: { text: '{"n":1}' } })).output).toEqual({ n: 1 });
    const error = await failure(call(registry, 'a', { input: { text: '{}' } }));
    expect(error.code).toBe('agent_output_invalid');
  });

  test('runs a pinned definition though the file says something else by now', async () => {
    await write(own, 'a', 'x', runs('print', 'old'));
    const registry = await opened();
    const pinned = registry.get('a');
    const change = nextChange(registry);
    await write(own, 'a', 'x', runs('print', 'new'));
    await change;
    expect((await call(registry, 'a', pinned && { agent: pinned })).output).toBe('old');
    expect((await call(registry, 'a')).output).toBe('new');
  });
});

describe('a worker that dies by kill -9', () => {
  test('takes its program with it, and reap ends what that had started', async () => {
    const registry = await opened(false);
    const file = join(root, 'family.md');
    const path = join(root, 'pid');
    await writeFile(file, textOf('family', 'x', runs('family', path)));
    const attemptId = newId();
    const supervise = resolve(import.meta.dirname, '../fixtures/commands/supervise.mjs');
    const worker = spawn(process.execPath, [supervise, file, attemptId, root], {
      stdio: 'inherit',
      env: process.env,
    });
    await until(() => existsSync(`${path}.near`) && existsSync(`${path}.far`));
    await until(() => readFileSync(`${path}.far`, 'utf8') !== '');
    // The program itself, its child, and the child's child that left the group.
    expect(processesOf([attemptId])).toHaveLength(3);
    worker.kill('SIGKILL');
    await once(worker, 'exit');
    await until(() => processesOf([attemptId]).length === 2);
    expect(await registry.reap([newId()])).toBe(0);
    expect(await registry.reap([newId(), attemptId])).toBe(2);
    expect(processesOf([attemptId])).toEqual([]);
    expect(await registry.reap([attemptId])).toBe(0);
  });
});
