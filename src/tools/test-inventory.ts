/** Which tests a repository has, which of them do not run, and what has none. */
import type { ToolReport } from '../base/base.ts';
import { folderOf } from './packages.ts';
import { extensionOf, isCode, isGenerated, isVendored } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type Repository, type TextFile, type TrackedFile } from './repository.ts';
import {
  dottedName,
  isDeclaration,
  isScript,
  literalText,
  ownSources,
  walk,
  type Node,
  type Source,
} from './syntax.ts';
import type { ToolContext } from './tools.ts';

const scriptTest = /[._-](test|spec|cy|e2e)\.[mc]?[jt]sx?$|(^|\/)__tests__\//;
const otherTest =
  /(^|\/)(test_[^/]+|[^/]+_test)\.py$|_test\.(go|exs|dart|cc|cpp)$|_spec\.rb$|(^|\/)[^/]*(Test|Tests|IT|Spec)\.(java|kt|cs|scala|php|swift)$|(^|\/)tests\/[^/]+\.rs$|\.bats$/;
/** Calls that hold a test, by the runners of JavaScript: their first argument is its name. */
const testCall = /^(it|test|specify|Deno\.test|fit|xit|xtest)(\.|$)/;
const suiteCall = /^(describe|suite|context|fdescribe|xdescribe)(\.|$)/;
const assertion =
  /^(expect|assert|should|chai|t|tap|cy|sinon|strictEqual|deepEqual|equal|ok|throws|rejects|fail|verify|check|page|expectTypeOf|assertType|context|ctx|qunit|QUnit)(\.|$)|(^|\.)(expect|assert|should|verify|check)[A-Z\w]*(\.|$)/;
/** Folders whose code is not tested by unit tests anywhere. */
const noTestNeeded =
  /(^|\/)(scripts?|examples?|docs?|migrations?|fixtures?|types|config|public|static|assets|demo|website|stories|benchmarks?|bench|mocks?|__mocks__|tests?|e2e|spec)(\/|$)/i;

export interface TestCase {
  readonly name: string;
  readonly line: number;
  readonly column: number;
  readonly kind: 'test' | 'suite';
  readonly mark: 'only' | 'skip' | 'todo' | undefined;
  /** Whether a body that runs checks nothing; undefined where it can not be told. */
  readonly isEmpty: boolean | undefined;
}

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

/** Tests and suites of a script, with what marks them. */
export function readTests(source: Source): TestCase[] {
  const found: TestCase[] = [];
  const locals = assertingNames(source);
  walk(source.program, {
    enter(node) {
      if (node.type !== 'CallExpression') return;
      const name = callName(node.callee);
      if (name === undefined) return;
      const kind = testCall.test(name) ? 'test' : suiteCall.test(name) ? 'suite' : undefined;
      if (kind === undefined || node.arguments.length === 0) return;
      const title = literalText(node.arguments[0]) ?? '';
      const body = node.arguments.find((item) => isFunction(item));
      const mark = markOf(name);
      // `test.each(rows)` only makes the function that is called with a name; hooks have no name.
      if (
        /\.(each|for|extend|use|before\w*|after\w*|configure|setTimeout|step|info|slow)$/.test(name)
      )
        return;
      if (title === '' && body === undefined) return;
      const isEmpty =
        kind === 'suite' || mark !== undefined ? undefined : checksNothing(body, locals);
      found.push({ name: title, ...source.at(node.start), kind, mark, isEmpty });
    },
  });
  return found;
}

function isFunction(node: Node): boolean {
  return node.type === 'ArrowFunctionExpression' || node.type === 'FunctionExpression';
}

/** `it.only`, and `test.each` for `test.each(rows)(name, body)`. */
function callName(callee: Node): string | undefined {
  if (callee.type === 'CallExpression') {
    const inner = dottedName(callee.callee);
    return inner === undefined ? undefined : inner.replace(/\.(each|for|skipIf|runIf|if)$/, '');
  }
  if (callee.type === 'TaggedTemplateExpression')
    return dottedName(callee.tag)?.replace(/\.each$/, '');
  return dottedName(callee);
}

