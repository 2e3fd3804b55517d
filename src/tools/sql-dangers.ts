/**
 * Statements of a migration that lose data, hold a table locked while they read all of it, or break
 * the version of the application that is still running. Tables made in the same file are empty and
 * nobody's yet, so nothing is said of them. Locks as PostgreSQL's documentation of ALTER TABLE,
 * CREATE INDEX and "Explicit Locking" has them. One file, because its rules are read side by side.
 */
import type { Severity } from '../base/base.ts';
import { asRecord } from './packages.ts';
import { droppedNames, list, named, tableName, type Fields } from './sql-nodes.ts';

export interface Danger {
  readonly severity: Severity;
  readonly rule: string;
  readonly message: string;
  readonly fix: string;
}

export interface SqlState {
  /** Tables that this file has made so far. */
  readonly created: Set<string>;
}

/** What is dangerous about one statement, given those before it. */
export function judgeStatement(kind: string, fields: Fields, state: SqlState): Danger[] {
  switch (kind) {
    case 'CreateStmt':
      state.created.add(tableName(fields['relation']));
      return [];
    case 'CreateTableAsStmt':
      state.created.add(tableName(asRecord(fields['into'])?.['rel']));
      return [];
    case 'AlterTableStmt':
      return judgeAlter(fields, state);
    case 'IndexStmt':
      return judgeIndex(fields, state);
    case 'DropStmt':
      return judgeDrop(fields, state);
    case 'TruncateStmt': {
      const tables = list(fields['relations']).map(tableName);
      return tables.every((table) => state.created.has(table))
        ? []
        : [
            danger(
              'high',
              'truncate',
              `Empties ${tables.join(', ')}.`,
              'Take the statement out, or keep a copy of the rows first.',
            ),
          ];
    }
    case 'DeleteStmt':
    case 'UpdateStmt':
      return judgeChange(kind, fields, state);
    case 'RenameStmt':
      return judgeRename(fields, state);
    case 'VacuumStmt':
      return list(fields['options']).some(
        (option) => named(option, 'DefElem')['defname'] === 'full',
      )
        ? [
            danger(
              'medium',
              'vacuum-full',
              'VACUUM FULL rewrites the table and shuts everybody out meanwhile.',
              'Let autovacuum do it, or use pg_repack.',
            ),
          ]
        : [];
    default:
      return [];
  }
}

function judgeAlter(fields: Fields, state: SqlState): Danger[] {
  const table = tableName(fields['relation']);
  if (fields['objtype'] !== 'OBJECT_TABLE' || state.created.has(table)) return [];
  return list(fields['cmds']).flatMap((item) => judgeCommand(table, named(item, 'AlterTableCmd')));
}

function judgeCommand(table: string, command: Fields): Danger[] {
  const column = String(command['name'] ?? '');
  const definition = asRecord(command['def']) ?? {};
  switch (command['subtype']) {
    case 'AT_AddColumn':
      return judgeColumn(table, asRecord(definition['ColumnDef']) ?? {});
    case 'AT_DropColumn':
      return [
        danger(
          'high',
          'drop-column',
          `Drops ${table}.${column} with its data, while the running version may still read it.`,
          'First ship a version that no longer uses it; drop it in a later migration, with a backup.',
        ),
      ];
    case 'AT_AlterColumnType':
      return [
        danger(
          'medium',
          'change-column-type',
          `Changes the type of ${table}.${column}: most such changes rewrite the table under an exclusive lock.`,
          'Add a column, copy in batches, switch, and drop the old one; widening a varchar is free.',
        ),
      ];
    case 'AT_SetNotNull':
      return [
        danger(
          'medium',
          'set-not-null',
          `SET NOT NULL on ${table}.${column} reads the whole table under an exclusive lock.`,
          'Add CHECK (… IS NOT NULL) NOT VALID, validate it, then set NOT NULL, which then trusts the check.',
        ),
      ];
    case 'AT_AddConstraint':
      return judgeConstraint(table, asRecord(definition['Constraint']) ?? {});
    default:
      return [];
  }
}

function judgeColumn(table: string, column: Fields): Danger[] {
  const constraints = list(column['constraints']).map((item) => named(item, 'Constraint'));
  const has = (type: string) => constraints.some((item) => item['contype'] === type);
  const name = `${table}.${String(column['colname'])}`;
  const found: Danger[] = [];
  const filled = has('CONSTR_DEFAULT') || has('CONSTR_IDENTITY') || has('CONSTR_GENERATED');
  const type = list(asRecord(column['typeName'])?.['names']).map(
    (item) => named(item, 'String')['sval'],
  );
  const isSerial = type.some((part) => /^(small|big)?serial\d?$/.test(String(part)));
  if (has('CONSTR_NOTNULL') && !filled && !isSerial)
    found.push(
      danger(
        'high',
        'add-not-null-column',
        `Adds ${name} NOT NULL without a default: it fails on a table that has rows.`,
        'Give it a DEFAULT, or add it nullable, fill it, and set NOT NULL afterwards.',
      ),
    );
  if (isSerial || has('CONSTR_IDENTITY'))
    found.push(
      danger(
        'medium',
        'table-rewrite',
        `Adding ${name} numbers every row: the table is rewritten under an exclusive lock.`,
        'Add it nullable, fill it in batches, then attach the sequence.',
      ),
    );
  const computed = constraints.some(
    (item) => item['contype'] === 'CONSTR_DEFAULT' && isVolatile(item['raw_expr']),
  );
  if (computed)
    found.push(
      danger(
        'medium',
        'table-rewrite',
        `The default of ${name} is computed for every row: the table is rewritten under an exclusive lock.`,
        'Add it without the default, set the default, fill the old rows in batches.',
      ),
    );
  if (has('CONSTR_UNIQUE') || has('CONSTR_PRIMARY'))
    found.push(
      danger(
        'medium',
        'add-unique',
        `Adding ${name} UNIQUE builds its index under an exclusive lock.`,
        'Create the index CONCURRENTLY, then ADD CONSTRAINT … USING INDEX.',
      ),
    );
  return found;
}

