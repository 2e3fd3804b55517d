/** Which scripts PostgreSQL would run, found from file names alone, after extension.c. */

/** An edge of the graph of versions: `vector--0.7.0--0.8.0.sql`. */
interface Versions {
  /** Versions that a script of their own installs. */
  readonly installable: ReadonlySet<string>;
  readonly updates: ReadonlyMap<string, ReadonlySet<string>>;
}

/** All versions that the scripts of an extension know, sorted by their bytes. */
export function versionsOf(name: string, fileNames: readonly string[]): readonly string[] {
  const { installable, updates } = readVersions(name, fileNames);
  const targets = [...updates.values()].flatMap((to) => [...to]);
  return [...new Set([...installable, ...updates.keys(), ...targets])].toSorted(byBytes);
}

/**
 * The versions that an update passes, `from` first and `to` last, with the fewest steps; of ways of the same
 * length it takes PostgreSQL's own. Undefined when there is none.
 */
export function updatePath(
  name: string,
  fileNames: readonly string[],
  from: string,
  to: string,
): readonly string[] | undefined {
  return shortestPath(readVersions(name, fileNames), from, to, false);
}

/**
 * The versions that CREATE EXTENSION passes, the one with a script of its own first and `to` last: `to`
 * alone where it has one. Undefined when the scripts can not install it.
 */
export function installPath(
  name: string,
  fileNames: readonly string[],
  to: string,
): readonly string[] | undefined {
  const versions = readVersions(name, fileNames);
  if (versions.installable.has(to)) return [to];
  let best: readonly string[] | undefined;
  // Sorted, so that of ways of the same length the one from the greatest name is taken, as there.
  for (const start of [...versions.installable].toSorted(byBytes)) {
    const path = shortestPath(versions, start, to, true);
    if (path !== undefined && (best === undefined || path.length <= best.length)) best = path;
  }
  return best;
}

/** The way back of an update: undefined when it is one-way. */
export function downPath(
  name: string,
  fileNames: readonly string[],
  from: string,
  to: string,
): readonly string[] | undefined {
  return updatePath(name, fileNames, to, from);
}

/** The files that are run for a path: the first version's own where `installs`, then each update. */
export function scriptsOf(
  name: string,
  path: readonly string[],
  installs: boolean,
): readonly string[] {
  const updates = path.slice(1).map((to, index) => `${name}--${path[index]}--${to}.sql`);
  return installs && path[0] !== undefined ? [`${name}--${path[0]}.sql`, ...updates] : updates;
}

function readVersions(name: string, fileNames: readonly string[]): Versions {
  const installable = new Set<string>();
  const updates = new Map<string, Set<string>>();
  for (const fileName of fileNames) {
    if (!fileName.startsWith(`${name}--`) || !fileName.endsWith('.sql')) continue;
    const [from, to, ...more] = fileName.slice(name.length + 2, -4).split('--');
    // A third part makes it no script of PostgreSQL.
    if (from === undefined || more.length > 0) continue;
    if (to === undefined) installable.add(from);
    else updates.set(from, (updates.get(from) ?? new Set()).add(to));
  }
  return { installable, updates };
}

/**
 * Breadth first. Of two predecessors at the same distance the one with the smaller name is taken. With
 * `fromScripts` no version on the way may have a script of its own: installing would begin there.
 */
function shortestPath(
  { installable, updates }: Versions,
  from: string,
  to: string,
  fromScripts: boolean,
): readonly string[] | undefined {
  const before = new Map<string, string | undefined>([[from, undefined]]);
  for (let level = [from]; level.length > 0 && !before.has(to);) {
    const next: string[] = [];
    for (const version of level.toSorted(byBytes)) {
      for (const target of updates.get(version) ?? []) {
        if (before.has(target) || (fromScripts && installable.has(target))) continue;
        before.set(target, version);
        next.push(target);
      }
    }
    level = next;
  }
  if (!before.has(to)) return undefined;
  const path: string[] = [];
  for (let at: string | undefined = to; at !== undefined; at = before.get(at)) path.unshift(at);
  return path;
}

/** As strcmp does. */
function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}
