import type { ToolReport } from '../base/base.ts';
import { dayMs, isBot, readHistory, type Commit, type History } from './history.ts';
import { isGenerated, isVendored } from './paths.ts';
import { count, ReportBuilder, shorten } from './report.ts';
import { openRepository, type Repository } from './repository.ts';
import type { ToolContext } from './tools.ts';

/**
 * Severities: medium for what misleads readers of the history now (commits from the future),
 * low for habits that make review and bisecting harder, info for facts to know.
 */
const hugeCommitLines = 1_500;
const hugeCommitFiles = 150;
const staleDays = 90;
/** A branch merged yesterday may still get its follow-up. */
const mergedDays = 14;
const quietDays = 365;
/** Habits are judged on what the team does now. */
const recentCommits = 200;

/** How the project is worked on: activity, churn, commits too large to review, hygiene, branches. */
export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  repository.requireCommit();
  const report = new ReportBuilder('git-history', context.limit);
  context.progress('reading the history');
  const history = await readHistory(repository.git);
  if (history.cut !== undefined) report.note(history.cut);
  report.notes(repository.notes());
  if (repository.branch === undefined) report.note('HEAD is detached; its history was read.');

  reportActivity(report, history, context.nowMs);
  reportHugeCommits(report, history.commits);
  reportSubjects(report, history.commits.filter((c) => !c.isMerge).slice(0, recentCommits));
  reportIdentities(report, history.commits);
  reportChurn(report, history, new Set(repository.files.map((file) => file.path)));
  const branches = await reportBranches(report, repository, context.nowMs);

  const authors = new Set(history.commits.map((commit) => commit.email)).size;
  report.metric('commits', history.commits.length);
  report.metric('authors', authors);
  report.metric('branches', branches);
  return report.build(
    `${count(history.commits.length, 'commit')} by ${count(authors, 'author')}; ${count(report.total, 'remark')}.`,
  );
}

function reportActivity(report: ReportBuilder, { commits, endMs }: History, nowMs: number): void {
  const since = endMs - 90 * dayMs;
  const recent = commits.filter((commit) => commit.committedMs >= since);
  report.metric('commits90Days', recent.length);
  report.metric('authors90Days', new Set(recent.map((commit) => commit.email)).size);
  report.metric('daysSinceLastCommit', Math.max(0, Math.floor((nowMs - endMs) / dayMs)));
  const idleDays = Math.floor((nowMs - endMs) / dayMs);
  if (idleDays > quietDays) {
    report.add({
      severity: 'info',
      rule: 'inactive',
      message: `The last commit is ${idleDays} days old.`,
      fix: 'Say in the README whether the project is finished, archived or looking for maintainers.',
    });
  }
  const future = commits.filter((commit) => commit.committedMs > nowMs + dayMs);
  const [first] = future;
  if (first !== undefined) {
    report.add({
      severity: 'medium',
      rule: 'commit-from-the-future',
      message: `${count(future.length, 'commit')} dated after today, ${short(first)} among them: tools that sort by date show a wrong history.`,
      evidence: new Date(Math.min(first.committedMs, 8.64e15)).toISOString(),
      fix: 'Set the clock of the machine that made it right.',
    });
  }
}

function reportHugeCommits(report: ReportBuilder, commits: readonly Commit[]): void {
  const huge = commits
    .filter((commit) => !commit.isRoot && !commit.isMerge && !isBot(commit))
    .map((commit) => {
      const own = commit.changes.filter((c) => !isGenerated(c.path) && !isVendored(c.path));
      const lines = own.reduce((sum, c) => sum + c.addedLines + c.deletedLines, 0);
      return { commit, files: own.length, lines };
    })
    .filter(({ lines, files }) => lines > hugeCommitLines || files > hugeCommitFiles);
  report.metric('hugeCommits', huge.length);
  // The newest ten: nobody rewrites what is long merged, the habit is the point.
  for (const { commit, files, lines } of huge.slice(0, 10)) {
    report.add({
      severity: 'low',
      rule: 'huge-commit',
      message: `${short(commit)} changes ${lines} lines in ${count(files, 'file')}: too much to review or to revert in one piece.`,
      evidence: `${date(commit)} ${commit.author}: ${shorten(commit.subject, 100)}`,
      fix: 'Split such work into steps that each build and pass.',
    });
  }
}

const unfinished = /^(fixup!|squash!|amend!|wip\b|\[wip\]|tmp\b|temp\b|do not merge|dnm\b)/i;
const empty =
  /^(fix(es|ed)?|update[sd]?|changes?|stuff|misc|test(ing)?|commit|work|foo|asdf\w*|minor|cleanup|oops|typo|more|\W*|.{1,3})[.!]*$/i;

/** Where a subject tells nothing, the next reader has to read the diff. */
export function judgeSubject(subject: string): 'unfinished' | 'empty' | undefined {
  const text = subject.trim();
  if (unfinished.test(text)) return 'unfinished';
  // A version is a whole message.
  return empty.test(text) && !/^v?\d+\.\d/.test(text) ? 'empty' : undefined;
}

