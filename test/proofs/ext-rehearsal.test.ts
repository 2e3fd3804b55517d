import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createLog, systemClock } from '../../src/base/base.ts';
import { openLocalHost } from '../../src/ext/host/local.ts';
import { rehearse, type Rehearsal, type RehearsalOptions } from '../../src/ext/shadow/rehearse.ts';
import type { ServerPaths } from '../../src/ext/types.ts';
import {
  copyPgvector,
  extensionServerUnavailable,
  mirrorSuiteInstall,
} from '../support/extension-servers.ts';
import { contentsOf, fill } from '../support/folders.ts';
import { testFolder } from '../support/processes.ts';

const unavailable = await extensionServerUnavailable();

describe.skipIf(unavailable)('a rehearsal', () => {
  let folder: string;
  let paths: ServerPaths;
  let temporary: string;
  let release: string;

  beforeAll(async () => {
    folder = await testFolder();
    temporary = join(folder, 'tmp');
    await mkdir(temporary, { mode: 0o755 });
    paths = await mirrorSuiteInstall(folder);
    fill(paths.extensionFolder, oldWords);
  });
  beforeEach(async () => {
    release = join(folder, 'release');
    await rm(release, { recursive: true, force: true });
    await copyPgvector(release);
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  const hold = async (options: Partial<RehearsalOptions> = {}): Promise<Rehearsal> =>
    await rehearse(openLocalHost(), {
      paths,
      major: 17,
      files: release,
      extensions: [],
      installed: [],
      smoke: new Map(),
      tempFolder: temporary,
      templateFolder: join(folder, 'template'),
      clock: systemClock,
      log: createLog({ level: 'warn' }),
      ...options,
    });

  test('makes a release afresh, after what another start of the machine left is cleared away', async () => {
    fill(release, nearFiles);
    const left = join(temporary, 'centuria-rehearsal-00000000-1-abcdef');
    await mkdir(join(left, 'run'), { recursive: true });
    const before = [paths.libraryFolder, paths.extensionFolder].map((path) => contentsOf(path));
    const { findings, updates, partsMs } = await hold({
      extensions: [
        { name: 'near', version: '1.0' },
        { name: 'vector', version: await versionOf(release, 'vector') },
      ],
      smoke: new Map([
        ['smoke/vector.sql', `create table t (v vector(2)); select '[1,2]'::vector <-> '[3,4]'`],
        ['smoke/all.sql', `do $$ begin assert near('[1,2]', '[1,2]'); end $$`],
      ]),
    });
    expect(findings).toEqual([]);
    expect(updates).toEqual([]);
    expect(Object.keys(partsMs)).toContain('fresh');
    expect(rehearsals()).toEqual([]);
    const after = [paths.libraryFolder, paths.extensionFolder].map((path) => contentsOf(path));
    expect(after).toEqual(before);
  });

  test('updates what databases have, with the new files over the old, and goes back', async () => {
    fill(release, newWords);
    const { findings, updates } = await hold({
      ...wordsUpdate,
      smoke: new Map([['smoke/words.sql', `do $$ begin assert word_count('a b') = 2; end $$`]]),
    });
    expect(findings).toEqual([]);
    expect(updates).toEqual([
      { extension: 'words', from: '1.0', to: '1.1', databases: ['a', 'b'], back: 'same' },
    ]);
  });

  test('tells where an updated extension is other than a fresh one, and what a way back leaves', async () => {
    fill(release, newWords);
    fill(release, {
      'extension/words--1.0--1.1.sql': `${wordList.replace('immutable', 'volatile')}
        create function word_left() returns int language sql as 'select 1';`,
      'extension/words--1.1--1.0.sql': 'drop function word_list(text);',
    });
    const { findings, updates } = await hold(wordsUpdate);
    expect(updates).toMatchObject([{ extension: 'words', back: 'differs' }]);
    expect(findings).toMatchObject([
      { level: 'warn', rule: 'update-differs' },
      { level: 'warn', rule: 'way-back-differs' },
    ]);
    expect(findings[0]?.message).toContain('function public.word_list(text) is defined otherwise');
    expect(findings[0]?.message).toContain('it has function public.word_left() as well');
    expect(findings[1]?.message).toContain('it has function public.word_left() as well');
  });

  test('refuses what fails: a missing path, a script, the line of a smoke', async () => {
    fill(release, newWords);
    await rm(join(release, 'extension/words--1.0--1.1.sql'));
    fill(release, { 'extension/words--1.1--1.0.sql': 'select 1 / 0;' });
    fill(release, { ...nearFiles, 'extension/near--1.0.sql': 'create function near() oops;' });
    const { findings, updates } = await hold({
      extensions: [...wordsUpdate.extensions, { name: 'near', version: '1.0' }],
      installed: wordsUpdate.installed,
      smoke: new Map([
        ['smoke/words.sql', `select word_count('a');\nselect word_lost('a');`],
        ['smoke/near.sql', 'select near()'],
      ]),
    });
    expect(updates).toEqual([]);
    expect(findings).toMatchObject([
      { level: 'refuse', rule: 'create-fails' },
      { level: 'refuse', rule: 'smoke-fails', file: 'smoke/words.sql', line: 2 },
      { level: 'refuse', rule: 'update-fails' },
    ]);
    expect(findings[0]?.message).toContain('syntax error');
    expect(findings[2]?.message).toContain('no update path from version "1.0" to version "1.1"');
  });

  test('refuses a library that brings the server down, with its last words', async () => {
    truncateSync(join(release, 'lib/vector.so'), 120_000);
    const vector = { name: 'vector', version: await versionOf(release, 'vector') };
    const { findings } = await hold({ extensions: [vector] });
    expect(findings).toMatchObject([{ level: 'refuse', rule: 'crashes-server' }]);
    expect(findings[0]?.message).toContain('while creating vector');
    expect(findings[0]?.message).toMatch(/was terminated by signal \d+/);
  });

  test('refuses a preloaded library that the server does not start with', async () => {
    await writeFile(join(release, 'lib/auto_explain.so'), 'no library');
    const { findings } = await hold({ ...wordsUpdate, preload: ['auto_explain'] });
    expect(findings).toMatchObject([{ level: 'refuse', rule: 'preload-fails' }]);
    expect(findings[0]?.message).toContain('auto_explain.so');
  });

  test('ends when it is cancelled, and leaves nothing', async () => {
    fill(release, newWords);
    const controller = new AbortController();
    const smoke = new Map([['smoke/words.sql', 'select pg_sleep(600)']]);
    const held = hold({ ...wordsUpdate, smoke, signal: controller.signal });
    const ended = held.catch((error: unknown) => error);
    await vi.waitFor(() => expect(serversOf(rehearsals())).toHaveLength(1), patience);
    controller.abort(new Error('enough'));
    expect(await ended).toMatchObject({ message: 'enough' });
    expect(rehearsals()).toEqual([]);
  });

  test('is cleared away when we are killed in the midst of it', async () => {
    fill(release, newWords);
    const child = spawn(process.execPath, [heldRehearsal], {
      stdio: ['pipe', 'inherit', 'inherit'],
    });
    const smoke = [['smoke/words.sql', 'select pg_sleep(600)']];
    const { extensions, installed } = wordsUpdate;
    child.stdin.end(
      JSON.stringify({
        paths,
        major: 17,
        files: release,
        extensions,
        installed,
        smoke,
        tempFolder: temporary,
      }),
    );
    await vi.waitFor(() => expect(serversOf(rehearsals())).toHaveLength(1), patience);
    const [pid] = serversOf(rehearsals());
    child.kill('SIGKILL');
    await vi.waitFor(() => expect(rehearsals()).toEqual([]), patience);
    // A zombie that nobody has asked after has no program any more.
    await vi.waitFor(() => expect(existsSync(`/proc/${pid}/exe`)).toBe(false), patience);
  });

  const rehearsals = (): string[] => readdirSync(temporary).map((name) => join(temporary, name));
});

/** Postmasters that run in these folders. */
function serversOf(folders: readonly string[]): string[] {
  return folders.flatMap((folder) => {
    try {
      const lines = readFileSync(join(folder, 'run/data/postmaster.pid'), 'utf8').split('\n');
      return lines[7]?.startsWith('ready') === true ? [lines[0] ?? ''] : [];
    } catch {
      return [];
    }
  });
}

const patience = { timeout: 30_000, interval: 20 };
const heldRehearsal = join(import.meta.dirname, '../support/held-rehearsal.ts');

const wordCount = `create function word_count(text) returns int language sql immutable
  as $$ select cardinality(string_to_array($1, ' ')) $$;`;
const wordList = `create function word_list(text) returns text[] language sql immutable
  as $$ select string_to_array($1, ' ') $$;`;
const oldWords = {
  'words.control': "default_version = '1.0'",
  'words--1.0.sql': wordCount,
};
const newWords = {
  'extension/words.control': "default_version = '1.1'",
  'extension/words--1.1.sql': `${wordCount}\n${wordList}`,
  'extension/words--1.0--1.1.sql': wordList,
  'extension/words--1.1--1.0.sql': 'drop function word_list(text);',
};
const nearFiles = {
  'extension/near.control': "default_version = '1.0'\nrequires = 'vector'",
  'extension/near--1.0.sql': `create function near(vector, vector) returns boolean language sql
    as $$ select $1 <-> $2 < 1 $$;`,
};
const wordsUpdate = {
  extensions: [{ name: 'words', version: '1.1' }],
  removed: ['extension/words--1.0.sql'],
  installed: [
    { database: 'a', name: 'words', version: '1.0' },
    { database: 'b', name: 'words', version: '1.0' },
    { database: 'c', name: 'plpgsql', version: '1.0' },
  ],
};

async function versionOf(release: string, name: string): Promise<string> {
  const control = await readFile(join(release, `extension/${name}.control`), 'utf8');
  return /^default_version = '(.+)'$/m.exec(control)?.[1] ?? '';
}
