/** Which npm packages to raise, how far, what keeps them where they are, what breaks, together with what, in which order. */
import type { ToolReport } from '../base/base.ts';
import { asRecord, declared, parseObject, readPackages } from './packages.ts';
import { askNpm } from './npm.ts';
import { isTest } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type Repository } from './repository.ts';
import { readOptions } from './tool-input.ts';
import type { ToolContext } from './tools.ts';
import {
  describeStep,
  judgeUpgrade,
  type Declared,
  type Details,
  type Locks,
} from './upgrade-findings.ts';
import { planSteps, stepOf, type Upgrade } from './upgrade-steps.ts';
import { compareVersions, parseVersion } from './versions.ts';

/** Each is one request to the registry. */
const maxPackages = 300;
/** Each is one more, for what breaks. */
const maxDetails = 40;
const atATime = 3;

export async function run(context: ToolContext): Promise<ToolReport> {
  readOptions(context.input, {});
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('upgrade-plan', context.limit);
  const wanted = readDeclared(repository, report);
  report.notes(repository.notes());
  if (wanted.size === 0)
    return report.build('Nothing to examine: no package.json that asks a registry for packages.');
  const locks = readLocks(repository);
  if (locks.versions.size === 0)
    report.note(
      'No package-lock.json says which versions are used; the lowest that each range allows was compared.',
    );
  context.progress(`asking about ${count(wanted.size, 'package')}`);
  const behind = await findBehind(wanted, locks.versions);
  const breaking = behind.filter((item) => stepOf(item) === 'major').slice(0, maxDetails);
  context.progress(`asking what ${count(breaking.length, 'breaking upgrade')} need`);
  const details = await askDetails(breaking, report);
  const upgrades = behind.map((item) => ({
    ...item,
    peers: details.get(item.name)?.peers ?? item.peers,
  }));
  const groups = planSteps(upgrades, locks.peers);
  for (const item of upgrades)
    for (const finding of judgeUpgrade(item, wanted, upgrades, details, locks, repository))
      report.add(finding);
  for (const [index, group] of groups.entries())
    report.add(describeStep(group, index, groups.length, wanted));
  const steps = { patch: 0, minor: 0, major: 0, pre: 0 };
  for (const item of upgrades) steps[stepOf(item)] += 1;
  report.metric('packages', wanted.size);
  report.metric('behind', upgrades.length);
  for (const [name, amount] of Object.entries(steps)) report.metric(name, amount);
  report.metric('steps', groups.length);
  return report.build(
    upgrades.length === 0
      ? `All ${count(wanted.size, 'declared package')} are at their latest version.`
      : `${upgrades.length} of ${count(wanted.size, 'declared package')} to raise in ${count(groups.length, 'step')}: ${steps.patch + steps.pre} patch, ${steps.minor} minor, ${steps.major} major.`,
  );
}

function readDeclared(repository: Repository, report: ReportBuilder): Map<string, Declared> {
  const packages = readPackages(repository).filter((item) => !isTest(item.file));
  const own = new Set(packages.map((item) => item.name));
  const found = new Map<string, Declared>();
  for (const item of packages)
    for (const field of ['dependencies', 'devDependencies', 'optionalDependencies'] as const)
      for (const [name, range] of declared(item, field))
        if (
          !own.has(name) &&
          !found.has(name) &&
          /^(@[\w.~-]+\/)?[\w.~-]+$/.test(name) &&
          /^[\s\w.^~<>=|*+-]*$/.test(range) &&
          /\d/.test(range)
        )
          found.set(name, { item, field, range });
  if (found.size > maxPackages)
    report.note(`${found.size} packages are declared; the first ${maxPackages} were asked about.`);
  return new Map([...found].slice(0, maxPackages));
}

function isLock(file: { readonly path: string }): boolean {
  return /(^|\/)(package-lock|npm-shrinkwrap)\.json$/.test(file.path) && !isTest(file.path);
}

/** What is installed at the top of each package-lock.json, and what each of it expects of others. */
function readLocks(repository: Repository): Locks {
  const versions = new Map<string, string>();
  const peers: { by: string; on: string; range: string }[] = [];
  for (const { text } of repository.texts(isLock, 16 * 1024 * 1024))
    for (const [path, value] of Object.entries(
      asRecord(asRecord(parseObject(text))?.['packages']) ?? {},
    )) {
      const fields = asRecord(value) ?? {};
      const name = /^node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path)?.[1];
      if (name === undefined) continue;
      if (typeof fields['version'] === 'string' && !versions.has(name))
        versions.set(name, fields['version']);
      const optional = asRecord(fields['peerDependenciesMeta']) ?? {};
      for (const [on, range] of Object.entries(asRecord(fields['peerDependencies']) ?? {}))
        if (typeof range === 'string' && asRecord(optional[on])?.['optional'] !== true)
          peers.push({ by: name, on, range });
    }
  return { versions, peers };
}

async function findBehind(
  wanted: ReadonlyMap<string, Declared>,
  versions: ReadonlyMap<string, string>,
): Promise<Upgrade[]> {
  const dependencies = Object.fromEntries([...wanted].map(([name, { range }]) => [name, range]));
  const about = { name: 'upgrade', version: '0.0.0', private: true };
  const answer = await askNpm(['outdated'], { 'package.json': { ...about, dependencies } });
  return [...wanted].flatMap(([name, { field, range }]) => {
    const { latest, wanted: allowed } = asRecord(answer[name]) ?? {};
    const from = versions.get(name) ?? /\d+(\.\d+)*(-[\w.]+)?/.exec(range)?.[0];
    const [a, b] = [parseVersion(from ?? ''), parseVersion(String(latest))];
    if (from === undefined || a === undefined || b === undefined || compareVersions(a, b) >= 0)
      return [];
    const isDev = field === 'devDependencies';
    const within = typeof allowed === 'string' ? allowed : from;
    return [
      {
        name,
        from,
        wanted: within,
        latest: String(latest),
        isDev,
        peers: new Map<string, string>(),
      },
    ];
  });
}

/** What the latest versions expect of others and of Node; a package of which it is not known is left out. */
async function askDetails(
  upgrades: readonly Upgrade[],
  report: ReportBuilder,
): Promise<Map<string, Details>> {
  const found = new Map<string, Details>();
  const left: string[] = [];
  const queue = upgrades.map((item) => item);
  const work = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      try {
        const fields = [
          'name',
          'version',
          'engines',
          'peerDependencies',
          'peerDependenciesMeta',
          'deprecated',
        ];
        found.set(
          item.name,
          toDetails(await askNpm(['view', `${item.name}@${item.latest}`, ...fields], {})),
        );
      } catch {
        left.push(item.name);
      }
    }
  };
  await Promise.all(Array.from({ length: atATime }, work));
  if (left.length > 0)
    report.note(
      `What ${count(left.length, 'package')} would need could not be asked: ${left.slice(0, 5).join(', ')}.`,
    );
  return found;
}

function toDetails(fields: Readonly<Record<string, unknown>>): Details {
  const optional = asRecord(fields['peerDependenciesMeta']) ?? {};
  const peers = Object.entries(asRecord(fields['peerDependencies']) ?? {}).filter(
    (entry): entry is [string, string] =>
      typeof entry[1] === 'string' && asRecord(optional[entry[0]])?.['optional'] !== true,
  );
  const node = asRecord(fields['engines'])?.['node'];
  const { deprecated } = fields;
  return {
    peers: new Map(peers),
    node: typeof node === 'string' ? node : undefined,
    deprecated: typeof deprecated === 'string' && deprecated !== '' ? deprecated : undefined,
  };
}
