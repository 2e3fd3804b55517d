/** What a run has done to folders and to the world outside, undone: whenever it is asked, and whoever dies. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AgentRegistry } from '../../src/agents/agents.ts';
import { systemClock } from '../../src/base/base.ts';
import { openWorkspaces } from '../../src/workspaces/workspaces.ts';
import {
  openFixture,
  openStore,
  startProcess,
  type Fixture,
  type TestStore,
} from '../support/coordination.ts';
import { silentLog, until } from '../support/databases.ts';
import { contentsOf } from '../support/folders.ts';
import { GitRepository } from '../support/git-repository.ts';
import { postgresUnavailable } from '../support/postgres.ts';
import { openUndoFleet, undoWorkflows, writeUndoFleet } from '../support/undo-fleet.ts';

const files = { kept: 'as it was', gone: 'to be deleted', 'sub/other': 'untouched' };

describe.skipIf(postgresUnavailable)('undoing a run', () => {
  let store: TestStore;
  let registry: AgentRegistry;
  let fixture: Fixture;
  let repository: GitRepository;
  let children: ChildProcess[];

  beforeEach(async () => {
    store = await openStore('server');
    children = [];
    await writeUndoFleet(store.home);
    registry = await openUndoFleet(store.home, store.database);
    repository = new GitRepository(files);
    fixture = await open(false);
  });

  afterEach(async () => {
    await fixture.part.stop(0);
    for (const child of children) await kill(child);
    await registry.close();
    repository.dispose();
    await store.close();
  });

  function open(worker: boolean): Promise<Fixture> {
    const { home } = store;
    return openFixture(store, undoWorkflows, registry, {
      worker,
      workspaces: openWorkspaces({ home, log: silentLog, clock: systemClock }),
    });
  }

  /** A folder of that kind, what is in it, and the ledger of the world outside. */
  function world(kind: 'plain' | 'git') {
    const folder = kind === 'git' ? repository.path : join(repository.around, 'plain');
    if (kind === 'plain') {
      mkdirSync(join(folder, 'sub'), { recursive: true });
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    }
    const ledger = join(repository.around, 'ledger');
    const entries = (): string[] =>
      existsSync(ledger) ? readFileSync(ledger, 'utf8').split('\n').slice(0, -1) : [];
    return { folder, ledger, entries, before: contentsOf(folder) };
  }

  async function undone(id: string, force = false) {
    await fixture.part.runs.undo(id, { force, by: 'ann' });
    return fixture.part.runs.wait(id);
  }

  test.each(['plain', 'git'] as const)(
    'a completed one in a %s folder is as if it had not been, once and twice',
    async (kind) => {
      await fixture.part.startWorker();
      const { folder, ledger, entries, before } = world(kind);
      const { id, status } = await fixture.run('change', { folder, ledger });
      expect(status).toBe('completed');
      expect(readFileSync(join(folder, 'kept'), 'utf8')).toBe('again');
      const plan = await fixture.part.runs.undoPlan(id);
      expect(plan.conflicts).toBe(false);
      expect(plan.effects.map(({ task, how }) => `${how} ${task}`)).toEqual([
        'compensation outside',
        'workspace second, first',
      ]);
      expect(contentsOf(folder)).not.toEqual(before);

      expect(await undone(id)).toMatchObject({ status: 'completed', undo: 'undone' });
      expect(contentsOf(folder)).toEqual(before);
      expect(entries()).toEqual([`in ${id}/outside`, `out ${id}/outside/undo/1`]);

      expect(await undone(id)).toMatchObject({ status: 'completed', undo: 'undone' });
      expect(contentsOf(folder)).toEqual(before);
      expect(entries()).toHaveLength(2);
      const after = await fixture.part.runs.undoPlan(id);
      expect(after.effects.map(({ how }) => how)).toEqual(['done', 'done', 'done']);
    },
  );

  test('what somebody changed since stays, is said, and is given up to force alone', async () => {
    await fixture.part.startWorker();
    const { folder, ledger, before } = world('plain');
    const { id } = await fixture.run('change', { folder, ledger });
    writeFileSync(join(folder, 'kept'), 'by a person');
    const plan = await fixture.part.runs.undoPlan(id);
    expect(plan.conflicts).toBe(true);
    expect(plan.effects.flatMap((effect) => effect.files ?? [])).toContainEqual(
      expect.objectContaining({ path: 'kept', action: 'conflict' }),
    );
    expect(await undone(id)).toMatchObject({ status: 'completed', undo: 'failed' });
    expect(readFileSync(join(folder, 'kept'), 'utf8')).toBe('by a person');
    const said = (await fixture.events(id)).flatMap(({ body }) =>
      body.type === 'effect.undone' && body.error !== undefined ? [body.error.code] : [],
    );
    expect(new Set(said)).toEqual(new Set(['undo_failed']));
    expect(await undone(id, true)).toMatchObject({ undo: 'undone' });
    expect(contentsOf(folder)).toEqual(before);
  });

  test('what nothing can undo is said before it starts, and undoing the rest is no success', async () => {
    await fixture.part.startWorker();
    const { folder, ledger, before } = world('plain');
    const input = { folder, ledger };
    const plan = await fixture.part.runs.plan({ workflow: 'for-good', input });
    expect(plan.irreversible).toEqual([
      { task: 'outside', why: 'agent enter acts outside, and the task names no compensate' },
    ]);
    const { id, irreversible } = await fixture.run('for-good', input);
    expect(irreversible).toEqual(['outside']);
    expect((await fixture.events(id))[0]?.body).toMatchObject({ irreversible: ['outside'] });
    const effects = (await fixture.part.runs.undoPlan(id)).effects;
    expect(effects.map(({ task, how }) => `${how} ${task}`)).toEqual([
      'workspace first',
      'impossible outside',
    ]);
    expect(await undone(id)).toMatchObject({ status: 'completed', undo: 'failed' });
    expect(contentsOf(folder)).toEqual(before);
  });

  test('what was undone and done again is undone again, outside as well', async () => {
    await fixture.part.startWorker();
    const { folder, ledger, entries, before } = world('plain');
    const { id } = await fixture.run('change', { folder, ledger });
    await undone(id);
    await fixture.part.runs.retry(id, { from: 'first' });
    expect(await fixture.part.runs.wait(id)).toMatchObject({ status: 'completed' });
    expect(contentsOf(folder)).not.toEqual(before);
    expect(await undone(id)).toMatchObject({ undo: 'undone' });
    expect(contentsOf(folder)).toEqual(before);
    expect(entries().map((line) => line.split(' ')[0])).toEqual(['in', 'out', 'in', 'out']);
  });

  test('what was undone is not taken for done when the run is tried again', async () => {
    await fixture.part.startWorker();
    const { folder, ledger, entries } = world('plain');
    const gate = join(repository.around, 'gate');
    const { runs } = fixture.part;
    const { id } = await runs.start({ workflow: 'change', input: { folder, ledger, gate } });
    await until(() => existsSync(`${gate}.waits`));
    await runs.cancel(id, { reason: 'for now' });
    expect(await runs.wait(id)).toMatchObject({ status: 'cancelled', tasks: { completed: 2 } });
    expect(await undone(id)).toMatchObject({ undo: 'undone' });
    writeFileSync(gate, '');
    await runs.retry(id, {});
    const again = await runs.wait(id);
    expect(again).toMatchObject({ status: 'completed' });
    expect(again).not.toHaveProperty('undo');
    expect((await runs.list({})).items[0]).not.toHaveProperty('undo');
    expect(readFileSync(join(folder, 'new/file'), 'utf8')).toBe('made');
    expect(entries().map((line) => line.split(' ')[0])).toEqual(['in', 'out', 'in']);
  });

  async function otherWorker(): Promise<ChildProcess> {
    const child = await startProcess(store, 'undo-worker');
    children.push(child);
    return child;
  }

  test('one whose worker was killed halfway is undone by another, with what it had not written down', async () => {
    const { folder, ledger, entries, before } = world('git');
    const gate = join(repository.around, 'gate');
    const worker = await otherWorker();
    const input = { folder, ledger, gate };
    const { id } = await fixture.part.runs.start({ workflow: 'change', input });
    await until(() => existsSync(`${gate}.waits`));
    expect(existsSync(join(folder, 'gone'))).toBe(false);
    await kill(worker);
    await fixture.part.runs.undo(id, { force: false, by: 'ann' });
    await fixture.part.startWorker();
    expect(await fixture.part.runs.wait(id)).toMatchObject({
      status: 'cancelled',
      undo: 'undone',
    });
    expect(contentsOf(folder)).toEqual(before);
    expect(entries()).toEqual([`in ${id}/outside`, `out ${id}/outside/undo/1`]);
  });

  test('one whose undoing was killed halfway is undone to its end by another', async () => {
    const { folder, ledger, entries, before } = world('git');
    const undoGate = join(repository.around, 'gate');
    const worker = await otherWorker();
    const input = { folder, ledger, undoGate };
    const { id } = await fixture.part.runs.start({ workflow: 'change', input });
    expect(await fixture.part.runs.wait(id)).toMatchObject({ status: 'completed' });
    await fixture.part.runs.undo(id, { force: false, by: 'ann' });
    await until(() => existsSync(`${undoGate}.waits`));
    await kill(worker);
    expect(contentsOf(folder)).not.toEqual(before);
    rmSync(`${undoGate}.waits`);
    writeFileSync(undoGate, '');
    await fixture.part.startWorker();
    await until(async () => (await fixture.part.runs.list({})).items[0]?.undo === 'undone');
    expect(await fixture.part.runs.get(id)).toMatchObject({ status: 'completed' });
    expect(contentsOf(folder)).toEqual(before);
    // At least once, and under one key: who keeps keys does it once.
    const [first, ...outs] = entries();
    expect(first).toBe(`in ${id}/outside`);
    expect(new Set(outs)).toEqual(new Set([`out ${id}/outside/undo/1`]));
  });
});

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
