/** The cache of installs: where it is, what is in it, and what the host's package manager put beside. */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { installError, runTool } from './install-tools.ts';
import type { PostgresPackage } from './postgres-packages.ts';

export interface PostgresInstall {
  readonly major: number;
  /** As the server says it, for example `17.12`. */
  readonly version: string;
  /** `initdb`, `postgres`, `psql`, `pg_dump` and the others. */
  readonly binFolder: string;
  readonly packages: readonly PostgresPackage[];
  readonly hasVector: boolean;
  /** `system` stands for one that the host's package manager installed; Centuria only lists those. */
  readonly origin: 'cache' | 'system';
}

const packageSchema = Type.Object({
  name: Type.String(),
  version: Type.String(),
  architecture: Type.String(),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
});
const recordSchema = Type.Object({
  format: Type.Literal(1),
  major: Type.Integer(),
  version: Type.String(),
  hasVector: Type.Boolean(),
  /** Digest of what was asked for; another lock is another install. */
  requested: Type.String(),
  installedAt: Type.String(),
  packages: Type.Array(packageSchema),
});
export type InstallRecord = Static<typeof recordSchema>;
export const recordName = 'install.json';

/**
 * Where installs are kept: `CENTURIA_CACHE`, for root `/var/cache/centuria` (servers run as another
 * user, who can not read root's home), else `$XDG_CACHE_HOME/centuria` or `~/.cache/centuria`.
 */
export function cacheFolder(env: Readonly<Record<string, string | undefined>>): string {
  const own = env['CENTURIA_CACHE'];
  if (own !== undefined && own !== '') return resolve(own);
  if (process.getuid?.() === 0) return '/var/cache/centuria';
  const xdg = env['XDG_CACHE_HOME'];
  // The XDG specification says that a relative path is to be ignored.
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, 'centuria');
  return join(homedir(), '.cache', 'centuria');
}

/** Installs in the cache, newest first, then those of the host's package manager. */
export async function listInstalls(cache: string): Promise<PostgresInstall[]> {
  const own = (await readInstalls(join(cache, 'postgres'))).map((each) => each.install);
  return [...own, ...(await systemInstalls())];
}

/** `postgres (PostgreSQL) 17.12 (Debian 17.12-…)` */
export async function serverVersion(bin: string, signal: AbortSignal | undefined): Promise<string> {
  const text = await runTool(join(bin, 'postgres'), ['--version'], { signal });
  const version = /\(PostgreSQL\) (\S+)/.exec(text)?.[1];
  if (version === undefined) throw installError('broken', `postgres --version printed: ${text}`);
  return version;
}

export function vectorControl(root: string, major: number): string {
  return join(root, 'usr/share/postgresql', String(major), 'extension/vector.control');
}

export function toInstall(folder: string, record: InstallRecord): PostgresInstall {
  return {
    major: record.major,
    version: record.version,
    binFolder: join(folder, 'root/usr/lib/postgresql', String(record.major), 'bin'),
    packages: record.packages,
    hasVector: record.hasVector,
    origin: 'cache',
  };
}

/** Newest first. A folder without a valid record is no install. */
export async function readInstalls(
  folder: string,
): Promise<{ install: PostgresInstall; record: InstallRecord }[]> {
  const found = [];
  for (const name of await readdir(folder).catch(() => [])) {
    if (name.startsWith('.')) continue;
    const text = await readFile(join(folder, name, recordName), 'utf8').catch(() => undefined);
    const record = text === undefined ? undefined : parseRecord(text);
    if (record === undefined) continue;
    found.push({ install: toInstall(join(folder, name), record), record });
  }
  return found.toSorted((a, b) => (a.record.installedAt < b.record.installedAt ? 1 : -1));
}

function parseRecord(text: string): InstallRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Value.Check(recordSchema, value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Debian's own place for servers: one folder a major version. */
async function systemInstalls(): Promise<PostgresInstall[]> {
  const found: PostgresInstall[] = [];
  for (const name of await readdir('/usr/lib/postgresql').catch(() => [])) {
    const binFolder = join('/usr/lib/postgresql', name, 'bin');
    if (!/^\d+$/.test(name) || !existsSync(join(binFolder, 'postgres'))) continue;
    const version = await serverVersion(binFolder, undefined);
    const hasVector = existsSync(vectorControl('/', Number(name)));
    found.push({
      major: Number(name),
      version,
      binFolder,
      packages: [],
      hasVector,
      origin: 'system',
    });
  }
  return found;
}
