import type { Static, TProperties, TSchema } from 'typebox';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { isCollection, isMap, isPair, isScalar, LineCounter, parseDocument, type Node } from 'yaml';
import { suggest } from './suggest.ts';

/** What is wrong with a text, and where: line and column from 1. */
export interface Complaint {
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** What would be right. */
  readonly suggestion?: string;
}

export interface CheckedYaml<Schema extends TSchema> {
  /** Set only when there is no complaint. */
  readonly value: Static<Schema> | undefined;
  readonly complaints: readonly Complaint[];
  /** Where the value at a path stands, or its nearest parent. */
  place(path: Path): { line: number; column: number };
  /** Holds a part of the document, which stands at `path`, against a schema of its own. */
  check(part: TSchema, value: unknown, path: Path): Complaint[];
}

type Path = readonly (string | number)[];

export interface CheckedYamlOptions {
  /** Added to every line: where the text does not start its file. */
  readonly lineOffset?: number;
}

/** A document whose aliases would unfold to more nodes than this is refused. */
const maxAliases = 100;
/** Deeper values are no document of ours, and a recursion over them could end the process. */
const maxDepth = 100;
/** One broken bracket can make a thousand complaints; the first ones say it. */
const maxSyntaxComplaints = 20;

/**
 * Parses one YAML document and holds it against a schema. Objects of the schema are closed: an
 * unknown field is a complaint with the nearest known name. Nothing is executed, no custom tag is
 * known; anchors, aliases and merge keys (`<<`) are.
 */
export function parseCheckedYaml<Schema extends TSchema>(
  text: string,
  schema: Schema,
  options: CheckedYamlOptions = {},
): CheckedYaml<Schema> {
  const counter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: counter,
    prettyErrors: false,
    uniqueKeys: true,
    merge: true,
  });
  const offset = options.lineOffset ?? 0;
  const at = (position: number): { line: number; column: number } => {
    const { line, col } = counter.linePos(position);
    return { line: Math.max(1, line) + offset, column: Math.max(1, col) };
  };
  const place = (path: Path): { line: number; column: number } =>
    at(positionOf(document.contents, path));
  const check = (part: TSchema, value: unknown, path: Path): Complaint[] =>
    complaintsOf(part, value, path, place);
  const refused = (complaints: Complaint[]): CheckedYaml<Schema> => ({
    value: undefined,
    complaints,
    place,
    check,
  });

  const syntax = document.errors.slice(0, maxSyntaxComplaints).map((error) => ({
    ...at(error.pos[0]),
    message: error.message.split('\n')[0] ?? error.message,
  }));
  if (syntax.length > 0) return refused(syntax);

  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: maxAliases });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return refused([{ ...at(0), message }]);
  }
  if (!depthWithin(value, maxDepth)) {
    return refused([
      { ...at(0), message: `the document is nested deeper than ${maxDepth} levels` },
    ]);
  }
  const complaints = check(schema, value, []);
  return complaints.length > 0
    ? refused(complaints)
    : { value: value as Static<Schema>, complaints, place, check };
}

/** `outer` holds what the value stands in: one that holds itself, by an alias inside its anchor, has no end. */
function depthWithin(value: unknown, levels: number, outer = new Set<unknown>()): boolean {
  if (value === null || typeof value !== 'object') return true;
  if (levels === 0 || outer.has(value)) return false;
  outer.add(value);
  const isWithin = Object.values(value).every((inner) => depthWithin(inner, levels - 1, outer));
  outer.delete(value);
  return isWithin;
}