/** Functions whose value is the same for a whole statement are stored once (PostgreSQL 11 and later). */
function isVolatile(expression: unknown): boolean {
  const call = asRecord(asRecord(expression)?.['FuncCall']);
  if (call === undefined) return false;
  const name = String(named(list(call['funcname']).at(-1), 'String')['sval']);
  return /^(gen_random_uuid|uuid_generate_v\w+|uuidv[47]|random|clock_timestamp|nextval|timeofday)$/.test(
    name,
  );
}

function judgeConstraint(table: string, constraint: Fields): Danger[] {
  const type = constraint['contype'];
  const isLater = constraint['skip_validation'] === true;
  if ((type === 'CONSTR_FOREIGN' || type === 'CONSTR_CHECK') && !isLater)
    return [
      danger(
        'medium',
        'validate-under-lock',
        `Adding ${type === 'CONSTR_FOREIGN' ? 'a foreign key' : 'a check'} to ${table} reads the whole table while writes wait.`,
        'Add it NOT VALID and VALIDATE CONSTRAINT in a later transaction.',
      ),
    ];
  if (
    (type === 'CONSTR_UNIQUE' || type === 'CONSTR_PRIMARY') &&
    constraint['indexname'] === undefined
  )
    return [
      danger(
        'medium',
        'add-unique',
        `Adding ${type === 'CONSTR_UNIQUE' ? 'UNIQUE' : 'a primary key'} to ${table} builds its index under an exclusive lock.`,
        'Create the index CONCURRENTLY, then ADD CONSTRAINT … USING INDEX.',
      ),
    ];
  return [];
}

function judgeIndex(fields: Fields, state: SqlState): Danger[] {
  const table = tableName(fields['relation']);
  if (fields['concurrent'] === true || state.created.has(table)) return [];
  return [
    danger(
      'medium',
      'index-not-concurrent',
      `CREATE INDEX on ${table} makes every write wait until it is built.`,
      'CREATE INDEX CONCURRENTLY, outside of a transaction.',
    ),
  ];
}

function judgeDrop(fields: Fields, state: SqlState): Danger[] {
  const names = droppedNames(fields);
  const what = names.join(', ');
  if (fields['removeType'] === 'OBJECT_TABLE')
    return names.every((name) => state.created.has(name))
      ? []
      : [
          danger(
            'high',
            'drop-table',
            `Drops the table ${what} with its data${fields['behavior'] === 'DROP_CASCADE' ? ', and all that depends on it' : ''}.`,
            'First ship a version that no longer uses it; keep a backup that was restored once.',
          ),
        ];
  if (fields['removeType'] === 'OBJECT_SCHEMA')
    return [
      danger(
        'high',
        'drop-schema',
        `Drops the schema ${what}.`,
        'Drop what is in it by name, so that nothing else goes with it.',
      ),
    ];
  if (fields['removeType'] === 'OBJECT_INDEX' && fields['concurrent'] !== true)
    return [
      danger(
        'low',
        'drop-index-not-concurrent',
        `DROP INDEX ${what} waits for every transaction on its table and holds up those behind it.`,
        'DROP INDEX CONCURRENTLY, outside of a transaction.',
      ),
    ];
  return [];
}

function judgeChange(kind: string, fields: Fields, state: SqlState): Danger[] {
  const table = tableName(fields['relation']);
  if (fields['whereClause'] !== undefined || state.created.has(table)) return [];
  if (kind === 'DeleteStmt')
    return fields['usingClause'] === undefined
      ? [danger('high', 'delete-all', `Deletes every row of ${table}.`, 'Say which rows by WHERE.')]
      : [];
  return fields['fromClause'] === undefined
    ? [
        danger(
          'medium',
          'update-all',
          `Updates every row of ${table} in one transaction: long locks, and the table grows to twice its size.`,
          'Say which rows by WHERE, and go in batches.',
        ),
      ]
    : [];
}

function judgeRename(fields: Fields, state: SqlState): Danger[] {
  const table = tableName(fields['relation']);
  if (state.created.has(table)) return [];
  const isColumn = fields['renameType'] === 'OBJECT_COLUMN';
  if (!isColumn && fields['renameType'] !== 'OBJECT_TABLE') return [];
  const what = isColumn ? `${table}.${String(fields['subname'])}` : table;
  return [
    danger(
      'medium',
      'rename',
      `Renames ${what}: the version that is running breaks at that moment.`,
      'Add the new name beside the old one (a view, a column kept equal), switch, then drop the old.',
    ),
  ];
}

function danger(severity: Severity, rule: string, message: string, fix: string): Danger {
  return { severity, rule, message, fix };
}
