import { Type } from 'typebox';

/** No control characters: PostgreSQL refuses NUL, and no name has the others. */
const plain = '^[^\\u0000-\\u001f\\u007f]*$';

export const nameParam = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 200, pattern: plain }),
});

export const runParam = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 200, description: 'The id of a run, a UUIDv7' }),
});

/** Printable ASCII without spaces: what survives every client and proxy unchanged. */
export const idempotencyHeader = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      maxLength: 255,
      pattern: '^[\\x21-\\x7e]+$',
      description: 'Two calls with the same key have one effect',
    }),
  ),
});

/** A query parameter of names. */
export const plainText = Type.String({ minLength: 1, maxLength: 200, pattern: plain });

export const cursorText = Type.String({
  minLength: 1,
  maxLength: 512,
  pattern: '^[\\x21-\\x7e]+$',
  description: '`nextCursor` of the page before',
});
