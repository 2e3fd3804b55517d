/** Reading the syntax tree that PostgreSQL's parser gives as JSON. */
import { asRecord } from './packages.ts';

export type Fields = Readonly<Record<string, unknown>>;

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The fields of a node of that kind; empty for another. */
export function named(value: unknown, kind: string): Fields {
  return asRecord(asRecord(value)?.[kind]) ?? {};
}

/** `schema.table`; what lies in `public` is usually written either way. */
export function tableName(value: unknown): string {
  const fields = asRecord(asRecord(value)?.['RangeVar']) ?? asRecord(value) ?? {};
  const { schemaname, relname } = fields;
  const name = String(relname ?? '');
  return typeof schemaname === 'string' && schemaname !== 'public' ? `${schemaname}.${name}` : name;
}

/** The texts of a list of `String` nodes: a qualified name, the columns of a key. */
export function strings(value: unknown): string[] {
  return list(value).map((item) => String(named(item, 'String')['sval'] ?? ''));
}

/** What a DROP names: `a`, `schema.a`, a type or a function by its name. */
export function droppedNames(fields: Fields): string[] {
  return list(fields['objects']).map((item) => {
    const parts = strings(named(item, 'List')['items']);
    const plain = named(item, 'String')['sval'];
    const other = named(item, 'TypeName')['names'] ?? named(item, 'ObjectWithArgs')['objname'];
    const names = parts.length > 0 ? parts : typeof plain === 'string' ? [plain] : strings(other);
    return names.join('.').replace(/^public\./, '');
  });
}
