/** What Poetry, uv, PDM, Pipenv and pip pin. */
import { parse as parseToml } from 'smol-toml';
import {
  linesOf,
  locked,
  sourceOf,
  type LockedPackage,
  type LockReader,
} from './locked-package.ts';
import { asRecord } from './packages.ts';

/** poetry.lock, uv.lock and pdm.lock: tables `[[package]]`. */
export const readPythonLock: LockReader = (text) => {
  const json = asRecord(parseToml(text)) ?? {};
  const lines = linesOf(text, /^name = "([^"]+)"/);
  // Poetry before 1.2 kept the hashes apart.
  const apart = asRecord(asRecord(json['metadata'])?.['files']) ?? {};
  return tables(json['package']).flatMap((item) => {
    const name = String(item['name']);
    const origin = originOf(asRecord(item['source']) ?? {});
    if (origin === undefined) return [];
    const files = [
      ...tables(item['files']),
      ...tables(item['wheels']),
      ...tables([item['sdist']]),
      ...tables(apart[name]),
    ];
    const version = typeof item['version'] === 'string' ? item['version'] : undefined;
    return [
      locked('pypi', normalized(name), version, lines.get(name) ?? 1, {
        ...origin,
        hashes: files.flatMap((file) => (typeof file['hash'] === 'string' ? [file['hash']] : [])),
        ...(typeof item['category'] === 'string' ? { isDev: item['category'] === 'dev' } : {}),
      }),
    ];
  });
};

/** Where it comes from; undefined for the project itself. */
function originOf(source: Readonly<Record<string, unknown>>): Partial<LockedPackage> | undefined {
  if ('virtual' in source || source['editable'] === '.') return undefined;
  const type = source['type'];
  const address =
    source['url'] ?? source['git'] ?? source['path'] ?? source['directory'] ?? source['editable'];
  if (typeof address !== 'string' || type === 'legacy') return {};
  if (type === 'git' || 'git' in source) return sourceOf(`git+${address}`) ?? {};
  if (
    type === 'directory' ||
    type === 'file' ||
    'path' in source ||
    'directory' in source ||
    'editable' in source
  )
    return { source: 'path', address };
  return sourceOf(address) ?? {};
}

export const readPipfileLock: LockReader = (text) => {
  const json = asRecord(JSON.parse(text)) ?? {};
  const lines = linesOf(text, /^ {8}"([^"]+)": \{/);
  return ['default', 'develop'].flatMap((section) =>
    Object.entries(asRecord(json[section]) ?? {}).map(([name, value]) => {
      const fields = asRecord(value) ?? {};
      const version = typeof fields['version'] === 'string' ? fields['version'] : undefined;
      const git = typeof fields['git'] === 'string' ? sourceOf(`git+${fields['git']}`) : {};
      return locked('pypi', normalized(name), version?.replace(/^==/, ''), lines.get(name) ?? 1, {
        ...git,
        hashes: Array.isArray(fields['hashes']) ? fields['hashes'].map(String) : [],
        isDev: section === 'develop',
      });
    }),
  );
};

/** requirements.txt, by pip's documentation of the format; a line may go on behind a backslash. */
export const readRequirements: LockReader = (text, path) => {
  const found: LockedPackage[] = [];
  const isDev = /(dev|test|docs?|lint)/i.test(path.slice(path.lastIndexOf('/') + 1)) || undefined;
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at += 1) {
    const line = at + 1;
    let content = lines[at] ?? '';
    while (content.trimEnd().endsWith('\\') && at + 1 < lines.length) {
      at += 1;
      content = `${content.trimEnd().slice(0, -1)} ${lines[at] ?? ''}`;
    }
    const item = requirement(content.replace(/(^|\s)#.*$/, '').trim(), line);
    if (item !== undefined) found.push(isDev === undefined ? item : { ...item, isDev });
  }
  return found;
};

function requirement(content: string, line: number): LockedPackage | undefined {
  const hashes = [...content.matchAll(/--hash=(\S+)/g)].map((match) => match[1] ?? '');
  const plain = content.replace(/^(-e|--editable)\s+/, '').replace(/\s+--hash=.*$/, '');
  // Options, and further files, which are read on their own.
  if (plain === '' || plain.startsWith('-')) return undefined;
  const direct =
    /^(?:([\w.-]+)(?:\[[^\]]*\])?\s*@\s*)?((?:git|hg|svn)\+\S+|https?:\S+|file:\S+)/.exec(plain);
  if (direct?.[2] !== undefined) {
    const named = direct[1] ?? /[#&]egg=([\w.-]+)/.exec(direct[2])?.[1];
    const name = named ?? direct[2].split(/[#?]/)[0]?.split('/').at(-1) ?? direct[2];
    return locked('pypi', normalized(name), undefined, line, { ...sourceOf(direct[2]), hashes });
  }
  const match = /^([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*([^;]*)/.exec(plain);
  // A folder (`.`, `./x`) or a wheel beside it.
  if (match?.[1] === undefined || /^\.|\/|\.whl$/.test(plain.split(';')[0] ?? '')) return undefined;
  const exact = /^={2,3}\s*([^\s,*]+)$/.exec(match[2]?.trim() ?? '')?.[1];
  return locked('pypi', normalized(match[1]), exact, line, { hashes });
}

/** PEP 503. */
function normalized(name: string): string {
  return name.toLowerCase().replaceAll(/[-_.]+/g, '-');
}

function tables(value: unknown): Readonly<Record<string, unknown>>[] {
  const items: readonly unknown[] = Array.isArray(value) ? value : [];
  return items.map(asRecord).filter((item) => item !== undefined);
}
