/** Known vulnerabilities of what the npm, pnpm, Yarn and Bun lock files pin, asked of the registry. */
import type { Finding, Severity, ToolReport } from '../base/base.ts';
import type { LockedPackage } from './locked-package.ts';
import { readLockFiles, type LockFile } from './lockfiles.ts';
import { askNpm } from './npm.ts';
import { asRecord } from './packages.ts';
import { isTest } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository } from './repository.ts';
import type { ToolContext } from './tools.ts';

interface Pinned {
  readonly lock: LockFile;
  readonly item: LockedPackage;
}

export interface Advisory {
  readonly id: string;
  readonly title: string;
  readonly url: string;
  readonly severity: Severity;
  readonly range: string;
}

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('dependency-audit', context.limit);
  const locks = readLockFiles(repository, (text) => report.note(text)).filter(
    (lock) => !isTest(lock.path),
  );
  const others = new Set(locks.filter((lock) => lock.ecosystem !== 'npm').map((lock) => lock.kind));
  if (others.size > 0)
    report.note(`Only packages of npm were asked about; not those of ${[...others].join(', ')}.`);
  const pinned = distinct(locks.filter((lock) => lock.ecosystem === 'npm'));
  report.metric('packages', pinned.length);
  report.notes(repository.notes());
  if (pinned.length === 0)
    return report.build(
      'Nothing to examine: no lock file of npm, pnpm, Yarn or Bun with packages in it.',
    );
  context.progress(`asking about ${count(pinned.length, 'package')}`);
  const answer = await askNpm(
    ['audit', '--package-lock-only'],
    project(pinned.map(({ item }) => item)),
  );
  const affected = readAdvisories(answer);
  const ids = new Set<string>();
  for (const [index, advisories] of affected) {
    const found = pinned[index];
    if (found === undefined) continue;
    for (const advisory of advisories) {
      ids.add(advisory.id);
      report.add(toFinding(found, advisory));
    }
  }
  report.metric('affectedPackages', affected.size);
  report.metric('advisories', ids.size);
  report.note('Whether the affected code is reached was not examined.');
  return report.build(
    affected.size === 0
      ? `No known vulnerability in ${count(pinned.length, 'package')}.`
      : `${count(affected.size, 'package')} of ${pinned.length} with ${count(ids.size, 'known vulnerability', 'known vulnerabilities')}.`,
  );
}

/** Each name and version once, from the first lock file that has it. */
function distinct(locks: readonly LockFile[]): Pinned[] {
  const found = new Map<string, Pinned>();
  for (const lock of locks)
    for (const item of lock.packages) {
      if (item.source !== 'registry' || !/^\d+\.\d+\.\d+[\w.+-]*$/.test(item.version ?? ''))
        continue;
      if (!/^(@[\w.~-]+\/)?[\w.~-]+$/.test(item.name)) continue;
      const key = `${item.name}@${item.version}`;
      // Needed by the product in one lock file outweighs needed to develop in another.
      if (!found.has(key) || (found.get(key)?.item.isDev === true && item.isDev !== true))
        found.set(key, { lock, item });
    }
  return [...found.values()];
}

/**
 * A project of ours that depends on exactly these packages, each under a name with its position. So
 * npm sees names and versions and nothing else of the repository, whatever wrote the lock file.
 */
export function project(
  packages: readonly Pick<LockedPackage, 'name' | 'version'>[],
): Readonly<Record<string, object>> {
  const about = { name: 'audit', version: '0.0.0' };
  const dependencies: Record<string, string> = {};
  const nodes: Record<string, object> = {};
  for (const [index, { name, version }] of packages.entries()) {
    dependencies[`p${index}`] = `npm:${name}@${version}`;
    nodes[`node_modules/p${index}`] = { name, version };
  }
  return {
    'package.json': { ...about, private: true, dependencies },
    'package-lock.json': {
      ...about,
      lockfileVersion: 3,
      requires: true,
      packages: { '': { ...about, dependencies }, ...nodes },
    },
  };
}

/** Advisories by the position of the package that they concern. */
export function readAdvisories(answer: Readonly<Record<string, unknown>>): Map<number, Advisory[]> {
  const found = new Map<number, Advisory[]>();
  for (const value of Object.values(asRecord(answer['vulnerabilities']) ?? {})) {
    const entry = asRecord(value) ?? {};
    const via: readonly unknown[] = Array.isArray(entry['via']) ? entry['via'] : [];
    const nodes: readonly unknown[] = Array.isArray(entry['nodes']) ? entry['nodes'] : [];
    // A string among the reasons names another package, which has an entry of its own.
    const advisories = via.map(toAdvisory).filter((item) => item !== undefined);
    for (const node of nodes) {
      const index = /^node_modules\/p(\d+)$/.exec(String(node))?.[1];
      if (index !== undefined && advisories.length > 0) found.set(Number(index), advisories);
    }
  }
  return found;
}

function toAdvisory(value: unknown): Advisory | undefined {
  const fields = asRecord(value);
  if (fields === undefined) return undefined;
  const url = String(fields['url'] ?? '');
  const levels: Readonly<Record<string, Severity>> = {
    critical: 'critical',
    high: 'high',
    moderate: 'medium',
    low: 'low',
  };
  return {
    id: /(GHSA|CVE)-[\w-]+/.exec(url)?.[0] ?? `npm-${String(fields['source'] ?? 'advisory')}`,
    title: String(fields['title'] ?? 'known vulnerability'),
    url,
    severity: levels[String(fields['severity'])] ?? 'info',
    range: String(fields['range'] ?? ''),
  };
}

const oneLess: Readonly<Record<Severity, Severity>> = {
  critical: 'high',
  high: 'medium',
  medium: 'low',
  low: 'low',
  info: 'info',
};

function toFinding({ lock, item }: Pinned, advisory: Advisory): Finding {
  return {
    severity: item.isDev === true ? oneLess[advisory.severity] : advisory.severity,
    rule: advisory.id,
    message: `${item.name}@${item.version}${item.isDev === true ? ' (development only)' : ''}: ${advisory.title}`,
    file: lock.path,
    line: item.line,
    evidence: `affected: ${advisory.range}${advisory.url === '' ? '' : `, ${advisory.url}`}`,
    fix: `Take a version outside of ${advisory.range}; where another package pins it, update that or override it.`,
  };
}
