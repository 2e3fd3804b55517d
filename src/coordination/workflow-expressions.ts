/** Expressions as values of TypeScript: texts of which the compiler knows what they stand for. */

/** Holds a type and never a value. */
export declare const value: unique symbol;

/** The text of an expression, `${…}`, that stands for a value of this type. */
export type Expression<Value> = string & { readonly [value]: Value };

/** A text that is no expression of another type; one with expressions inside is. `length` tells it from an empty type. */
type Text = string & { readonly length: number; readonly [value]?: never };

/** A value in which any part may be an expression that gives it. */
export type Template<Value> =
  | Expression<Value>
  | (Value extends string
      ? string extends Value
        ? Text
        : Value
      : Value extends readonly (infer Item)[]
        ? readonly Template<Item>[]
        : Value extends object
          ? { readonly [Name in keyof Value]: Template<Value[Name]> }
          : Value);

/** A task of an id, with what it gives back. */
export interface Task<Id extends string = string, Output = unknown> {
  readonly id: Id;
  readonly file: unknown;
  readonly [value]?: Output;
}

/** The expression for what a task gives back, or for a part of it, down to three names deep. */
export function ref<Output>(of: Task<string, Output>): Expression<Output>;
export function ref<Output, A extends keyof Output>(
  of: Task<string, Output> | Expression<Output>,
  a: A,
): Expression<Output[A]>;
export function ref<Output, A extends keyof Output, B extends keyof Output[A]>(
  of: Task<string, Output> | Expression<Output>,
  a: A,
  b: B,
): Expression<Output[A][B]>;
export function ref<
  Output,
  A extends keyof Output,
  B extends keyof Output[A],
  C extends keyof Output[A][B],
>(of: Task<string, Output> | Expression<Output>, a: A, b: B, c: C): Expression<Output[A][B][C]>;
export function ref(of: Task | string, ...names: readonly PropertyKey[]): string {
  const path = typeof of === 'string' ? of.slice(2, -1) : `tasks.${of.id}.output`;
  return expression([path, ...names.map(String)].join('.'));
}

/** The expression of a path. */
export function expression<Value>(path: string): Expression<Value> {
  return `\${${path}}` as Expression<Value>;
}

/** What a task ended as, for expressions beside its output: `status`, `error`, `reason`, `verdict`. */
export function fact(
  of: Task,
  field: 'status' | 'error' | 'reason' | 'verdict',
): Expression<unknown> {
  return expression(`tasks.${of.id}.${field}`);
}
