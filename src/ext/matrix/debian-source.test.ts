import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLog } from '../../base/base.ts';
import { debianSource } from './debian-source.ts';

const log = createLog({ level: 'error' });

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'centuria-source-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

test('a source in the cache is taken without asking a mirror, although a newer release stands first', async () => {
  const kept = join(folder, 'sources/pgvector_trixie_0.8.0-1');
  await mkdir(kept, { recursive: true });
  await mkdir(join(folder, 'sources/.new-pgvector-killed'));
  const found = await debianSource({ name: 'pgvector', cacheFolder: folder, log });
  expect(found).toEqual({ folder: kept, version: '0.8.0-1', suite: 'trixie' });
  const left = (await readdir(join(folder, 'sources'))).filter((name) => name.startsWith('.new'));
  expect(left).toEqual([]);
});

test('what is no name of a source package reaches no command', async () => {
  const asked = debianSource({ name: '-o=Dir::Bin=x', cacheFolder: folder, log });
  await expect(asked).rejects.toMatchObject({ code: 'invalid_input' });
});
