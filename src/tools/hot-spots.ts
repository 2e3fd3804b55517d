import type { ToolReport } from '../base/base.ts';
import { dayMs, isFix, readHistory, type Commit } from './history.ts';
import { isCode, isGenerated, isTest, isVendored } from './paths.ts';
import { compareText, count, ReportBuilder } from './report.ts';
import { openRepository } from './repository.ts';
import type { ToolContext } from './tools.ts';

/**
 * After Tornhill, "Your Code as a Crime Scene": what is complex and changes often is where defects
 * are made. Complexity is read from indentation, which follows nesting in every language (Hindle,
 * Godfrey and Holt 2008 found it as good a proxy as McCabe's and Halstead's measures).
 *
 * Severities: medium for the few files far above the rest, low for the remaining ones; coupling is
 * info, because only a person can say whether it is right.
 */
const windowDays = 365;
const leastCommits = 5;
const leastLines = 100;
const mostFindings = 15;
/** A commit of more files is a sweep (formatting, licence headers) and says nothing about them. */
const sweepFiles = 30;
const leastShared = 8;
const leastCoupling = 0.6;

interface Row {
  readonly path: string;
  commits: number;
  fixes: number;
  readonly authors: Set<string>;
}

/** Ranks files by how often they change times how complex they are, and finds files that change together. */
export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  repository.requireCommit();
  const report = new ReportBuilder('hot-spots', context.limit);
  context.progress('reading the history');
  const history = await readHistory(repository.git);
  if (history.cut !== undefined) report.note(history.cut);
  const since = history.endMs - windowDays * dayMs;
  const commits = history.commits.filter((commit) => commit.committedMs >= since);
  const present = new Set(
    repository.files
      .map((file) => file.path)
      .filter((path) => isCode(path) && !isGenerated(path) && !isVendored(path)),
  );
  const rows = countChanges(commits, present);

  const ranked: (Row & { lines: number; complexity: number; score: number })[] = [];
  for (const { path, text } of repository.texts(
    (file) => (rows.get(file.path)?.commits ?? 0) >= leastCommits,
  )) {
    const row = rows.get(path);
    const { lines, complexity } = measure(text);
    if (row === undefined || lines < leastLines || isTest(path) || isGenerated(path, text))
      continue;
    ranked.push({ ...row, lines, complexity, score: row.commits * complexity });
  }
  ranked.sort((a, b) => b.score - a.score || compareText(a.path, b.path));
  const best = ranked[0]?.score ?? 0;
  for (const [index, row] of ranked.slice(0, mostFindings).entries()) {
    report.add({
      severity: row.score >= best / 2 && index < 5 ? 'medium' : 'low',
      rule: 'hot-spot',
      file: row.path,
      line: 1,
      message: `Hot spot ${index + 1} of ${ranked.length}: ${row.lines} lines, changed ${row.commits} times in a year, ${row.fixes} of them repairs.`,
      evidence: `complexity ${row.complexity}, score ${row.score}, ${count(row.authors.size, 'author')}`,
      fix: 'Review changes here with the most care, cover it with tests first, and split off what changes for another reason.',
    });
  }
  reportCoupling(report, commits, present, rows);
  report.metric('commits', commits.length);
  report.metric('candidates', ranked.length);
  report.notes(repository.notes());
  return report.build(
    ranked.length === 0
      ? `No code file of ${leastLines} lines changed ${leastCommits} times in the last year of the history.`
      : `${count(ranked.length, 'file')} both large and often changed; the hottest is ${ranked[0]?.path}.`,
  );
}

/** Lines that hold something, and the sum of their nesting: a level is one tab or the file's own step of spaces. */
export function measure(text: string): { lines: number; complexity: number } {
  const indents: number[] = [];
  let step = 8;
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const [blank = ''] = /^[ \t]*/.exec(line) ?? [];
    const width = [...blank].reduce((sum, sign) => sum + (sign === '\t' ? 8 : 1), 0);
    indents.push(width);
    if (width > 1 && width < step) step = width;
  }
  // Aligned continuation lines would count as deep nesting.
  const complexity = indents.reduce(
    (sum, width) => sum + Math.min(10, Math.floor(width / step)),
    0,
  );
  return { lines: indents.length, complexity };
}

function countChanges(commits: readonly Commit[], present: ReadonlySet<string>): Map<string, Row> {
  const rows = new Map<string, Row>();
  for (const { changes, subject, email } of commits) {
    if (changes.length > sweepFiles * 5) continue;
    for (const { path } of changes) {
      if (!present.has(path)) continue;
      const row = rows.get(path) ?? { path, commits: 0, fixes: 0, authors: new Set<string>() };
      row.commits += 1;
      if (isFix(subject)) row.fixes += 1;
      row.authors.add(email);
      rows.set(path, row);
    }
  }
  return rows;
}

function reportCoupling(
  report: ReportBuilder,
  commits: readonly Commit[],
  present: ReadonlySet<string>,
  rows: ReadonlyMap<string, Row>,
): void {
  const shared = new Map<string, number>();
  for (const { changes } of commits) {
    if (changes.length > sweepFiles) continue;
    // A file and its test belong together; that is no discovery.
    const paths = changes
      .map((c) => c.path)
      .filter((path) => present.has(path) && !isTest(path))
      .toSorted();
    for (const [index, a] of paths.entries()) {
      for (const b of paths.slice(index + 1)) {
        if (topFolder(a) === topFolder(b)) continue;
        const key = `${a}\0${b}`;
        shared.set(key, (shared.get(key) ?? 0) + 1);
      }
    }
  }
  const pairs = [...shared]
    .map(([key, amount]) => {
      const [a = '', b = ''] = key.split('\0');
      return {
        a,
        b,
        amount,
        share: amount / Math.min(rows.get(a)?.commits ?? 1, rows.get(b)?.commits ?? 1),
      };
    })
    .filter(({ amount, share }) => amount >= leastShared && share >= leastCoupling)
    .toSorted((x, y) => y.amount - x.amount || compareText(x.a + x.b, y.a + y.b));
  report.metric('coupledPairs', pairs.length);
  for (const { a, b, amount, share } of pairs.slice(0, 10)) {
    report.add({
      severity: 'info',
      rule: 'change-coupling',
      file: a,
      message: `Changes together with ${b}, in another part of the tree: ${amount} shared commits, ${Math.min(100, Math.round(share * 100))} % of the rarer one's.`,
      fix: 'If one knows what the other does, give that knowledge one place; if not, say in both why they move together.',
    });
  }
}

/** Two levels: `src/api` and `src/web` are different parts. */
function topFolder(path: string): string {
  return path.split('/').slice(0, -1).slice(0, 2).join('/');
}
