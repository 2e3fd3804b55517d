import { Type, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { isAlias, isCollection, isMap, isNode, isScalar, type Document, type Node } from 'yaml';
import { suggest } from '../base/base.ts';
import type { Problem } from './agents.ts';
import { centuriaSchema } from './definition-schema.ts';
import type { Frontmatter } from './frontmatter.ts';

/** Field names and list positions from the top of the frontmatter down. */
export type Path = readonly (string | number)[];

/** Holds the map at `path` against an object schema, field by field and down into maps. */
export function checkFields(
  front: Frontmatter,
  schema: ReturnType<typeof Type.Object>,
  path: Path,
  unknownSeverity: Problem['severity'],
): void {
  const node = resolve(front.document, path);
  const value = valueAt(front.fields, path);
  if (!isMap(node) || !isRecord(value)) {
    complain(front, path, `must be ${describe(schema)}, not ${show(value)}`);
    return;
  }
  const known = Object.keys(schema.properties);
  const required: readonly string[] = schema.required ?? [];
  for (const field of required) {
    if (Object.hasOwn(value, field)) continue;
    const message = `${named([...path, field])} is missing`;
    const near = suggest(
      field,
      Object.keys(value).filter((key) => !known.includes(key)),
    );
    front.report('error', startOf(node), message, near && `Rename ${near} to ${field}.`);
  }
  for (const [field, inner] of Object.entries(value)) {
    const innerPath = [...path, field];
    const innerSchema = Object.hasOwn(schema.properties, field)
      ? schema.properties[field]
      : undefined;
    if (innerSchema === undefined) {
      reportUnknown(front, innerPath, known, unknownSeverity);
    } else if (Type.IsObject(innerSchema)) {
      checkFields(front, innerSchema, innerPath, 'error');
      const empty = isRecord(inner) && Object.keys(inner).length < leastFields(innerSchema);
      if (empty) complain(front, innerPath, `must be ${describe(innerSchema)}`);
    } else {
      checkValue(front, innerSchema, innerPath, inner);
    }
  }
}

/** Holds one value against its schema; the complaint says what would be right. */
export function checkValue(front: Frontmatter, schema: TSchema, path: Path, value: unknown): void {
  const errors = Value.Errors(schema, value);
  const [first] = errors;
  if (first === undefined) return;
  // In a list the complaint belongs to the item that is wrong.
  const index = Type.IsArray(schema) ? /^\/(\d+)/.exec(first.instancePath)?.[1] : undefined;
  if (index !== undefined && Type.IsArray(schema) && Array.isArray(value)) {
    const item: unknown = value[Number(index)];
    const near = nearest(schema.items, item);
    const message = `must be ${describe(schema.items)}, not ${show(item)}`;
    complain(front, [...path, Number(index)], message, near);
    return;
  }
  const message = `must be ${describe(schema)}, not ${show(value)}`;
  complain(front, path, message, nearest(schema, value));
}

function reportUnknown(
  front: Frontmatter,
  path: Path,
  known: readonly string[],
  severity: Problem['severity'],
): void {
  const field = String(path.at(-1));
  const near = suggest(field, known);
  const ours = Object.keys(centuriaSchema.properties);
  const moved = path.length === 1 && ours.includes(field) ? `centuria.${field}` : undefined;
  const place = path.length === 1 ? '' : ` in ${named(path.slice(0, -1))}`;
  front.report(
    severity,
    keyOffset(front, path),
    `unknown field ${field}${place}`,
    moved === undefined ? near && `Did you mean ${near}?` : `Write it as ${moved}.`,
  );
}

/** Reports an error at `path`; the message begins with the field's name. */
export function complain(
  front: Frontmatter,
  path: Path,
  message: string,
  suggestion?: string,
): void {
  front.report('error', offsetAt(front, path), `${named(path)} ${message}`, suggestion);
}

function leastFields(schema: TSchema): number {
  return (schema as { minProperties?: number }).minProperties ?? 0;
}

function describe(schema: TSchema): string {
  return (schema as { description?: string }).description ?? 'of another type';
}

/** For a misspelled word of a list, the word that was meant. */
function nearest(schema: TSchema, value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const words: unknown = (schema as { enum?: unknown }).enum;
  const near = Array.isArray(words) ? suggest(value, words.map(String)) : undefined;
  if (near !== undefined) return `Did you mean ${near}?`;
  const slug = value
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const { pattern } = schema as { pattern?: string };
  if (pattern === undefined || slug === value || slug === '') return undefined;
  return new RegExp(pattern, 'u').test(slug) ? slug : undefined;
}

/** The path as people write it: `centuria.runtime.arguments[2]`, counting from 1. */
export function named(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part + 1}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}

/** A value in a message: JSON, cut at 80 characters. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** The plain value at `path`, by own properties only. */
export function valueAt(value: unknown, path: Path): unknown {
  let inner = value;
  for (const part of path) {
    if (inner === null || typeof inner !== 'object' || !Object.hasOwn(inner, part)) {
      return undefined;
    }
    inner = (inner as Record<string | number, unknown>)[part];
  }
  return inner;
}

/** The node at `path`, with aliases followed. */
export function resolve(document: Document.Parsed, path: Path): Node | null | undefined {
  let node: Node | null | undefined = document.contents;
  for (const part of path) {
    if (isAlias(node)) node = node.resolve(document);
    const inner: unknown = isCollection(node) ? node.get(part, true) : undefined;
    node = isNode(inner) ? inner : undefined;
  }
  return isAlias(node) ? node.resolve(document) : node;
}

/** Where the value stands, or the nearest thing around it that stands in the file. */
export function offsetAt(front: Frontmatter, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const node = resolve(front.document, path.slice(0, length));
    if (node?.range) return startOf(node);
    const key = keyOffset(front, path.slice(0, length));
    if (key > 0) return key;
  }
  return 0;
}

function keyOffset(front: Frontmatter, path: Path): number {
  const parent = resolve(front.document, path.slice(0, -1));
  if (!isMap(parent)) return 0;
  const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === path.at(-1));
  return isScalar(pair?.key) ? startOf(pair.key) : 0;
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
