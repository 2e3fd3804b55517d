/** Whether the version says what is released: raised since the last tag, by enough, and the same everywhere. */
import type { DeclaredVersion } from './release-manifests.ts';
import type { ReportBuilder } from './report.ts';
import { compareVersions, parseVersion, stepBetween } from './versions.ts';

/** What has changed since the release before. */
export interface Changes {
  readonly tag: string | undefined;
  /** Commits since the tag, or all. */
  readonly subjects: readonly string[];
  readonly files: readonly string[];
  readonly breaking: readonly string[];
  readonly features: number;
}

export interface Tag {
  readonly name: string;
  readonly isLightweight: boolean;
  readonly isHead: boolean;
}

/** Adds what is wrong with the versions, and returns the one that counts. */
export function judgeVersion(
  versions: readonly DeclaredVersion[],
  changes: Changes,
  tags: readonly Tag[],
  report: ReportBuilder,
): DeclaredVersion | undefined {
  const [main] = versions;
  if (main === undefined) {
    report.note('No manifest at the top declares a version; only tags were looked at.');
    return undefined;
  }
  for (const other of versions.slice(1))
    if (other.version !== main.version)
      report.add({
        severity: 'high',
        rule: 'versions-disagree',
        message: `${other.file} says ${other.version}, and ${main.file} says ${main.version}.`,
        file: other.file,
        line: other.line,
        fix: other.isCopy ? 'Run npm install --package-lock-only.' : 'Make them one version.',
      });
  judgeStep(main, changes, report);
  judgeTag(main, changes, tags, report);
  return main;
}

function judgeStep(
  main: DeclaredVersion,
  { tag, subjects, breaking, features }: Changes,
  report: ReportBuilder,
): void {
  const place = { file: main.file, line: main.line };
  const before = tag === undefined ? undefined : parseVersion(tag);
  const now = parseVersion(main.version);
  if (before === undefined || now === undefined || subjects.length === 0) return;
  const order = compareVersions(now, before);
  if (order === 0) {
    report.add({
      ...place,
      severity: 'high',
      rule: 'version-not-raised',
      message: `The version is still ${main.version}, as in the tag ${tag}, with ${subjects.length} commits since.`,
      fix: 'Raise it by what changed: a fix the last number, a feature the second, a break the first.',
    });
    return;
  }
  if (order < 0) {
    report.add({
      ...place,
      severity: 'high',
      rule: 'version-lowered',
      message: `The version ${main.version} is below the tag ${tag}.`,
    });
    return;
  }
  const step = stepBetween(before, now);
  if (breaking.length > 0 && step !== 'major')
    report.add({
      ...place,
      severity: 'high',
      rule: 'breaking-in-small-step',
      message: `${tag} to ${main.version} is a ${step} step, and ${breaking.length} commits say that they break something.`,
      evidence: breaking.slice(0, 3).join('; '),
      fix: 'Raise the first number (of a 0.x the second), or keep the old behaviour.',
    });
  else if (features > 0 && step === 'patch')
    report.add({
      ...place,
      severity: 'medium',
      rule: 'feature-in-patch',
      message: `${tag} to ${main.version} is a patch, and ${features} commits bring features.`,
      fix: 'Raise the second number.',
    });
}

function judgeTag(
  main: DeclaredVersion,
  { tag }: Changes,
  tags: readonly Tag[],
  report: ReportBuilder,
): void {
  const place = { file: main.file, line: main.line };
  const own = tags.find(({ name }) => name.replace(/^v/, '') === main.version);
  if (own !== undefined && !own.isHead && own.name !== tag)
    report.add({
      ...place,
      severity: 'high',
      rule: 'tag-exists',
      message: `The tag ${own.name} stands at another commit already: this version was released before.`,
      fix: 'Raise the version; a released one is never made again from other sources.',
    });
  for (const { name } of tags.filter(
    (item) => item.isHead && parseVersion(item.name) !== undefined,
  ))
    if (name.replace(/^v/, '') !== main.version)
      report.add({
        ...place,
        severity: 'high',
        rule: 'tag-disagrees',
        message: `HEAD is tagged ${name}, and ${main.file} says ${main.version}.`,
        fix: 'Tag the commit that sets the version.',
      });
  if (tags.find(({ name }) => name === tag)?.isLightweight === true)
    report.add({
      severity: 'low',
      rule: 'lightweight-tag',
      message: `The tag ${tag} is lightweight: it says neither who made it nor when.`,
      fix: 'git tag -a (or -s, signed) for releases.',
    });
}
