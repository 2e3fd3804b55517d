/** The tests of one script, read from its syntax tree. */
import { dottedName, literalText, walk, type Node, type Source } from './syntax.ts';

/** Calls that hold a test, by the runners of JavaScript: their first argument is its name. */
const testCall = /^(it|test|specify|Deno\.test|fit|xit|xtest)(\.|$)/;
const suiteCall = /^(describe|suite|context|fdescribe|xdescribe)(\.|$)/;
const assertion =
  /^(expect|assert|should|chai|t|tap|cy|sinon|strictEqual|deepEqual|equal|ok|throws|rejects|fail|verify|check|page|expectTypeOf|assertType|context|ctx|qunit|QUnit)(\.|$)|(^|\.)(expect|assert|should|verify|check)[A-Z\w]*(\.|$)/;

export interface TestCase {
  readonly name: string;
  readonly line: number;
  readonly column: number;
  readonly kind: 'test' | 'suite';
  readonly mark: 'only' | 'skip' | 'todo' | undefined;
  /** Whether a body that runs checks nothing; undefined where it can not be told. */
  readonly isEmpty: boolean | undefined;
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
