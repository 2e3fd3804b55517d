/** Under which licence a repository stands, and whether those of its dependencies go with it. */
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import type { Severity, ToolReport } from '../base/base.ts';
import {
  identify,
  isSameLicence,
  kindOf,
  licenceKinds,
  type LicenceKind,
} from './licence-kinds.ts';
import type { LockedPackage } from './locked-package.ts';
import { readLockFiles, type LockFile } from './lockfiles.ts';
import { licenceOf } from './locks-npm.ts';
import { asRecord, folderOf, lineOfKey, parseObject, readPackages } from './packages.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type Repository } from './repository.ts';
import type { ToolContext } from './tools.ts';

const licenceFile = /^(licen[cs]e|copying|unlicense)([.-][\w.-]*)?$/i;

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('licences', context.limit);
  const own = addOwn(repository, report);
  const locks = readLockFiles(repository, (text) => report.note(text));
  const kinds = new Map<LicenceKind | 'undeclared', number>();
  let packages = 0;
  for (const lock of locks) packages += addDependencies(lock, repository, own, kinds, report);
  report.metric('packages', packages);
  for (const kind of licenceKinds) report.metric(kind, kinds.get(kind) ?? 0);
  report.metric('undeclared', kinds.get('undeclared') ?? 0);
  if (locks.length === 0)
    report.note('There is no lock file, so no licences of dependencies were examined.');
  report.notes(repository.notes());
  const known = packages - (kinds.get('undeclared') ?? 0);
  return report.build(
    `Own licence: ${own ?? 'none recognised'}. ${known} of ${count(packages, 'locked package')} with a known licence; ` +
      `${kinds.get('copyleft') ?? 0} copyleft, ${kinds.get('restricted') ?? 0} restricted, ${kinds.get('unknown') ?? 0} unknown.`,
  );
}

/** The licence that the repository's own files say, and findings where they disagree or say nothing. */
function addOwn(repository: Repository, report: ReportBuilder): string | undefined {
  const texts = [
    ...repository.texts((file) => !file.path.includes('/') && licenceFile.test(file.path)),
  ];
  const identified = texts.flatMap(({ text }) => identify(text) ?? []);
  const top = readPackages(repository).find((item) => item.folder === '');
  const said = licenceOf(top?.json['license'] ?? top?.json['licenses']);
  const isPrivate = top?.json['private'] === true;
  const first = texts[0];
  if (first === undefined)
    report.add({
      severity: isPrivate ? 'info' : 'medium',
      rule: 'no-licence-file',
      message: 'There is no LICENSE file at the top: without one, nobody else may use the code.',
      ...(top === undefined
        ? {}
        : { file: top.file, line: lineOfKey(top.text, 'license', 'license') }),
      fix:
        said === undefined
          ? 'Choose a licence and add its text as LICENSE.'
          : `Add the text of ${said} as LICENSE.`,
    });
  else if (identified.length === 0)
    report.add({
      severity: 'low',
      rule: 'unrecognised-licence',
      message: `${first.path} is not the text of a usual licence.`,
      file: first.path,
      line: 1,
      fix: 'If it is one, use its text unchanged; if it is your own, have it read by somebody who knows the law.',
    });
  if (top !== undefined && said !== undefined) {
    const place = { file: top.file, line: lineOfKey(top.text, 'license', 'license') };
    const { isValid } = kindOf(said);
    if (!isValid && !/^(unlicensed|see licen[cs]e in )/i.test(said))
      report.add({
        ...place,
        severity: 'low',
        rule: 'invalid-expression',
        message: `"${said}" is not an SPDX expression.`,
        fix: 'Use an identifier of spdx.org/licenses.',
      });
    else if (
      identified.length > 0 &&
      !identified.some((id) => said.split(/[\s()]+/).some((word) => isSameLicence(word, id)))
    )
      report.add({
        ...place,
        severity: 'medium',
        rule: 'licence-mismatch',
        message: `package.json says ${said}, and ${first?.path} is ${identified.join(' and ')}.`,
        fix: 'Decide which one holds, and make the other agree.',
      });
  }
  return identified[0] ?? (said !== undefined && kindOf(said).isValid ? said : undefined);
}

