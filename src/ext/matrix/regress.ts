/**
 * An extension's own regression tests, by PostgreSQL's pg_regress against a running server. The tools are
 * those of the PostgreSQL that Centuria keeps: pg_regress and psql of 17 speak to every server from 12 on.
 */
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { AppError } from '../../base/base.ts';
import type { PostgresInstall } from '../../database/database.ts';
import type { ServerAddress } from '../deployment-types.ts';
import { runProgram } from '../host/local.ts';
import type { ServerPaths } from '../types.ts';

export interface RegressPlan {
  readonly tests: readonly string[];
  /** Of pg_regress, absolute where they name folders. */
  readonly options: readonly string[];
}

export interface RegressResult {
  readonly passed: number;
  readonly failed: readonly string[];
  /** What expected and found results differ in, its first 8,000 characters; absent when nothing failed. */
  readonly differences?: string;
}

const regressTimeoutMs = 600_000;
const mostDifferences = 8_000;
/** `\copy` of tests is relative to the folder of the results, where pg_regress does not go by itself. */
const script = 'cd "$0" && PGPASSWORD=$(cat) && export PGPASSWORD && exec "$@"';
/** What a running server is not started with, and what this file says itself. */
const dropped = /^--(?:temp-|bindir|dbname|host|port|user|outputdir|dlpath|use-existing)/;
const folderOptions = /^--(?:inputdir|expecteddir|schedule)=/;

/** Reads from the makefile which tests there are and how they are run; undefined when there are none. */
export async function planRegress(
  source: string,
  pgConfig: string,
  signal?: AbortSignal,
): Promise<RegressPlan | undefined> {
  if (!existsSync(join(source, 'Makefile'))) return await planFromFolder(source);
  const print = 'centuria-regress: ; @:$(info REGRESS=$(REGRESS))$(info OPTIONS=$(REGRESS_OPTS))';
  const words = ['-s', '-C', source, `PG_CONFIG=${pgConfig}`, 'with_llvm=no', `--eval=${print}`];
  const { exit, stdout, stderr } = await runProgram(
    'make',
    [...words, 'centuria-regress'],
    signal === undefined ? {} : { signal },
  );
  if (exit !== 0) throw new AppError('ext_failed', `make does not say what to test: ${stderr}`);
  const text = stdout.toString();
  const tests = listOf(/^REGRESS=(.*)$/m.exec(text)?.[1]);
  return tests.length === 0
    ? undefined
    : { tests, options: regressOptions(listOf(/^OPTIONS=(.*)$/m.exec(text)?.[1]), source) };
}

/** Without a makefile: each `sql/NAME.sql` that has an `expected/NAME.out`, in the order of their names. */
async function planFromFolder(source: string): Promise<RegressPlan | undefined> {
  const names = await readdir(join(source, 'sql')).catch(() => []);
  const tests = names
    .filter((name) => name.endsWith('.sql'))
    .map((name) => basename(name, '.sql'))
    .filter((name) => existsSync(join(source, 'expected', `${name}.out`)))
    .toSorted();
  return tests.length === 0 ? undefined : { tests, options: [`--inputdir=${source}`] };
}

function listOf(text = ''): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** What the makefile says, for a running server and from any folder. */
export function regressOptions(words: readonly string[], source: string): string[] {
  const kept = words
    .filter((word) => word.startsWith('--') && !dropped.test(word))
    .map((word) => {
      if (!folderOptions.test(word)) return word;
      const [name = '', path = ''] = word.split(/=(.*)/s);
      return `${name}=${resolve(source, path)}`;
    });
  return kept.some((word) => word.startsWith('--inputdir='))
    ? kept
    : [`--inputdir=${source}`, ...kept];
}

/** Runs the tests in a database that pg_regress makes; throws `ext_failed` when it can not say how they went. */
export async function runRegress(options: {
  readonly tools: PostgresInstall;
  readonly plan: RegressPlan;
  readonly address: ServerAddress;
  readonly paths: ServerPaths;
  /** Empty; results are left in it. */
  readonly folder: string;
  readonly signal?: AbortSignal;
}): Promise<RegressResult> {
  const { tools, plan, address, paths, folder, signal } = options;
  // Tests of COPY write there as the user that the server runs as, who may be another one than ours.
  await mkdir(join(folder, 'results'), { recursive: true });
  await chmod(folder, 0o755);
  await chmod(join(folder, 'results'), 0o777);
  const { program, before } = await regressProgram(tools);
  const words = [
    ...before,
    ...plan.options,
    `--bindir=${tools.binFolder}`,
    `--outputdir=${folder}`,
    `--dlpath=${paths.libraryFolder}`,
    `--host=${address.host}`,
    `--port=${address.port}`,
    `--user=${address.user}`,
    '--dbname=centuria_regress',
    ...plan.tests,
  ];
  const { exit, stdout, stderr } = await runProgram(
    'sh',
    ['-c', script, folder, program, ...words],
    {
      // Never in argv, where every user of the machine could read it.
      input: address.password ?? '',
      timeoutMs: regressTimeoutMs,
      ...(signal === undefined ? {} : { signal }),
    },
  );
  const result = readTap(stdout.toString());
  if (result.passed + result.failed.length === 0 || (exit !== 0 && result.failed.length === 0)) {
    const last = [stdout.toString(), stderr].join('\n').trim().split('\n').slice(-3).join(' ');
    throw new AppError('ext_failed', `pg_regress did not run: ${last}`, { details: { exit } });
  }
  if (result.failed.length === 0) return result;
  const differences = await readFile(join(folder, 'regression.diffs'), 'utf8').catch(() => '');
  return { ...result, differences: differences.slice(0, mostDifferences) };
}

/** Lines of TAP, which pg_regress prints from 16 on: `not ok 3     - cast        29 ms`. */
export function readTap(text: string): { passed: number; failed: string[] } {
  let passed = 0;
  const failed: string[] = [];
  for (const [, not, name = ''] of text.matchAll(/^(not )?ok \d+\s+[-+] (\S+)/gm)) {
    if (not === undefined) passed += 1;
    else failed.push(name);
  }
  return { passed, failed };
}

/** pg_regress lies beside the server's libraries; an unpacked install runs it through its own loader. */
async function regressProgram(
  tools: PostgresInstall,
): Promise<{ program: string; before: string[] }> {
  const file = join(tools.binFolder, '../lib/pgxs/src/test/regress/pg_regress');
  if (!existsSync(file)) {
    throw new AppError(
      'unavailable',
      `PostgreSQL ${tools.version} was installed without pg_regress`,
    );
  }
  if (tools.origin === 'system') return { program: file, before: [] };
  const libraries = join(tools.binFolder, '../../../..', 'lib');
  const triplet = (await readdir(libraries)).find((name) => name.endsWith('-linux-gnu')) ?? '';
  const folder = join(libraries, triplet);
  const loader = (await readdir(folder)).find((name) => /^ld-linux-.*\.so\.\d+$/.test(name));
  if (loader === undefined) {
    throw new AppError('unavailable', `PostgreSQL ${tools.version} in the cache has no loader`);
  }
  return { program: join(folder, loader), before: ['--library-path', folder, file] };
}
