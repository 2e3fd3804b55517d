/**
 * Whether what comes can be what is wanted, both said as JSON Schema. Nothing is complained of that
 * might fit: a keyword that is not understood allows everything.
 */
import type { TSchema } from 'typebox';
import Schema from 'typebox/schema';
import { suggest } from '../base/base.ts';
import { partsOf, propertyIn, typesOf, valuesOf, type JsonSchema } from './schema-read.ts';

export interface Misfit {
  /** Where in the value. */
  readonly path: readonly (string | number)[];
  /** What comes there and what is wanted. */
  readonly message: string;
  readonly suggestion?: string;
}

type MisfitPath = Misfit['path'];

/**
 * Why no value of `source` fits `target`, or undefined where one might. Lists are compared by what
 * is in them, as if they were not empty: a list of numbers is no list of texts.
 */
export function misfit(
  source: JsonSchema,
  target: JsonSchema,
  path: MisfitPath = [],
): Misfit | undefined {
  if (source === true || target === true || source === false) return undefined;
  if (target === false) return { path, message: `${describe(source)} comes, nothing is wanted` };
  // What comes satisfies all parts of its schema, and must satisfy all of the other: one clash is enough.
  for (const wanted of partsOf(target)) {
    for (const given of partsOf(source)) {
      const found = partMisfit(given, wanted, path);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

type Part = ReturnType<typeof partsOf>[number];

function partMisfit(given: Part, wanted: Part, path: MisfitPath): Misfit | undefined {
  if (given.kind === 'union') {
    return unionMisfit(
      given.branches.map((branch) => misfit(branch, wanted.whole, path)),
      given.whole,
      wanted.whole,
      path,
    );
  }
  if (wanted.kind === 'union') {
    return unionMisfit(
      wanted.branches.map((branch) => misfit(given.whole, branch, path)),
      given.whole,
      wanted.whole,
      path,
    );
  }
  return plainMisfit(given.whole, wanted.whole, path);
}

/** All branches clash, or nothing is complained of. The one that agrees longest says most. */
function unionMisfit(
  found: readonly (Misfit | undefined)[],
  source: JsonSchema,
  target: JsonSchema,
  path: MisfitPath,
): Misfit | undefined {
  const misfits = found.filter((each) => each !== undefined);
  if (misfits.length < found.length || misfits.length === 0) return undefined;
  const deepest = misfits.reduce((best, each) =>
    each.path.length > best.path.length ? each : best,
  );
  if (deepest.path.length > path.length || misfits.length === 1) return deepest;
  return clash(source, target, path);
}

type Plain = Readonly<Record<string, unknown>>;

function plainMisfit(source: Plain, target: Plain, path: MisfitPath): Misfit | undefined {
  const values = valuesOf(source);
  if (values !== undefined) return valuesMisfit(values, source, target, path);
  const allowed = valuesOf(target);
  if (allowed?.every((value) => !Schema.Check(source as TSchema, value)) === true) {
    return clash(source, target, path);
  }
  const misfits = typesOf(source).map((type) => typeMisfit(type, source, target, path));
  return unionMisfit(misfits, source, target, path);
}

function valuesMisfit(
  values: readonly unknown[],
  source: Plain,
  target: Plain,
  path: MisfitPath,
): Misfit | undefined {
  if (values.some((value) => Schema.Check(target as TSchema, value))) return undefined;
  const [value] = values;
  const wanted = typesOf(target);
  const isOfType = values.length === 1 && typesOf(source).some((type) => overlaps(type, wanted));
  if (!isOfType || valuesOf(target) !== undefined) {
    const near = typeof value === 'string' ? nearestText(value, target) : undefined;
    return { ...clash(source, target, path), ...(near === undefined ? {} : { suggestion: near }) };
  }
  const [error] = Schema.Errors(target as TSchema, value)[1];
  return { path, message: `${describe(source)} ${error?.message ?? 'does not fit'}` };
}

function nearestText(value: string, target: Plain): string | undefined {
  const texts = (valuesOf(target) ?? []).filter((each) => typeof each === 'string');
  const near = suggest(value, texts);
  return near && `did you mean ${near}?`;
}

function typeMisfit(
  type: string,
  source: Plain,
  target: Plain,
  path: MisfitPath,
): Misfit | undefined {
  if (!overlaps(type, typesOf(target))) return clash(source, target, path);
  switch (type) {
    case 'object':
      return objectMisfit(source, target, path);
    case 'array':
      return arrayMisfit(source, target, path);
    case 'string':
      return apart(source, target, 'minLength', 'maxLength')
        ? { path, message: 'the text that comes is never as long as is wanted' }
        : undefined;
    case 'integer':
    case 'number':
      return apart(source, target, 'minimum', 'maximum')
        ? { path, message: 'the number that comes is never in the range that is wanted' }
        : undefined;
    default:
      return undefined;
  }
}

function overlaps(type: string, types: readonly string[]): boolean {
  const alike = type === 'integer' || type === 'number' ? ['integer', 'number'] : [type];
  return alike.some((each) => types.includes(each));
}

function objectMisfit(source: Plain, target: Plain, path: MisfitPath): Misfit | undefined {
  for (const name of namesIn(target, 'required')) {
    const given = propertyIn(source, name);
    if (given === false) {
      const near = suggest(name, namesIn(source, 'required'));
      const suggestion = near && `${near} comes; is ${name} meant?`;
      return { path, message: `${name} is missing`, ...(suggestion && { suggestion }) };
    }
    const found = misfit(given, propertyIn(target, name), [...path, name]);
    if (found !== undefined) return found;
  }
  for (const name of namesIn(source, 'required')) {
    const wanted = propertyIn(target, name);
    if (wanted === false) {
      const known = Object.keys((target['properties'] ?? {}) as object);
      const near = suggest(name, known);
      const suggestion =
        near === undefined ? `known are ${known.join(', ') || 'none'}` : `did you mean ${near}?`;
      return { path: [...path, name], message: `${name} is not known there`, suggestion };
    }
    const found = misfit(propertyIn(source, name), wanted, [...path, name]);
    if (found !== undefined) return found;
  }
  return undefined;
}

function arrayMisfit(source: Plain, target: Plain, path: MisfitPath): Misfit | undefined {
  if (apart(source, target, 'minItems', 'maxItems')) {
    return { path, message: 'the list that comes never has as many elements as are wanted' };
  }
  if (source['maxItems'] === 0) return undefined;
  // Only elements that surely are there count, and the first as if it were.
  const count = Math.max(1, numberIn(source, 'minItems') ?? 0, itemsBefore(source));
  for (let index = 0; index < Math.min(count, 1_000); index += 1) {
    const found = misfit(itemAt(source, index), itemAt(target, index), [...path, index]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Of a list that is written out: its length. */
function itemsBefore(schema: Plain): number {
  const { prefixItems, minItems } = schema;
  if (!Array.isArray(prefixItems) || minItems !== prefixItems.length) return 0;
  return prefixItems.length;
}

export function itemAt(schema: Plain, index: number): JsonSchema {
  const { prefixItems, items } = schema;
  const own: unknown = Array.isArray(prefixItems) ? prefixItems[index] : undefined;
  return (own ?? items ?? true) as JsonSchema;
}

/** Whether two ranges do not meet. */
function apart(source: Plain, target: Plain, least: string, most: string): boolean {
  const above = (a: Plain, b: Plain): boolean =>
    (numberIn(a, least) ?? -Infinity) > (numberIn(b, most) ?? Infinity);
  return above(source, target) || above(target, source);
}

function numberIn(schema: Plain, keyword: string): number | undefined {
  const value = schema[keyword];
  return typeof value === 'number' ? value : undefined;
}

function namesIn(schema: Plain, keyword: string): string[] {
  const value = schema[keyword];
  return Array.isArray(value) ? value.map(String) : [];
}

function clash(source: JsonSchema, target: JsonSchema, path: MisfitPath): Misfit {
  return { path, message: `${describe(source)} comes, ${describe(target)} is wanted` };
}

const typeWords: Readonly<Record<string, string>> = {
  string: 'a text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  object: 'a map',
  array: 'a list',
  null: 'nothing (null)',
};

/** A schema in words. */
export function describe(schema: JsonSchema): string {
  if (schema === true) return 'anything';
  if (schema === false) return 'nothing';
  const words = partsOf(schema).flatMap((part) => {
    if (part.kind === 'union') return [...new Set(part.branches.map(describe))];
    const values = valuesOf(part.whole);
    if (values !== undefined) return values.slice(0, 5).map((value) => shown(value));
    const types = typesOf(part.whole);
    return types.length >= Object.keys(typeWords).length
      ? []
      : types.map((type) => typeWords[type] ?? type);
  });
  return words.length === 0 ? 'something' : [...new Set(words)].join(' or ');
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
