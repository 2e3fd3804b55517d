/** Opens a package: checks it, and lays its files out for a build. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError } from '../../base/base.ts';
import type { ServerFacts } from '../types.ts';
import { readArchive, type ArchiveFile } from './archive.ts';
import { checkProvenance, digestOf, provenanceName, type TrustOptions } from './bundle.ts';
import { factsName, manifestName, manifestOf, shimName } from './content.ts';
import { factsSchema, manifestSchema, parseAs, type Manifest } from './schemas.ts';

export interface OpenedPackage {
  readonly facts: ServerFacts;
  /** For `make PG_CONFIG=…`. */
  readonly pgConfig: string;
  readonly folder: string;
  /** SHA-256 of the canonical manifest, lower-case hexadecimal. */
  readonly digest: string;
  readonly signedBy?: string;
}

/**
 * Lays a package out in a folder of `into` that bears its digest; one that is there already, unchanged,
 * is used again. Throws `invalid_input` naming the file that is not as the manifest says,
 * `signature_invalid`, and `not_found`.
 */
export async function openPackage(
  source: string | Uint8Array,
  options: TrustOptions & { readonly into: string },
): Promise<OpenedPackage> {
  const { facts, files, manifest, signedBy } = await readPackage(source, options);
  const digest = digestOf(manifest);
  const folder = join(options.into, digest.slice(0, 16));
  if (!(await isLaidOut(folder, manifest))) await layOut(folder, files);
  return {
    facts,
    pgConfig: join(folder, shimName),
    folder,
    digest,
    ...(signedBy === undefined ? {} : { signedBy }),
  };
}

/** The facts alone, checked in the same way: for the gate, which builds nothing. */
export async function readPackageFacts(
  source: string | Uint8Array,
  options: TrustOptions,
): Promise<ServerFacts> {
  return (await readPackage(source, options)).facts;
}

async function readPackage(
  source: string | Uint8Array,
  trust: TrustOptions,
): Promise<{
  facts: ServerFacts;
  files: Map<string, Required<ArchiveFile>>;
  manifest: Manifest;
  signedBy: string | undefined;
}> {
  const name = typeof source === 'string' ? source : 'the package';
  const bytes = typeof source === 'string' ? await readSource(source) : source;
  const archive = await readArchive(bytes, name);
  const text = archive.get(manifestName)?.data;
  const manifest = parseAs<Manifest>(manifestSchema, text, `${name}: ${manifestName}`);
  const files = new Map(archive);
  files.delete(manifestName);
  files.delete(provenanceName);
  assertAsListed(manifest, files, name);
  const facts = parseAs<ServerFacts>(
    factsSchema,
    files.get(factsName)?.data,
    `${name}: ${factsName}`,
  );
  const envelope = archive.get(provenanceName)?.data;
  return {
    facts,
    files,
    manifest,
    signedBy: checkProvenance(envelope, digestOf(manifest), name, trust),
  };
}

async function readSource(path: string): Promise<Buffer> {
  return await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    const code = cause.code === 'EACCES' ? 'denied' : 'not_found';
    throw new AppError(code, cause.message, { details: { path }, cause });
  });
}

function assertAsListed(
  manifest: Manifest,
  files: ReadonlyMap<string, ArchiveFile>,
  name: string,
): void {
  const actual = new Map(manifestOf(files).files.map((entry) => [entry.path, entry]));
  for (const entry of manifest.files) {
    const { path } = entry;
    const own = actual.get(path);
    if (own === undefined) throw wrong(name, path, 'it is listed, but not there');
    actual.delete(path);
    if (!/^(?:facts\.json$|bin\/pg_config$|include\/|pgxs\/)/.test(path)) {
      throw wrong(name, path, 'this is no place for a file of a package');
    }
    if (digestOf(own) !== digestOf(entry)) throw wrong(name, path, 'it is not as the list says');
  }
  const [extra] = actual.keys();
  if (extra !== undefined) throw wrong(name, extra, 'it is there, but not listed');
  for (const path of [factsName, shimName, 'pgxs/src/makefiles/pgxs.mk']) {
    if (!files.has(path)) throw wrong(name, path, 'a package must have it');
  }
}

function wrong(name: string, path: string, complaint: string): AppError {
  return new AppError('invalid_input', `${name}: ${path}: ${complaint}`, {
    details: { package: name, path },
  });
}

/** Whether the folder has the files and nothing else: a build may have written into it. */
async function isLaidOut(folder: string, manifest: Manifest): Promise<boolean> {
  const listed = new Map(manifest.files.map((entry) => [entry.path, entry]));
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  let found = 0;
  for (const entry of entries) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    const expected = listed.get(path.slice(folder.length + 1));
    if (!entry.isFile() || expected === undefined) return false;
    const sha256 = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    const executable = ((await stat(path)).mode & 0o100) !== 0;
    if (sha256 !== expected.sha256 || executable !== expected.executable) return false;
    found += 1;
  }
  return found === listed.size;
}

async function layOut(
  folder: string,
  files: ReadonlyMap<string, Required<ArchiveFile>>,
): Promise<void> {
  const temporary = `${folder}.new-${randomBytes(6).toString('hex')}`;
  try {
    for (const made of new Set([...files.keys()].map((path) => dirname(path)))) {
      await mkdir(join(temporary, made), { recursive: true });
    }
    for (const [path, { data, mode }] of files) {
      await writeFile(join(temporary, path), data, { mode });
    }
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}
