import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { WorkspaceMark } from '../../src/workspaces/workspaces.ts';
import { contentsOf, fill } from '../support/folders.ts';
import { Place, signal } from '../support/workspaces.ts';

let place: Place;
beforeEach(() => void (place = new Place()));
afterEach(() => place.dispose());

const read = (...names: string[]): string => readFileSync(join(...names), 'utf8');

test('a change says what changed, and its plan what undoing would do, touching nothing', async () => {
  const folder = place.folder();
  fill(folder, { kept: '1', edited: '1', gone: '1', 'sub/closed': '1' });
  const mark = await place.workspaces.begin(place.request(folder));
  fill(folder, { edited: '2', 'new/file': 'x' });
  rmSync(join(folder, 'gone'));
  chmodSync(join(folder, 'sub/closed'), 0o755);
  const change = await place.workspaces.finish(mark);
  expect(change).toMatchObject({ added: 1, changed: 2, removed: 1, folder, path: folder });
  const after = contentsOf(folder);
  const { folders } = await place.workspaces.plan([change]);
  expect(folders).toEqual([
    {
      kind: 'snapshot',
      folder,
      path: folder,
      restore: ['edited', 'sub/closed'],
      recreate: ['gone'],
      delete: ['new', 'new/file'],
      conflicts: [],
      undone: [],
      left: [],
    },
  ]);
  expect(contentsOf(folder)).toEqual(after);
});

test('finishing twice gives the same change, and beginning twice the same mark', async () => {
  const folder = place.folder();
  const request = place.request(folder);
  const mark = await place.workspaces.begin(request);
  fill(folder, { made: '1' });
  expect(await place.workspaces.begin(request)).toEqual(mark);
  const change = await place.workspaces.finish(mark);
  fill(folder, { theirs: '1' });
  expect(await place.workspaces.finish(mark)).toEqual(change);
  expect(change).toMatchObject({ added: 1 });
});

test('modification times come back with the files and folders', async () => {
  const folder = place.folder();
  fill(folder, { 'sub/edited': '1' });
  const then = new Date('2020-02-02T02:02:02.123Z');
  for (const name of ['sub/edited', 'sub', '']) utimesSync(join(folder, name), then, then);
  const change = await place.attempt(folder, () => {
    fill(folder, { 'sub/edited': '2', 'sub/new': '2', top: '2' });
  });
  await place.undo([change]);
  const times = ['sub/edited', 'sub', ''].map((name) => statSync(join(folder, name)).mtime);
  expect(times).toEqual([then, then, then]);
});

test('a file that somebody changed since is a conflict: named, untouched, and given up to force', async () => {
  const folder = place.folder();
  fill(folder, { a: '1', b: '1' });
  const change = await place.attempt(folder, () => fill(folder, { a: '2', b: '2' }));
  fill(folder, { a: 'theirs', own: 'theirs' });
  const [undone] = (await place.undo([change])).folders;
  expect(undone).toMatchObject({
    restore: ['b'],
    conflicts: [{ path: 'a', reason: 'changed since the agent left it' }],
    replacedIn: undefined,
  });
  expect([read(folder, 'a'), read(folder, 'b'), read(folder, 'own')]).toEqual([
    'theirs',
    '1',
    'theirs',
  ]);
  const [forced] = (await place.undo([change], true)).folders;
  expect(forced).toMatchObject({ restore: ['a'], conflicts: [] });
  expect([read(folder, 'a'), read(folder, 'own')]).toEqual(['1', 'theirs']);
  // Nobody's work is lost: what was given up is kept where it is found by its name.
  expect(read(forced?.replacedIn ?? '', 'a')).toBe('theirs');
});

test('several attempts in several folders are undone newest first', async () => {
  const [one, two] = [place.folder(), place.folder()];
  fill(one, { f: '0' });
  const first = await place.attempt(one, () => fill(one, { f: '1', g: '1' }));
  const second = await place.attempt(two, () => fill(two, { h: '1' }));
  const third = await place.attempt(one, () => fill(one, { f: '2' }));
  const { folders } = await place.undo([third, second, first]);
  expect(folders.map(({ path, restore, delete: gone }) => [path, restore, gone])).toEqual([
    [one, ['f'], ['g']],
    [two, [], ['h']],
  ]);
  expect([Object.keys(contentsOf(one)), read(one, 'f')]).toEqual([['', 'f'], '0']);
  expect(Object.keys(contentsOf(two))).toEqual(['']);
});

