/** JavaScript and TypeScript as syntax trees: what several tools need of the parser. */
import { parseSync, visitorKeys, type Comment, type Node, type Program } from 'oxc-parser';
import type { EcmaScriptModule, ParserOptions } from 'oxc-parser';
import { extensionOf, isGenerated, isVendored } from './paths.ts';
import type { Repository, TrackedFile } from './repository.ts';
import type { ReportBuilder } from './report.ts';

export type { Node } from 'oxc-parser';

export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
}

export interface SyntaxFault extends Position {
  readonly message: string;
}

/** A parsed file. The tree is made when it is first asked for: imports and faults cost a third of it. */
export interface Source {
  readonly path: string;
  readonly text: string;
  readonly module: EcmaScriptModule;
  readonly faults: readonly SyntaxFault[];
  readonly program: Program;
  readonly comments: readonly Comment[];
  at(offset: number): Position;
}

/** Scripts beyond it are bundles or data; their trees take a hundred times their size. */
export const maxScriptBytes = 1024 * 1024;
/** The parser is recursive: 50,000 open brackets end the process, 1,000 do not. People write ten. */
const maxDepth = 1_000;

const scriptExtensions = new Set(['js', 'mjs', 'cjs', 'jsx', 'ts', 'mts', 'cts', 'tsx']);
const typeScriptExtensions = new Set(['ts', 'mts', 'cts', 'tsx']);

/** JavaScript or TypeScript, by its name. */
export function isScript(path: string): boolean {
  return scriptExtensions.has(extensionOf(path));
}

export function isTypeScript(path: string): boolean {
  return typeScriptExtensions.has(extensionOf(path));
}

/** A file that only declares types: `x.d.ts`, `x.d.mts`, `x.d.css.ts`. */
export function isDeclaration(path: string): boolean {
  return /\.d(\.[^./]+)?\.[mc]?ts$/.test(path);
}

/** Why a script is left out without looking for faults in it; undefined where it can be parsed. */
export function whyUnparsed(text: string): string | undefined {
  if (/^\s*(\/\*[^*]*|\/\/[^\n]*)@flow\b/.test(text.slice(0, 2_000)))
    return 'written in Flow, which is not examined';
  if (deepestBracket(text) > maxDepth) return `nested deeper than ${maxDepth} brackets, left out`;
  return undefined;
}

/** An upper bound: brackets in strings and comments count too. */
function deepestBracket(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === 40 || code === 91 || code === 123) {
      depth += 1;
      if (depth > deepest) deepest = depth;
    } else if (code === 41 || code === 93 || code === 125) depth -= 1;
  }
  return deepest;
}

/** Parses a script by the dialect that its name says; `.js` may hold JSX and CommonJS's bare `return`. */
export function parseSource(path: string, text: string, semantic = false): Source {
  const first = parseAs(path, text, dialect(path, semantic));
  if (first.faults.length === 0 || !/\.jsx?$/.test(path)) return first;
  const second = parseAs(path, text, { ...dialect(path, semantic), sourceType: 'commonjs' });
  return second.faults.length < first.faults.length ? second : first;
}

function dialect(path: string, semantic: boolean): ParserOptions {
  const common = { preserveParens: false, showSemanticErrors: semantic };
  if (isTypeScript(path)) return common;
  const extension = extensionOf(path);
  if (extension === 'mjs') return { ...common, lang: 'jsx', sourceType: 'module' };
  return extension === 'cjs'
    ? { ...common, lang: 'jsx', sourceType: 'commonjs' }
    : { ...common, lang: 'jsx' };
}

function parseAs(path: string, text: string, options: ParserOptions): Source {
  const result = parseSync(path, text, options);
  const at = positions(text);
  const faults = result.errors.map((error) => {
    const { line, column } = at(error.labels[0]?.start ?? 0);
    return { line, column, message: error.message };
  });
  return {
    path,
    text,
    faults,
    at,
    get module() {
      return result.module;
    },
    get program() {
      return result.program;
    },
    get comments() {
      return result.comments;
    },
  };
}