function reportSubjects(report: ReportBuilder, commits: readonly Commit[]): void {
  const left = commits.filter((commit) => judgeSubject(commit.subject) === 'unfinished');
  const silent = commits.filter((commit) => judgeSubject(commit.subject) === 'empty');
  report.metric('unfinishedCommits', left.length);
  report.metric('emptySubjects', silent.length);
  for (const commit of left.slice(0, 10)) {
    report.add({
      severity: 'low',
      rule: 'unfinished-commit',
      message: `${short(commit)} was made to be squashed or finished, and stands in the history.`,
      evidence: `${date(commit)} ${shorten(commit.subject, 100)}`,
      fix: 'Run git rebase -i --autosquash before merging.',
    });
  }
  // One careless message is nobody's concern; a habit is.
  if (silent.length >= 3 && silent.length / commits.length > 0.05) {
    report.add({
      severity: 'low',
      rule: 'empty-subject',
      message: `${silent.length} of the last ${commits.length} commits have subjects that say nothing.`,
      evidence: silent
        .slice(0, 5)
        .map((c) => `${short(c)} "${shorten(c.subject, 30)}"`)
        .join(', '),
      fix: 'Say in the subject what changes for a user or a reader of the code, and in the body why.',
    });
  }
}

function reportIdentities(report: ReportBuilder, commits: readonly Commit[]): void {
  const odd = new Map<string, number>();
  for (const { author, email } of commits) {
    if (!/^$|^root@|@localhost|\.local$|\.localdomain$|^you@example\.com$|\(none\)$/.test(email))
      continue;
    const name = `${author} <${email}>`;
    odd.set(name, (odd.get(name) ?? 0) + 1);
  }
  if (odd.size === 0) return;
  const amount = [...odd.values()].reduce((sum, value) => sum + value, 0);
  report.add({
    severity: 'low',
    rule: 'anonymous-author',
    message: `${count(amount, 'commit')} by ${count(odd.size, 'author')} whose address reaches nobody.`,
    evidence: [...odd]
      .slice(0, 5)
      .map(([name, n]) => `${name} (${n})`)
      .join(', '),
    fix: 'Set user.name and user.email on those machines; map past ones in .mailmap.',
  });
}

function reportChurn(report: ReportBuilder, history: History, present: ReadonlySet<string>): void {
  const since = history.endMs - 90 * dayMs;
  const recent = history.commits.filter((c) => c.committedMs >= since && c.changes.length > 0);
  const files = new Map<string, { commits: number; lines: number; authors: Set<string> }>();
  for (const { changes, email } of recent) {
    for (const { path, addedLines, deletedLines } of changes) {
      if (!present.has(path) || isGenerated(path) || isVendored(path)) continue;
      const row = files.get(path) ?? { commits: 0, lines: 0, authors: new Set<string>() };
      row.commits += 1;
      row.lines += addedLines + deletedLines;
      row.authors.add(email);
      files.set(path, row);
    }
  }
  report.metric('filesChanged90Days', files.size);
  const busy = [...files]
    .filter(([, row]) => row.commits >= 10 && row.commits / recent.length >= 0.2)
    .toSorted(([, a], [, b]) => b.commits - a.commits);
  for (const [file, row] of busy.slice(0, 10)) {
    report.add({
      severity: 'info',
      rule: 'constant-churn',
      file,
      message: `Changed by ${row.commits} of the ${recent.length} commits of the last 90 days: much that should change alone changes together here.`,
      evidence: `${row.lines} lines, ${count(row.authors.size, 'author')}`,
      fix: 'Look for what the commits have in common and give it a place of its own.',
    });
  }
}

async function reportBranches(
  report: ReportBuilder,
  { git, branch }: Repository,
  nowMs: number,
): Promise<number> {
  const format = '%(refname:short)%09%(committerdate:unix)%09%(authorname)';
  const list = async (filter: string): Promise<string[][]> => {
    const text = await git.text([
      'for-each-ref',
      `--format=${format}`,
      filter,
      'refs/heads',
      'refs/remotes',
    ]);
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('\t'));
  };
  const isMain = (name: string): boolean =>
    name === branch ||
    /(^|\/)(HEAD|main|master|trunk|develop|release[^/]*|stable|gh-pages)$|(^|\/)release\//.test(
      name,
    );
  const open = await list('--no-merged=HEAD');
  const merged = (await list('--merged=HEAD'))
    .filter(([, seconds]) => nowMs - Number(seconds) * 1_000 > mergedDays * dayMs)
    .map(([name = '']) => name)
    .filter((name) => !isMain(name));
  let stale = 0;
  for (const [name = '', seconds, author = ''] of open) {
    const days = Math.floor((nowMs - Number(seconds) * 1_000) / dayMs);
    if (isMain(name) || !(days > staleDays)) continue;
    stale += 1;
    report.add({
      severity: 'low',
      rule: 'stale-branch',
      message: `Branch ${name} has work that is not merged and rests for ${days} days.`,
      evidence: `last commit by ${author}`,
      fix: 'Merge it, or delete it after saving what is worth keeping.',
    });
  }
  report.metric('staleBranches', stale);
  if (merged.length > 0) {
    report.add({
      severity: 'info',
      rule: 'merged-branch',
      message: `${count(merged.length, 'branch', 'branches')} merged and still there.`,
      evidence: merged.slice(0, 10).join(', '),
      fix: 'Delete them: git branch -d, git push --delete.',
    });
  }
  return open.length + merged.length;
}

function short(commit: Commit): string {
  return commit.hash.slice(0, 10);
}

function date(commit: Commit): string {
  const ms = commit.authoredMs;
  return ms <= 8.64e15 ? new Date(ms).toISOString().slice(0, 10) : 'a date beyond the calendar';
}