test('an attempt whose worker was killed is undone from the folder as it is', async () => {
  const folder = place.folder();
  fill(folder, { edited: '1', gone: '1' });
  const before = contentsOf(folder);
  const { signal: _, ...request } = place.request(folder);
  const [child, line] = await place.process('begin', request);
  const mark = JSON.parse(line) as WorkspaceMark;
  fill(folder, { edited: 'half', 'half/done': 'x' });
  rmSync(join(folder, 'gone'));
  await place.kill(child);
  const plan = await place.workspaces.plan([mark]);
  expect(plan.folders[0]).toMatchObject({
    restore: ['edited'],
    recreate: ['gone'],
    delete: ['half', 'half/done'],
  });
  const [undone] = (await place.undo([mark])).folders;
  expect(contentsOf(folder)).toEqual(before);
  // It can't be told from somebody else's work, so that is kept.
  expect(read(undone?.replacedIn ?? '', 'edited')).toBe('half');
  // And what is written after it was undone is somebody else's for certain.
  fill(folder, { edited: 'theirs' });
  const [again] = (await place.undo([mark])).folders;
  expect(again).toMatchObject({ restore: [], recreate: [], delete: [] });
  expect(again?.conflicts.map(({ path }) => path)).toEqual(['edited']);
  expect(read(folder, 'edited')).toBe('theirs');
});

test('a second attempt begins with what the first one found, not with its half-done work', async () => {
  const folder = place.folder();
  fill(folder, { input: '1' });
  const before = contentsOf(folder);
  const first = await place.workspaces.begin(place.request(folder));
  fill(folder, { input: 'half', rubbish: 'x' });
  await place.workspaces.release(first);
  const second = await place.workspaces.begin(place.request(folder, { previous: first }));
  expect(contentsOf(folder)).toEqual(before);
  fill(folder, { output: 'done' });
  const change = await place.workspaces.finish(second);
  expect(change).toMatchObject({ added: 1, changed: 0, removed: 0 });
  await place.undo([change, first]);
  expect(contentsOf(folder)).toEqual(before);
});

test('a restore that is killed anywhere is finished by the next call', async () => {
  const folder = place.folder();
  const names = Array.from({ length: 60 }, (_, index) => `f${String(index).padStart(3, '0')}`);
  fill(folder, Object.fromEntries(names.map((name) => [`sub/${name}`, name.repeat(50)])));
  fill(folder, { 'kind/file': '1' });
  // What no umask gives: a crash must not leave a folder with a mode of its own.
  for (const name of ['sub', 'kind']) chmodSync(join(folder, name), 0o751);
  const before = contentsOf(folder);
  for (const [round, at] of [2, 30, 57].entries()) {
    const change = await place.attempt(folder, () => {
      rmSync(join(folder, 'sub'), { recursive: true });
      rmSync(join(folder, 'kind'), { recursive: true });
      fill(folder, { kind: 'a file now', [`made-${round}/a`]: 'x', [`made-${round}/b`]: 'x' });
    });
    const [child] = await place.process('undo', [change]);
    const sentinel = join(folder, 'sub', names[at] ?? '');
    while (!existsSync(sentinel) && child.exitCode === null) await delay(0);
    await place.kill(child);
    const half = Object.keys(contentsOf(folder)).length;
    expect(half).toBeLessThan(Object.keys(before).length);
    const { folders } = await place.undo([change]);
    expect(folders[0]?.conflicts).toEqual([]);
    expect(contentsOf(folder)).toEqual(before);
  }
});

test('an attempt waits for the folder until the one in it ends or its process dies', async () => {
  const folder = place.folder();
  const { signal: _, ...request } = place.request(folder);
  const [child] = await place.process('begin', request);
  const stop = new AbortController();
  const given = place.workspaces.begin(place.request(folder, { signal: stop.signal }));
  setTimeout(() => stop.abort(new Error('enough')), 300);
  await expect(given).rejects.toThrow('enough');
  let begun = false;
  const waiting = place.workspaces.begin(place.request(folder)).then((mark) => {
    begun = true;
    return mark;
  });
  await delay(300);
  expect(begun).toBe(false);
  await place.kill(child);
  await place.workspaces.release(await waiting);
});

