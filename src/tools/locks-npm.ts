/** The lock files of npm, pnpm, Yarn and Bun. */
import { parse as parseYaml } from 'yaml';
import {
  linesOf,
  locked,
  sourceOf,
  type LockedPackage,
  type LockReader,
} from './locked-package.ts';
import { asRecord, parseObject } from './packages.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Tarballs of a registry: what the protocol of npm's registry calls them. */
const registryTarball = /^https?:\/\/[^/]+\/(.*\/)?-\/[^/]+\.tgz/;

export const readNpmLock: LockReader = (text) => {
  const json = need(asRecord(JSON.parse(text)));
  const packages = asRecord(json['packages']);
  if (packages === undefined) return readFirstNpmLock(json, text);
  const lines = linesOf(text, /^\s+"([^"]*)": \{/);
  return Object.entries(packages).flatMap(([path, value]) => {
    const fields = asRecord(value);
    // The project itself, its workspaces, and links to them.
    if (fields === undefined || !path.includes('node_modules/') || fields['link'] === true)
      return [];
    const name = string(fields['name']) ?? path.slice(path.lastIndexOf('node_modules/') + 13);
    return [
      locked('npm', name, string(fields['version']), lines.get(path) ?? 1, {
        ...fromNpm(string(fields['resolved'])),
        hashes: words(fields['integrity']),
        isDev: fields['dev'] === true || fields['devOptional'] === true,
        licence: licenceOf(fields['license']),
        programs: Object.keys(asRecord(fields['bin']) ?? {}),
        peers: Object.keys(asRecord(fields['peerDependencies']) ?? {}),
      }),
    ];
  });
};

/** Version 1, before npm 7: a tree of `dependencies`. */
function readFirstNpmLock(json: Fields, text: string): LockedPackage[] {
  const lines = linesOf(text, /^\s+"([^"]*)": \{/);
  const found: LockedPackage[] = [];
  const queue: unknown[] = [json['dependencies']];
  for (const dependencies of queue) {
    for (const [name, value] of Object.entries(asRecord(dependencies) ?? {})) {
      const fields = asRecord(value);
      if (fields === undefined) continue;
      const version = string(fields['version']);
      found.push(
        locked('npm', name, version, lines.get(name) ?? 1, {
          ...(sourceOf(version ?? '') ?? fromNpm(string(fields['resolved']))),
          hashes: words(fields['integrity']),
          isDev: fields['dev'] === true,
        }),
      );
      queue.push(fields['dependencies']);
    }
  }
  return found;
}

/** Without an address the registry that is configured serves it. */
function fromNpm(resolved: string | undefined): Partial<LockedPackage> {
  if (resolved === undefined || registryTarball.test(resolved)) return {};
  return sourceOf(resolved) ?? {};
}

