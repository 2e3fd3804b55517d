import { parse, type ParseError } from 'jsonc-parser';
import { AppError, redact } from '../../base/base.ts';

/** Deeper values are no answer of anybody, and a recursion over them would end the process. */
const maxDepth = 500;

/** JSON that an agent wrote. Throws `agent_output_invalid` with the place of the mistake. */
export function readJsonText(text: string, agent: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text) as unknown;
  } catch (cause) {
    const { line, column, offset } = placeOfMistake(text);
    const start = redact(text.slice(0, 200));
    const what = text.trim() === '' ? 'it wrote nothing' : `it begins ${JSON.stringify(start)}`;
    throw new AppError(
      'agent_output_invalid',
      `agent ${agent} wrote no valid JSON: wrong at line ${line}, column ${column}; ${what}`,
      { details: { agent, line, column, offset, start }, cause },
    );
  }
  if (!isDeeper(value)) return value;
  const message = `agent ${agent} wrote JSON that is nested more than ${maxDepth} deep`;
  throw new AppError('agent_output_invalid', message, { details: { agent } });
}

/** Level by level instead of by recursion. */
function isDeeper(value: unknown): boolean {
  let level = [value];
  for (let depth = 0; depth <= maxDepth; depth += 1) {
    level = level.flatMap((item) =>
      item !== null && typeof item === 'object' ? Object.values(item) : [],
    );
    if (level.length === 0) return false;
  }
  return true;
}

/** JSON.parse names a position in some of its messages only. */
function placeOfMistake(text: string): { line: number; column: number; offset: number } {
  const errors: ParseError[] = [];
  try {
    parse(text, errors, { disallowComments: true, allowTrailingComma: false });
  } catch {
    // It recurses: a million open brackets are too much for it, and end where the text ends.
  }
  const offset = errors[0]?.offset ?? text.length;
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1, offset };
}