/** Turns offsets of a text into lines and columns. */
export function positions(text: string): (offset: number) => Position {
  let starts: number[] | undefined;
  return (offset) => {
    starts ??= lineStarts(text);
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
  };
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

export interface Visitor {
  /** `ancestors` ends with the parent. `skip` leaves the children out. */
  enter(node: Node, ancestors: readonly Node[]): 'skip' | void;
  leave?(node: Node, ancestors: readonly Node[]): void;
}

/** Visits a tree in the order of its text, without recursion: a long sum is as deep as it is long. */
export function walk(root: Node, visitor: Visitor): void {
  const ancestors: Node[] = [];
  const stack: { node: Node; entered: boolean }[] = [{ node: root, entered: false }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    if (top.entered) {
      stack.pop();
      ancestors.pop();
      visitor.leave?.(top.node, ancestors);
      continue;
    }
    top.entered = true;
    const skip = visitor.enter(top.node, ancestors) === 'skip';
    ancestors.push(top.node);
    if (skip) continue;
    const children = childrenOf(top.node);
    for (let at = children.length - 1; at >= 0; at -= 1) {
      const node = children[at];
      if (node !== undefined) stack.push({ node, entered: false });
    }
  }
}

/** The direct children of a node, in the order of the text. */
export function childrenOf(node: Node): Node[] {
  const children: Node[] = [];
  for (const key of visitorKeys[node.type] ?? []) {
    const value: unknown = Reflect.get(node, key);
    if (Array.isArray(value)) {
      for (const item of value) if (isNode(item)) children.push(item);
    } else if (isNode(value)) children.push(value);
  }
  return children;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value;
}

/** `a.b.c` of a chain of names, `undefined` for anything else. */
export function dottedName(node: Node): string | undefined {
  if (node.type === 'Identifier') return node.name;
  if (node.type === 'ThisExpression') return 'this';
  if (node.type !== 'MemberExpression' || node.computed) return undefined;
  const object = dottedName(node.object);
  const property = node.property.type === 'Identifier' ? node.property.name : undefined;
  return object === undefined || property === undefined ? undefined : `${object}.${property}`;
}

/** The text of a string literal or of a template without holes. */
export function literalText(node: Node | null | undefined): string | undefined {
  if (node?.type === 'Literal' && typeof node.value === 'string') return node.value;
  if (node?.type === 'TemplateLiteral' && node.expressions.length === 0)
    return node.quasis[0]?.value.cooked ?? undefined;
  return undefined;
}

/** Written by people of this project, by its path. */
export function isOwnScript(file: TrackedFile): boolean {
  return isScript(file.path) && !isVendored(file.path) && !isGenerated(file.path);
}

/**
 * The project's own scripts, parsed one after another so that one tree is held at a time. What can
 * not be parsed is noted, because it was not examined.
 */
export function* ownSources(repository: Repository, report: ReportBuilder): Generator<Source> {
  const unparsed = new Map<string, string[]>();
  const leave = (reason: string, path: string) =>
    void unparsed.set(reason, [...(unparsed.get(reason) ?? []), path]);
  for (const file of repository.texts(isOwnScript, maxScriptBytes)) {
    if (isGenerated(file.path, file.text)) continue;
    const why = whyUnparsed(file.text);
    if (why !== undefined) {
      leave(why, file.path);
      continue;
    }
    const source = parseSource(file.path, file.text);
    if (source.faults.length > 0)
      leave('with syntax errors, left out (see syntax-check)', file.path);
    else yield source;
  }
  for (const [reason, paths] of unparsed) {
    const more = paths.length > 3 ? ', …' : '';
    report.note(`${paths.length} scripts ${reason}: ${paths.slice(0, 3).join(', ')}${more}`);
  }
}
