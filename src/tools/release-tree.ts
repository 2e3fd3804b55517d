/** Whether what lies in the folder is what is committed, and what is committed is what others have. */
import { count, shorten, type ReportBuilder } from './report.ts';
import type { Repository } from './repository.ts';

const maxNamed = 5;

function named(paths: readonly string[]): string {
  return shorten(paths.slice(0, maxNamed).join(', '), 200);
}

/** What is in the folder and not in the commit would be in no release, or in the wrong one. */
export async function judgeTree(repository: Repository, report: ReportBuilder): Promise<void> {
  const text = await repository.git.text([
    'status',
    '--porcelain=v1',
    '-z',
    '--untracked-files=normal',
    '--no-renames',
  ]);
  const entries = text.split('\0').filter((entry) => entry !== '');
  const paths = (pattern: RegExp) =>
    entries.filter((entry) => pattern.test(entry.slice(0, 2))).map((entry) => entry.slice(3));
  const conflicts = paths(/^(U.|.U|AA|DD)$/);
  const all = paths(/^(?!\?\?)(?!U.|.U|AA|DD)/);
  const changed = await withoutFilters(repository, all, report);
  const untracked = paths(/^\?\?$/);
  report.metric('uncommitted', changed.length);
  report.metric('untracked', untracked.length);
  if (conflicts.length > 0)
    report.add({
      severity: 'critical',
      rule: 'unmerged',
      message: `${count(conflicts.length, 'file')} in conflict: a merge is not finished.`,
      evidence: named(conflicts),
    });
  if (changed.length > 0)
    report.add({
      severity: 'high',
      rule: 'uncommitted',
      message: `${count(changed.length, 'file')} changed and not committed: what is tested here is not what would be released.`,
      evidence: named(changed),
      fix: 'Commit it, or put it away.',
    });
  if (untracked.length > 0)
    report.add({
      severity: 'low',
      rule: 'untracked',
      message: `${count(untracked.length, 'path')} that git does not know and does not ignore.`,
      evidence: named(untracked),
      fix: 'Add what belongs to the release; ignore the rest.',
    });
}

/** With a filter (large files, encryption) what lies in the folder differs from what is committed by design. */
async function withoutFilters(
  repository: Repository,
  paths: readonly string[],
  report: ReportBuilder,
): Promise<string[]> {
  if (paths.length === 0) return [];
  const answer = await repository.git.text(['check-attr', '-z', '--stdin', 'filter'], {
    stdin: paths.map((path) => `${path}\0`).join(''),
  });
  const fields = answer.split('\0');
  const filtered = new Set<string>();
  for (let at = 0; at + 2 < fields.length; at += 3)
    if (fields[at + 2] !== 'unspecified') filtered.add(fields[at] ?? '');
  if (filtered.size > 0)
    report.note(`${count(filtered.size, 'file')} with a git filter could not be compared.`);
  return paths.filter((path) => !filtered.has(path));
}

export async function judgeBranch(repository: Repository, report: ReportBuilder): Promise<void> {
  const { branch } = repository;
  if (branch === undefined) {
    report.note('HEAD is on no branch.');
    return;
  }
  const remote = `refs/remotes/origin/${branch}`;
  const known = await repository.git.text(['for-each-ref', '--format=%(refname)', remote]);
  if (known.trim() === '') {
    report.note(`There is no copy of ${branch} on origin to compare with.`);
    return;
  }
  const text = await repository.git.text([
    'rev-list',
    '--left-right',
    '--count',
    `${remote}...HEAD`,
  ]);
  const [behind = 0, ahead = 0] = text.trim().split(/\s+/).map(Number);
  if (behind > 0)
    report.add({
      severity: 'high',
      rule: 'behind-origin',
      message: `${branch} lacks ${count(behind, 'commit')} that origin had when it was last fetched.`,
      fix: 'Pull, and check again.',
    });
  if (ahead > 0)
    report.add({
      severity: 'low',
      rule: 'not-pushed',
      message: `${count(ahead, 'commit')} of ${branch} not on origin, as of the last fetch.`,
      fix: 'Push before the tag, so that others build what is tagged.',
    });
}