function addDependencies(
  lock: LockFile,
  repository: Repository,
  own: string | undefined,
  kinds: Map<LicenceKind | 'undeclared', number>,
  report: ReportBuilder,
): number {
  const seen = new Set<string>();
  const ownKind = own === undefined ? 'unknown' : kindOf(own).kind;
  const weak = new Map<string, LockedPackage[]>();
  let undeclared = 0;
  for (const item of lock.packages) {
    const key = `${item.name}@${item.version}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const installed =
      item.licence === undefined ? installedLicence(lock, item, repository.top) : undefined;
    const text = item.licence ?? (typeof installed === 'string' ? installed : undefined);
    if (text === undefined) {
      undeclared += 1;
      kinds.set('undeclared', (kinds.get('undeclared') ?? 0) + 1);
      // Only where the package itself was there to be asked does its silence mean something.
      if (installed === null)
        report.add({
          ...placeOf(lock, item),
          severity: item.isDev === true ? 'low' : 'medium',
          rule: 'no-licence',
          message: `${key} declares no licence.`,
          fix: 'Ask its author, or replace it.',
        });
      continue;
    }
    const { kind, isValid } = kindOf(text);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    if (kind === 'weak-copyleft') weak.set(text, [...(weak.get(text) ?? []), item]);
    else addJudgement(lock, item, text, kind, isValid, ownKind, report);
  }
  for (const [text, items] of weak) addWeak(lock, text, items, report);
  if (undeclared > 0)
    report.note(
      `${lock.path}: the licences of ${count(undeclared, 'package')} are not in the lock file and not installed here; they were not judged.`,
    );
  return seen.size;
}

/** One finding for a licence: a package comes with a dozen more for other machines. */
function addWeak(
  lock: LockFile,
  text: string,
  items: readonly LockedPackage[],
  report: ReportBuilder,
): void {
  const first = items[0];
  if (first === undefined) return;
  const names = items.map((item) => `${item.name}@${item.version}`);
  report.add({
    ...placeOf(lock, first),
    severity: 'info',
    rule: 'weak-copyleft-licence',
    message: `${count(items.length, 'package')} under ${text}: changes to their own files must be published.`,
    evidence: names.join(', '),
    fix: 'Use them unchanged as separate packages, and keep their notices.',
  });
}

function addJudgement(
  lock: LockFile,
  item: LockedPackage,
  text: string,
  kind: LicenceKind,
  isValid: boolean,
  ownKind: LicenceKind,
  report: ReportBuilder,
): void {
  const place = { ...placeOf(lock, item), evidence: text };
  const key = `${item.name}@${item.version}`;
  const whenDev = (severity: Severity): Severity => (item.isDev === true ? 'info' : severity);
  if (kind === 'restricted')
    report.add({
      ...place,
      severity: whenDev('high'),
      rule: 'restricted-licence',
      message: `${key} is under ${text}, which forbids some uses or all that are not bought.`,
      fix: 'Have its terms read before the product ships with it, or replace it.',
    });
  else if (kind === 'copyleft')
    report.add({
      ...place,
      severity: whenDev(ownKind === 'copyleft' ? 'info' : 'high'),
      rule: 'copyleft-licence',
      message: `${key} is under ${text}: what is distributed with it must be under the same licence.`,
      fix: 'Replace it, keep it in a program of its own, or publish under that licence.',
    });
  else if (kind === 'unknown')
    report.add({
      ...place,
      severity: whenDev('medium'),
      rule: 'unknown-licence',
      message: `${key} is under "${text}", which no rule here knows.`,
      fix: 'Read its licence file.',
    });
  else if (!isValid)
    report.add({
      ...place,
      severity: 'info',
      rule: 'invalid-expression',
      message: `${key} writes its licence as "${text}", which is not SPDX.`,
    });
}

function placeOf(lock: LockFile, item: LockedPackage): { file: string; line: number } {
  return { file: lock.path, line: item.line };
}

/** What the installed package says; null where it is installed and says nothing, undefined where it is not. */
function installedLicence(
  lock: LockFile,
  item: LockedPackage,
  top: string,
): string | null | undefined {
  if (lock.ecosystem !== 'npm') return undefined;
  const modules = join(top, folderOf(lock.path), 'node_modules');
  const flat = item.name.replace('/', '+');
  const places = [
    join(modules, item.name),
    join(modules, '.pnpm', `${flat}@${item.version}`, 'node_modules', item.name),
  ];
  for (const place of places) {
    const json = asRecord(parseObject(readInside(join(place, 'package.json'), top) ?? '{}'));
    if (json?.['version'] === item.version && json?.['name'] === item.name)
      return licenceOf(json['license'] ?? json['licenses']) ?? null;
  }
  return undefined;
}

const maxManifestBytes = 256 * 1024;

/** An installed file is not tracked, so it is checked here that it is a plain file inside of the repository. */
function readInside(path: string, top: string): string | undefined {
  let descriptor: number | undefined;
  try {
    if (!realpathSync(dirname(path)).startsWith(top + sep)) return undefined;
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(descriptor);
    if (!stat.isFile() || stat.size > maxManifestBytes) return undefined;
    const bytes = Buffer.alloc(stat.size);
    return bytes.subarray(0, readSync(descriptor, bytes, 0, stat.size, 0)).toString();
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