/** The complaints of a schema about a value, one a place, in the order of the text. */
function complaintsOf(
  schema: TSchema,
  value: unknown,
  root: Path,
  place: CheckedYaml<TSchema>['place'],
): Complaint[] {
  const byPlace = new Map<string, Complaint>();
  for (const error of Value.Errors(schema, value)) {
    const path = pathOf(error.instancePath, value);
    const found = describe(schema, root, path, error);
    if (found === undefined) continue;
    const key = `${error.instancePath} ${error.keyword === 'required' ? found.message : ''}`;
    if (!byPlace.has(key)) byPlace.set(key, { ...place([...root, ...path]), ...found });
  }
  return [...byPlace.values()].toSorted((a, b) => a.line - b.line || a.column - b.column);
}

interface SchemaError {
  readonly keyword: string;
  readonly message: string;
  readonly params: object;
}

function describe(
  schema: TSchema,
  root: Path,
  path: Path,
  error: SchemaError,
): Omit<Complaint, 'line' | 'column'> | undefined {
  const whole = [...root, ...path];
  const name = whole.length === 0 ? 'the document' : whole.join('.');
  switch (error.keyword) {
    // Reported again, with its name, as a false schema at the field itself.
    case 'additionalProperties':
      return undefined;
    case 'boolean': {
      const known = fieldsAt(schema, path.slice(0, -1));
      const near = suggest(String(path.at(-1)), known);
      return {
        message: `unknown field ${name}`,
        suggestion: near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`,
      };
    }
    case 'required': {
      const { requiredProperties } = error.params as { requiredProperties: readonly string[] };
      return { message: `${name} lacks ${requiredProperties.join(', ')}` };
    }
    case 'const':
    case 'enum':
    case 'anyOf':
    case 'union': {
      const allowed = literalsAt(schema, path);
      if (allowed.length > 0) return { message: `${name} must be one of ${allowed.join(', ')}` };
      return { message: `${name} ${error.message}` };
    }
    default:
      return { message: `${name} ${error.message}` };
  }
}

/** `/tasks/0/name` as names and numbers. */
function pathOf(pointer: string, root: unknown): (string | number)[] {
  const path: (string | number)[] = [];
  let value: unknown = root;
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    const key = Array.isArray(value) ? Number(name) : name;
    path.push(key);
    value = value !== null && typeof value === 'object' ? Reflect.get(value, key) : undefined;
  }
  return path;
}

function positionOf(root: unknown, path: Path): number {
  let node = root as Node | null;
  let position = node?.range?.[0] ?? 0;
  for (const key of path) {
    if (!isCollection(node)) return position;
    if (isMap(node)) {
      const pair = node.items.find(
        (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(key),
      );
      if (pair === undefined) return position;
      if (isScalar(pair.key)) position = pair.key.range?.[0] ?? position;
      node = pair.value as Node | null;
      continue;
    }
    const child = node.items[Number(key)] as Node | undefined;
    if (child === undefined) return position;
    position = child.range?.[0] ?? position;
    node = child;
  }
  return position;
}

/** The sub-schemas that a path can lead to. */
function schemasAt(schema: TSchema, path: Path): TSchema[] {
  let level: TSchema[] = alternatives(schema);
  for (const key of path) {
    level = level.flatMap((each) => {
      if (Type.IsObject(each)) {
        const property = (each.properties as TProperties)[String(key)];
        return property === undefined ? [] : alternatives(property);
      }
      if (Type.IsRecord(each)) return Object.values(each.patternProperties).flatMap(alternatives);
      if (Type.IsArray(each)) return alternatives(each.items);
      return [];
    });
  }
  return level;
}

function alternatives(schema: TSchema): TSchema[] {
  return Type.IsUnion(schema) ? schema.anyOf.flatMap(alternatives) : [schema];
}

function fieldsAt(schema: TSchema, path: Path): string[] {
  return schemasAt(schema, path).flatMap((each) =>
    Type.IsObject(each) ? Object.keys(each.properties) : [],
  );
}

function literalsAt(schema: TSchema, path: Path): string[] {
  return schemasAt(schema, path).flatMap((each) => {
    if (Type.IsEnum(each)) return each.enum.map(String);
    return Type.IsLiteral(each) ? [String(each.const)] : [];
  });
}
