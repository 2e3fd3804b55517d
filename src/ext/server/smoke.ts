import { AppError } from '../../base/base.ts';

/** One statement of a text: where it begins, and its first words, as they are written but in lower case. */
interface Statement {
  readonly line: number;
  readonly words: string[];
}

/**
 * Refuses SQL that can not be sent as it is, or that would end the transaction which takes its effects
 * back: commands of psql, COMMIT, ROLLBACK and the like. Throws `invalid_input` with the line.
 */
export function checkSmoke(text: string, file: string): void {
  for (const { line, words } of statementsOf(text, file)) {
    if (!endsTransaction(words)) continue;
    throw refusal(file, line, `“${words.slice(0, 2).join(' ')}” is not for a smoke test`, {
      remedy: 'Leave transactions out: it runs in one of ours, which is rolled back.',
    });
  }
}

function endsTransaction(words: readonly string[]): boolean {
  const [first = '', second] = words;
  if (first === 'prepare') return second === 'transaction';
  // Back to a savepoint of its own it may go.
  if (first === 'rollback') return !words.includes('to');
  return ['begin', 'start', 'commit', 'end', 'abort'].includes(first);
}

/** In their order: comments, three kinds of quotes, words, and single characters. */
const token =
  /--[^\n]*|\/\*|(?<escaped>e'(?:[^'\\]|\\[^]|'')*')|'(?:[^']|'')*'|"(?:[^"]|"")*"|(?<quote>\$(?:[a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)|(?<word>[a-z_\u0080-\uffff][\w$\u0080-\uffff]*)|[^]/giy;

function statementsOf(text: string, file: string): Statement[] {
  const statements: Statement[] = [];
  let current: Statement | undefined;
  // The body of a function in standard SQL holds semicolons, and CASE has an END of its own.
  let depth = 0;
  let at = 0;
  let line = 1;
  while (at < text.length) {
    token.lastIndex = at;
    const match = token.exec(text);
    if (match === null) throw refusal(file, line, 'this can not be read');
    const part = whole(text, match, file, line);
    const word = match.groups?.['word']?.toLowerCase();
    if (part === '\\') throw metaCommand(text, at, file, line);
    if (word !== undefined) {
      if (current === undefined) statements.push((current = { line, words: [] }));
      const before = current.words.at(-1);
      current.words.push(word);
      if (word === 'atomic' && before === 'begin') depth += 1;
      else if (depth > 0 && word === 'case') depth += 1;
      else if (depth > 0 && word === 'end') depth -= 1;
    } else if (part === ';' && depth === 0) {
      current = undefined;
    }
    line += part.split('\n').length - 1;
    at += part.length;
  }
  return statements;
}

/** The match, or what it opens: a comment, which may hold others, or a text between dollars. */
function whole(text: string, match: RegExpExecArray, file: string, line: number): string {
  const [part] = match;
  const { index } = match;
  const quote = match.groups?.['quote'];
  if (quote !== undefined) {
    const end = text.indexOf(quote, index + quote.length);
    if (end === -1) throw refusal(file, line, `the text that ${quote} begins has no end`);
    return text.slice(index, end + quote.length);
  }
  if (part === "'" || part === '"') throw refusal(file, line, `the quote ${part} has no end`);
  if (part !== '/*') return part;
  const edges = /\/\*|\*\//g;
  edges.lastIndex = index;
  let open = 0;
  for (let edge = edges.exec(text); edge !== null; edge = edges.exec(text)) {
    open += edge[0] === '/*' ? 1 : -1;
    if (open === 0) return text.slice(index, edges.lastIndex);
  }
  throw refusal(file, line, 'the comment has no end');
}

function metaCommand(text: string, at: number, file: string, line: number): AppError {
  const command = /^\S+/.exec(text.slice(at))?.[0] ?? '\\';
  return refusal(file, line, `${command} is a command of psql, which is not used`, {
    remedy: 'Say it in SQL: an assertion is “do $$ begin assert …; end $$”.',
  });
}

function refusal(
  file: string,
  line: number,
  message: string,
  options: { remedy?: string } = {},
): AppError {
  return new AppError('invalid_input', `${file}:${line}: ${message}`, {
    details: { file, line },
    ...options,
  });
}
