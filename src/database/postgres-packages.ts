/**
 * Debian packages without root: a private apt state, the mirror that the host's apt is set up with,
 * and hashes. apt checks Debian's signature over every index; the lock pins what the index may say.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { installError, runTool } from './install-tools.ts';

/** One package of an install. `sha256` is of the .deb file, lower-case hexadecimal. */
export interface PostgresPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  readonly sha256: string;
}

/** What is installed for a major version, by Debian architecture. */
export interface PostgresLock {
  readonly format: number;
  readonly major: number;
  readonly packages: Readonly<Record<string, readonly PostgresPackage[]>>;
}

/** Debian releases by the PostgreSQL major version that they carry. */
export const suiteOfMajor: Readonly<Record<number, string>> = {
  13: 'bullseye',
  15: 'bookworm',
  17: 'trixie',
  18: 'sid',
};

const debianSuites =
  /^(?:bullseye|bookworm|trixie|forky|sid|oldoldstable|oldstable|stable|testing|unstable)(?:-updates|-security)?$/;
const suitesWithSecurity = new Set(['bullseye', 'bookworm', 'trixie']);

/** The first that exists is used; Debian 13 renamed it. */
const keyrings = [
  '/usr/share/keyrings/debian-archive-keyring.pgp',
  '/usr/share/keyrings/debian-archive-keyring.gpg',
];

/** A private apt state in `folder` that knows one Debian release for one architecture. */
export class PackageSource {
  readonly #config: string;
  readonly #folder: string;
  readonly #signal: AbortSignal | undefined;

  private constructor(folder: string, signal: AbortSignal | undefined) {
    this.#folder = folder;
    this.#config = join(folder, 'apt.conf');
    this.#signal = signal;
  }

  /** Sets the state up in an empty folder and reads the signed package index. */
  static async open(options: {
    folder: string;
    suite: string;
    architecture: string;
    /** Whether packages of the security archive are taken too; true by default. */
    withSecurity?: boolean;
    signal?: AbortSignal | undefined;
    /** Knows source packages in place of binary ones. */
    sources?: boolean;
  }): Promise<PackageSource> {
    const { folder, suite, architecture, withSecurity = true, sources = false } = options;
    const mirror = await findMirror(options.signal);
    for (const name of ['state/lists/partial', 'cache/archives/partial', 'none', 'debs']) {
      await mkdir(join(folder, name), { recursive: true });
    }
    await writeFile(join(folder, 'status'), '');
    const security = withSecurity && hasSecurity(suite) ? mirror.security : undefined;
    const text = sourcesText({ main: mirror.main, security }, suite, architecture);
    await writeFile(join(folder, 'debian.sources'), sources ? toSources(text) : text);
    await writeFile(join(folder, 'apt.conf'), aptConfig(folder, architecture));
    const source = new PackageSource(folder, options.signal);
    await source.#apt('apt-get', 'update', '-qq');
    return source;
  }

  /** Where `download` puts the files. */
  get downloadFolder(): string {
    return join(this.#folder, 'debs');
  }

  /** Names that the release does not have. */
  async missing(names: readonly string[]): Promise<string[]> {
    const known = await this.#versions(names);
    return names.filter((name) => !known.has(name));
  }

  /** All packages that the named ones need, from nothing, newest versions. */
  async resolve(names: readonly string[]): Promise<PostgresPackage[]> {
    return parseUris(
      await this.#apt(
        'apt-get',
        'install',
        '-y',
        '--no-install-recommends',
        '--print-uris',
        '-qq',
        ...names,
      ),
    );
  }

  /** What the signed index says about the pinned packages: those it still has, and those it lost. */
  async lookUp(
    pinned: readonly PostgresPackage[],
  ): Promise<{ found: PostgresPackage[]; vanished: PostgresPackage[] }> {
    const versions = await this.#versions(pinned.map(({ name }) => name));
    const vanished = pinned.filter(({ name, version }) => !versions.get(name)?.has(version));
    const present = pinned.filter((item) => !vanished.includes(item));
    if (present.length === 0) return { found: [], vanished };
    const text = await this.#apt(
      'apt-get',
      'download',
      '--print-uris',
      '-qq',
      ...present.map(({ name, version }) => `${name}=${version}`),
    );
    return { found: parseUris(text), vanished };
  }

  /** Fetches the packages and checks each file against its hash before anything reads it. */
  async download(
    packages: readonly PostgresPackage[],
    onBytes: (sizeBytes: number) => void,
  ): Promise<string[]> {
    const folders = [this.downloadFolder, join(this.#folder, 'cache/archives/partial')];
    const watch = setInterval(() => {
      void Promise.all(folders.map(folderSize)).then(
        (sizes) => onBytes(sizes.reduce((sum, size) => sum + size, 0)),
        // A file that was renamed between listing and stat: the next look sees it.
        () => undefined,
      );
    }, 250);
    try {
      await this.#apt(
        'apt-get',
        'download',
        '-qq',
        ...packages.map(({ name, version }) => `${name}=${version}`),
      );
    } finally {
      clearInterval(watch);
    }
    return await verifyPackages(this.downloadFolder, packages);
  }

  /** Fetches the newest source package into `downloadFolder`; apt checks each file's hash by the signed index. */
  async downloadSource(name: string): Promise<void> {
    await this.#apt('apt-get', 'source', '-qq', '--only-source', '--download-only', name);
  }

  async #versions(names: readonly string[]): Promise<Map<string, Set<string>>> {
    const known = new Map<string, Set<string>>();
    for (const line of (await this.#apt('apt-cache', 'madison', ...names)).split('\n')) {
      const [name, version] = line.split('|').map((part) => part.trim());
      if (name === undefined || version === undefined) continue;
      known.set(name, (known.get(name) ?? new Set()).add(version));
    }
    return known;
  }

  async #apt(command: 'apt-get' | 'apt-cache', ...args: string[]): Promise<string> {
    return await runTool(command, ['-c', this.#config, ...args], {
      cwd: this.downloadFolder,
      signal: this.#signal,
    });
  }
}

