/** Lists in pages: how many at once, and where the next page begins. */
import { AppError } from '../base/base.ts';
import type { Page } from './administration.ts';

const mostItems = 500;
const usualItems = 50;

/** Throws `invalid_input` for what is no whole number from 1 to 500; 50 unless given. */
export function pageSize(limit: number | undefined): number {
  if (limit === undefined) return usualItems;
  if (Number.isInteger(limit) && limit >= 1 && limit <= mostItems) return limit;
  throw new AppError('invalid_input', `limit is ${limit}`, {
    details: { field: 'limit', least: 1, most: mostItems },
    remedy: `Use a whole number from 1 to ${mostItems}.`,
  });
}

/** A page of the rows of a query that asked for one more than the page holds. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  size: number,
  item: (row: Row) => Item,
  sortKey: (row: Row) => readonly string[],
): Page<Item> {
  const shown = rows.slice(0, size);
  const last = shown.at(-1);
  const items = shown.map(item);
  if (rows.length <= size || last === undefined) return { items };
  return { items, nextCursor: encodeCursor(sortKey(last)) };
}

function encodeCursor(sortKey: readonly string[]): string {
  return Buffer.from(JSON.stringify(sortKey)).toString('base64url');
}

/**
 * The sort key of a cursor, each part of which `shapes` must fit. Undefined without a cursor; throws
 * `invalid_input` for one that no page ended with.
 */
export function readCursor(
  cursor: string | undefined,
  shapes: readonly RegExp[],
): readonly string[] | undefined {
  if (cursor === undefined) return undefined;
  const parts = parsed(cursor);
  const isWhole =
    Array.isArray(parts) &&
    parts.length === shapes.length &&
    shapes.every((shape, index) => typeof parts[index] === 'string' && shape.test(parts[index]));
  if (isWhole) return parts as string[];
  throw new AppError('invalid_input', 'the cursor is broken', {
    details: { field: 'cursor' },
    remedy: 'Use the nextCursor of a page of this very list, or none.',
  });
}

function parsed(cursor: string): unknown {
  if (cursor.length > 1_000) return undefined;
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    return undefined;
  }
}

export const uuidShape = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
