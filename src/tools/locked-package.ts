/** One package as a lock file pins it, and what the readers of every format need to say so. */

/** The type of a package URL (purl). */
export type Ecosystem = 'npm' | 'pypi' | 'golang' | 'cargo' | 'gem' | 'composer';

export interface LockedPackage {
  readonly ecosystem: Ecosystem;
  readonly name: string;
  /** What is pinned; undefined where the file names the package and leaves the version open. */
  readonly version: string | undefined;
  readonly line: number;
  /** Hashes as the file has them: `sha512-…` in base64 or `sha256:…` in hex. */
  readonly hashes: readonly string[];
  /** Where it comes from. `path` is a folder of this repository or beside it. */
  readonly source: 'registry' | 'git' | 'url' | 'path';
  /** The address, where the source is not a registry. */
  readonly address: string | undefined;
  /** Only needed to develop or test; undefined where the file does not say. */
  readonly isDev: boolean | undefined;
  /** As its author declared it, where the file says. */
  readonly licence: string | undefined;
  /** Programs it brings. */
  readonly programs: readonly string[];
  /** Packages that it expects its user to have. */
  readonly peers: readonly string[];
}

/** Reads one format. Throws, with any error, on a file that is not what its name says. */
export type LockReader = (text: string, path: string, sibling: Sibling) => LockedPackage[];
/** The text of a file beside the lock file; undefined where there is none. */
export type Sibling = (name: string) => string | undefined;

/** A locked package with what most formats leave out. */
export function locked(
  ecosystem: Ecosystem,
  name: string,
  version: string | undefined,
  line: number,
  more: Partial<LockedPackage> = {},
): LockedPackage {
  return {
    ecosystem,
    name,
    version,
    line,
    hashes: [],
    source: 'registry',
    address: undefined,
    isDev: undefined,
    licence: undefined,
    programs: [],
    peers: [],
    ...more,
  };
}

/** The first line (from 1) that each key stands on, where `pattern` captures the key. */
export function linesOf(text: string, pattern: RegExp): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  let line = 1;
  for (const content of text.split('\n')) {
    const key = pattern.exec(content)?.[1];
    if (key !== undefined && !lines.has(key)) lines.set(key, line);
    line += 1;
  }
  return lines;
}

/** `git+ssh://…`, `https://…tgz`, `file:../x` as a source; undefined for what a registry serves. */
export function sourceOf(address: string): Pick<LockedPackage, 'source' | 'address'> | undefined {
  if (/^(git[+:@]|git\+|github:|gitlab:|bitbucket:)|\.git(#|$)/.test(address))
    return { source: 'git', address: withoutSecret(address) };
  if (/^(file|link|portal|workspace):/.test(address)) return { source: 'path', address };
  if (/^https?:/.test(address)) return { source: 'url', address: withoutSecret(address) };
  return undefined;
}

/** An address may carry a user name and a token; a report must not. */
function withoutSecret(address: string): string {
  return address.replace(/\/\/[^/@]*@/, '//');
}
