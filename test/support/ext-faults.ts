/** What is done to bundles and deployments on purpose, and what of a server must stay as it was. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { statusOf } from '../../src/ext/deploy/status.ts';
import { digestOf } from '../../src/ext/package/bundle.ts';
import type { Bundle, Metadata } from '../../src/ext/types.ts';
import type { DeployerOptions } from './ext-deployer.ts';
import type { Deployments } from './ext-deployments.ts';
import { contentsOf } from './folders.ts';

const run = promisify(execFile);

/** The same bundle with another file, as if it had been built so: its metadata says the hash. */
export function withFile(bundle: Bundle, path: string, bytes: Buffer): Bundle {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return withMetadata(
    { ...bundle, files: new Map([...bundle.files, [path, bytes]]) },
    {
      files: bundle.metadata.files.map((file) =>
        file.path === path ? { path, sha256, sizeBytes: bytes.length } : file,
      ),
    },
  );
}

export function withMetadata(bundle: Bundle, changes: Partial<Metadata>): Bundle {
  const metadata = { ...bundle.metadata, ...changes };
  const text = Buffer.from(`${JSON.stringify(metadata, null, 2)}\n`);
  return {
    metadata,
    digest: digestOf(metadata),
    files: new Map([...bundle.files, ['metadata.json', text]]),
  };
}

/** A library of the bundle, to be changed. */
export function libraryOf(bundle: Bundle): { path: string; bytes: Buffer } {
  const path = [...bundle.files.keys()].find((name) => name.endsWith('.so'));
  const bytes = bundle.files.get(path ?? '');
  if (path === undefined || bytes === undefined) throw new Error('it has no library');
  return { path, bytes: Buffer.from(bytes) };
}

const catalogueText = `
  select string_agg(line, E'\\n' order by line) as text from (
    select 'extension ' || extname || ' ' || extversion as line from pg_extension
    union all
    select 'function ' || p.oid::regprocedure || ' ' || p.prosrc || ' ' || coalesce(p.probin, '')
    from pg_proc p join pg_depend d on d.objid = p.oid and d.deptype = 'e'
      and d.classid = 'pg_proc'::regclass and d.refclassid = 'pg_extension'::regclass
    union all
    select 'column ' || attrelid::regclass || ' ' || attname || ' ' || atttypid::regtype
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relname = 'counters' and attnum > 0 and not attisdropped
  ) lines`;

/** Live files by hash and the catalogue of a database: what no failed deployment may change. */
export async function seen(on: Deployments, database = 'postgres'): Promise<string> {
  const [row] = (await on.sql(catalogueText, database)) as { text: string }[];
  return `${on.files()}\n${row?.text ?? ''}`;
}

/** After a fault: what is live is what was, and nothing stands in the way of the next deployment. */
export async function assertAsBefore(on: Deployments, before: string): Promise<void> {
  expect(await seen(on)).toBe(before);
  expect((await statusOf(on.target)).findings).toEqual([]);
}

/** Every byte of the server's folders and of the staging folder. */
export function everything(on: Deployments): string {
  const { libraryFolder, extensionFolder } = on.server.paths;
  const folders = [libraryFolder, extensionFolder, join(on.folder, 'staging')];
  return JSON.stringify(folders.map((folder) => contentsOf(folder)));
}

export interface DeployerEnd {
  readonly exit: number | string;
  readonly state?: string;
  readonly code?: string;
  readonly message?: string;
  readonly remedy?: string;
}

/** What a program prints, which ends well. */
export async function runJson([command = '', ...words]: readonly string[]): Promise<unknown> {
  const { stdout } = await run(command, words);
  return JSON.parse(stdout);
}

/** A deployer in a process of its own; `by` is what starts it, such as `unshare -m`. */
export async function deployer(
  on: Deployments,
  release: string,
  options: Partial<DeployerOptions> & { readonly by?: readonly string[] } = {},
): Promise<DeployerEnd> {
  const { by = [], ...others } = options;
  const file = join(on.folder, `deployer-${Math.random().toString(16).slice(2)}.json`);
  const given = {
    address: on.server.address,
    stagingFolder: join(on.folder, 'staging'),
    bundle: on.bundleFile(release),
    ...others,
  };
  writeFileSync(file, JSON.stringify(given), { mode: 0o600 });
  const program = join(import.meta.dirname, 'ext-deployer.ts');
  const [command = '', ...words] = [...by, process.execPath, program, file];
  try {
    const { stdout } = await run(command, words);
    return { exit: 0, ...(stdout === '' ? {} : (JSON.parse(stdout) as object)) };
  } catch (error) {
    const { code, signal, stderr } = error as { code?: number; signal?: string; stderr?: string };
    return { exit: signal ?? code ?? 1, message: stderr ?? String(error) };
  }
}
