/** Which tests a repository has, which of them do not run, and what has none. */
import type { ToolReport } from '../base/base.ts';
import { folderOf } from './packages.ts';
import { extensionOf, isCode, isGenerated, isVendored } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type Repository, type TextFile, type TrackedFile } from './repository.ts';
import { isDeclaration, isScript, ownSources, type Source } from './syntax.ts';
import { readTests, type TestCase } from './test-cases.ts';
import type { ToolContext } from './tools.ts';

const scriptTest = /[._-](test|spec|cy|e2e)\.[mc]?[jt]sx?$|(^|\/)__tests__\//;
const otherTest =
  /(^|\/)(test_[^/]+|[^/]+_test)\.py$|_test\.(go|exs|dart|cc|cpp)$|_spec\.rb$|(^|\/)[^/]*(Test|Tests|IT|Spec)\.(java|kt|cs|scala|php|swift)$|(^|\/)tests\/[^/]+\.rs$|\.bats$/;
/** Folders whose code is not tested by unit tests anywhere. */
const noTestNeeded =
  /(^|\/)(scripts?|examples?|docs?|migrations?|fixtures?|types|config|public|static|assets|demo|website|stories|benchmarks?|bench|mocks?|__mocks__|tests?|e2e|spec)(\/|$)/i;

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('test-inventory', context.limit);
  const testFiles = new Set<string>();
  const totals = { test: 0, only: 0, skip: 0, todo: 0, empty: 0 };
  for (const source of ownSources(repository, report)) {
    if (!isScriptTest(source)) continue;
    testFiles.add(source.path);
    for (const item of readTests(source)) {
      if (item.kind === 'test') totals.test += 1;
      addCase(item, source.path, totals, report);
    }
  }
  const others = readOthers(repository, testFiles, totals, report);
  const sources = repository.files
    .map((file) => file.path)
    .filter((path) => isSource(path, testFiles));
  const untested = addUntested(sources, testFiles, report);
  report.metric('testFiles', testFiles.size);
  report.metric('sourceFiles', sources.length);
  report.metric('tests', totals.test);
  report.metric('only', totals.only);
  report.metric('skipped', totals.skip);
  report.metric('todo', totals.todo);
  report.metric('withoutAssertion', totals.empty);
  report.metric('foldersWithoutTests', untested);
  if (sources.length > 0)
    report.metric(
      'testFilesPerSourceFile',
      Math.round((testFiles.size / sources.length) * 100) / 100,
    );
  if (others > 0)
    report.note(
      `${count(others, 'test file')} of other languages than JavaScript and TypeScript read by patterns: skipped tests are seen, missing assertions are not.`,
    );
  report.notes(repository.notes());
  if (sources.length === 0 && testFiles.size === 0)
    return report.build('Nothing to examine: neither source code nor tests.');
  return report.build(
    `${count(totals.test, 'test')} in ${count(testFiles.size, 'file')} for ${count(sources.length, 'source file')}; ` +
      `${totals.only} marked only, ${totals.skip} skipped, ${totals.todo} to do, ${totals.empty} without an assertion.`,
  );
}

/** By its name, or because it imports what tests are written with and has any. */
function isScriptTest(source: Source): boolean {
  if (isDeclaration(source.path)) return false;
  if (scriptTest.test(source.path)) return true;
  return (
    /(^|\/)(tests?|spec|e2e)\//.test(source.path) &&
    source.module.staticImports.some(({ moduleRequest }) =>
      /^(vitest|node:test|@jest\/globals|mocha|ava|tap|bun:test|@playwright\/test|uvu|tape)$/.test(
        moduleRequest.value,
      ),
    )
  );
}

type Totals = { only: number; skip: number; todo: number; empty: number };

function addCase(item: TestCase, file: string, totals: Totals, report: ReportBuilder): void {
  const place = { file, line: item.line, column: item.column };
  const name = item.name === '' ? `a ${item.kind}` : `“${item.name}”`;
  if (item.mark !== undefined) totals[item.mark] += 1;
  if (item.isEmpty === true) totals.empty += 1;
  if (item.mark === 'only')
    report.add({
      ...place,
      severity: 'high',
      rule: 'focused-test',
      message: `${name} is marked only: every other test of the file is left out.`,
      fix: 'Take the mark away; let the linter or the runner (--forbid-only) refuse it.',
    });
  else if (item.mark === 'skip')
    report.add({
      ...place,
      severity: 'low',
      rule: 'skipped-test',
      message: `${name} is skipped.`,
      fix: 'Repair it or delete it; if it waits for something, say for what beside it.',
    });
  else if (item.mark === 'todo')
    report.add({
      ...place,
      severity: 'info',
      rule: 'todo-test',
      message: `${name} is still to be written or known to fail.`,
    });
  else if (item.isEmpty === true)
    report.add({
      ...place,
      severity: 'medium',
      rule: 'no-assertion',
      message: `${name} asserts nothing: it passes whatever happens short of an exception.`,
      fix: 'Assert what the name promises.',
    });
}