export const readPnpmLock: LockReader = (text) => {
  const json = need(asRecord(parseYaml(text)));
  const lines = linesOf(text, /^ {2}['"]?([^\s'"][^'"]*?)['"]?:\s*$/);
  return Object.entries(asRecord(json['packages']) ?? {}).flatMap(([key, value]) => {
    const fields = asRecord(value) ?? {};
    const resolution = asRecord(fields['resolution']) ?? {};
    const id = pnpmId(key);
    const name = string(fields['name']) ?? id.name;
    const version = string(fields['version']) ?? id.version;
    const address =
      resolution['type'] === 'git'
        ? `git+${string(resolution['repo']) ?? ''}#${string(resolution['commit']) ?? ''}`
        : string(resolution['tarball']);
    const isFolder = resolution['type'] === 'directory' || id.version.startsWith('file:');
    return [
      locked('npm', name, version, lines.get(key) ?? 1, {
        ...(isFolder ? { source: 'path' as const, address: id.version } : fromNpm(address)),
        hashes: words(resolution['integrity']),
        ...(typeof fields['dev'] === 'boolean' ? { isDev: fields['dev'] } : {}),
        programs: fields['hasBin'] === true ? [name.replace(/^@[^/]+\//, '')] : [],
        peers: Object.keys(asRecord(fields['peerDependencies']) ?? {}),
      }),
    ];
  });
};

/** `/a/1.0.0` (5), `/a@1.0.0(b@2)` (6), `a@1.0.0` (9). */
function pnpmId(key: string): { name: string; version: string } {
  const match = /^\/?((?:@[^/]+\/)?[^/@]+)(?:@([^(]+)|\/([^/_(]+))/.exec(key);
  return { name: match?.[1] ?? key, version: match?.[2] ?? match?.[3] ?? '' };
}

export const readYarnLock: LockReader = (text) =>
  /^__metadata:/m.test(text) ? readBerryLock(text) : readClassicYarnLock(text);

/** Yarn 2 and later writes YAML. */
function readBerryLock(text: string): LockedPackage[] {
  const json = need(asRecord(parseYaml(text)));
  const lines = linesOf(text, /^"?([^\s"#][^"]*)"?:\s*$/);
  return Object.entries(json).flatMap(([key, value]) => {
    const fields = asRecord(value);
    const resolution = string(fields?.['resolution']);
    if (fields === undefined || resolution === undefined || /@(workspace|link):/.test(resolution))
      return [];
    const at = resolution.indexOf('@', 1);
    const address = resolution.slice(at + 1);
    return [
      locked('npm', resolution.slice(0, at), string(fields['version']), lines.get(key) ?? 1, {
        ...(/^(npm|patch):/.test(address) ? {} : sourceOf(address)),
        hashes: words(fields['checksum']),
        programs: Object.keys(asRecord(fields['bin']) ?? {}),
        peers: Object.keys(asRecord(fields['peerDependencies']) ?? {}),
      }),
    ];
  });
}

/** Yarn 1 has a format of its own: a heading of ranges, then indented fields. */
function readClassicYarnLock(text: string): LockedPackage[] {
  const found: LockedPackage[] = [];
  let heading: { name: string; line: number } | undefined;
  let fields = new Map<string, string>();
  const finish = () => {
    if (heading === undefined) return;
    const resolved = fields.get('resolved');
    found.push(
      locked('npm', heading.name, fields.get('version'), heading.line, {
        // Yarn writes the registry's hash behind the address.
        ...fromNpm(
          resolved?.replace(/#[0-9a-f]{40}$/, (hash) => (resolved.includes('.git') ? hash : '')),
        ),
        hashes: words(fields.get('integrity')),
      }),
    );
  };
  let line = 0;
  for (const content of text.split('\n')) {
    line += 1;
    const range = /^"?((?:@[^/"]+\/)?[^@"\s#]+)@.*:\s*$/.exec(content)?.[1];
    if (range !== undefined) {
      finish();
      heading = { name: range, line };
      fields = new Map();
      continue;
    }
    const field = /^ {2}(version|resolved|integrity) "?([^"]+)"?\s*$/.exec(content);
    if (field?.[1] !== undefined && field[2] !== undefined) fields.set(field[1], field[2]);
  }
  finish();
  return found;
}

/** Bun writes JSON with trailing commas: a tuple for each package. */
export const readBunLock: LockReader = (text) => {
  const packages = asRecord(need(asRecord(parseObject(text)))['packages']) ?? {};
  const lines = linesOf(text, /^\s+"([^"]+)": \[/);
  return Object.entries(packages).flatMap(([key, value]) => {
    if (!Array.isArray(value)) return [];
    const items: readonly unknown[] = value;
    const id = string(items[0]) ?? '';
    const at = id.indexOf('@', 1);
    const version = id.slice(at + 1);
    if (at < 0 || version.startsWith('workspace:')) return [];
    const meta = items.map((item) => asRecord(item)).find((item) => item !== undefined) ?? {};
    return [
      locked('npm', id.slice(0, at), version, lines.get(key) ?? 1, {
        ...sourceOf(version),
        hashes: items
          .filter((item) => typeof item === 'string' && /^sha\d+-/.test(item))
          .map(String),
        programs: Object.keys(asRecord(meta['bin']) ?? {}),
        peers: Object.keys(asRecord(meta['peerDependencies']) ?? {}),
      }),
    ];
  });
};

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('it is not an object');
  return value;
}

function string(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function words(value: unknown): string[] {
  return typeof value === 'string' ? value.split(/\s+/).filter((word) => word !== '') : [];
}

/** A string; before npm 3, an object or a list of them. */
export function licenceOf(value: unknown): string | undefined {
  if (Array.isArray(value)) {
    const all = value.flatMap((item) => licenceOf(item) ?? []);
    return all.length === 0 ? undefined : all.length === 1 ? all[0] : `(${all.join(' OR ')})`;
  }
  return string(value) ?? string(asRecord(value)?.['type']);
}
