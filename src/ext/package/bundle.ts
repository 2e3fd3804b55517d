/** Bundles: an extension built for one server, with the hash of each file and who vouches for them. */
import { createHash } from 'node:crypto';
import type { Static } from 'typebox';
import { AppError, canonicalJson } from '../../base/base.ts';
import type { Bundle, Metadata } from '../types.ts';
import { packArchive, readArchive } from './archive.ts';
import { metadataSchema, parseAs } from './schemas.ts';
import {
  readUnverified,
  sign,
  statementType,
  verify,
  type Signer,
  type Statement,
  type TrustedKey,
} from './signing.ts';

export const metadataName = 'metadata.json';
export const provenanceName = 'provenance.dsse.json';

const bundlePredicate = 'urn:centuria:bundle:1';

/** How far a reader trusts what it reads. */
export interface TrustOptions {
  readonly trusted: readonly TrustedKey[];
  /** Refuses what no trusted key signed; otherwise such a thing has no `signedBy`. */
  readonly requireSignature: boolean;
}

export interface BundleContent {
  readonly metadata: Metadata;
  /** Those that the metadata lists, by path. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly signer?: Signer;
  /** What the provenance says beside the digest: where it comes from, how it was built. */
  readonly predicate?: { readonly type: string; readonly content: Record<string, unknown> };
}

/** The bytes of a bundle; throws `invalid_input` where `readBundle` would refuse them. */
export async function packBundle(content: BundleContent): Promise<Buffer> {
  const { metadata, signer } = content;
  const files = new Map([...content.files].map(([path, data]) => [path, { data }]));
  const text = JSON.stringify(JSON.parse(canonicalJson(metadata)), null, 2);
  files.set(metadataName, { data: Buffer.from(`${text}\n`) });
  if (signer !== undefined) {
    const statement = bundleStatement(metadata, content.predicate);
    const envelope = await sign(signer, statement);
    files.set(provenanceName, { data: Buffer.from(`${JSON.stringify(envelope)}\n`) });
  }
  const bytes = await packArchive(files);
  const name = bundleName(metadata);
  await readBundle(bytes, name, { trusted: [], requireSignature: false });
  return bytes;
}

/**
 * A bundle of which everything is as its metadata says. Throws `invalid_input` naming the file that
 * is not, and `signature_invalid`.
 */
export async function readBundle(
  bytes: Uint8Array,
  name: string,
  trust: TrustOptions,
): Promise<Bundle> {
  const archive = await readArchive(bytes, name);
  const files = new Map([...archive].map(([path, { data }]) => [path, bufferOf(data)]));
  const checked = parseAs<Static<typeof metadataSchema>>(
    metadataSchema,
    files.get(metadataName),
    `${name}: ${metadataName}`,
  );
  const metadata = checked as Metadata;
  assertListed(metadata, files, name);
  assertConsistent(metadata, files, name);
  const digest = digestOf(metadata);
  const signedBy = checkProvenance(files.get(provenanceName), digest, name, trust);
  return { metadata, digest, files, ...(signedBy === undefined ? {} : { signedBy }) };
}

