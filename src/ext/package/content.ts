/** What is in a package, and how its bytes come about. */
import { createHash } from 'node:crypto';
import { AppError, canonicalJson } from '../../base/base.ts';
import type { ServerFacts } from '../types.ts';
import { packArchive, type ArchiveFile } from './archive.ts';
import { digestOf, provenanceName } from './bundle.ts';
import { pgConfigShim, type PackageLayout } from './pg-config.ts';
import type { Manifest } from './schemas.ts';
import { sign, statementType, type Signer } from './signing.ts';

export const factsName = 'facts.json';
export const manifestName = 'manifest.json';
export const shimName = 'bin/pg_config';

/** A package as bytes, the same for the same server. */
export interface Package {
  readonly bytes: Buffer;
  readonly facts: ServerFacts;
  /** SHA-256 of the canonical manifest, lower-case hexadecimal. */
  readonly digest: string;
}

export interface PackageContent {
  readonly facts: ServerFacts;
  readonly layout: PackageLayout;
  /** By paths below `include/`. */
  readonly headers: ReadonlyMap<string, ArchiveFile>;
  /** By paths below `pgxs/`. */
  readonly makefiles: ReadonlyMap<string, ArchiveFile>;
  readonly signer?: Signer | undefined;
}

/** Throws `invalid_input` when the headers are of another version than the server. */
export async function assemble(content: PackageContent): Promise<Package> {
  const { facts, layout, signer } = content;
  assertOneVersion(content);
  const files = new Map<string, ArchiveFile>([
    [factsName, { data: jsonOf(facts) }],
    [shimName, { data: Buffer.from(pgConfigShim(facts.config, layout)), mode: 0o755 }],
  ]);
  for (const [path, file] of content.headers) files.set(`include/${path}`, file);
  for (const [path, file] of content.makefiles) files.set(`pgxs/${path}`, file);
  const manifest = manifestOf(files);
  const digest = digestOf(manifest);
  files.set(manifestName, { data: jsonOf(manifest) });
  if (signer !== undefined) {
    const { version, architecture, serverSha256, origin } = facts;
    const envelope = await sign(signer, {
      _type: statementType,
      subject: [{ name: `postgresql-${version}-${architecture}`, digest: { sha256: digest } }],
      predicateType: 'urn:centuria:package:1',
      predicate: { version, architecture, serverSha256, origin },
    });
    files.set(provenanceName, { data: Buffer.from(`${JSON.stringify(envelope)}\n`) });
  }
  return { bytes: await packArchive(files), facts, digest };
}

export function manifestOf(files: ReadonlyMap<string, ArchiveFile>): Manifest {
  const paths = [...files.keys()].toSorted();
  return {
    format: 1,
    files: paths.map((path) => {
      const { data, mode = 0o644 } = files.get(path) as ArchiveFile;
      return {
        path,
        sha256: createHash('sha256').update(data).digest('hex'),
        sizeBytes: data.length,
        executable: (mode & 0o111) !== 0,
      };
    }),
  };
}

/** Of one major version: what is built against the headers of another is refused by the server. */
function assertOneVersion({ facts, layout, headers }: PackageContent): void {
  const folder = layout.serverHeaders.replace(/^include\//, '');
  const number = versionNumberOf(headers, folder);
  if (number === undefined) {
    throw new AppError('invalid_input', `${facts.origin}: the headers do not say their version`, {
      details: { origin: facts.origin },
      remedy: 'Install the headers of the server again: pg_config.h is not whole.',
    });
  }
  if (Math.floor(number / 10_000) === facts.major) return;
  throw new AppError(
    'invalid_input',
    `${facts.origin}: the headers are of PostgreSQL ${Math.floor(number / 10_000)}, ` +
      `and the server is of ${facts.major}`,
    {
      details: { origin: facts.origin, headers: number, server: facts.versionNumber },
      remedy:
        `Install the headers of PostgreSQL ${facts.major} there, and give its own pg_config ` +
        'with --pg-config.',
    },
  );
}

/** Of `pg_config.h`, or of the one for an architecture that Fedora's includes. */
export function versionNumberOf(
  headers: ReadonlyMap<string, ArchiveFile>,
  folder: string,
): number | undefined {
  for (const [path, { data }] of headers) {
    if (!path.startsWith(`${folder}/pg_config`)) continue;
    const text = Buffer.from(data).toString('latin1');
    const number = /^#define PG_VERSION_NUM (\d+)\s*$/m.exec(text)?.[1];
    if (number !== undefined) return Number(number);
  }
  return undefined;
}

function jsonOf(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(JSON.parse(canonicalJson(value)), null, 1)}\n`);
}
