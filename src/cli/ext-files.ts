/** Bundles and packages as files of this machine, and the keys by which they are believed. */
import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { AppError } from '../base/base.ts';
import type { Bundle, OpenedPackage, ServerFacts, Signer } from '../ext/ext.ts';
import type { CliContext } from './context.ts';
import { keyFolder } from './ext-target.ts';

export interface TrustFlags {
  readonly allowUnsigned?: true;
}

/** Reads a bundle of which everything is as it says. Throws `not_found`, `invalid_input`, `signature_invalid`. */
export async function openBundle(
  context: CliContext,
  path: string,
  flags: TrustFlags,
): Promise<Bundle> {
  const { readBundle } = await import('../ext/ext.ts');
  const bytes = await readGiven(context, path, 'bundle');
  return await readBundle(bytes, path, await trustOf(context, flags));
}

/** Opens a package for the time of the work. */
export async function withPackage<Result>(
  context: CliContext,
  path: string,
  flags: TrustFlags,
  work: (opened: OpenedPackage) => Promise<Result>,
): Promise<Result> {
  const { openPackage } = await import('../ext/ext.ts');
  const bytes = await readGiven(context, path, 'package');
  const into = await mkdtemp(join(tmpdir(), 'centuria-package-'));
  try {
    return await work(await openPackage(bytes, { into, ...(await trustOf(context, flags)) }));
  } finally {
    await rm(into, { recursive: true, force: true });
  }
}

/** What a package says of its server. */
export async function readFacts(
  context: CliContext,
  path: string,
  flags: TrustFlags,
): Promise<ServerFacts> {
  const { readPackageFacts } = await import('../ext/ext.ts');
  const bytes = await readGiven(context, path, 'package');
  return await readPackageFacts(bytes, await trustOf(context, flags));
}

/** The key that this installation signs with; undefined where it shall not sign. */
export async function signerOf(
  context: CliContext,
  { unsigned }: { readonly unsigned?: true },
): Promise<Signer | undefined> {
  if (unsigned === true) return undefined;
  const { openSigningKey } = await import('../ext/ext.ts');
  return await openSigningKey(keyFolder(context));
}

/** Writes a whole file or none. Returns its path as it was asked for. */
export async function writeResult(
  context: CliContext,
  file: string | undefined,
  usual: string,
  bytes: Uint8Array,
): Promise<string> {
  const wanted = resolve(context.cwd, file ?? usual);
  const isFolder = (await stat(wanted).catch(() => undefined))?.isDirectory() === true;
  const path = isFolder ? join(wanted, usual) : wanted;
  const beside = join(dirname(path), `.${basename(path)}.${process.pid}`);
  try {
    await writeFile(beside, bytes);
    await rename(beside, path);
  } catch (cause) {
    await rm(beside, { force: true });
    throw new AppError('invalid_input', `${path} can not be written`, {
      remedy: 'Name another file with --file.',
      cause,
    });
  }
  return path;
}

/** Bundles of a folder that were built for this server. Throws unless there is exactly one. */
export async function findBundle(
  folder: string,
  wanted: { readonly major: number; readonly architecture: string },
): Promise<string> {
  const end = `-pg${wanted.major}-${wanted.architecture}.tar.gz`;
  const names = (await readdir(folder)).filter((name) => name.endsWith(end)).toSorted();
  const [first] = names;
  if (first !== undefined && names.length === 1) return join(folder, first);
  throw new AppError(
    first === undefined ? 'not_found' : 'invalid_input',
    first === undefined
      ? `${folder} has no bundle *${end}`
      : `${folder} has several bundles for this server: ${names.join(', ')}`,
    {
      remedy:
        first === undefined
          ? 'Build it: centuria ext build SOURCE --pg-dev-package FILE.'
          : 'Name the file itself.',
    },
  );
}

export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

async function trustOf(context: CliContext, { allowUnsigned }: TrustFlags) {
  const { readTrustedKeys } = await import('../ext/ext.ts');
  return {
    trusted: await readTrustedKeys(keyFolder(context)),
    requireSignature: allowUnsigned !== true,
  };
}

async function readGiven(context: CliContext, path: string, what: string): Promise<Buffer> {
  try {
    return await readFile(resolve(context.cwd, path));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'EISDIR' ? 'is a folder' : code === 'ENOENT' ? 'is not there' : code;
    throw new AppError('not_found', `${what}: ${path} ${why}`, {
      remedy:
        what === 'bundle' ? 'centuria ext build makes bundles.' : 'centuria ext package makes it.',
      cause,
    });
  }
}
