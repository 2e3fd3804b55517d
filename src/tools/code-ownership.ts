import type { ToolReport } from '../base/base.ts';
import { ownerRuleOf, parseCodeowners } from './codeowners.ts';
import { dayMs, isBot, readHistory, type History } from './history.ts';
import { isCode, isGenerated, isVendored } from './paths.ts';
import { compareText, count, ReportBuilder } from './report.ts';
import { openRepository, type Repository, type TrackedFile } from './repository.ts';
import type { ToolContext } from './tools.ts';

/**
 * Severities: medium where knowledge is already gone or a rule of ownership does nothing though it
 * looks as if it did; low where it would go with one person; info for a project of one person, who
 * knows it.
 */
const quietDays = 180;
const leastBytes = 2_000;
const mostFiles = 25;
const codeownersPlaces = [
  '.github/CODEOWNERS',
  'CODEOWNERS',
  'docs/CODEOWNERS',
  '.gitlab/CODEOWNERS',
];

interface Knowledge {
  readonly file: TrackedFile;
  /** Changed lines by author's address. */
  readonly lines: Map<string, number>;
}

/** Who knows what: files that one person knows, files whose people have gone quiet, CODEOWNERS. */
export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  repository.requireCommit();
  const report = new ReportBuilder('code-ownership', context.limit);
  context.progress('reading the history');
  const history = await readHistory(repository.git);
  if (history.cut !== undefined)
    report.note(`${history.cut} Who wrote a file before is not known.`);

  const people = readPeople(history);
  const knowledge = readKnowledge(history, repository.files);
  report.metric('authors', people.size);
  report.metric('codeFiles', knowledge.length);
  reportBusFactor(report, knowledge, people);
  if (people.size > 1) reportFiles(report, knowledge, people, history.endMs);
  reportCodeowners(report, repository);
  report.notes(repository.notes());
  return report.build(
    `${count(people.size, 'author')} and ${count(knowledge.length, 'code file')}; ${count(report.total, 'remark')} on ownership.`,
  );
}

interface Person {
  readonly name: string;
  lastMs: number;
}

function readPeople({ commits }: History): Map<string, Person> {
  const people = new Map<string, Person>();
  for (const commit of commits) {
    if (isBot(commit)) continue;
    const person = people.get(commit.email) ?? { name: commit.author, lastMs: 0 };
    person.lastMs = Math.max(person.lastMs, commit.committedMs);
    people.set(commit.email, person);
  }
  return people;
}

function readKnowledge({ commits }: History, files: readonly TrackedFile[]): Knowledge[] {
  const wanted = files.filter(
    ({ path, sizeBytes }) =>
      sizeBytes >= leastBytes && isCode(path) && !isGenerated(path) && !isVendored(path),
  );
  const byPath = new Map(
    wanted.map((file) => [file.path, { file, lines: new Map<string, number>() }]),
  );
  for (const commit of commits) {
    if (isBot(commit)) continue;
    for (const { path, addedLines, deletedLines } of commit.changes) {
      const lines = byPath.get(path)?.lines;
      lines?.set(commit.email, (lines.get(commit.email) ?? 0) + addedLines + deletedLines);
    }
  }
  return [...byPath.values()].filter(({ lines }) => lines.size > 0);
}

/** The fewest people who are the main authors of half the code files (Avelino et al. 2016). */
function reportBusFactor(
  report: ReportBuilder,
  knowledge: readonly Knowledge[],
  people: ReadonlyMap<string, Person>,
): void {
  const owned = new Map<string, number>();
  for (const { lines } of knowledge) {
    const owner = mainAuthor(lines);
    owned.set(owner, (owned.get(owner) ?? 0) + 1);
  }
  const ranked = [...owned].toSorted(([a, x], [b, y]) => y - x || compareText(a, b));
  let left = knowledge.length / 2;
  let factor = 0;
  while (left > 0 && factor < ranked.length) left -= ranked[factor++]?.[1] ?? 0;
  report.metric('busFactor', factor);
  const [first] = ranked;
  if (factor !== 1 || first === undefined || knowledge.length < 3) return;
  report.add({
    severity: people.size > 2 ? 'low' : 'info',
    rule: 'bus-factor',
    message: `One person, ${people.get(first[0])?.name ?? first[0]}, is the main author of ${first[1]} of ${knowledge.length} code files.`,
    fix: 'Let somebody else make the next changes there, with that person as the reviewer.',
  });
}

