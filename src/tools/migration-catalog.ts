/** What the migrations so far have made: as much of the schema as their own text tells. */
import { asRecord } from './packages.ts';
import type { ParsedStatement } from './sql-check.ts';
import { droppedNames, list, named, strings, tableName, type Fields } from './sql-nodes.ts';

export interface KnownTable {
  /** Types by column, as `typeText` writes them. */
  readonly columns: Map<string, string>;
  /** The columns of each index in their order; an expression is an empty text. */
  readonly indexes: string[][];
  /** Columns with a CHECK (… IS NOT NULL) by the constraint's name, and whether it is validated. */
  readonly notNullChecks: Map<string, { column: string; isValid: boolean }>;
  /** Whether its CREATE was read; else it may have more than is known of it. */
  isWhole: boolean;
  isDropped: boolean;
}

export interface ForeignKey {
  readonly table: string;
  readonly columns: readonly string[];
}

export class Catalog {
  readonly tables = new Map<string, KnownTable>();

  table(name: string): KnownTable {
    let table = this.tables.get(name);
    if (table === undefined) {
      table = {
        columns: new Map(),
        indexes: [],
        notNullChecks: new Map(),
        isWhole: false,
        isDropped: false,
      };
      this.tables.set(name, table);
    }
    return table;
  }

  /** Takes one statement into account. */
  apply({ kind, fields }: ParsedStatement): void {
    if (kind === 'CreateStmt') this.#create(fields);
    else if (kind === 'IndexStmt') this.#index(fields);
    else if (kind === 'AlterTableStmt') this.#alter(fields);
    else if (kind === 'RenameStmt') this.#rename(fields);
    else if (kind === 'DropStmt' && fields['removeType'] === 'OBJECT_TABLE')
      for (const name of droppedNames(fields)) {
        this.table(name).isDropped = true;
        this.tables.delete(name);
      }
  }

  #create(fields: Fields): void {
    const name = tableName(fields['relation']);
    this.table(name).isWhole = true;
    for (const element of list(fields['tableElts'])) {
      const column = asRecord(asRecord(element)?.['ColumnDef']);
      if (column !== undefined) this.#column(name, column);
      else this.#constraint(name, named(element, 'Constraint'));
    }
  }

  #column(table: string, column: Fields): void {
    const name = String(column['colname']);
    this.table(table).columns.set(name, typeText(column['typeName']));
    for (const item of list(column['constraints'])) {
      const type = named(item, 'Constraint')['contype'];
      if (type === 'CONSTR_PRIMARY' || type === 'CONSTR_UNIQUE')
        this.table(table).indexes.push([name]);
    }
  }

  #constraint(table: string, constraint: Fields): void {
    const type = constraint['contype'];
    if (type === 'CONSTR_PRIMARY' || type === 'CONSTR_UNIQUE') {
      const keys = strings(constraint['keys']);
      if (keys.length > 0) this.table(table).indexes.push(keys);
    }
    const column = notNullColumn(constraint);
    if (column !== undefined) {
      const name = String(constraint['conname'] ?? `${table}_${column}_check`);
      const isValid = constraint['skip_validation'] !== true;
      this.table(table).notNullChecks.set(name, { column, isValid });
    }
  }

  #index(fields: Fields): void {
    // An index for some of the rows does not serve a foreign key.
    if (fields['whereClause'] !== undefined) return;
    const columns = list(fields['indexParams']).map((item) =>
      String(named(item, 'IndexElem')['name'] ?? ''),
    );
    this.table(tableName(fields['relation'])).indexes.push(columns);
  }

  #alter(fields: Fields): void {
    const table = tableName(fields['relation']);
    for (const item of list(fields['cmds'])) {
      const command = named(item, 'AlterTableCmd');
      const definition = asRecord(command['def']) ?? {};
      const name = String(command['name'] ?? '');
      if (command['subtype'] === 'AT_AddColumn')
        this.#column(table, asRecord(definition['ColumnDef']) ?? {});
      else if (command['subtype'] === 'AT_AddConstraint')
        this.#constraint(table, asRecord(definition['Constraint']) ?? {});
      else if (command['subtype'] === 'AT_AlterColumnType')
        this.table(table).columns.set(
          name,
          typeText(asRecord(definition['ColumnDef'])?.['typeName']),
        );
      else if (command['subtype'] === 'AT_ValidateConstraint') {
        const check = this.table(table).notNullChecks.get(name);
        if (check !== undefined) check.isValid = true;
      } else if (command['subtype'] === 'AT_DropConstraint')
        this.table(table).notNullChecks.delete(name);
      else if (command['subtype'] === 'AT_DropColumn') this.table(table).columns.delete(name);
    }
  }

  #rename(fields: Fields): void {
    const from = tableName(fields['relation']);
    const to = String(fields['newname'] ?? '');
    const table = this.tables.get(from);
    if (table === undefined) return;
    if (fields['renameType'] === 'OBJECT_TABLE') {
      this.tables.delete(from);
      this.tables.set(to, table);
    } else if (fields['renameType'] === 'OBJECT_COLUMN') {
      const old = String(fields['subname']);
      table.columns.set(to, table.columns.get(old) ?? '');
      table.columns.delete(old);
      for (const index of table.indexes)
        for (const [at, column] of index.entries()) if (column === old) index[at] = to;
    }
  }
}

