import {
  appendFileSync,
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { contentsOf, fill } from '../support/folders.ts';
import type { GitRepository } from '../support/git-repository.ts';
import { Place } from '../support/workspaces.ts';

let place: Place;
beforeEach(() => void (place = new Place()));
afterEach(() => place.dispose());

const read = (...names: string[]): string => readFileSync(join(...names), 'utf8');

const skip = (path: string): boolean => path === '.git' || path.startsWith('node_modules/');

/** Git as an agent calls it. */
function git(path: string, ...args: string[]): string {
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@example.org'];
  return execFileSync('git', [...who, '-C', path, ...args], { encoding: 'utf8' });
}

/** All that git keeps, byte by byte. */
const gitContents = (repository: GitRepository) => contentsOf(join(repository.path, '.git'));

test('a snapshot of a repository writes nothing of git’s, neither when it is taken nor when it is undone', async () => {
  const repository = place.repository({ tracked: '1', staged: '1' });
  repository.write({ staged: '2', untracked: '1' });
  repository.git('add', 'staged');
  repository.write({ stashed: '1' });
  repository.git('stash', 'push', '-u', '-q', '--', 'stashed');
  const kept = gitContents(repository);
  const before = contentsOf(repository.path);
  const change = await place.attempt(repository.path, (path) => {
    fill(path, { tracked: '2', staged: '3', untracked: '2', new: '1' });
  });
  expect(change).toMatchObject({ added: 1, changed: 3, removed: 0 });
  await place.undo([change]);
  expect(contentsOf(repository.path)).toEqual(before);
  expect(gitContents(repository)).toEqual(kept);
});

test('line ends and filters change no byte of what comes back, and no program of a filter runs', async () => {
  const repository = place.repository({
    '.gitattributes': '*.txt text eol=crlf\n*.bin -text filter=big\n',
  });
  const ran = join(place.around, 'ran');
  repository.git('config', 'core.autocrlf', 'true');
  repository.git('config', 'filter.big.clean', `touch ${ran}; cat`);
  repository.git('config', 'filter.big.smudge', `touch ${ran}; cat`);
  repository.git('config', 'filter.big.required', 'true');
  repository.git('config', 'core.fsmonitor', `touch ${ran}`);
  const hook = join(repository.path, '.git/hooks/post-checkout');
  writeFileSync(hook, `#!/bin/sh\ntouch ${ran}\n`);
  chmodSync(hook, 0o755);
  repository.write({ 'a.txt': 'one\ntwo\r\n', 'b.bin': 'three\n' });
  repository.git('add', '.');
  repository.git('commit', '-q', '--no-verify', '-m', 'More');
  rmSync(ran, { force: true });
  const before = contentsOf(repository.path, (path) => path === '.git');
  const change = await place.attempt(repository.path, (path) => {
    fill(path, { 'a.txt': 'x\n', 'b.bin': 'y\n' });
  });
  await place.undo([change]);
  expect(contentsOf(repository.path, (path) => path === '.git')).toEqual(before);
  const inTree = await place.attempt(repository.path, () => undefined, { kind: 'worktree' });
  expect(read(inTree.path, 'b.bin')).toBe('three\n');
  await place.workspaces.forget('run-1');
  expect(existsSync(ran)).toBe(false);
  expect(place.log).toContainEqual(expect.objectContaining({ drivers: ['big'] }));
});

test('small things that git ignores come back; large ones stay as they are, and that is said', async () => {
  const repository = place.repository({ '.gitignore': '.env\nnode_modules/\ndist/\n' });
  const folder = repository.path;
  fill(folder, { '.env': 'SECRET=1', 'dist/a': '1' });
  const many = Array.from({ length: 2_100 }, (_, index) => [`node_modules/${index}`, 'x']);
  fill(folder, Object.fromEntries(many) as Record<string, string>);
  const before = contentsOf(folder, skip);
  const change = await place.attempt(folder, (path) => {
    fill(path, { '.env': 'SECRET=2', 'dist/a': '2', 'dist/b': '2', 'node_modules/7': 'changed' });
    fill(path, { '.gitignore': '' });
  });
  expect((await place.undo([change])).folders[0]).toMatchObject({
    restore: ['.env', '.gitignore', 'dist/a'],
    delete: ['dist/b'],
    conflicts: [],
    left: [{ path: 'node_modules', reason: 'changed: ignored by git and too large to keep' }],
  });
  expect(contentsOf(folder, skip)).toEqual(before);
  expect(read(folder, 'node_modules/7')).toBe('changed');
});

test('an agent can’t hide a file that was there by letting git ignore it', async () => {
  const repository = place.repository({ 'src/a': '1' });
  fill(repository.path, { 'src/untracked': '1' });
  // Larger than what is kept of ignored files.
  truncateSync(join(repository.path, 'src/untracked'), 33 * 1024 * 1024);
  const change = await place.attempt(repository.path, (path) => {
    fill(path, { '.gitignore': 'untracked\n', 'src/a': '2' });
    appendFileSync(join(path, 'src/untracked'), 'more');
  });
  expect((await place.undo([change])).folders[0]).toMatchObject({
    restore: ['src/a', 'src/untracked'],
    delete: ['.gitignore'],
    left: [],
  });
  expect(statSync(join(repository.path, 'src/untracked')).size).toBe(33 * 1024 * 1024);
});

test('repositories inside are left alone, and said when an attempt changed or made one', async () => {
  const repository = place.repository({ f: '1' });
  const inner = place.repository({ g: '1' });
  repository.git('-c', 'protocol.file.allow=always', 'submodule', 'add', '-q', inner.path, 'sub');
  repository.git('commit', '-q', '-m', 'Add a submodule');
  const change = await place.attempt(repository.path, (path) => {
    fill(path, { 'sub/g': 'changed', f: '2' });
    execFileSync('git', ['init', '-q', join(path, 'cloned')]);
    fill(path, { 'cloned/h': '1' });
  });
  const [undone] = (await place.undo([change])).folders;
  expect(undone).toMatchObject({
    restore: ['f'],
    delete: [],
    conflicts: [],
    left: [
      { path: 'cloned', reason: 'made: a repository of its own' },
      { path: 'sub', reason: 'changed: a repository of its own' },
    ],
  });
  expect(read(repository.path, 'sub/g')).toBe('changed');
});

test('a commit that an agent made in the user’s own folder stays, and the plan says where HEAD was', async () => {
  const repository = place.repository({ f: '1' });
  const head = repository.git('rev-parse', 'HEAD').trim();
  const change = await place.attempt(repository.path, () => {
    repository.commit('By the agent', { f: '2' });
  });
  const [undone] = (await place.undo([change])).folders;
  expect(undone?.left).toEqual([
    { path: '.git', reason: `HEAD has moved; it was refs/heads/main at ${head}` },
  ]);
  expect(read(repository.path, 'f')).toBe('1');
  expect(repository.git('status', '--porcelain').trim()).toBe('M f');
});

test('an agent that deletes the repository can be undone all the same', async () => {
  const repository = place.repository({ f: '1', '.gitignore': '*.log\n' });
  const change = await place.attempt(repository.path, (path) => {
    for (const name of readdirSync(path)) rmSync(join(path, name), { recursive: true });
  });
  const [undone] = (await place.undo([change])).folders;
  expect(undone).toMatchObject({ recreate: ['.gitignore', 'f'] });
  expect(undone?.left).toContainEqual({ path: '.git', reason: 'removed: git’s own folder' });
  expect(read(repository.path, 'f')).toBe('1');
});

test('a repository that an agent made of a plain folder is gone again', async () => {
  const folder = place.folder();
  fill(folder, { f: '1', 'sub/g': '1' });
  const before = contentsOf(folder);
  const change = await place.attempt(folder, (path) => {
    execFileSync('git', ['init', '-q', path]);
    execFileSync('git', ['init', '-q', join(path, 'sub')]);
  });
  await place.undo([change]);
  expect(contentsOf(folder)).toEqual(before);
});

test('tasks of a run share one worktree on a branch of the run; the user’s folder is not touched', async () => {
  const repository = place.repository({ f: '1', 'sub/g': '1' });
  repository.write({ f: 'not committed' });
  const kind = 'worktree' as const;
  const first = await place.attempt(
    repository.path,
    (path) => {
      expect([read(path, 'f'), read(path, 'sub/g')]).toEqual(['1', '1']);
      fill(path, { f: '2', new: '2' });
    },
    { kind },
  );
  expect(first.path).toContain(join(place.home, 'worktrees/run-1'));
  const inSub = join(repository.path, 'sub');
  const second = await place.attempt(inSub, (path) => fill(path, { g: '3' }), { kind });
  expect(second.path).toBe(join(first.path, 'sub'));
  expect(read(first.path, 'f')).toBe('2');
  expect(repository.git('branch', '--list', 'centuria/*').trim()).toBe('+ centuria/run-1');
  expect(repository.git('status', '--porcelain').trim()).toBe('M f');
  const { folders } = await place.undo([second, first]);
  expect(folders).toHaveLength(1);
  expect(folders[0]).toMatchObject({ restore: ['f', 'sub/g'], delete: ['new'], conflicts: [] });
  expect([read(first.path, 'f'), read(first.path, 'sub/g')]).toEqual(['1', '1']);
  // Nothing was made in the end, so nothing is kept of it.
  expect((await place.workspaces.forget('run-1')).branches).toEqual([]);
  expect(repository.git('branch', '--list', 'centuria/*')).toBe('');
  expect(existsSync(first.path)).toBe(false);
});

test('commits and the index of a worktree are undone with its files', async () => {
  const repository = place.repository({ f: '1' });
  const kind = 'worktree' as const;
  const change = await place.attempt(
    repository.path,
    (path) => {
      fill(path, { f: '2', g: '2', h: '2' });
      git(path, 'checkout', '-q', '-b', 'other');
      git(path, 'add', 'f', 'g');
      git(path, 'commit', '-q', '-m', 'By the agent');
      git(path, 'add', 'h');
    },
    { kind },
  );
  const plan = await place.workspaces.plan([change]);
  expect(plan.folders[0]).toMatchObject({ restore: ['f', '.git/HEAD'], delete: ['g', 'h'] });
  await place.undo([change]);
  expect(git(change.path, 'status', '--porcelain')).toBe('');
  expect(git(change.path, 'symbolic-ref', 'HEAD').trim()).toBe('refs/heads/centuria/run-1');
  expect((await place.undo([change])).folders[0]).toMatchObject({ restore: [], conflicts: [] });
  // A commit of somebody else's is not taken away.
  fill(change.path, { f: 'theirs' });
  git(change.path, 'commit', '-q', '-a', '-m', 'Theirs');
  const [again] = (await place.undo([change])).folders;
  expect(again?.conflicts.map(({ path }) => path)).toEqual(['f', '.git/HEAD']);
  expect(git(change.path, 'log', '-1', '--format=%s').trim()).toBe('Theirs');
});

test('what a run made in its worktree is on its branch when the run is forgotten', async () => {
  const repository = place.repository({ f: '1', '.gitignore': '*.log\n' });
  const change = await place.attempt(
    repository.path,
    (path) => fill(path, { f: '2', 'made/g': '2', 'x.log': '2' }),
    { kind: 'worktree' },
  );
  const held = await place.workspaces.begin(place.request(repository.path, { kind: 'worktree' }));
  await expect(place.workspaces.forget('run-1')).rejects.toMatchObject({ code: 'conflict' });
  await place.workspaces.release(held);
  const { branches, freedBytes } = await place.workspaces.forget('run-1');
  expect(branches).toEqual([{ repository: repository.path, branch: 'centuria/run-1' }]);
  expect(freedBytes).toBeGreaterThan(0);
  expect(existsSync(change.path)).toBe(false);
  expect(repository.git('show', 'centuria/run-1:f')).toBe('2');
  expect(
    repository.git('ls-tree', '-r', '--name-only', 'centuria/run-1').trim().split('\n'),
  ).toEqual(['.gitignore', 'f', 'made/g']);
  expect(repository.git('worktree', 'list').trim().split('\n')).toHaveLength(1);
});

test('a worktree of which a crash left half is made again', async () => {
  const repository = place.repository({ f: '1' });
  const request = place.request(repository.path, { kind: 'worktree' });
  const mark = await place.workspaces.begin(request);
  await place.workspaces.release(mark);
  const notes = join(place.home, 'snapshots/runs/run-1/worktrees');
  for (const name of readdirSync(notes)) rmSync(join(notes, name));
  rmSync(join(mark.path, 'f'));
  const again = await place.attempt(repository.path, () => undefined, { kind: 'worktree' });
  expect(read(again.path, 'f')).toBe('1');
});

test('a repository without a commit has no worktree', async () => {
  const repository = place.repository({});
  const begun = place.workspaces.begin(place.request(repository.path, { kind: 'worktree' }));
  await expect(begun).rejects.toMatchObject({ code: 'invalid_input' });
});

test('without git a worktree is unavailable, and a snapshot keeps everything', async () => {
  const repository = place.repository({ f: '1', '.gitignore': '*.log\n' });
  fill(repository.path, { 'x.log': '1' });
  const programs = place.folder('programs');
  for (const name of ['sh', 'flock']) {
    const path = execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    symlinkSync(path, join(programs, name));
  }
  const path = process.env['PATH'];
  process.env['PATH'] = programs;
  try {
    const begun = place.workspaces.begin(place.request(repository.path, { kind: 'worktree' }));
    await expect(begun).rejects.toMatchObject({ code: 'unavailable', remedy: 'Install git.' });
    const change = await place.attempt(repository.path, (at) => {
      fill(at, { f: '2', 'x.log': '2' });
    });
    await place.undo([change]);
    expect([read(repository.path, 'f'), read(repository.path, 'x.log')]).toEqual(['1', '1']);
    rmSync(join(programs, 'flock'));
    const unlocked = place.workspaces.begin(place.request(repository.path));
    await expect(unlocked).rejects.toMatchObject({ code: 'unavailable' });
  } finally {
    process.env['PATH'] = path;
  }
});
