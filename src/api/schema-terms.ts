/** The terms that the schemas of what goes over HTTP are written in, and the shapes that all of them share. */
import { Type, type Static, type TSchema } from 'typebox';
import { errorCodes, type ErrorCode, type ErrorRecord } from '../base/base.ts';
import type { FieldError, ProblemDocument } from './problem.ts';

export type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;
/** Identity rather than assignability, which would let a missing optional field pass. */
export type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Names a schema and checks that its type is `T`, neither wider nor narrower. The name is its title, and how the reference calls it. */
export function describes<T>() {
  return <Schema extends TSchema>(
    schema: Same<DeepReadonly<Static<Schema>>, DeepReadonly<T>> extends true ? Schema : never,
    title: string,
  ): Schema => ({ ...schema, title });
}

export const text = Type.String();
export const texts = Type.Array(text);
export const count = Type.Integer({ minimum: 0 });
export const time = Type.String({ format: 'date-time' });
export const id = Type.String({ format: 'uuid', description: 'UUIDv7' });
export const record = Type.Record(Type.String(), Type.Unknown());
export const maybe = Type.Optional;

/** One of these words. */
export function oneOf<Word extends string>(words: readonly Word[]) {
  return Type.Unsafe<Word>({ type: 'string', enum: [...words] });
}

export const errorCode = Type.Unsafe<ErrorCode>({ type: 'string', enum: Object.keys(errorCodes) });

export const errorRecordSchema = describes<ErrorRecord>()(
  Type.Object({
    code: errorCode,
    message: text,
    retryable: Type.Boolean(),
    remedy: maybe(text),
    details: maybe(record),
  }),
  'ErrorRecord',
);

const fieldErrorSchema = describes<FieldError>()(
  Type.Object({ in: oneOf(['body', 'query', 'path', 'header']), field: text, message: text }),
  'FieldError',
);

export const problemSchema = describes<ProblemDocument>()(
  Type.Object({
    type: text,
    title: text,
    status: Type.Integer(),
    detail: text,
    instance: text,
    code: errorCode,
    retryable: Type.Boolean(),
    requestId: text,
    remedy: maybe(text),
    details: maybe(record),
    errors: maybe(Type.Array(fieldErrorSchema)),
  }),
  'ProblemDocument',
);