test('an attempt in a folder excludes one in a folder inside of it, not one beside it', async () => {
  const folder = place.folder();
  fill(folder, { 'in/f': '1', 'out/f': '1' });
  const inner = await place.workspaces.begin(place.request(join(folder, 'in')));
  const beside = await place.workspaces.begin(place.request(join(folder, 'out')));
  let begun = false;
  const whole = place.workspaces.begin(place.request(folder)).then((mark) => {
    begun = true;
    return mark;
  });
  await place.workspaces.release(beside);
  await delay(200);
  expect(begun).toBe(false);
  await place.workspaces.release(inner);
  await place.workspaces.release(await whole);
});

test('undoing waits for the attempt in the folder and takes in what it left', async () => {
  const folder = place.folder();
  const mark = await place.workspaces.begin(place.request(folder));
  fill(folder, { early: '1' });
  const undone = place.undo([mark]);
  await delay(200);
  fill(folder, { late: '1' });
  await place.workspaces.finish(mark);
  expect((await undone).folders[0]?.delete).toEqual(['early', 'late']);
  expect(readdirSync(folder)).toEqual([]);
});

test('links are put back as links, and never lead a restore out of the folder', async () => {
  const folder = place.folder();
  const outside = place.folder();
  fill(outside, { f: 'outside' });
  fill(folder, { 'sub/f': 'inside' });
  symlinkSync(outside, join(folder, 'way'));
  const before = contentsOf(folder);
  const change = await place.attempt(folder, () => {
    rmSync(join(folder, 'sub'), { recursive: true });
    symlinkSync(outside, join(folder, 'sub'));
    rmSync(join(folder, 'way'));
    fill(folder, { 'way/f': 'a folder now' });
  });
  await place.undo([change]);
  expect(contentsOf(folder)).toEqual(before);
  expect(read(outside, 'f')).toBe('outside');
  // Somebody puts a link in the place of a folder that something has to come back to.
  const second = await place.attempt(folder, () => rmSync(join(folder, 'sub/f')));
  rmSync(join(folder, 'sub'), { recursive: true });
  symlinkSync(outside, join(folder, 'sub'));
  const [undone] = (await place.undo([second], true)).folders;
  expect(undone?.conflicts.map(({ path }) => path)).toEqual(['sub/f']);
  expect(read(outside, 'f')).toBe('outside');
});