/** Whether an index begins with these columns, in whatever order. */
export function hasIndexOn(table: KnownTable, columns: readonly string[]): boolean {
  const wanted = new Set(columns);
  return table.indexes.some((index) => {
    const leading = index.slice(0, wanted.size);
    return leading.length === wanted.size && leading.every((column) => wanted.has(column));
  });
}

/** The column of a CHECK that says nothing but that it is not null. */
export function notNullColumn(constraint: Fields): string | undefined {
  if (constraint['contype'] !== 'CONSTR_CHECK') return undefined;
  const test = asRecord(asRecord(constraint['raw_expr'])?.['NullTest']);
  if (test?.['nulltesttype'] !== 'IS_NOT_NULL') return undefined;
  const fields = named(test['arg'], 'ColumnRef')['fields'];
  return strings(fields).at(-1);
}

/** `varchar(20)`, `int4`, `timestamptz[]`: without the schema of what the server brings itself. */
export function typeText(value: unknown): string {
  const type = asRecord(value) ?? {};
  const name = strings(type['names'])
    .filter((part) => part !== 'pg_catalog')
    .join('.');
  const modifiers = list(type['typmods']).map((item) => {
    const number = asRecord(named(item, 'A_Const')['ival']);
    // Protobuf leaves a zero out.
    return number === undefined ? '?' : String(number['ival'] ?? 0);
  });
  const arrays = list(type['arrayBounds']).length;
  return `${name}${modifiers.length > 0 ? `(${modifiers.join(',')})` : ''}${'[]'.repeat(arrays)}`;
}

/** The foreign keys that a statement declares. */
export function foreignKeysOf({ kind, fields }: ParsedStatement): ForeignKey[] {
  if (kind !== 'CreateStmt' && kind !== 'AlterTableStmt') return [];
  const table = tableName(fields['relation']);
  const parts =
    kind === 'CreateStmt'
      ? list(fields['tableElts'])
      : list(fields['cmds']).map((item) => named(item, 'AlterTableCmd')['def']);
  return parts.flatMap((part) => {
    const column = asRecord(asRecord(part)?.['ColumnDef']);
    if (column === undefined) {
      const constraint = named(part, 'Constraint');
      return constraint['contype'] === 'CONSTR_FOREIGN'
        ? [{ table, columns: strings(constraint['fk_attrs']) }]
        : [];
    }
    return list(column['constraints']).some(
      (item) => named(item, 'Constraint')['contype'] === 'CONSTR_FOREIGN',
    )
      ? [{ table, columns: [String(column['colname'])] }]
      : [];
  });
}
