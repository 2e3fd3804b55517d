/** How hard the functions of JavaScript and TypeScript are to follow, each measured by its tree. */
import type {
  ArrowFunctionExpression,
  Function as FunctionDeclarationOrExpression,
} from 'oxc-parser';
import type { Finding, ToolReport } from '../base/base.ts';
import { extensionOf, isCode, isTest, isVendored } from './paths.ts';
import { count, ReportBuilder } from './report.ts';
import { openRepository, type Repository } from './repository.ts';
import { dottedName, isScript, ownSources, walk, type Node, type Source } from './syntax.ts';
import type { ToolContext } from './tools.ts';

export interface FunctionFacts {
  readonly name: string;
  readonly line: number;
  readonly column: number;
  /** Lines from the first to the last, without those of functions inside. */
  readonly lines: number;
  readonly parameters: number;
  /** A constructor that only declares fields by its parameters, as dependency injection asks for. */
  readonly isInjected: boolean;
  /** Ways through it: McCabe. */
  readonly cyclomatic: number;
  /** Effort to read it: "Cognitive Complexity", G. A. Campbell, SonarSource 2017. */
  readonly cognitive: number;
  /** Control structures inside each other. */
  readonly depth: number;
}

/**
 * From where a reviewer is glad to be told. 15 is where SonarSource's own profile begins. None is
 * worse than medium: what is hard to follow is not wrong yet.
 */
const limits = {
  cognitive: { low: 16, medium: 40 },
  depth: { low: 5, medium: 7 },
  parameters: { low: 7, medium: 10 },
  lines: { low: 120, medium: 250 },
} as const;

export async function run(context: ToolContext): Promise<ToolReport> {
  const repository = await openRepository(context.repo);
  const report = new ReportBuilder('complexity', context.limit);
  const scores: number[] = [];
  let files = 0;
  for (const source of ownSources(repository, report)) {
    files += 1;
    for (const facts of measure(source)) {
      scores.push(facts.cognitive);
      for (const finding of judge(facts, isTest(source.path)))
        report.add({ ...finding, file: source.path, line: facts.line, column: facts.column });
    }
  }
  noteUnmeasured(repository, report);
  scores.sort((a, b) => a - b);
  report.metric('files', files);
  report.metric('functions', scores.length);
  if (scores.length > 0) {
    report.metric('cognitiveMedian', scores[Math.floor(scores.length / 2)] ?? 0);
    report.metric('cognitiveP95', scores[Math.floor(scores.length * 0.95)] ?? 0);
    report.metric('cognitiveMax', scores.at(-1) ?? 0);
  }
  report.notes(repository.notes());
  return report.build(
    files === 0
      ? 'Nothing to examine: no JavaScript or TypeScript of its own.'
      : `${count(scores.length, 'function')} in ${count(files, 'file')} measured; ${report.total === 0 ? 'none is hard to follow' : count(report.total, 'finding')}.`,
  );
}

function noteUnmeasured(repository: Repository, report: ReportBuilder): void {
  const others = new Map<string, number>();
  for (const { path } of repository.files) {
    if (!isCode(path) || isScript(path) || isVendored(path)) continue;
    const extension = extensionOf(path);
    if (extension !== '') others.set(extension, (others.get(extension) ?? 0) + 1);
  }
  if (others.size === 0) return;
  const list = [...others].toSorted((a, b) => b[1] - a[1]).slice(0, 5);
  const names = list.map(([extension, files]) => `${files} .${extension}`).join(', ');
  report.note(`Only JavaScript and TypeScript are measured; not ${names}.`);
}

interface Frame {
  readonly node: FunctionNode;
  readonly name: string;
  cyclomatic: number;
  cognitive: number;
  nesting: number;
  /** Control blocks open now; a conditional expression nests thoughts but not blocks. */
  blocks: number;
  depth: number;
  innerLines: number;
}

type FunctionNode = FunctionDeclarationOrExpression | ArrowFunctionExpression;