const otherSkips: readonly { readonly files: RegExp; readonly mark: RegExp }[] = [
  { files: /\.py$/, mark: /@(?:pytest\.mark\.(?:skip|xfail)|unittest\.skip)\b(?!if)/ },
  { files: /\.go$/, mark: /^\s*t\.Skip(?:f|Now)?\(/ },
  { files: /\.rs$/, mark: /^\s*#\[ignore\b/ },
  { files: /\.(java|kt|scala)$/, mark: /^\s*@(?:Disabled|Ignore)\b/ },
  { files: /\.cs$/, mark: /\[(?:Fact|Theory)\([^)]*Skip\s*=|^\s*\[Ignore\b/ },
  { files: /\.rb$/, mark: /^\s*(?:xit|xdescribe|pending|skip)\b/ },
  { files: /\.(exs)$/, mark: /^\s*@tag :skip\b/ },
];
const otherFocus: readonly { readonly files: RegExp; readonly mark: RegExp }[] = [
  { files: /\.rb$/, mark: /^\s*(?:fit|fdescribe|fcontext)\b|,\s*(?::focus\b|focus: true)/ },
  { files: /\.py$/, mark: /@pytest\.mark\.only\b/ },
];
const otherCases =
  /^\s*(?:async\s+)?def test|^func Test|^\s*#\[(?:tokio::)?test\]|^\s*@(?:Test|ParameterizedTest)\b|^\s*\[(?:Fact|Theory|Test|TestMethod)\b|^\s*(?:it|specify|test)\s+["']|^@test\b|^\s*(?:public )?function test|^TEST(?:_F|_P)?\(/;

function isOtherTest({ path }: TrackedFile): boolean {
  return otherTest.test(path) && !isVendored(path) && !isGenerated(path);
}

function readOthers(
  repository: Repository,
  testFiles: Set<string>,
  totals: Totals & { test: number },
  report: ReportBuilder,
): number {
  let files = 0;
  for (const file of repository.texts(isOtherTest)) {
    files += 1;
    testFiles.add(file.path);
    readOther(file, totals, report);
  }
  return files;
}

function readOther(file: TextFile, totals: Totals & { test: number }, report: ReportBuilder): void {
  const skips = otherSkips.filter((item) => item.files.test(file.path));
  const focuses = otherFocus.filter((item) => item.files.test(file.path));
  let line = 0;
  for (const text of file.text.split('\n')) {
    line += 1;
    if (otherCases.test(text)) totals.test += 1;
    const mark = focuses.some((item) => item.mark.test(text))
      ? 'only'
      : skips.some((item) => item.mark.test(text))
        ? 'skip'
        : undefined;
    if (mark !== undefined)
      addCase(
        { name: text.trim(), line, column: 1, kind: 'test', mark, isEmpty: undefined },
        file.path,
        totals,
        report,
      );
  }
}

function isSource(path: string, testFiles: ReadonlySet<string>): boolean {
  if (
    !isCode(path) ||
    testFiles.has(path) ||
    isVendored(path) ||
    isGenerated(path) ||
    isDeclaration(path)
  )
    return false;
  if (
    /\.(config|conf|setup|stories|css|scss|less|sass|sql|sh|html)\b/.test(path) ||
    extensionOf(path) === ''
  )
    return false;
  return !noTestNeeded.test(folderOf(path)) && !/(^|\/)\.[^/]+/.test(path);
}

/**
 * Source folders of some size of which no test speaks: none in it or below, none in a mirrored test
 * folder, none named like one of its files.
 */
function addUntested(
  sources: readonly string[],
  testFiles: ReadonlySet<string>,
  report: ReportBuilder,
): number {
  const tested = new Set<string>();
  const stems = new Set<string>();
  for (const path of testFiles) {
    for (const part of path.split('/')) tested.add(part.toLowerCase());
    stems.add(stemOf(path));
  }
  const byFolder = new Map<string, string[]>();
  for (const path of sources)
    byFolder.set(folderOf(path), [...(byFolder.get(folderOf(path)) ?? []), path]);
  let untested = 0;
  for (const [folder, files] of byFolder) {
    if (files.length < 3 || testFiles.size === 0) continue;
    const name = folder.split('/').at(-1)?.toLowerCase() ?? '';
    const hasOwn = [...testFiles].some((path) => folder === '' || path.startsWith(`${folder}/`));
    const hasMirror = name !== 'src' && name !== 'lib' && tested.has(name);
    if (hasOwn || hasMirror || files.some((path) => stems.has(stemOf(path)))) continue;
    untested += 1;
    report.add({
      severity: 'low',
      rule: 'folder-without-tests',
      message: `${folder} has ${count(files.length, 'source file')} and no test is named after it or any of them.`,
      file: files[0] ?? folder,
      evidence: files.slice(0, 5).join(', '),
      fix: 'Test it where a mistake would cost most, or say beside it which tests cover it.',
    });
  }
  if (testFiles.size === 0 && sources.length > 0)
    report.add({
      severity: sources.some((path) => isScript(path)) && sources.length >= 5 ? 'high' : 'medium',
      rule: 'no-tests',
      message: `There are ${count(sources.length, 'source file')} and not one test.`,
      fix: 'Begin with the behaviour that users would miss first.',
    });
  return untested;
}

/** `user` of `test/user.test.ts`, `test_user.py`, `UserTest.java` and `src/user.ts`. */
function stemOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1).replace(/\.[^.]+$/, '');
  return name
    .replace(/[._-](test|spec|cy|e2e)$|^test_|_test$|_spec$|(Tests?|IT|Spec)$/, '')
    .toLowerCase();
}
