/** The releases that lie on the target: complete or absent, and never changed. */
import { randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { AppError } from '../../base/base.ts';
import type { LiveFile } from '../deployment-types.ts';
import type { Host } from '../host/host.ts';
import type { Bundle, FileEntry, Metadata } from '../types.ts';
import { releaseName, type Layout } from './layout.ts';
import { packArchive } from '../package/archive.ts';
import { digestOf } from '../package/bundle.ts';

/** A bundle of a few dozen megabytes over a slow line. */
const uploadMs = 600_000;

/**
 * Lays a bundle out as a release: unpacked beside, checked there against its own hashes, made read-only,
 * renamed. One that is there already is checked. Returns its folder's name.
 * Throws `ext_failed` when the target says no (no room, read-only) or a release there is not what it was.
 */
export async function stage(
  host: Host,
  layout: Layout,
  bundle: Bundle,
  signal?: AbortSignal,
): Promise<string> {
  const release = releaseName(bundle.metadata, bundle.digest);
  const sums = sumsOf(bundle.metadata.files);
  if (await exists(host, `${layout.releases}/${release}`)) {
    const wrong = await changedFiles(host, layout, release, bundle.metadata);
    if (wrong.length === 0) return release;
    throw new AppError('ext_failed', `the release ${release} is not what it was: ${wrong[0]}`, {
      details: { release, changed: wrong },
      remedy: `See who writes below ${layout.releases}; move that folder away and stage again.`,
    });
  }
  const incoming = incomingName();
  const files = new Map([...bundle.files].map(([path, data]) => [path, { data }]));
  // Unpacked here: the target may have no gzip.
  const tar = gunzipSync(await packArchive(files));
  try {
    await host.check('set -eu; umask 022; mkdir -p "$1/$2"; tar -xf - -C "$1/$2"', {
      args: [layout.releases, incoming],
      input: tar,
      timeoutMs: uploadMs,
      ...(signal === undefined ? {} : { signal }),
    });
    await settle(host, layout, incoming, release, sums);
  } catch (error) {
    await discard(host, layout, incoming);
    throw error;
  }
  return release;
}

/**
 * Keeps files that are there already as a release of their own, so that they can be gone back to.
 * Throws `conflict` when one of them changes meanwhile.
 */
export async function keepLive(
  host: Host,
  layout: Layout,
  metadata: Metadata,
  files: readonly LiveFile[],
): Promise<string> {
  const release = releaseName(metadata, digestOf(metadata));
  if (await exists(host, `${layout.releases}/${release}`)) return release;
  const incoming = incomingName();
  const lines = files.map(({ path, target }) => `${target}\t${path}\n`).join('');
  try {
    await host.check(
      `set -eu
umask 022
folder=$1/$2
mkdir -p "$folder/lib" "$folder/extension"
tab=$(printf '\\t')
while IFS=$tab read -r from to; do cp -p "$from" "$folder/$to"; done`,
      { args: [layout.releases, incoming], input: lines },
    );
    const text = JSON.stringify(metadata, null, 2);
    await host.check('cat > "$1"', {
      args: [`${layout.releases}/${incoming}/metadata.json`],
      input: `${text}\n`,
    });
    await settle(host, layout, incoming, release, sumsOf(metadata.files));
  } catch (error) {
    await discard(host, layout, incoming);
    throw error;
  }
  return release;
}

/** The metadata of a hand-made deployment, as far as its files say it. */
export function metadataOfLive(
  of: Metadata,
  files: readonly LiveFile[],
  version: string,
): Metadata {
  return {
    format: 1,
    name: of.name,
    version: `${version}-adopted`,
    builtAt: '1970-01-01T00:00:00Z',
    compiler: 'unknown: these files were there before the first deployment',
    target: of.target,
    extensions: of.extensions.map(({ name }) => ({ name, version })),
    files: files
      .map(({ path, sha256 = '', sizeBytes = 0 }) => ({ path, sha256, sizeBytes }))
      .toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    smoke: [],
  };
}

/** Throws `not_found` when there is no such release. */
export async function readMetadata(host: Host, layout: Layout, release: string): Promise<Metadata> {
  const path = `${layout.releases}/${release}/metadata.json`;
  const text = (await host.readFile(path)).toString();
  try {
    // What staging wrote and checked; that it was not changed is for `changedFiles` to say.
    return JSON.parse(text) as Metadata;
  } catch (cause) {
    throw new AppError('ext_failed', `${path} is no metadata: ${(cause as Error).message}`, {
      details: { release },
      cause,
    });
  }
}

/** Smoke SQL of a release that was staged, by its path. */
export async function readSmoke(
  host: Host,
  layout: Layout,
  release: string,
  metadata: Metadata,
): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  for (const path of metadata.smoke) {
    const bytes = await host.readFile(`${layout.releases}/${release}/${path}`);
    texts.set(path, bytes.toString());
  }
  return texts;
}