/** Every function of a file that has a body, inner ones on their own. */
export function measure(source: Source): FunctionFacts[] {
  const found: FunctionFacts[] = [];
  const frames: Frame[] = [];
  walk(source.program, {
    enter(node, ancestors) {
      if (isFunction(node)) {
        const name = nameOf(node, ancestors);
        const start = { cyclomatic: 1, cognitive: 0, nesting: 0, blocks: 0, depth: 0 };
        frames.push({ node, name, ...start, innerLines: 0 });
        return;
      }
      const frame = frames.at(-1);
      if (frame !== undefined) weigh(frame, node, ancestors.at(-1));
    },
    leave(node, ancestors) {
      const frame = frames.at(-1);
      if (frame === undefined) return;
      if (nests(node, ancestors.at(-1))) {
        frame.nesting -= 1;
        if (node.type !== 'ConditionalExpression') frame.blocks -= 1;
      }
      if (frame.node !== node) return;
      frames.pop();
      const facts = factsOf(frame, source);
      const outer = frames.at(-1);
      if (outer !== undefined) outer.innerLines += facts.lines + frame.innerLines - 1;
      found.push(facts);
    },
  });
  return found.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

function isFunction(node: Node): node is FunctionNode {
  return (
    (node.type === 'FunctionDeclaration' ||
      node.type === 'FunctionExpression' ||
      node.type === 'ArrowFunctionExpression') &&
    node.body !== null
  );
}

function factsOf(frame: Frame, source: Source): FunctionFacts {
  const start = source.at(frame.node.start);
  const end = source.at(frame.node.end);
  return {
    name: frame.name,
    ...start,
    lines: Math.max(1, end.line - start.line + 1 - frame.innerLines),
    parameters: frame.node.params.filter((item) => !isThis(item)).length,
    isInjected: frame.node.params.some((item) => item.type === 'TSParameterProperty'),
    cyclomatic: frame.cyclomatic,
    cognitive: frame.cognitive,
    depth: frame.depth,
  };
}

/** TypeScript's `this: T` is no parameter to a caller. */
function isThis(node: Node): boolean {
  return dottedName(node) === 'this';
}

function isElseIf(node: Node, parent: Node | undefined): boolean {
  return node.type === 'IfStatement' && parent?.type === 'IfStatement' && parent.alternate === node;
}

/** Whether what is inside of it is one level deeper. */
function nests(node: Node, parent: Node | undefined): boolean {
  switch (node.type) {
    case 'IfStatement':
      return !isElseIf(node, parent);
    case 'ForStatement':
    case 'ForInStatement':
    case 'ForOfStatement':
    case 'WhileStatement':
    case 'DoWhileStatement':
    case 'SwitchStatement':
    case 'CatchClause':
    case 'ConditionalExpression':
      return true;
    default:
      return false;
  }
}

function weigh(frame: Frame, node: Node, parent: Node | undefined): void {
  if (nests(node, parent)) {
    frame.cognitive += 1 + frame.nesting;
    frame.nesting += 1;
    if (node.type !== 'SwitchStatement') frame.cyclomatic += 1;
    if (node.type !== 'ConditionalExpression') {
      frame.blocks += 1;
      frame.depth = Math.max(frame.depth, frame.blocks);
    }
  }
  if (isElseIf(node, parent)) {
    frame.cognitive += 1;
    frame.cyclomatic += 1;
  }
  if (node.type === 'IfStatement') {
    if (node.alternate !== null && node.alternate.type !== 'IfStatement') frame.cognitive += 1;
  } else if (node.type === 'SwitchCase') {
    if (node.test !== null) frame.cyclomatic += 1;
  } else if (node.type === 'BreakStatement' || node.type === 'ContinueStatement') {
    if (node.label !== null) frame.cognitive += 1;
  } else if (node.type === 'LogicalExpression') {
    frame.cyclomatic += 1;
    // A run of one operator is one thought; `??` is a default and no branch to follow. In JSX, `a && b` shows.
    const continues = parent?.type === 'LogicalExpression' && parent.operator === node.operator;
    if (node.operator !== '??' && !continues && parent?.type !== 'JSXExpressionContainer')
      frame.cognitive += 1;
  }
}

function nameOf(node: FunctionNode, ancestors: readonly Node[]): string {
  if (node.id !== null) return node.id.name;
  const parent = ancestors.at(-1);
  switch (parent?.type) {
    case 'VariableDeclarator':
      return dottedName(parent.id) ?? 'anonymous function';
    case 'AssignmentExpression':
      return dottedName(parent.left) ?? 'anonymous function';
    case 'MethodDefinition':
    case 'PropertyDefinition':
    case 'Property':
      return keyName(parent.key) ?? 'anonymous function';
    case 'ExportDefaultDeclaration':
      return 'the default export';
    case 'CallExpression': {
      const called = dottedName(parent.callee);
      return called === undefined ? 'anonymous function' : `the callback of ${called}`;
    }
    default:
      return 'anonymous function';
  }
}

function keyName(key: Node): string | undefined {
  if (key.type === 'Identifier') return key.name;
  if (key.type === 'PrivateIdentifier') return `#${key.name}`;
  return key.type === 'Literal' ? String(key.value) : undefined;
}

type Judgement = Pick<Finding, 'severity' | 'rule' | 'message' | 'evidence' | 'fix'>;

/** In tests, length and lists of parameters are how cases are written, and nothing is worse than low. */
function judge(facts: FunctionFacts, inTest: boolean): Judgement[] {
  const judgements: Judgement[] = [];
  const cognitive = grade(facts.cognitive, limits.cognitive);
  if (cognitive !== undefined)
    judgements.push({
      severity: inTest ? 'low' : cognitive,
      rule: 'cognitive-complexity',
      message: `${facts.name} is hard to follow: cognitive complexity ${facts.cognitive} (up to ${limits.cognitive.low - 1} reads well).`,
      evidence: `cyclomatic ${facts.cyclomatic}, nested ${facts.depth} deep, ${facts.lines} lines`,
      fix: 'Return early, take the inner blocks out as named functions, turn chains of conditions into a table.',
    });
  const depth = grade(facts.depth, limits.depth);
  if (depth !== undefined && cognitive === undefined)
    judgements.push({
      severity: inTest ? 'low' : depth,
      rule: 'deep-nesting',
      message: `${facts.name} nests control structures ${facts.depth} deep.`,
      fix: 'Return or continue early, or take the innermost block out as a function.',
    });
  if (inTest) return judgements;
  const parameters = facts.isInjected ? undefined : grade(facts.parameters, limits.parameters);
  if (parameters !== undefined)
    judgements.push({
      severity: parameters,
      rule: 'many-parameters',
      message: `${facts.name} takes ${facts.parameters} parameters by position.`,
      fix: 'Take one object with named fields.',
    });
  const lines = grade(facts.lines, limits.lines);
  if (lines !== undefined)
    judgements.push({
      severity: lines,
      rule: 'long-function',
      message: `${facts.name} is ${facts.lines} lines long, without the functions inside it.`,
      fix: 'Find the steps it goes through and give each a function with a name.',
    });
  return judgements;
}

function grade(
  value: number,
  from: { readonly low: number; readonly medium: number },
): 'low' | 'medium' | undefined {
  if (value >= from.medium) return 'medium';
  return value >= from.low ? 'low' : undefined;
}