/** SHA-256 of the canonical JSON, lower-case hexadecimal: the address of what a value describes. */
export function digestOf(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

/** `lib/NAME.so` with what follows it, anything below `extension/`, `smoke/NAME.sql`. */
export function isBundlePath(path: string): boolean {
  return (
    /^lib\/[A-Za-z0-9_][A-Za-z0-9_.+-]*\.so(?:\.[A-Za-z0-9_.]+)?$/.test(path) ||
    /^smoke\/[A-Za-z0-9_][A-Za-z0-9_.+-]*\.sql$/.test(path) ||
    /^extension\/(?:[A-Za-z0-9_][A-Za-z0-9_.+~-]*\/)*[A-Za-z0-9_][A-Za-z0-9_.+~-]*$/.test(path)
  );
}

/**
 * Who signed, of the trusted keys. An envelope of someone unknown is no proof and may be passed over;
 * one that contradicts the content never is. `what` names the thing in messages.
 */
export function checkProvenance(
  bytes: Uint8Array | undefined,
  digest: string,
  what: string,
  { trusted, requireSignature }: TrustOptions,
): string | undefined {
  if (bytes === undefined) {
    if (!requireSignature) return undefined;
    throw new AppError('signature_invalid', `${what} is not signed`, {
      details: { reason: 'unsigned' },
      remedy: 'Have it made with a signing key, or allow what is not signed.',
    });
  }
  let envelope: unknown;
  try {
    envelope = JSON.parse(Buffer.from(bytes).toString());
  } catch (cause) {
    throw contradiction(what, `${provenanceName} is no JSON`, cause);
  }
  if (readUnverified(envelope).subject.every(({ digest: { sha256 } }) => sha256 !== digest)) {
    throw contradiction(what, `${provenanceName} is about something else`);
  }
  try {
    return verify(envelope, trusted).keyId;
  } catch (cause) {
    const unknown = cause instanceof AppError && cause.details['reason'] === 'unknown_key';
    if (unknown && !requireSignature) return undefined;
    throw cause;
  }
}

export function bundleName({ name, version }: Pick<Metadata, 'name' | 'version'>): string {
  return `${name}-${version}`;
}

function bundleStatement(metadata: Metadata, predicate: BundleContent['predicate']): Statement {
  const { builtAt, compiler, target } = metadata;
  return {
    _type: statementType,
    subject: [{ name: bundleName(metadata), digest: { sha256: digestOf(metadata) } }],
    predicateType: predicate?.type ?? bundlePredicate,
    predicate: predicate?.content ?? { builtAt, compiler, target },
  };
}

/** The list and the files are the same, each file with its hash. */
function assertListed(
  metadata: Metadata,
  files: ReadonlyMap<string, Uint8Array>,
  name: string,
): void {
  let previous = '';
  for (const entry of metadata.files) {
    const { path } = entry;
    if (!isBundlePath(path)) throw refuse(name, path, 'this is no place for a file of a bundle');
    if (path <= previous) throw refuse(name, path, 'the list is not in order, or has it twice');
    previous = path;
    const data = files.get(path);
    if (data === undefined) throw refuse(name, path, 'it is listed, but not there');
    const sha256 = createHash('sha256').update(data).digest('hex');
    if (sha256 !== entry.sha256 || data.length !== entry.sizeBytes) {
      throw refuse(name, path, `it has SHA-256 ${sha256}, and the list says ${entry.sha256}`);
    }
  }
  const listed = new Set(metadata.files.map(({ path }) => path));
  for (const path of files.keys()) {
    if (listed.has(path) || path === metadataName || path === provenanceName) continue;
    throw refuse(name, path, 'it is there, but not listed');
  }
}

/** What the metadata names is among the files. */
function assertConsistent(
  metadata: Metadata,
  files: ReadonlyMap<string, Uint8Array>,
  name: string,
): void {
  for (const extension of metadata.extensions) {
    const path = `extension/${extension.name}.control`;
    if (!files.has(path)) throw refuse(name, path, 'an extension must have a control file');
  }
  for (const path of metadata.smoke) {
    if (!path.startsWith('smoke/') || !files.has(path)) {
      throw refuse(name, path, 'it is named as a smoke test, but is none of the files');
    }
  }
  const { wrapper } = metadata;
  if (wrapper !== undefined && !files.has(wrapper) && !files.has(`lib/${wrapper}`)) {
    throw refuse(name, wrapper, 'it is named as the shared library, but is none of the files');
  }
}

function refuse(bundle: string, path: string, complaint: string): AppError {
  return new AppError('invalid_input', `${bundle}: ${path}: ${complaint}`, {
    details: { bundle, path },
  });
}

function contradiction(what: string, complaint: string, cause?: unknown): AppError {
  return new AppError('signature_invalid', `${what}: ${complaint}`, {
    details: { reason: 'wrong' },
    cause,
  });
}

function bufferOf(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