/** Compares each downloaded file with its hash; throws `hash_mismatch` naming the package. */
export async function verifyPackages(
  folder: string,
  packages: readonly PostgresPackage[],
): Promise<string[]> {
  const files: string[] = [];
  for (const item of packages) {
    const file = join(folder, fileName(item));
    if (!existsSync(file)) {
      throw installError('broken', `${item.name} ${item.version} was not downloaded`, {
        details: { package: item.name },
      });
    }
    const hash = createHash('sha256');
    await pipeline(createReadStream(file), hash);
    assertHash(item, hash.digest('hex'));
    files.push(file);
  }
  return files;
}

/** Throws `hash_mismatch` unless the package's pinned hash is the one that was found. */
export function assertHash(pinned: PostgresPackage, sha256: string): void {
  if (pinned.sha256 === sha256) return;
  throw installError(
    'hash_mismatch',
    `${pinned.name} ${pinned.version} has SHA-256 ${sha256}, expected ${pinned.sha256}`,
    {
      details: { package: pinned.name, version: pinned.version, expected: pinned.sha256, sha256 },
      remedy:
        'Nothing was unpacked. A released package never changes, so do not use this mirror ' +
        'before it is known why.',
    },
  );
}

/** As apt names the file; the colon of an epoch is escaped. */
function fileName({ name, version, architecture }: PostgresPackage): string {
  return `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`;
}

/** Lines of `--print-uris`: 'uri' file size SHA256:hash. */
function parseUris(text: string): PostgresPackage[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const match =
        /^'[^']*' ([^_\s]+)_([^_\s]+)_([a-z0-9-]+)\.deb \d+ SHA256:([0-9a-f]{64})$/.exec(
          line.trim(),
        );
      if (match === null) throw installError('broken', `apt-get printed an unknown line: ${line}`);
      const [, name = '', version = '', architecture = '', sha256 = ''] = match;
      return { name, version: version.replaceAll('%3a', ':'), architecture, sha256 };
    });
}

/** Whether security fixes of a release come from an archive of their own. */
export function hasSecurity(suite: string): boolean {
  return suitesWithSecurity.has(suite);
}

interface Mirror {
  readonly main: string;
  readonly security: string;
}

/** Debian's mirror as apt itself reads its sources, whatever their format. */
async function findMirror(signal: AbortSignal | undefined): Promise<Mirror> {
  const text = await runTool('apt-get', ['update', '--print-uris'], { signal });
  let main: string | undefined;
  let security: string | undefined;
  for (const [, uri = '', suite = ''] of text.matchAll(
    /^'([^']+?)\/*\/dists\/([^/']+)\/InRelease'/gm,
  )) {
    if (!debianSuites.test(suite)) continue;
    if (suite.endsWith('-security')) security ??= uri;
    // Others name their suites after Debian's too, so the path must say debian as well.
    else if (/debian\b/i.test(new URL(uri).pathname)) main ??= uri;
  }
  if (main === undefined) {
    throw installError('no_mirror', "apt's sources name no Debian mirror", {
      remedy:
        'PostgreSQL is installed from Debian. Elsewhere give the URL of a server in ' +
        'CENTURIA_DATABASE_URL, or use the embedded database.',
    });
  }
  return { main, security: security ?? `${main.replace(/\/debian$/, '')}/debian-security` };
}

function sourcesText(
  mirror: { readonly main: string; readonly security: string | undefined },
  suite: string,
  architecture: string,
): string {
  const keyring = keyrings.find((path) => existsSync(path));
  if (keyring === undefined) {
    throw installError('missing_tool', "Debian's keyring was not found", {
      details: { looked: keyrings },
      remedy: 'Install the package debian-archive-keyring.',
    });
  }
  const entry = (uri: string, name: string): string =>
    [
      'Types: deb',
      `URIs: ${uri}`,
      `Suites: ${name}`,
      'Components: main',
      `Architectures: ${architecture}`,
      'Targets: Packages',
      `Signed-By: ${keyring}`,
      '',
    ].join('\n');
  const entries = [entry(mirror.main, suite)];
  if (mirror.security !== undefined) entries.push(entry(mirror.security, `${suite}-security`));
  return entries.join('\n');
}

function toSources(text: string): string {
  return text
    .replaceAll(/^Types: deb$/gm, 'Types: deb-src')
    .replaceAll(/^Targets: Packages$/gm, 'Targets: Sources');
}

/**
 * Read after the host's own configuration, so that proxies and time limits hold, while pins, hooks
 * and state of the host do not reach the private state.
 */
function aptConfig(folder: string, architecture: string): string {
  return `#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Architecture "${architecture}";
APT::Architectures { "${architecture}"; };
APT::Default-Release "";
APT::Install-Suggests "false";
APT::Update::Error-Mode "any";
Acquire::ForceHash "SHA256";
Acquire::Languages "none";
Acquire::Retries "2";
Dir::State "${folder}/state";
Dir::State::status "${folder}/status";
Dir::Cache "${folder}/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "${folder}/debian.sources";
Dir::Etc::sourceparts "${folder}/none";
Dir::Etc::preferences "${folder}/none/preferences";
Dir::Etc::preferencesparts "${folder}/none";
`;
}

async function folderSize(folder: string): Promise<number> {
  let sizeBytes = 0;
  for (const name of await readdir(folder)) sizeBytes += (await stat(join(folder, name))).size;
  return sizeBytes;
}
