import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { planRegress, readTap, regressOptions } from './regress.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'centuria-regress-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

test('what pg_regress says is read test by test, alone and in groups', () => {
  const text = [
    '# using postmaster on /tmp/socket, port 5432',
    'ok 1         - bit                                        29 ms',
    '# parallel group (2 tests):  cast copy',
    'ok 2         + cast                                       57 ms',
    'not ok 3     + copy                                       41 ms',
    '1..3',
    '# 1 of 3 tests failed.',
  ].join('\n');
  expect(readTap(text)).toEqual({ passed: 2, failed: ['copy'] });
  expect(readTap('Bail out! could not start psql')).toEqual({ passed: 0, failed: [] });
});

test('options of a makefile keep their meaning from any folder, without those of a temporary server', () => {
  const words = [
    '--inputdir=test',
    '--load-extension=vector',
    '--temp-instance=./tmp_check',
    '--temp-config=test/x.conf',
    '--dbname=contrib_regression',
    'stray',
  ];
  expect(regressOptions(words, '/sources')).toEqual([
    '--inputdir=/sources/test',
    '--load-extension=vector',
  ]);
  expect(regressOptions([], '/sources')).toEqual(['--inputdir=/sources']);
});

test('the makefile itself says what to test, in its own words', async () => {
  const makefile = [
    'REGRESS = $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql))',
    'REGRESS_OPTS = --inputdir=test --load-extension=counter',
    'all:\n\t$(error nothing is to be built)',
  ];
  await writeFile(join(folder, 'Makefile'), `${makefile.join('\n')}\n`);
  await mkdir(join(folder, 'test/sql'), { recursive: true });
  expect(await planRegress(folder, '/no/pg_config')).toBeUndefined();
  await writeFile(join(folder, 'test/sql/count.sql'), 'select 1;');
  expect(await planRegress(folder, '/no/pg_config')).toEqual({
    tests: ['count'],
    options: [`--inputdir=${folder}/test`, '--load-extension=counter'],
  });
});

test('without a makefile each script with an expected result is a test', async () => {
  await mkdir(join(folder, 'sql'));
  await mkdir(join(folder, 'expected'));
  for (const name of ['b', 'a', 'unexpected']) await writeFile(join(folder, `sql/${name}.sql`), '');
  for (const name of ['a', 'b']) await writeFile(join(folder, `expected/${name}.out`), '');
  const plan = await planRegress(folder, '/no/pg_config');
  expect(plan).toEqual({ tests: ['a', 'b'], options: [`--inputdir=${folder}`] });
});
