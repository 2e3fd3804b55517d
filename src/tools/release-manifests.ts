/** The versions that the files of a repository declare for what it releases. */
import { lineOfKey, readPackages, type Package } from './packages.ts';
import { asRecord, parseObject } from './packages.ts';
import { isTest } from './paths.ts';
import type { Repository } from './repository.ts';
import { parseVersion } from './versions.ts';

export interface DeclaredVersion {
  readonly file: string;
  readonly line: number;
  readonly version: string;
  /** Where it is a package.json. */
  readonly item: Package | undefined;
  /** A lock file repeats the version of its manifest. */
  readonly isCopy: boolean;
}

const others: readonly { readonly name: RegExp; readonly version: RegExp }[] = [
  { name: /^pyproject\.toml$/, version: /^version\s*=\s*["']([^"']+)["']/m },
  { name: /^Cargo\.toml$/, version: /^version\s*=\s*"([^"]+)"/m },
  { name: /^VERSION(\.txt)?$/, version: /^\s*v?(\S+)\s*$/ },
  { name: /^(gradle\.properties)$/, version: /^version\s*=\s*(\S+)/m },
  { name: /^pom\.xml$/, version: /<artifactId>[^<]*<\/artifactId>\s*<version>([^<]+)<\/version>/ },
  { name: /^[\w-]+\.gemspec$/, version: /\.version\s*=\s*["']([^"']+)["']/ },
  { name: /^composer\.json$/, version: /"version"\s*:\s*"([^"]+)"/ },
];

/** At the top of the repository; the manifest that counts first. Versions that are no versions are left out. */
export function readDeclaredVersions(repository: Repository): DeclaredVersion[] {
  const found: DeclaredVersion[] = [];
  const top = readPackages(repository).find((item) => item.folder === '' && !isTest(item.file));
  const version = top?.json['version'];
  if (top !== undefined && typeof version === 'string')
    found.push({
      file: top.file,
      line: lineOfKey(top.text, 'version', 'version'),
      version,
      item: top,
      isCopy: false,
    });
  for (const { path, text } of repository.texts(
    (file) => !file.path.includes('/'),
    16 * 1024 * 1024,
  )) {
    if (/^(package-lock|npm-shrinkwrap)\.json$/.test(path)) {
      const locked = asRecord(parseObject(text))?.['version'];
      if (typeof locked === 'string')
        found.push({
          file: path,
          line: lineOfKey(text, 'version', 'version'),
          version: locked,
          item: undefined,
          isCopy: true,
        });
      continue;
    }
    const match = others.find(({ name }) => name.test(path))?.version.exec(text);
    if (match?.[1] === undefined) continue;
    const line = text.slice(0, match.index + match[0].indexOf(match[1])).split('\n').length;
    found.push({ file: path, line, version: match[1], item: undefined, isCopy: false });
  }
  return found.filter((item) => parseVersion(item.version) !== undefined);
}