/** Modes stop nobody who is root, so then another user is asked, where that one can read the sources. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
const script = join(import.meta.dirname, '../support/closed-folders.ts');
const canRun = spawnSync(process.execPath, ['--check', script], nobody).status === 0;

test.skipIf(!canRun)(
  'folders that forbid writing are opened for a restore and closed again',
  () => {
    const own = place.folder();
    chmodSync(place.around, 0o711);
    if (nobody.uid !== undefined) chownSync(own, nobody.uid, nobody.gid);
    const run = spawnSync(process.execPath, [script, own], { ...nobody, encoding: 'utf8' });
    expect(run.stderr).toBe('');
    expect(JSON.parse(run.stdout)).toEqual({
      conflicts: [],
      closed: ['folder 555', 'folder 555'],
      same: true,
    });
  },
);

test('the data folder in a workspace is no part of it', async () => {
  const inside = new Place();
  try {
    const folder = inside.around;
    const change = await inside.attempt(folder, () => fill(folder, { made: '1' }));
    expect(change).toMatchObject({ added: 1, changed: 0, removed: 0 });
    await inside.undo([change]);
    expect(readdirSync(folder)).toEqual(['home']);
    const own = inside.workspaces.begin(inside.request(inside.home));
    await expect(own).rejects.toMatchObject({ code: 'invalid_input' });
  } finally {
    await inside.dispose();
  }
});

test('a run is forgotten with all that only it needed, and can’t be undone any more', async () => {
  const folder = place.folder();
  fill(folder, { shared: 'x'.repeat(5_000) });
  const first = await place.attempt(folder, () => fill(folder, { own: 'y'.repeat(70_000) }));
  const second = await place.attempt(folder, () => fill(folder, { own: 'z' }), { runId: 'run-2' });
  const freed = await place.workspaces.forget('run-1');
  expect(freed.freedBytes).toBeLessThan(5_000);
  await expect(place.undo([first])).rejects.toMatchObject({ code: 'workspace_lost' });
  await place.undo([second]);
  expect(read(folder, 'own')).toBe('y'.repeat(70_000));
  expect((await place.workspaces.forget('run-2')).freedBytes).toBeGreaterThan(75_000);
  expect(readdirSync(join(place.home, 'snapshots/pool'))).toEqual([]);
  expect(readdirSync(join(place.home, 'snapshots/runs'))).toEqual([]);
  expect(await place.workspaces.forget('run-1')).toEqual({ freedBytes: 0, branches: [] });
});

test('a damaged store is said, and nothing is put back from it', async () => {
  const folder = place.folder();
  fill(folder, { a: 'before' });
  const change = await place.attempt(folder, () => fill(folder, { a: 'after!' }));
  const contents = join(place.home, 'snapshots/runs/run-1/contents');
  for (const name of readdirSync(contents)) {
    chmodSync(join(contents, name), 0o600);
    writeFileSync(join(contents, name), 'damage');
  }
  await expect(place.undo([change])).rejects.toMatchObject({ code: 'workspace_lost' });
  expect(contentsOf(folder)).toMatchObject({ a: expect.stringContaining('file 644 6') as string });
  expect(read(folder, 'a')).toBe('after!');
});

test('a mark of another host is refused by its name', async () => {
  const folder = place.folder();
  const change = await place.attempt(folder, () => undefined);
  const elsewhere = { ...change, host: 'elsewhere' };
  const error = { code: 'workspace_elsewhere', details: { host: 'elsewhere' } };
  await expect(place.undo([elsewhere])).rejects.toMatchObject(error);
  await expect(place.workspaces.plan([elsewhere])).rejects.toMatchObject(error);
  await expect(
    place.workspaces.begin(place.request(folder, { previous: elsewhere })),
  ).rejects.toMatchObject(error);
});

test('folders that can’t be worked in are refused with a remedy, and leave no lock', async () => {
  const folder = place.folder();
  fill(folder, { f: '12345' });
  const begin = (path: string) => place.workspaces.begin(place.request(path));
  await expect(begin(join(folder, 'none'))).rejects.toMatchObject({ code: 'workspace_unusable' });
  await expect(begin(join(folder, 'f'))).rejects.toMatchObject({ code: 'workspace_unusable' });
  await expect(begin('relative')).rejects.toMatchObject({ code: 'invalid_input' });
  const worktree = place.workspaces.begin(place.request(folder, { kind: 'worktree' }));
  await expect(worktree).rejects.toMatchObject({ code: 'invalid_input' });
  const change = await place.attempt(folder, () => undefined);
  renameSync(folder, `${folder}-moved`);
  const gone = place.undo([change]);
  await expect(gone).rejects.toMatchObject({
    code: 'workspace_unusable',
    remedy: expect.any(String) as string,
  });
});

test.each([
  ['files', { entries: 3, bytes: 1_000 }],
  ['bytes', { entries: 10, bytes: 9 }],
])('a folder with too many %s is refused before the agent starts', async (_, limits) => {
  const small = new Place(limits);
  try {
    const folder = small.folder();
    fill(folder, { a: '12345', b: '12345', c: '' });
    const error = { code: 'too_large', remedy: expect.any(String) as string };
    await expect(small.workspaces.begin(small.request(folder))).rejects.toMatchObject(error);
    rmSync(join(folder, 'a'));
    await small.workspaces.release(await small.workspaces.begin(small.request(folder)));
  } finally {
    await small.dispose();
  }
});

test('ids that are no names are refused', async () => {
  const folder = place.folder();
  for (const ids of [{ runId: '../up' }, { attemptId: 'a/b' }, { runId: '' }]) {
    const begun = place.workspaces.begin(place.request(folder, ids));
    await expect(begun).rejects.toMatchObject({ code: 'invalid_input' });
  }
  await expect(place.workspaces.forget('..')).rejects.toMatchObject({ code: 'invalid_input' });
});

test('an attempt that was cancelled while its folder was read leaves the folder free', async () => {
  const folder = place.folder();
  fill(folder, { f: '1' });
  const aborted = place.request(folder, { signal: AbortSignal.abort(new Error('cancelled')) });
  await expect(place.workspaces.begin(aborted)).rejects.toThrow('cancelled');
  const mark = await place.workspaces.begin(place.request(folder, { signal }));
  await place.workspaces.release(mark);
});