function markOf(name: string): TestCase['mark'] {
  if (/\.only\b|^(fit|fdescribe)\b/.test(name)) return 'only';
  if (/\.(skip|fixme)\b|^(xit|xtest|xdescribe)\b/.test(name)) return 'skip';
  return /\.(todo|failing|fails)\b/.test(name) ? 'todo' : undefined;
}

const assertingModule =
  /assert|expect|chai|should|helper|util|support|fixture|common|check|harness/i;

/** Functions of the file itself that assert something, and what it takes from modules that may. */
function assertingNames(source: Source): ReadonlySet<string> {
  const asserting = new Set<string>();
  for (const { moduleRequest, entries } of source.module.staticImports)
    if (assertingModule.test(moduleRequest.value))
      for (const entry of entries) asserting.add(entry.localName.value);
  walk(source.program, {
    enter(node) {
      if (node.type === 'FunctionDeclaration' && node.id !== null) {
        if (asserts(node, asserting)) asserting.add(node.id.name);
      } else if (node.type === 'VariableDeclarator' && node.init !== null) {
        const required = requiredModule(node.init);
        const isAsserting =
          required === undefined
            ? isFunction(node.init) && asserts(node.init, asserting)
            : assertingModule.test(required);
        if (isAsserting) for (const name of namesIn(node.id)) asserting.add(name);
      }
    },
  });
  return asserting;
}

/** `x` of `require('x')` and of `require('x').y`. */
function requiredModule(node: Node): string | undefined {
  const call = node.type === 'MemberExpression' ? node.object : node;
  return call.type === 'CallExpression' && dottedName(call.callee) === 'require'
    ? literalText(call.arguments[0])
    : undefined;
}

/** Names that a pattern binds, and a few more where it renames. */
function namesIn(pattern: Node): string[] {
  const names: string[] = [];
  walk(pattern, {
    enter(node) {
      if (node.type === 'Identifier') names.push(node.name);
    },
  });
  return names;
}

/**
 * An empty body, or one that neither asserts, nor throws, nor calls what may. What the runner hands
 * in may: `t`, or the assertions themselves (`({ same, end }) => …`).
 */
function checksNothing(
  body: Node | undefined,
  asserting: ReadonlySet<string>,
): boolean | undefined {
  if (body?.type !== 'ArrowFunctionExpression' && body?.type !== 'FunctionExpression')
    return undefined;
  return !asserts(body, new Set([...asserting, ...body.params.flatMap((item) => namesIn(item))]));
}

function asserts(body: Node, asserting: ReadonlySet<string>): boolean {
  let found = false;
  walk(body, {
    enter(node) {
      if (found) return 'skip';
      if (node.type === 'ThrowStatement') found = true;
      if (node.type === 'CallExpression' || node.type === 'NewExpression') {
        const name = dottedName(node.callee) ?? rootName(node.callee);
        const first = name?.split('.')[0] ?? '';
        if (name !== undefined && (assertion.test(name) || asserting.has(first))) found = true;
        // Handed on, the runner's own object may be asked by whoever gets it.
        if (node.arguments.some((item) => item.type === 'Identifier' && item.name === 't'))
          found = true;
      }
      // A callback of the old kind that reports its failure.
      if (node.type === 'Identifier' && (node.name === 'done' || node.name === 'fail'))
        found = true;
      return undefined;
    },
  });
  return found;
}

/** The name that a chain of calls begins with: `expect` of `expect(x).toBe`. */
function rootName(node: Node): string | undefined {
  let at: Node = node;
  for (;;) {
    if (at.type === 'Identifier') return at.name;
    if (at.type === 'CallExpression') at = at.callee;
    else if (at.type === 'MemberExpression') at = at.object;
    else return undefined;
  }
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
