import { AppError } from '../base/base.ts';

/** The cursor of a page that ends with this text; nothing when no more follow. */
export function cursorOf(hasMore: boolean, last: string | undefined): { nextCursor?: string } {
  if (!hasMore || last === undefined) return {};
  return { nextCursor: Buffer.from(last).toString('base64url') };
}

/** The text that a cursor stands for; null without one. Throws `invalid_input` for what no page gave. */
export function textOfCursor(cursor: string | undefined): string | null {
  if (cursor === undefined) return null;
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  const isOurs = Buffer.from(text).toString('base64url') === cursor;
  if (isOurs && text !== '' && !/\p{Cc}/u.test(text)) return text;
  throw new AppError('invalid_input', 'the cursor is none that a page gave', {
    details: { field: 'cursor' },
    remedy: 'Give back nextCursor of the page before.',
  });
}
