/** The C functions that the SQL of an extension declares: what a library must define. */

export interface DeclaredFunction {
  /** As the script names it, without its schema. */
  readonly name: string;
  /** `MODULE_PATHNAME`, `$libdir/vector`: as written. */
  readonly library: string;
  readonly symbol: string;
  readonly line: number;
}

export interface ScriptFunctions {
  readonly declared: readonly DeclaredFunction[];
  /** Names of functions that it drops, each with how many were declared in this script before. */
  readonly dropped: readonly { readonly name: string; readonly after: number }[];
}

interface Token {
  readonly text: string;
  readonly line: number;
}

/** Comments, spaces; strings with escapes, strings, dollar quotes, quoted names; words; anything else. */
const tokenForm =
  /(--[^\n]*|\/\*[\s\S]*?\*\/|\s+)|[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|\$(\w*)\$[\s\S]*?\$\2\$|"(?:[^"]|"")*"|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[\s\S]/g;

/**
 * Reads a script as far as its functions go. What SQL makes at run time (EXECUTE in a DO block) is not
 * seen: the live catalogue and a rehearsal see it.
 */
export function readScript(text: string): ScriptFunctions {
  const declared: DeclaredFunction[] = [];
  const dropped: { name: string; after: number }[] = [];
  for (const statement of statementsOf(text)) {
    const words = statement.map((token) => token.text.toLowerCase());
    const kind = words.findIndex((word) => word === 'function' || word === 'procedure');
    // CREATE OR REPLACE FUNCTION has it in the fourth place; a trigger's EXECUTE FUNCTION comes later.
    if (kind < 1 || kind > 3) continue;
    if (words[0] === 'create') {
      const found = declaredFunction(statement, words, kind + 1);
      if (found !== undefined) declared.push(found);
    } else if (words[0] === 'drop') {
      const begin = words[kind + 1] === 'if' ? kind + 3 : kind + 1;
      dropped.push({ name: nameAt(statement, begin), after: declared.length });
    }
  }
  return { declared, dropped };
}

function* statementsOf(text: string): Generator<readonly Token[]> {
  let statement: Token[] = [];
  let line = 1;
  // PostgreSQL leaves out lines that guard against psql.
  for (const match of text.replaceAll(/^\\echo.*$/gm, '').matchAll(tokenForm)) {
    const [token, space] = match;
    if (token === ';') {
      if (statement.length > 0) yield statement;
      statement = [];
    } else if (space === undefined) statement.push({ text: token, line });
    for (const character of token) if (character === '\n') line += 1;
  }
  if (statement.length > 0) yield statement;
}

function declaredFunction(
  statement: readonly Token[],
  words: readonly string[],
  begin: number,
): DeclaredFunction | undefined {
  const language = words.indexOf('language', begin);
  if (language < 0 || !/^(?:c|'c'|"c")$/.test(words[language + 1] ?? '')) return undefined;
  const as = words.findIndex(
    (word, index) => index > begin && word === 'as' && isString(words[index + 1]),
  );
  const [library, comma, symbol] = statement.slice(as + 1, as + 4).map((token) => token.text);
  if (as < 0 || library === undefined) return undefined;
  const name = nameAt(statement, begin);
  return {
    name,
    library: stringValue(library),
    symbol: comma === ',' && isString(symbol) ? stringValue(symbol) : name,
    line: statement[0]?.line ?? 1,
  };
}

/** The last part of `schema.name`. */
function nameAt(statement: readonly Token[], begin: number): string {
  let at = begin;
  // `@extschema@.name` is five tokens.
  while (statement[at]?.text === '@') at += 3;
  while (statement[at + 1]?.text === '.') at += 2;
  if (statement[at]?.text === '.') at += 1;
  const text = statement[at]?.text ?? '';
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text.toLowerCase();
}

function isString(text: string | undefined): text is string {
  return text !== undefined && /^[eE]?'/.test(text);
}

function stringValue(text: string): string {
  return text.slice(text.indexOf("'") + 1, -1).replaceAll("''", "'");
}
