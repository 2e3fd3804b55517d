import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Sql } from '../../src/database/database.ts';

/** A statement of the product and the function that writes it. */
export interface FoundStatement {
  /** `src/coordination/queries.ts: appendEvents`. */
  readonly from: string;
  readonly sql: Sql;
}

const root = join(import.meta.dirname, '../..');

/** The `queries.ts` and `*-queries.ts` anywhere in `src`, relative to the root. */
export function queryFiles(): string[] {
  return readdirSync(join(root, 'src'), { recursive: true })
    .map((path) => join('src', String(path)))
    .filter((path) => basename(path) === 'queries.ts' || path.endsWith('-queries.ts'))
    .toSorted();
}

/**
 * Calls every exported function of the files with placeholders, which PREPARE never looks at, and
 * gives the statements. A function that gives anything else is an error that names it.
 */
export async function findStatements(files: readonly string[]): Promise<FoundStatement[]> {
  const found: FoundStatement[] = [];
  for (const file of files) {
    const exported = (await import(join(root, file))) as Record<string, unknown>;
    for (const [name, value] of Object.entries(exported)) {
      if (typeof value === 'function')
        found.push(...statementsOf(`${file}: ${name}`, value as Writer));
      else if (isSql(value)) found.push({ from: `${file}: ${name}`, sql: value });
    }
  }
  return found;
}

type Writer = (...args: unknown[]) => unknown;

function statementsOf(from: string, write: Writer): FoundStatement[] {
  let written: unknown;
  try {
    written = write(placeholder, placeholder, placeholder, placeholder, placeholder, placeholder);
  } catch (cause) {
    throw new Error(`${from} can not be called with placeholders`, { cause });
  }
  if (!isSql(written)) throw new Error(`${from} gives no statement`);
  return [{ from, sql: written }];
}

function isSql(value: unknown): value is Sql {
  return (
    typeof value === 'object' &&
    value !== null &&
    'text' in value &&
    typeof value.text === 'string' &&
    'values' in value &&
    'name' in value
  );
}

/** Has no property, is an empty array to whoever iterates or maps it, and the empty text as text. */
const placeholder: unknown = new Proxy([], {
  get(target, property) {
    const own: unknown = Reflect.get(target, property);
    return typeof own === 'function' ? own.bind(target) : own;
  },
});
