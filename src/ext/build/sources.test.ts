import { mkdir, mkdtemp, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { copySources, readSources } from './sources.ts';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

/** A folder outside of any repository, so that ages come from the files. */
async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'centuria-sources-'));
  folders.push(folder);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), text);
    await utimes(join(folder, path), 1_700_000_000, 1_700_000_000);
  }
  return folder;
}

const pgxs = 'PGXS := $(shell $(PG_CONFIG) --pgxs)\ninclude $(PGXS)\n';

test('the same sources have the same digest and age wherever they lie, others another one', async () => {
  const files = { Makefile: pgxs, 'src/a.c': 'int a;\n', 'b.sql': '' };
  const one = await readSources(await folderWith(files));
  const other = await readSources(await folderWith(files));
  expect(one.kind).toBe('pgxs');
  expect(one.files.map(({ path }) => path)).toEqual(['Makefile', 'b.sql', 'src/a.c']);
  expect([other.digest, other.date]).toEqual([one.digest, 1_700_000_000]);
  const changed = await readSources(await folderWith({ ...files, 'src/a.c': 'int b;\n' }));
  expect(changed.digest).not.toBe(one.digest);
  const renamed = await readSources(
    await folderWith({ Makefile: pgxs, 'a.c': 'int a;\n', 'b.sql': '' }),
  );
  expect(renamed.digest).not.toBe(one.digest);
});

test('what an earlier build left behind is no source, and the copy has the times of the original', async () => {
  const folder = await folderWith({
    Makefile: pgxs,
    'a.c': '',
    'a.o': 'old',
    'a.so': 'old',
    '.git/HEAD': 'x',
  });
  const sources = await readSources(folder);
  const copy = join(await folderWith({}), 'source');
  await copySources(sources, copy);
  expect((await readSources(copy)).files.map(({ path }) => path)).toEqual(['Makefile', 'a.c']);
  expect((await stat(join(copy, 'a.c'))).mtimeMs).toBe(1_700_000_000_000);
});

test('a folder that is none, has nothing to build or leads outside is refused with what would help', async () => {
  await expect(readSources('/nowhere/at/all')).rejects.toMatchObject({ code: 'not_found' });
  await expect(readSources(await folderWith({ Makefile: 'all:\n' }))).rejects.toThrow(
    'neither a Makefile that uses PGXS nor a CMakeLists.txt',
  );
  await expect(readSources(await folderWith({ configure: '' }))).rejects.toMatchObject({
    code: 'invalid_input',
    remedy: expect.stringContaining('./configure'),
  });
  const linked = await folderWith({ Makefile: pgxs });
  await symlink('../secret', join(linked, 'x.h'));
  await expect(readSources(linked)).rejects.toThrow('outside of the sources');
});
