import { AppError } from '../base/base.ts';

/** Deeper than any token of ours; a chain of eight actors takes nine. */
const mostLevels = 16;

/** A byte order mark stays in the text, where `JSON.parse` refuses it. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The value of a JSON text, as `JSON.parse` gives it. Two readers of a repeated name may see two
 * different values, and one check then speaks of another value than the next: so throws
 * `token_invalid`, naming `what`, for a name that an object has twice (RFC 7515, section 4), for more
 * than 16 levels, a number beyond the range of a double, a byte order mark, bytes that are not UTF-8,
 * and whatever is not JSON. No message holds anything of the text.
 */
export function parseStrictJson(bytes: Uint8Array, what: string): unknown {
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new AppError('token_invalid', `${what} is not UTF-8`);
  }
  try {
    value = JSON.parse(text);
  } catch {
    throw new AppError('token_invalid', `${what} is not JSON`);
  }
  assertUnambiguous(text, what);
  return value;
}

/** `text` is known to be JSON, so a quote, a bracket or a digit can only mean one thing. */
function assertUnambiguous(text: string, what: string): void {
  /** The names of each object that is open; undefined for a list. */
  const open: (Set<string> | undefined)[] = [];
  let index = 0;
  while (index < text.length) {
    const char = text[index];
    let end = index + 1;
    if (char === '{' || char === '[') {
      open.push(char === '{' ? new Set() : undefined);
      if (open.length > mostLevels) {
        throw new AppError('token_invalid', `${what} nests deeper than ${mostLevels} levels`);
      }
    } else if (char === '}' || char === ']') {
      open.pop();
    } else if (char === '"') {
      end = endOfString(text, index);
      const names = open.at(-1);
      if (names !== undefined && isName(text, end)) {
        const name = nameOf(text.slice(index, end));
        if (names.has(name)) throw new AppError('token_invalid', `${what} repeats a member name`);
        names.add(name);
      }
    } else if (isNumber(char)) {
      end = endOfNumber(text, index);
      if (!Number.isFinite(Number(text.slice(index, end)))) {
        throw new AppError('token_invalid', `${what} holds a number that is out of range`);
      }
    }
    index = end;
  }
}

function endOfString(text: string, start: number): number {
  let index = start + 1;
  while (text[index] !== '"') index += text[index] === '\\' ? 2 : 1;
  return index + 1;
}

/** A string that a colon follows is the name of a member; no value is followed by one. */
function isName(text: string, end: number): boolean {
  let index = end;
  while (' \t\n\r'.includes(text[index] ?? 'x')) index += 1;
  return text[index] === ':';
}

/** Two spellings of one name are one name: an escape is undone. */
function nameOf(quoted: string): string {
  return quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
}

function isNumber(char: string | undefined): boolean {
  return char === '-' || (char !== undefined && char >= '0' && char <= '9');
}

function endOfNumber(text: string, start: number): number {
  let index = start + 1;
  while ('0123456789+-.eE'.includes(text[index] ?? 'x')) index += 1;
  return index;
}
