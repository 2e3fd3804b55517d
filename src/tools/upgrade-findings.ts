/** What a plan of upgrades says of each package and of each step. */
import type { Finding } from '../base/base.ts';
import { asRecord, folderOf, lineOfKey, type DependencyField, type Package } from './packages.ts';
import type { Repository } from './repository.ts';
import { stepOf, type LockedPeers, type Upgrade, type UpgradeGroup } from './upgrade-steps.ts';
import { lowestOf, parseVersion, satisfies } from './versions.ts';

export interface Declared {
  readonly item: Package;
  readonly field: DependencyField;
  readonly range: string;
}

export interface Details {
  readonly peers: ReadonlyMap<string, string>;
  readonly node: string | undefined;
  readonly deprecated: string | undefined;
}

export interface Locks {
  readonly versions: ReadonlyMap<string, string>;
  readonly peers: LockedPeers;
}

/** What is to say of one upgrade: how far, what holds it back, and what breaks. */
export function judgeUpgrade(
  upgrade: Upgrade,
  wanted: ReadonlyMap<string, Declared>,
  all: readonly Upgrade[],
  details: ReadonlyMap<string, Details>,
  locks: Locks,
  repository: Repository,
): Finding[] {
  const declaredAs = wanted.get(upgrade.name);
  if (declaredAs === undefined) return [];
  const { item, field, range } = declaredAs;
  const place = { file: item.file, line: lineOfKey(item.text, field, upgrade.name) };
  const step = stepOf(upgrade);
  const latest = parseVersion(upgrade.latest);
  const isAllowed = latest !== undefined && satisfies(latest, range) === true;
  const pins = pinsOf(upgrade, item, locks);
  const found: Finding[] = [
    {
      ...place,
      severity: step === 'major' ? 'low' : 'info',
      rule: `upgrade-${step === 'pre' ? 'patch' : step}`,
      message: `${upgrade.name} ${upgrade.from} → ${upgrade.latest}${upgrade.isDev ? ' (development)' : ''}: ${isAllowed ? 'its range allows it' : `its range ${range} keeps it at ${upgrade.wanted}`}.`,
      evidence: `${field}: ${range}`,
      fix: isAllowed
        ? `npm update ${upgrade.name}`
        : `npm install ${upgrade.isDev ? '-D ' : ''}${upgrade.name}@^${upgrade.latest}`,
    },
  ];
  for (const pin of pins)
    found.push({
      ...place,
      severity: 'medium',
      rule: 'held-back',
      message: `${upgrade.name} ${upgrade.latest} is held back: ${pin}.`,
      fix: 'Raise what holds it in the same step, or before.',
    });
  const known = details.get(upgrade.name);
  if (known !== undefined)
    found.push(
      ...breaks(upgrade, known, all, locks, nodeOf(item, repository)).map((one) => ({
        ...place,
        ...one,
      })),
    );
  return found;
}

/** Who else keeps a package below its latest version. */
function pinsOf({ name, latest }: Upgrade, item: Package, { peers }: Locks): string[] {
  const version = parseVersion(latest);
  const overrides = asRecord(item.json['overrides']) ?? asRecord(item.json['resolutions']) ?? {};
  const own =
    typeof overrides[name] === 'string' ? [`an override sets it to ${overrides[name]}`] : [];
  if (version === undefined) return own;
  return [
    ...own,
    ...peers
      .filter(({ on, range }) => on === name && satisfies(version, range) === false)
      .map(({ by, range }) => `${by} expects ${name} ${range}`),
  ];
}

type Break = Pick<Finding, 'severity' | 'rule' | 'message' | 'fix'>;

function breaks(
  upgrade: Upgrade,
  known: Details,
  all: readonly Upgrade[],
  locks: Locks,
  node: string | undefined,
): Break[] {
  const found: Break[] = [];
  for (const [on, range] of known.peers) {
    const current = locks.versions.get(on);
    const version = parseVersion(current ?? '');
    if (version === undefined || satisfies(version, range) !== false) continue;
    const newer = parseVersion(all.find(({ name }) => name === on)?.latest ?? '');
    const helps = newer !== undefined && satisfies(newer, range) === true;
    found.push({
      severity: helps ? 'low' : 'medium',
      rule: 'peer-conflict',
      message: `${upgrade.name} ${upgrade.latest} expects ${on} ${range}, and ${current} is installed.`,
      fix: helps
        ? `Raise ${on} in the same step.`
        : `No version of ${on} here fits; wait, or take an older ${upgrade.name}.`,
    });
  }
  const lowest = node === undefined ? undefined : lowestOf(node);
  if (known.node !== undefined && lowest !== undefined && satisfies(lowest, known.node) === false)
    found.push({
      severity: 'medium',
      rule: 'engine-conflict',
      message: `${upgrade.name} ${upgrade.latest} needs Node ${known.node}, and this promises to run on ${node}.`,
      fix: 'Raise the promise first (a break for who uses this), or stay.',
    });
  if (known.deprecated !== undefined)
    found.push({
      severity: 'medium',
      rule: 'deprecated',
      message: `${upgrade.name} ${upgrade.latest} is deprecated: ${known.deprecated}`,
      fix: 'Replace it rather than raise it.',
    });
  return found;
}

/** The Node versions that a package promises to run on: its own word, else that of the repository. */
function nodeOf(item: Package, repository: Repository): string | undefined {
  const own = asRecord(item.json['engines'])?.['node'];
  if (typeof own === 'string') return own;
  for (const { text } of repository.texts(
    (file) => folderOf(file.path) === '' && /^\.(nvmrc|node-version)$/.test(file.path),
  ))
    return text.trim().replace(/^v/, '');
  return undefined;
}

/** One step of the plan. */
export function describeStep(
  group: UpgradeGroup,
  index: number,
  total: number,
  wanted: ReadonlyMap<string, Declared>,
): Finding {
  const names = group.members.map(({ name }) => name);
  const first = wanted.get(names[0] ?? '');
  const specs = group.members.map(({ name, latest }) => `${name}@^${latest}`);
  const what =
    group.step === 'major'
      ? names.length > 1
        ? 'together, since a part alone would not install or not fit'
        : 'on its own'
      : 'together, with the tests once';
  return {
    severity: 'info',
    rule: 'upgrade-step',
    message: `Step ${index + 1} of ${total}: ${names.join(', ')}, ${what}.`,
    ...(first === undefined
      ? {}
      : { file: first.item.file, line: lineOfKey(first.item.text, first.field, names[0] ?? '') }),
    ...(group.why.length === 0 ? {} : { evidence: group.why.join('; ') }),
    fix: `npm install --ignore-scripts ${specs.join(' ')}`,
  };
}
