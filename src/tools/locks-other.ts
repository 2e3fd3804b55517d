/** What Go, Cargo, Bundler and Composer pin. */
import { parse as parseToml } from 'smol-toml';
import {
  linesOf,
  locked,
  sourceOf,
  type LockedPackage,
  type LockReader,
} from './locked-package.ts';
import { asRecord } from './packages.ts';

/** go.mod pins; go.sum beside it holds the hashes. */
export const readGoMod: LockReader = (text, _path, sibling) => {
  const hashes = new Map<string, string>();
  for (const content of (sibling('go.sum') ?? '').split('\n')) {
    const [module, version, hash] = content.trim().split(/\s+/);
    if (module !== undefined && version !== undefined && hash !== undefined)
      hashes.set(`${module} ${version}`, hash);
  }
  const found: LockedPackage[] = [];
  let inBlock = false;
  let line = 0;
  for (const raw of text.split('\n')) {
    line += 1;
    const content = raw.replace(/\/\/.*$/, '').trim();
    if (/^require\s*\($/.test(content)) inBlock = true;
    else if (content === ')') inBlock = false;
    const match = (inBlock ? /^(\S+)\s+(v\S+)$/ : /^require\s+(\S+)\s+(v\S+)$/).exec(content);
    if (match?.[1] === undefined || match[2] === undefined) continue;
    const hash =
      hashes.get(`${match[1]} ${match[2]}`) ?? hashes.get(`${match[1]} ${match[2]}/go.mod`);
    found.push(
      locked('golang', match[1], match[2], line, { hashes: hash === undefined ? [] : [hash] }),
    );
  }
  return found;
};

export const readCargoLock: LockReader = (text) => {
  const json = asRecord(parseToml(text)) ?? {};
  const lines = linesOf(text, /^name = "([^"]+)"/);
  const packages: readonly unknown[] = Array.isArray(json['package']) ? json['package'] : [];
  return packages.flatMap((value) => {
    const item = asRecord(value) ?? {};
    const source = typeof item['source'] === 'string' ? item['source'] : undefined;
    // Without a source it is a member of the workspace.
    if (source === undefined) return [];
    const name = String(item['name']);
    const checksum = typeof item['checksum'] === 'string' ? [`sha256:${item['checksum']}`] : [];
    return [
      locked('cargo', name, String(item['version']), lines.get(name) ?? 1, {
        ...(source.startsWith('git+') ? sourceOf(source) : {}),
        hashes: checksum,
      }),
    ];
  });
};

/** Sections by heading (GEM, GIT, PATH), each with a remote and its specs four spaces in. */
export const readGemfileLock: LockReader = (text) => {
  const found: LockedPackage[] = [];
  let section = '';
  let remote = '';
  let line = 0;
  for (const content of text.split('\n')) {
    line += 1;
    if (/^[A-Z]/.test(content)) section = content.trim();
    remote = /^ {2}remote: (\S+)/.exec(content)?.[1] ?? remote;
    // It follows the remote that it belongs to.
    const revision = /^ {2}revision: (\S+)/.exec(content)?.[1];
    if (revision !== undefined) remote = `${remote}#${revision}`;
    const spec = /^ {4}(\S+) \(([^)]+)\)$/.exec(content);
    if (spec?.[1] === undefined || spec[2] === undefined) continue;
    if (section === 'GEM') found.push(locked('gem', spec[1], spec[2], line));
    else if (section === 'GIT')
      found.push(locked('gem', spec[1], spec[2], line, sourceOf(`git+${remote}`)));
    else if (section === 'PATH')
      found.push(locked('gem', spec[1], spec[2], line, { source: 'path', address: remote }));
  }
  return found;
};

export const readComposerLock: LockReader = (text) => {
  const json = asRecord(JSON.parse(text)) ?? {};
  const lines = linesOf(text, /^\s+"name": "([^"]+)"/);
  return ['packages', 'packages-dev'].flatMap((section) => {
    const items: readonly unknown[] = Array.isArray(json[section]) ? json[section] : [];
    return items.map((value) => {
      const item = asRecord(value) ?? {};
      const name = String(item['name']);
      const shasum = asRecord(item['dist'])?.['shasum'];
      const licences = Array.isArray(item['license']) ? item['license'].map(String) : [];
      return locked('composer', name, String(item['version']), lines.get(name) ?? 1, {
        hashes: typeof shasum === 'string' && shasum !== '' ? [`sha1:${shasum}`] : [],
        isDev: section === 'packages-dev',
        ...(licences.length === 0 ? {} : { licence: licences.join(' OR ') }),
      });
    });
  });
};
