import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  compilerScript,
  defaultCompilers,
  hostArchitecture,
  prepareToolchain,
} from './compilers.ts';

test('the script before a compiler keeps every word, maps paths, drops and refuses', () => {
  const folder = mkdtempSync(join(tmpdir(), "centuria-it's-"));
  try {
    const script = join(folder, 'cc');
    const maps = [[`${folder}/a b`, '/source']] as const;
    // echo stands where a compiler will be: the words that it gets are what matters.
    writeFileSync(script, compilerScript('/bin/echo', maps, ['-Wnew']));
    chmodSync(script, 0o755);
    expect(execFileSync(script, ['-DA="x y"', '-Wnew', "it's"], { encoding: 'utf8' }).trim()).toBe(
      `-ffile-prefix-map=${folder}/a b=/source -DA="x y" it's`,
    );
    for (const option of ['-march=native', '-mcpu=native']) {
      expect(() => execFileSync(script, ['-c', option], { stdio: 'pipe' })).toThrow(
        `refused ${option}`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a compiler that is not here is unavailable, with the package that has it', async () => {
  const compilers = { cc: 'no-such-gcc', cxx: 'no-such-g++', ar: 'ar', ranlib: 'r', strip: 's' };
  for (const architecture of ['x86_64', 'aarch64'] as const) {
    await expect(
      prepareToolchain({ folder: '/nowhere', architecture, compilers, maps: [], flags: '' }),
    ).rejects.toMatchObject({ code: 'unavailable', remedy: expect.stringContaining('apt-get') });
  }
});

test('warnings that the compiler does not know are left out, all else of the flags is kept', async (context) => {
  const architecture = hostArchitecture();
  if (architecture === undefined || !existsSync('/usr/bin/gcc')) return context.skip('no gcc here');
  const folder = mkdtempSync(join(tmpdir(), 'centuria-tools-'));
  try {
    const { dropped, version } = await prepareToolchain({
      folder,
      architecture,
      compilers: defaultCompilers(architecture),
      maps: [],
      flags: '-O2 -Wall -Wnot-known-to-anyone -Wno-not-known -Wl,-z,now -fwrapv',
    });
    expect(dropped).toEqual(['-Wnot-known-to-anyone']);
    expect(version).toMatch(/gcc|GCC/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
