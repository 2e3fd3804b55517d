import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from './migration-check.ts';
import { typeChange } from './migration-types.ts';

const folder = join(import.meta.dirname, '../../test/fixtures/jobs');

function check(input: Readonly<Record<string, unknown>>) {
  const context = {
    repo: folder,
    limit: 500,
    folder: undefined,
    nowMs: 0,
    progress: () => undefined,
  };
  return run({ ...context, input });
}

/** What a fixture says of itself: `-- expect: severity rule [line]`; without a line, that of the statement below. */
function expected(file: string): string[] {
  const lines = readFileSync(join(folder, 'migrations', file), 'utf8').split('\n');
  return lines.flatMap((text, index) => {
    const [, severity, rule, given] = /^-- expect: (\w+) ([\w-]+)(?: (\d+))?$/.exec(text) ?? [];
    if (severity === undefined) return [];
    const below = lines.findIndex((line, at) => at > index && !line.startsWith('--')) + 1;
    return [`${severity} ${rule} migrations/${file}:${given ?? below}`];
  });
}

test('migration-check finds every planted danger at its line, and nothing in what is clean', async () => {
  const report = await check({});
  const found = report.findings
    .filter(({ rule }) => rule !== 'locks')
    .map(({ severity, rule, file, line }) => `${severity} ${rule} ${file}:${line}`);
  const planted = readdirSync(join(folder, 'migrations')).flatMap(expected);
  expect(planted.length).toBeGreaterThan(35);
  expect(found.toSorted()).toEqual(planted.toSorted());
  const locks = report.findings.filter(({ rule }) => rule === 'locks');
  expect(locks.map(({ file, message }) => [file, message])).toContainEqual([
    'migrations/0109_clean_key.sql',
    'Takes SHARE ROW EXCLUSIVE on invoices (writes wait), SHARE ROW EXCLUSIVE on clients (writes wait).',
  ]);
  expect(report.findings.every(({ rule, fix }) => rule === 'locks' || (fix ?? '') !== '')).toBe(
    true,
  );
});

async function rules(server: number, path: string): Promise<string[]> {
  const { findings } = await check({ server, path: `migrations/${path}` });
  return findings.map(({ rule }) => rule);
}

test('what holds for one version of the server is judged by that version', async () => {
  expect(await rules(11, '0110_clean_enum.sql')).toEqual(['enum-value-in-transaction']);
  expect(await rules(12, '0110_clean_enum.sql')).toEqual([]);
  expect(await rules(11, '0103_clean_not_null.sql')).toContain('set-not-null-scans');
});

test('without a transaction around each file, nothing is held from one statement to the next', async () => {
  const { findings } = await check({
    transaction: 'none',
    path: 'migrations/0005_in_transaction.sql',
  });
  expect(findings.map(({ rule }) => rule).toSorted()).toEqual([
    'locks',
    'no-lock-timeout',
    'update-all',
  ]);
});

test('inputs that mean nothing are refused by name', async () => {
  await expect(check({ sever: 17 })).rejects.toThrow('there is no input sever');
  await expect(check({ server: 9 })).rejects.toThrow('from 10 to 18');
  await expect(check({ transaction: 'maybe' })).rejects.toThrow('file or none');
  await expect(check({ since: '--output=x' })).rejects.toThrow('since must name a commit');
});

test.each([
  ['varchar(20)', 'varchar(30)', 'free'],
  ['varchar(20)', 'varchar(10)', 'rewrite'],
  ['text', 'varchar(10)', 'rewrite'],
  ['varchar', 'text', 'free'],
  ['numeric(5,2)', 'numeric(7,2)', 'free'],
  ['numeric(5,2)', 'numeric(7,3)', 'rewrite'],
  ['int4', 'int8', 'rewrite'],
  ['timestamptz(3)', 'timestamptz', 'free'],
  ['timestamp', 'timestamptz', 'rewrite'],
  [undefined, 'int8', 'unknown'],
])('changing %s to %s is %s', (from, to, change) => {
  expect(typeChange(from, to)).toBe(change);
});
