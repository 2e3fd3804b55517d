/** Headers of the suite's PostgreSQL 17, fetched once into its cache, and a pg_config that knows them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../src/base/base.ts';
import {
  cacheFolder,
  fetchDebianPackages,
  listInstalls,
  type PostgresInstall,
} from '../../src/database/database.ts';

export interface HeadersOfServer {
  readonly install: PostgresInstall;
  /** Debian's packages of the headers are unpacked below it. */
  readonly root: string;
}

const architectures: Readonly<Record<string, 'amd64' | 'arm64'>> = { x64: 'amd64', arm64: 'arm64' };

/** The suite's own server, or why there is none. */
export async function findServer(): Promise<PostgresInstall | string> {
  const installs = await listInstalls(cacheFolder(process.env));
  const install = installs.find(({ major, origin }) => major === 17 && origin === 'cache');
  return install ?? 'no PostgreSQL 17 is in the cache: centuria pg get 17';
}

/** The server with its headers, or why there are none: `describe.skipIf(typeof headers === 'string')`. */
export async function findHeaders(): Promise<HeadersOfServer | string> {
  const install = await findServer();
  if (typeof install === 'string') return install;
  const architecture = architectures[process.arch];
  if (architecture === undefined) return `Debian's packages are not read for ${process.arch}`;
  try {
    const { root } = await fetchDebianPackages({
      suite: 'trixie',
      architecture,
      names: ['postgresql-server-dev-17', 'libpq-dev'],
      into: join(cacheFolder(process.env), 'debian', `trixie-${architecture}-headers-17`),
    });
    return { install, root };
  } catch (error) {
    if (error instanceof AppError && error.code === 'postgres_install_failed') {
      return `no headers of PostgreSQL 17: ${error.message}`;
    }
    throw error;
  }
}

/**
 * Writes a pg_config that says what the server's own says, with the headers of another folder, as where
 * an administrator installed them beside; Debian 13 has the makefiles with the server. Returns its path.
 */
export async function writePgConfig(
  folder: string,
  install: PostgresInstall,
  headersRoot: string,
): Promise<string> {
  const real = join(install.binFolder, 'pg_config');
  const path = join(folder, 'pg_config');
  const script = `#!/bin/sh
'${real}' "$@" | while IFS= read -r line; do
  case $line in
  INCLUDEDIR\\ =* | PKGINCLUDEDIR\\ =* | INCLUDEDIR-SERVER\\ =*)
    printf '%s = %s/usr/include%s\\n' "\${line%% =*}" '${headersRoot}' "\${line##*/usr/include}" ;;
  *) printf '%s\\n' "$line" ;;
  esac
done
`;
  await writeFile(path, script, { mode: 0o755 });
  return path;
}