function reportFiles(
  report: ReportBuilder,
  knowledge: readonly Knowledge[],
  people: ReadonlyMap<string, Person>,
  endMs: number,
): void {
  const isQuiet = (email: string): boolean =>
    endMs - (people.get(email)?.lastMs ?? 0) > quietDays * dayMs;
  const orphaned = knowledge.filter(({ lines }) => [...lines.keys()].every(isQuiet));
  const single = knowledge.filter((row) => row.lines.size === 1 && !orphaned.includes(row));
  report.metric('orphanedFiles', orphaned.length);
  report.metric('oneAuthorFiles', single.length);
  const bySize = (a: Knowledge, b: Knowledge): number =>
    b.file.sizeBytes - a.file.sizeBytes || compareText(a.file.path, b.file.path);
  for (const { file, lines } of orphaned.toSorted(bySize).slice(0, mostFiles)) {
    const names = [...lines.keys()].map((email) => people.get(email)?.name ?? email);
    const lastMs = Math.max(...[...lines.keys()].map((email) => people.get(email)?.lastMs ?? 0));
    report.add({
      severity: 'medium',
      rule: 'orphaned-file',
      file: file.path,
      message: `Everybody who changed it has been quiet for ${Math.floor((endMs - lastMs) / dayMs)} days.`,
      evidence: `${names.slice(0, 4).join(', ')}; ${file.sizeBytes} bytes`,
      fix: 'Name a person who reads it and reviews changes to it.',
    });
  }
  // In a project of one or two people every file is such a file; the bus factor says it once.
  if (people.size < 3) return;
  for (const { file, lines } of single.toSorted(bySize).slice(0, mostFiles)) {
    report.add({
      severity: 'low',
      rule: 'one-author-file',
      file: file.path,
      message: `Only ${people.get(mainAuthor(lines))?.name ?? 'one person'} has ever changed it.`,
      evidence: `${file.sizeBytes} bytes`,
      fix: 'Have the next change made or reviewed by a second person.',
    });
  }
  const hidden = Math.max(0, orphaned.length - mostFiles) + Math.max(0, single.length - mostFiles);
  if (hidden > 0) report.note(`${hidden} smaller files with the same remarks were left out.`);
}

function mainAuthor(lines: ReadonlyMap<string, number>): string {
  const ranked = [...lines].toSorted(([a, x], [b, y]) => y - x || compareText(a, b));
  return ranked[0]?.[0] ?? '';
}

function reportCodeowners(report: ReportBuilder, repository: Repository): void {
  const found = codeownersPlaces.filter((place) => repository.files.some((f) => f.path === place));
  const [file, ...shadowed] = found;
  if (file === undefined) return;
  for (const other of shadowed) {
    report.add({
      severity: 'medium',
      rule: 'owners-file-unused',
      file: other,
      message: `${file} comes first, so this file does nothing.`,
      fix: 'Keep one of them.',
    });
  }
  const [content] = repository.texts((candidate) => candidate.path === file);
  if (content === undefined) return;
  const { rules, problems } = parseCodeowners(content.text);
  for (const { line, rule, message } of problems) {
    report.add({
      severity: 'medium',
      rule,
      file,
      line,
      message,
      fix: 'Write it as CODEOWNERS knows it.',
    });
  }
  const paths = repository.files.map((tracked) => tracked.path);
  const deciding = new Set(paths.map((path) => ownerRuleOf(rules, path)));
  for (const rule of rules) {
    if (deciding.has(rule)) continue;
    const matches = paths.some(rule.matches);
    report.add({
      severity: matches ? 'medium' : 'low',
      rule: matches ? 'owner-rule-shadowed' : 'owner-rule-unmatched',
      file,
      line: rule.line,
      message: matches
        ? `${rule.pattern} never decides: later lines match all of its files.`
        : `${rule.pattern} matches no tracked file.`,
      fix: matches
        ? 'Move the general patterns up and the special ones down.'
        : 'Remove it or correct the path.',
    });
  }
  reportCoverage(
    report,
    file,
    paths.filter((path) => (ownerRuleOf(rules, path)?.owners.length ?? 0) === 0),
    paths.length,
  );
}

function reportCoverage(
  report: ReportBuilder,
  file: string,
  open: readonly string[],
  all: number,
): void {
  report.metric('filesWithoutOwner', open.length);
  const code = open.filter((path) => isCode(path) && !isGenerated(path) && !isVendored(path));
  if (code.length === 0) return;
  const folders = Map.groupBy(code, (path) =>
    path.includes('/') ? `${path.split('/')[0]}/` : 'the top',
  );
  report.add({
    severity: 'low',
    rule: 'files-without-owner',
    file,
    message: `${count(code.length, 'code file')} of ${all} tracked files have no owner.`,
    evidence: [...folders]
      .map(([folder, paths]) => `${folder} ${paths.length}`)
      .slice(0, 8)
      .join(', '),
    fix: 'Add a default owner as the first line: * @organization/team.',
  });
}
