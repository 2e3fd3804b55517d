import { extensionOf } from './paths.ts';

interface Syntax {
  /** What starts a comment that goes to the end of its line. */
  readonly line: readonly string[];
  /** What starts and ends a comment of several lines. */
  readonly block: readonly (readonly [string, string])[];
  readonly quotes: string;
}

const cLike: Syntax = { line: ['//'], block: [['/*', '*/']], quotes: '"\'`' };
const hash: Syntax = { line: ['#'], block: [], quotes: '"\'' };
const markup: Syntax = { line: [], block: [['<!--', '-->']], quotes: '' };
const families: readonly (readonly [string, Syntax])[] = [
  [
    'c cc cpp cxx h hh hpp hxx cs java js mjs cjs jsx ts mts cts tsx go kt kts swift scala dart groovy gradle zig sol proto v glsl',
    cLike,
  ],
  // A single quote is a lifetime in Rust and a type variable in F#.
  ['rs fs', { ...cLike, quotes: '"' }],
  ['php', { ...cLike, line: ['//', '#'] }],
  ['css', { ...cLike, line: [] }],
  ['scss less', cLike],
  [
    'py pyi',
    {
      ...hash,
      block: [
        ['"""', '"""'],
        ["'''", "'''"],
      ],
    },
  ],
  [
    'sh bash zsh rb pl pm r jl ex exs nim tcl coffee yaml yml toml tf hcl conf cmake mk dockerfile makefile',
    hash,
  ],
  ['ps1', { ...hash, block: [['<#', '#>']] }],
  ['sql', { line: ['--'], block: [['/*', '*/']], quotes: '\'"' }],
  ['lua', { line: ['--'], block: [['--[[', ']]']], quotes: '"\'' }],
  ['hs elm', { line: ['--'], block: [['{-', '-}']], quotes: '"' }],
  ['clj cljs lisp el asm ini', { line: [';'], block: [], quotes: '"' }],
  ['erl tex', { line: ['%'], block: [], quotes: '' }],
  ['html htm xml svg md markdown', markup],
  [
    'vue svelte',
    {
      ...cLike,
      block: [
        ['/*', '*/'],
        ['<!--', '-->'],
      ],
    },
  ],
];
const syntaxes = new Map(
  families.flatMap(([names, syntax]) => names.split(' ').map((name) => [name, syntax] as const)),
);

export interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Where the comments of a source file are, by a scan that knows strings and comments and nothing
 * else; undefined for a language it does not know. What it gets wrong (a quote in a regular
 * expression) ends with the line.
 */
export function findComments(path: string, text: string): Range[] | undefined {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  const syntax = syntaxes.get(extensionOf(path)) ?? syntaxes.get(name);
  if (syntax === undefined) return undefined;
  const starts = startsOf(syntax);
  const ranges: Range[] = [];
  for (let match = starts.exec(text); match !== null; match = starts.exec(text)) {
    const start = match.index;
    const opening = match[0];
    const block = syntax.block.find(([open]) => open === opening);
    if (block !== undefined) {
      const at = text.indexOf(block[1], start + opening.length);
      starts.lastIndex = at < 0 ? text.length : at + block[1].length;
      ranges.push({ start, end: starts.lastIndex });
    } else if (syntax.line.includes(opening)) {
      const end = endOfLine(text, start);
      starts.lastIndex = end;
      // `a#b` and `$#` hold no comment.
      if (opening !== '#' || start === 0 || /\s/.test(text.charAt(start - 1)))
        ranges.push({ start, end });
      else starts.lastIndex = start + 1;
    } else {
      starts.lastIndex = endOfString(text, start);
    }
  }
  return ranges;
}

function escape(sign: string): string {
  return sign.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}

function startsOf({ line, block, quotes }: Syntax): RegExp {
  // Longer ones first: `"""` before `"`.
  const signs = [...block.map(([open]) => open), ...line, ...quotes].toSorted(
    (a, b) => b.length - a.length,
  );
  return new RegExp(signs.map(escape).join('|'), 'g');
}

function endOfLine(text: string, from: number): number {
  const at = text.indexOf('\n', from);
  return at < 0 ? text.length : at;
}

function endOfString(text: string, start: number): number {
  const quote = text.charAt(start);
  for (let at = start + 1; at < text.length; at += 1) {
    const sign = text.charAt(at);
    if (sign === '\\') at += 1;
    else if (sign === quote) return at + 1;
    else if (sign === '\n' && quote !== '`') return at;
  }
  return text.length;
}

/** Lines by offset. */
export class LineIndex {
  readonly #starts: number[] = [0];

  constructor(text: string) {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1))
      this.#starts.push(at + 1);
  }

  /** Line and column of an offset, both from 1. */
  at(offset: number): { line: number; column: number } {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (this.#starts[low] ?? 0) + 1 };
  }
}
