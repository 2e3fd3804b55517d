/** Which upgrades belong together, and in which order the groups go. */
import { compareText } from './report.ts';
import { parseVersion, satisfies, stepBetween, type Step } from './versions.ts';

/** One declared package that has a newer version. */
export interface Upgrade {
  readonly name: string;
  readonly from: string;
  /** The newest that the declared range allows. */
  readonly wanted: string;
  readonly latest: string;
  readonly isDev: boolean;
  /** Of the latest version, where it was asked for. */
  readonly peers: ReadonlyMap<string, string>;
}

export interface UpgradeGroup {
  /** The largest step of its members. */
  readonly step: Step;
  readonly members: readonly Upgrade[];
  /** Why they go together; empty for one alone. */
  readonly why: readonly string[];
}

/** Peer ranges of what is locked now: who expects which package in which range. */
export type LockedPeers = readonly {
  readonly by: string;
  readonly on: string;
  readonly range: string;
}[];

export function stepOf({ from, latest }: Upgrade): Step {
  const [a, b] = [parseVersion(from), parseVersion(latest)];
  return a === undefined || b === undefined ? 'major' : stepBetween(a, b);
}

const small = new Set<Step>(['patch', 'pre', 'minor']);

/**
 * Groups in the order to take them: first all small steps together, then each breaking one with what
 * must move beside it, tools before what is shipped, and what others expect before those.
 */
export function planSteps(upgrades: readonly Upgrade[], locked: LockedPeers): UpgradeGroup[] {
  const light = upgrades.filter((item) => small.has(stepOf(item)));
  const heavy = upgrades.filter((item) => !small.has(stepOf(item)));
  const groups = new Groups(heavy);
  for (const item of heavy) {
    for (const other of heavy) if (item.name < other.name) joinLockstep(item, other, groups);
    for (const [on, range] of item.peers) joinPeer(item, on, range, heavy, groups);
  }
  for (const { by, on, range } of locked) {
    const target = heavy.find(({ name }) => name === on);
    const owner = heavy.find(({ name }) => name === by);
    const latest = parseVersion(target?.latest ?? '');
    if (target && owner && latest && satisfies(latest, range) === false)
      groups.join(owner.name, target.name, `${by} as installed takes ${on} ${range} only`);
  }
  const made = groups.all().toSorted(order);
  return light.length === 0 ? made : [{ step: 'minor', members: light, why: [] }, ...made];
}

/** Packages of one project are released together. */
function joinLockstep(a: Upgrade, b: Upgrade, groups: Groups): void {
  const scope = /^@[^/]+\//.exec(a.name)?.[0];
  const same = a.from === b.from && a.latest === b.latest;
  const related =
    (scope !== undefined && b.name.startsWith(scope)) || b.name.startsWith(`${a.name}-`);
  if (same && related) groups.join(a.name, b.name, `${a.name} and ${b.name} are released together`);
  if (`@types/${b.name}` === a.name) groups.join(a.name, b.name, `${a.name} describes ${b.name}`);
}

function joinPeer(
  item: Upgrade,
  on: string,
  range: string,
  heavy: readonly Upgrade[],
  groups: Groups,
): void {
  const target = heavy.find(({ name }) => name === on);
  const from = parseVersion(target?.from ?? '');
  if (target !== undefined && from !== undefined && satisfies(from, range) === false)
    groups.join(item.name, on, `${item.name} ${item.latest} expects ${on} ${range}`);
}

function order(a: UpgradeGroup, b: UpgradeGroup): number {
  const isDev = (group: UpgradeGroup) => group.members.every((item) => item.isDev);
  const expects = (x: UpgradeGroup, y: UpgradeGroup) =>
    x.members.some((item) => y.members.some((other) => item.peers.has(other.name)));
  if (expects(a, b) !== expects(b, a)) return expects(a, b) ? 1 : -1;
  return (
    Number(isDev(b)) - Number(isDev(a)) ||
    a.members.length - b.members.length ||
    compareText(a.members[0]?.name ?? '', b.members[0]?.name ?? '')
  );
}

/** Disjoint sets with the reasons for which they were joined. */
class Groups {
  readonly #items: readonly Upgrade[];
  readonly #parent = new Map<string, string>();
  readonly #why = new Map<string, Set<string>>();

  constructor(items: readonly Upgrade[]) {
    this.#items = items;
    for (const { name } of items) this.#parent.set(name, name);
  }

  join(a: string, b: string, why: string): void {
    const [left, right] = [this.#root(a), this.#root(b)];
    const reasons = new Set([...(this.#why.get(left) ?? []), ...(this.#why.get(right) ?? []), why]);
    this.#parent.set(left, right);
    this.#why.set(right, reasons);
  }

  all(): UpgradeGroup[] {
    const sets = Map.groupBy(this.#items, ({ name }) => this.#root(name));
    return [...sets].map(([root, members]) => ({
      step: 'major',
      members: members.toSorted((a, b) => compareText(a.name, b.name)),
      why: [...(this.#why.get(root) ?? [])].toSorted(),
    }));
  }

  #root(name: string): string {
    let at = name;
    for (let up = this.#parent.get(at); up !== undefined && up !== at; up = this.#parent.get(at))
      at = up;
    return at;
  }
}
