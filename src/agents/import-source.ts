/** The fields of a predecessor's file, wherever they are nested, and what nobody has asked for. */
import { isDeepStrictEqual } from 'node:util';
import { isMap, isNode, isScalar, type Pair } from 'yaml';
import { resolve, show, valueAt, type Path } from './fields.ts';
import type { Frontmatter } from './frontmatter.ts';
import type { Complain } from './import-complaint.ts';

/** Fields that Claude Code's files do not have: two of them, and a file is the predecessor's. */
const marks = ['uuid', 'priority', 'status', 'proactive_triggers', 'invokes_agents'];
const wrappers = ['agent_definition', 'agent_metadata', 'metadata'];
/** A map with one of them is the agent's own; a map that is called metadata can be anybody's. */
const fieldsOfAgents = [
  ...marks,
  ...wrappers,
  'name',
  'description',
  'category',
  'role',
  'expertise',
  'focus',
];

export interface Field {
  readonly value: unknown;
  readonly path: Path;
}

export interface SourceFields {
  /** The field, from the innermost map that has it. From the first time on it does not count as left over. */
  take(name: string): Field | undefined;
  /** Fields that stand beside `field`, as far as they are there. */
  takeBeside(field: Field, names: readonly string[]): Field[];
  /** Puts a field back among what is left over. */
  leave(field: Field): void;
  /** What was never taken: where, its name, and its text as it stands in the file. */
  rest(): { readonly path: Path; readonly name: string; readonly text: string }[];
}

/** Where the fields of a predecessor's file stand, innermost first; undefined for any other file. */
export function predecessorLevels(front: Frontmatter): readonly Path[] | undefined {
  const levels: Path[] = [[]];
  for (;;) {
    const [inner = []] = levels;
    const wrapper = wrappers.find((name) => holdsFields(valueAt(front.fields, [...inner, name])));
    if (wrapper === undefined) break;
    levels.unshift([...inner, wrapper]);
  }
  const has = (path: Path, name: string): boolean =>
    valueAt(front.fields, [...path, name]) !== undefined;
  const found = marks.filter((mark) => levels.some((level) => has(level, mark)));
  const isNested = levels.length > 1 && !has([], 'name');
  return found.length >= 2 || isNested ? levels : undefined;
}

function holdsFields(value: unknown): boolean {
  return isRecord(value) && fieldsOfAgents.some((name) => Object.hasOwn(value, name));
}

export function openFields(
  front: Frontmatter,
  levels: readonly Path[],
  complain: Complain,
): SourceFields {
  const taken = new Set<string>();
  const asked = new Map<string, Field | undefined>();
  const find = (path: Path): Field | undefined => {
    const value = valueAt(front.fields, path);
    return value === undefined ? undefined : { value, path };
  };
  const takeAt = (path: Path): Field | undefined => {
    const field = find(path);
    if (field !== undefined) taken.add(keyOf(path));
    return field;
  };
  return {
    take(name) {
      if (asked.has(name)) return asked.get(name);
      const [first, ...others] = levels.flatMap((level) => takeAt([...level, name]) ?? []);
      for (const other of others) {
        if (isDeepStrictEqual(other.value, first?.value)) continue;
        const message = `${name} stands here and, with another value, in ${levels[0]?.join('.')}`;
        complain('warning', other.path, message, `${show(first?.value)} counts`);
      }
      asked.set(name, first);
      return first;
    },
    takeBeside: (field, names) =>
      names.flatMap((name) => takeAt([...field.path.slice(0, -1), name]) ?? []),
    leave: (field) => void taken.delete(keyOf(field.path)),
    rest: () =>
      levels.toReversed().flatMap((level) =>
        namedPairs(front, level)
          .filter(({ path }) => !taken.has(keyOf(path)))
          .filter(({ path }) => !levels.some((other) => keyOf(other) === keyOf(path)))
          .map(({ pair, path, name }) => ({ path, name, text: sliceOf(front, pair) })),
      ),
  };
}

function keyOf(path: Path): string {
  return JSON.stringify(path);
}

function namedPairs(front: Frontmatter, level: Path): { pair: Pair; path: Path; name: string }[] {
  const map = resolve(front.document, level);
  if (!isMap(map)) return [];
  return map.items.flatMap((pair) => {
    const name = isScalar(pair.key) ? String(pair.key.value) : '';
    return name === '' ? [] : [{ pair, path: [...level, name], name }];
  });
}

/** A field as it stands in the file, moved to the left. */
function sliceOf(front: Frontmatter, { key, value }: Pair): string {
  const start = isNode(key) ? (key.range?.[0] ?? 0) : 0;
  const end = (isNode(value) ? value.range?.[1] : undefined) ?? (isNode(key) ? key.range?.[1] : 0);
  const column = start - (front.yaml.lastIndexOf('\n', start - 1) + 1);
  const text = front.yaml.slice(start, end ?? start).trimEnd();
  return text
    .split(/\r?\n/)
    .map((line, index) => (index === 0 ? line : line.replace(new RegExp(`^ {0,${column}}`), '')))
    .join('\n');
}

/** The text of a value as it stands in the file. */
export function textAt(front: Frontmatter, path: Path): string | undefined {
  const range = resolve(front.document, path)?.range;
  return range ? front.yaml.slice(range[0], range[1]).trim() : undefined;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