/**
 * The same by extension: `smoke/NAME.sql` is of NAME, and any file of the only extension where there is
 * one. What is of several together runs in the rehearsal alone.
 */
export function smokeByExtension(
  texts: ReadonlyMap<string, string>,
  { extensions }: Metadata,
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [path, text] of texts) {
    const named = path.replace(/^.*\//, '').replace(/\.sql$/, '');
    const owner =
      extensions.length === 1 ? extensions[0] : extensions.find(({ name }) => name === named);
    if (owner === undefined) continue;
    const before = found.get(owner.name);
    found.set(owner.name, before === undefined ? text : `${before}\n;\n${text}`);
  }
  return found;
}

/** Paths of a release whose files are not the ones that its metadata lists. */
export async function changedFiles(
  host: Host,
  layout: Layout,
  release: string,
  metadata: Metadata,
): Promise<string[]> {
  const { stdout } = await host.run('cd "$1" && sha256sum -c - 2>&1', {
    args: [`${layout.releases}/${release}`],
    input: sumsOf(metadata.files),
  });
  return stdout
    .toString()
    .split('\n')
    .filter((line) => line !== '' && !line.endsWith(': OK') && !/WARNING/i.test(line))
    .map((line) => line.replace(/^sha256sum: /, ''));
}

/** Names of all releases, and of those that are live by the bundle. */
export async function listReleases(
  host: Host,
  layout: Layout,
): Promise<{ releases: string[]; current: Map<string, string> }> {
  const text = await host.check(
    `cd "$1" 2>/dev/null || exit 0
ls -1 releases 2>/dev/null
echo --
for link in current/*; do
  if [ -L "$link" ]; then printf '%s\\t%s\\n' "\${link#current/}" "$(readlink "$link")"; fi
done`,
    { args: [layout.folder] },
  );
  const [releases = '', links = ''] = text.toString().split('--\n');
  return {
    releases: releases.split('\n').filter((name) => name !== ''),
    current: new Map(
      links
        .split('\n')
        .filter((line) => line !== '')
        .map((line): [string, string] => {
          const [bundle = '', link = ''] = line.split('\t');
          return [bundle, link.replace(/^\.\.\/releases\//, '')];
        }),
    ),
  };
}

async function settle(
  host: Host,
  layout: Layout,
  incoming: string,
  release: string,
  sums: string,
): Promise<void> {
  await host.check(
    `set -eu
cd "$1/$2"
sha256sum -c - >/dev/null
chmod -R a-w,a+rX .
sync . ./* ./*/* 2>/dev/null || sync
cd ..
mv -T "$2" "$3"
sync . 2>/dev/null || sync`,
    { args: [layout.releases, incoming, release], input: sums, timeoutMs: uploadMs },
  );
}

async function discard(host: Host, layout: Layout, incoming: string): Promise<void> {
  // The failure that led here is the one to be told, also when the target has gone away with it.
  await host
    .run('chmod -R u+w "$1" 2>/dev/null; rm -rf "$1"', {
      args: [`${layout.releases}/${incoming}`],
    })
    .catch(() => undefined);
}

async function exists(host: Host, path: string): Promise<boolean> {
  return (await host.run('[ -d "$1" ]', { args: [path] })).exit === 0;
}

function sumsOf(files: readonly FileEntry[]): string {
  return files.map(({ path, sha256 }) => `${sha256}  ${path}\n`).join('');
}

function incomingName(): string {
  return `.incoming-${randomBytes(6).toString('hex')}`;
}
