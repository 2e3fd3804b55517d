/** Reading JSON Schema for what it says of a value: its parts, its types, its properties. */

export type JsonSchema = boolean | Readonly<Record<string, unknown>>;
type Plain = Readonly<Record<string, unknown>>;

/** What every value of a schema satisfies: its own keywords, one of several branches, and so on. */
export type SchemaPart =
  | { readonly kind: 'plain'; readonly whole: Plain }
  | { readonly kind: 'union'; readonly branches: readonly JsonSchema[]; readonly whole: Plain };

export function partsOf(schema: Plain): SchemaPart[] {
  const { anyOf, allOf, ...own } = schema;
  const parts: SchemaPart[] = [];
  if (Object.keys(own).length > 0) parts.push({ kind: 'plain', whole: own });
  if (Array.isArray(anyOf)) {
    parts.push({ kind: 'union', branches: anyOf as JsonSchema[], whole: { anyOf } });
  }
  for (const part of Array.isArray(allOf) ? (allOf as JsonSchema[]) : []) {
    if (part === false) parts.push({ kind: 'union', branches: [], whole: { anyOf: [] } });
    else if (part !== true) parts.push(...partsOf(part));
  }
  return parts;
}

const allTypes = ['string', 'integer', 'number', 'boolean', 'object', 'array', 'null'] as const;

export function typesOf(schema: Plain): readonly string[] {
  const { type } = schema;
  if (typeof type === 'string') return [type];
  if (Array.isArray(type)) return type.map(String);
  const values = valuesOf(schema);
  return values === undefined ? allTypes : [...new Set(values.map(typeOf))];
}

export function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value === 'object' ? 'object' : typeof value;
}

/** The values of a schema that lists them. */
export function valuesOf(schema: Plain): readonly unknown[] | undefined {
  if (Object.hasOwn(schema, 'const')) return [schema['const']];
  return Array.isArray(schema['enum']) ? (schema['enum'] as unknown[]) : undefined;
}

/** What a property of a map has to be; `false` where the map can't have it. */
export function propertyIn(schema: Plain, name: string): JsonSchema {
  const { properties, patternProperties, additionalProperties } = schema;
  if (isPlain(properties) && Object.hasOwn(properties, name)) return asSchema(properties[name]);
  for (const [pattern, inner] of Object.entries(
    isPlain(patternProperties) ? patternProperties : {},
  )) {
    if (matches(pattern, name)) return asSchema(inner);
  }
  return asSchema(additionalProperties);
}

/** What a name or a position leads to in a value of this schema; undefined where it surely leads nowhere. */
export function stepInto(schema: JsonSchema, name: string): JsonSchema | undefined {
  if (schema === true) return true;
  if (schema === false) return undefined;
  const found: JsonSchema[] = [];
  for (const part of partsOf(schema)) {
    const inner =
      part.kind === 'union'
        ? union(
            part.branches
              .map((branch) => stepInto(branch, name))
              .filter((each) => each !== undefined),
          )
        : plainStep(part.whole, name);
    if (inner === undefined || inner === false) return undefined;
    if (inner !== true) found.push(inner);
  }
  if (found.length === 0) return true;
  return found.length === 1 ? found[0] : { allOf: found };
}

function plainStep(schema: Plain, name: string): JsonSchema | undefined {
  const values = valuesOf(schema);
  if (values !== undefined) {
    const inner = values.filter((value) => isPlain(value) || Array.isArray(value));
    return inner.length > 0 ? true : undefined;
  }
  const ways: JsonSchema[] = [];
  const types = typesOf(schema);
  if (types.includes('object')) ways.push(propertyIn(schema, name));
  if (types.includes('array')) {
    if (name === 'length') ways.push({ type: 'integer' });
    else if (/^\d+$/.test(name)) ways.push(listItem(schema, Number(name)));
  }
  const possible = ways.filter((way) => way !== false);
  return possible.length === 0 ? undefined : union(possible);
}

function listItem(schema: Plain, index: number): JsonSchema {
  const { prefixItems, items, maxItems } = schema;
  if (typeof maxItems === 'number' && index >= maxItems) return false;
  const own: unknown = Array.isArray(prefixItems) ? prefixItems[index] : undefined;
  return asSchema(own ?? items);
}

