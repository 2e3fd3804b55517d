/** Which versions are rehearsed together, in which order, and how two catalogues differ. */
import { posix } from 'node:path';
import type { InstalledExtension } from '../deployment-types.ts';
import type { ExtensionEntry } from '../types.ts';

/** Versions that one or more databases have together. */
export interface InstalledSet {
  readonly versions: readonly ExtensionEntry[];
  readonly databases: readonly string[];
}

/** How many objects of a difference are named. */
const mostNamed = 5;

/** The sets of versions of the release's extensions that databases have, each set once. */
export function distinctInstalls(
  extensions: readonly ExtensionEntry[],
  installed: readonly InstalledExtension[],
): InstalledSet[] {
  const names = new Set(extensions.map(({ name }) => name));
  const byDatabase = new Map<string, ExtensionEntry[]>();
  for (const { database, name, version } of installed) {
    if (!names.has(name)) continue;
    byDatabase.set(database, [...(byDatabase.get(database) ?? []), { name, version }]);
  }
  const sets = new Map<string, { versions: ExtensionEntry[]; databases: string[] }>();
  for (const [database, found] of byDatabase) {
    const versions = found.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const key = JSON.stringify(versions.map(({ name, version }) => [name, version]));
    const set = sets.get(key);
    if (set === undefined) sets.set(key, { versions, databases: [database] });
    else set.databases.push(database);
  }
  return [...sets.values()];
}

/** What is required comes first; `known` says what each version requires. Circles stay as they are. */
export function inOrderOfNeed(
  entries: readonly ExtensionEntry[],
  known: readonly (ExtensionEntry & { readonly requires: readonly string[] })[],
): ExtensionEntry[] {
  const ordered = new Set<ExtensionEntry>();
  const under = new Set<ExtensionEntry>();
  const visit = (entry: ExtensionEntry): void => {
    if (ordered.has(entry) || under.has(entry)) return;
    under.add(entry);
    const row = known.find(({ name, version }) => name === entry.name && version === entry.version);
    for (const required of row?.requires ?? []) {
      const found = entries.find(({ name }) => name === required);
      if (found !== undefined) visit(found);
    }
    ordered.add(entry);
  };
  for (const entry of entries) visit(entry);
  return [...ordered];
}

/** The smoke SQL that can be run where `present` are: of one extension, or, named otherwise, of all. */
export function smokeFor(
  smoke: ReadonlyMap<string, string>,
  extensions: readonly ExtensionEntry[],
  present: readonly string[],
): [string, string][] {
  const hasAll = extensions.every(({ name }) => present.includes(name));
  return [...smoke].filter(([path]) => {
    const name = posix.basename(path, '.sql');
    return extensions.some((each) => each.name === name) ? present.includes(name) : hasAll;
  });
}

/** In words what `found` has more, less or otherwise than `expected`; undefined when nothing. */
export function describeDifference(
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): string | undefined {
  const words: string[] = [];
  for (const [object, definition] of expected) {
    if (!found.has(object)) words.push(`it lacks ${object}`);
    else if (found.get(object) !== definition) words.push(`${object} is defined otherwise`);
  }
  for (const object of found.keys()) {
    if (!expected.has(object)) words.push(`it has ${object} as well`);
  }
  if (words.length === 0) return undefined;
  const more = words.length - mostNamed;
  return `${words.slice(0, mostNamed).join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}
