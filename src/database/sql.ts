import { createHash } from 'node:crypto';

/** One SQL statement with its parameters apart from its text. `Row` is the shape of a result row. */
export interface Sql<Row = unknown> {
  readonly text: string;
  readonly values: readonly unknown[];
  /** Names the prepared statement of the text on each connection. */
  readonly name: string;
  /** Carries the row type only; never set. */
  readonly row?: Row;
}

interface Template {
  readonly text: string;
  readonly name: string;
}

/** A template's text never changes, so it is joined and named once. */
const templates = new WeakMap<TemplateStringsArray, Template>();

/**
 * The only way to write SQL: every interpolated value becomes a parameter, never text. Cast
 * parameters in the text (`${ids}::uuid[]`) and pass JSON as `${json(value)}::json`.
 *
 * @example sql<{ total: number }>`select count(*)::int as total from runs where status = ${status}`
 */
export function sql<Row = unknown>(strings: TemplateStringsArray, ...values: unknown[]): Sql<Row> {
  let template = templates.get(strings);
  if (template === undefined) {
    const text = strings.reduce((joined, part, index) => `${joined}$${index}${part}`).trim();
    const name = `c_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`;
    template = { text, name };
    templates.set(strings, template);
  }
  return { text: template.text, name: template.name, values };
}

/** A value as JSON text for a `json` or `jsonb` parameter; the same on both drivers. */
export function json(value: unknown): string {
  return JSON.stringify(value ?? null);
}