/** What the elements of a list can be. */
export function elementOf(schema: JsonSchema): JsonSchema {
  if (typeof schema === 'boolean') return schema;
  const found = partsOf(schema).flatMap((part): JsonSchema[] => {
    if (part.kind === 'union') return [union(part.branches.map(elementOf))];
    if (!typesOf(part.whole).includes('array')) return [];
    const { prefixItems, items, maxItems } = part.whole;
    const first = Array.isArray(prefixItems) ? (prefixItems as JsonSchema[]) : [];
    const isWhole = maxItems === first.length && first.length > 0;
    return [union(isWhole ? first : [...first, asSchema(items)])];
  });
  const said = found.filter((each) => each !== true);
  if (said.length === 0) return true;
  return said.length === 1 ? (said[0] ?? true) : { allOf: said };
}

/** Names that a value of this schema is known to have. */
export function knownNames(schema: JsonSchema): string[] {
  if (typeof schema === 'boolean') return [];
  const names = partsOf(schema).flatMap((part) =>
    part.kind === 'union'
      ? part.branches.flatMap(knownNames)
      : Object.keys(isPlain(part.whole['properties']) ? part.whole['properties'] : {}),
  );
  return [...new Set(names)];
}

export function union(schemas: readonly JsonSchema[]): JsonSchema {
  if (schemas.some((schema) => schema === true)) return true;
  const unlike = new Map(schemas.map((schema) => [JSON.stringify(schema), schema]));
  const [first] = unlike.values();
  if (first === undefined) return false;
  return unlike.size === 1 ? first : { anyOf: [...unlike.values()] };
}

/** Keywords that hold a value of their own, kept as they are. */
const plainKeywords = [
  'type',
  'const',
  'enum',
  'required',
  'pattern',
  'format',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'uniqueItems',
];
const schemaKeywords = ['additionalProperties', 'items'];
const mapKeywords = ['properties', 'patternProperties'];
const listKeywords = ['prefixItems', 'allOf'];
/** A schema that unfolds to more is taken for one that allows everything. */
const maxNodes = 20_000;

/**
 * A schema with its `$ref`s followed and without what the checker does not know: it allows at least
 * all that the schema itself does. What refers to itself allows everything from there on.
 */
export function readable(schema: unknown): JsonSchema {
  let nodes = 0;
  const read = (value: unknown, following: ReadonlySet<string>): JsonSchema => {
    if (!isPlain(value)) return value !== false;
    nodes += 1;
    if (nodes > maxNodes) return true;
    const result: Record<string, unknown> = {};
    for (const key of plainKeywords) if (Object.hasOwn(value, key)) result[key] = value[key];
    for (const key of schemaKeywords) {
      if (Object.hasOwn(value, key)) result[key] = read(value[key], following);
    }
    for (const key of mapKeywords) {
      const inner = value[key];
      if (isPlain(inner)) {
        const entries = Object.entries(inner).map(([name, each]) => [name, read(each, following)]);
        result[key] = Object.fromEntries(entries);
      }
    }
    for (const key of listKeywords) {
      const inner = value[key];
      if (Array.isArray(inner)) result[key] = inner.map((each) => read(each, following));
    }
    // Exactly one of several is at least one of them.
    const branches = [value['anyOf'], value['oneOf']].filter((each) => Array.isArray(each));
    const unions = branches.map((each) => ({ anyOf: each.map((one) => read(one, following)) }));
    const reference = value['$ref'];
    const followed =
      typeof reference === 'string' && !following.has(reference)
        ? [read(targetOf(schema, reference), new Set([...following, reference]))]
        : [];
    const more = [...((result['allOf'] as JsonSchema[] | undefined) ?? []), ...unions, ...followed];
    return more.length === 0 ? result : { ...result, allOf: more };
  };
  return read(schema, new Set());
}

/** What a reference into the same schema (`#/$defs/file`) names; all else allows everything. */
function targetOf(root: unknown, reference: string): unknown {
  if (!reference.startsWith('#')) return true;
  let value = root;
  for (const part of reference.slice(1).split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) return true;
    value = Reflect.get(value, name);
  }
  return value;
}

function asSchema(value: unknown): JsonSchema {
  return typeof value === 'boolean' || isPlain(value) ? value : true;
}

function matches(pattern: string, name: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(name);
  } catch {
    // A pattern that can't be read might match.
    return true;
  }
}

function isPlain(value: unknown): value is Plain {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
