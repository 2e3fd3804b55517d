/** Which declared npm packages have newer versions, and how far behind the lock file is. */
import type { Finding, ToolReport } from '../base/base.ts';
import { readLockFiles } from './lockfiles.ts';
import { askNpm } from './npm.ts';
import {
  asRecord,
  declared,
  lineOfKey,
  readPackages,
  type DependencyField,
  type Package,
} from './packages.ts';
import { isTest } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository } from './repository.ts';
import type { ToolContext } from './tools.ts';

/** Each is one request to the registry. */
const maxPackages = 400;

interface Wanted {
  readonly item: Package;
  readonly field: DependencyField;
  readonly name: string;
  readonly range: string;
}

type Version = readonly [number, number, number];

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('dependency-outdated', context.limit);
  const packages = readPackages(repository).filter((item) => !isTest(item.file));
  const own = new Set(packages.map((item) => item.name));
  const wanted = new Map<string, Wanted>();
  for (const item of packages)
    for (const field of ['dependencies', 'devDependencies'] as const)
      for (const [name, range] of declared(item, field))
        if (!own.has(name) && isAskable(name, range) && !wanted.has(name))
          wanted.set(name, { item, field, name, range });
  const asked = [...wanted.values()].slice(0, maxPackages);
  report.metric('packages', asked.length);
  if (wanted.size > maxPackages)
    report.note(`${wanted.size} packages are declared; the first ${maxPackages} were asked about.`);
  report.notes(repository.notes());
  if (asked.length === 0)
    return report.build('Nothing to examine: no package.json that asks a registry for packages.');
  const current = new Map<string, string>();
  for (const lock of readLockFiles(repository, (text) => report.note(text)))
    if (lock.ecosystem === 'npm' && !isTest(lock.path))
      for (const { name, version } of lock.packages)
        if (version !== undefined && wanted.has(name) && isNewer(version, current.get(name)))
          current.set(name, version);
  if (current.size === 0)
    report.note(
      'No lock file says which versions are used; the lowest that each range allows was compared.',
    );
  context.progress(`asking about ${count(asked.length, 'package')}`);
  const dependencies = Object.fromEntries(asked.map(({ name, range }) => [name, range]));
  const about = { name: 'outdated', version: '0.0.0', private: true };
  const answer = await askNpm(['outdated'], { 'package.json': { ...about, dependencies } });
  let behind = 0;
  let unanswered = 0;
  for (const item of asked) {
    const latest = asRecord(answer[item.name])?.['latest'];
    const from = current.get(item.name) ?? /\d+(\.\d+)*(-[\w.]+)?/.exec(item.range)?.[0];
    if (typeof latest !== 'string') unanswered += 1;
    else if (from !== undefined) {
      const finding = judge(item, from, latest);
      if (finding === undefined) continue;
      behind += 1;
      report.add(finding);
    }
  }
  report.metric('behind', behind);
  if (unanswered > 0) report.note(`The registry does not know ${count(unanswered, 'package')}.`);
  return report.build(
    behind === 0
      ? `All ${count(asked.length, 'declared package')} are at their latest version.`
      : `${behind} of ${count(asked.length, 'declared package')} behind the latest version.`,
  );
}

/** A plain name and a plain range: addresses, files and aliases are for nobody to follow from here. */
function isAskable(name: string, range: string): boolean {
  return (
    /^(@[\w.~-]+\/)?[\w.~-]+$/.test(name) &&
    /^[\s\w.^~<>=|*+-]*$/.test(range) &&
    /^\D{0,3}\d|^[*x]?$|latest/.test(range)
  );
}

function parseVersion(text: string): Version | undefined {
  const match = /^(\d+)(?:\.(\d+))?(?:\.(\d+))?/.exec(text);
  return match === null
    ? undefined
    : [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)];
}

function compare(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

function isNewer(text: string, than: string | undefined): boolean {
  const [a, b] = [parseVersion(text), parseVersion(than ?? '0.0.0')];
  return a !== undefined && b !== undefined && compare(a, b) >= 0;
}

/** How far a version is behind; undefined where it is not. A 0.x breaks with its second number. */
export function judge(item: Wanted, from: string, latest: string): Finding | undefined {
  const [a, b] = [parseVersion(from), parseVersion(latest)];
  if (a === undefined || b === undefined || compare(a, b) >= 0) return undefined;
  const majors = b[0] - a[0];
  const breaking = majors > 0 || (a[0] === 0 && b[1] > a[1]);
  return {
    severity: majors >= 3 ? 'medium' : breaking ? 'low' : 'info',
    rule: breaking ? 'major-behind' : b[1] > a[1] ? 'minor-behind' : 'patch-behind',
    message: `${item.name} is at ${from}; the latest is ${latest}${majors > 1 ? `, ${majors} major versions on` : ''}.`,
    file: item.item.file,
    line: lineOfKey(item.item.text, item.field, item.name),
    evidence: `${item.field}: ${item.range}`,
    fix: breaking
      ? 'Read its notes on breaking changes, then update it on its own.'
      : `npm update ${item.name}`,
  };
}
