/** What is dangerous about one ALTER TABLE on a table that has rows. */
import { asRecord } from './packages.ts';
import type { Catalog } from './migration-catalog.ts';
import { hazard, type Hazard } from './migration-hazard.ts';
import { typeChange, volatility } from './migration-types.ts';
import { notNullColumn, typeText } from './migration-catalog.ts';
import { list, named, strings, tableName, type Fields } from './sql-nodes.ts';

export interface AlterContext {
  readonly catalog: Catalog;
  /** Tables made in the same file: empty, and nobody's yet. */
  readonly created: ReadonlySet<string>;
  /** The server's major version. */
  readonly server: number;
}

export function judgeAlter(fields: Fields, context: AlterContext): Hazard[] {
  const table = tableName(fields['relation']);
  if (fields['objtype'] !== 'OBJECT_TABLE' || context.created.has(table)) return [];
  return list(fields['cmds']).flatMap((item) =>
    judgeCommand(table, named(item, 'AlterTableCmd'), context),
  );
}

function judgeCommand(table: string, command: Fields, context: AlterContext): Hazard[] {
  const column = `${table}.${String(command['name'] ?? '')}`;
  const definition = asRecord(command['def']) ?? {};
  switch (command['subtype']) {
    case 'AT_AddColumn':
      return judgeColumn(table, asRecord(definition['ColumnDef']) ?? {});
    case 'AT_AddConstraint':
      return judgeConstraint(table, asRecord(definition['Constraint']) ?? {}, context);
    case 'AT_AlterColumnType':
      return judgeType(table, command, context);
    case 'AT_SetNotNull':
      return judgeNotNull(table, String(command['name']), context);
    case 'AT_DropColumn':
      return [
        hazard(
          'high',
          'drop-column',
          `Drops ${column} with its data, and the running version may still read it.`,
          'Release a version that no longer names the column; drop it in a later migration. The data comes back from a backup only.',
        ),
      ];
    case 'AT_SetLogged':
    case 'AT_SetUnLogged':
    case 'AT_SetTableSpace':
    case 'AT_SetAccessMethod':
      return [
        hazard(
          'high',
          'table-rewrite',
          `Moves all of ${table}: every row is written again under ACCESS EXCLUSIVE, so neither reads nor writes go on.`,
          'Do it in an announced pause, or build a new table and switch. pg_repack moves between table spaces online.',
          true,
        ),
      ];
    case 'AT_AttachPartition':
      return [
        hazard(
          'low',
          'attach-scans',
          `Attaching to ${table} reads all of the new partition under ACCESS EXCLUSIVE on it, unless a CHECK already proves its bounds.`,
          'Add a CHECK of the same bounds NOT VALID and VALIDATE it first; drop it afterwards. A default partition needs one that excludes them.',
          true,
        ),
      ];
    case 'AT_DetachPartition':
      return named(command['def'], 'PartitionCmd')['concurrent'] === true || context.server < 14
        ? []
        : [
            hazard(
              'medium',
              'detach-not-concurrent',
              `DETACH PARTITION takes ACCESS EXCLUSIVE on ${table} and so waits for every query of it.`,
              'DETACH PARTITION … CONCURRENTLY (PostgreSQL 14 and later), outside of a transaction.',
            ),
          ];
    default:
      return [];
  }
}

function judgeColumn(table: string, column: Fields): Hazard[] {
  const constraints = list(column['constraints']).map((item) => named(item, 'Constraint'));
  const find = (type: string) => constraints.find((item) => item['contype'] === type);
  const name = `${table}.${String(column['colname'])}`;
  const generated = find('CONSTR_GENERATED');
  const isVirtual = generated?.['generated_kind'] === 'v';
  const isNumbered =
    find('CONSTR_IDENTITY') !== undefined ||
    /^(small|big)?serial\d?$/.test(typeText(column['typeName']));
  const value = find('CONSTR_DEFAULT')?.['raw_expr'];
  const change = value === undefined ? 'steady' : volatility(value);
  const found: Hazard[] = [];
  if (isNumbered || (generated !== undefined && !isVirtual) || change === 'volatile')
    found.push(
      hazard(
        'high',
        'table-rewrite',
        `${name} gets a value of its own in every row: the table is written again under ACCESS EXCLUSIVE, so neither reads nor writes go on.`,
        generated === undefined
          ? 'Add it without the default, set the default, then fill the old rows in batches. A default that is one value for all is free (PostgreSQL 11 and later).'
          : 'A VIRTUAL column is free (PostgreSQL 18); before, add a plain one, keep it by trigger and fill it in batches.',
        true,
      ),
    );
  else if (typeof change === 'object')
    found.push(
      hazard(
        'low',
        'default-of-unknown-volatility',
        `The default of ${name} calls ${change.unknown}: if that is VOLATILE, the table is rewritten under ACCESS EXCLUSIVE.`,
        'Declare the function STABLE or IMMUTABLE where it is, or add the column without the default.',
      ),
    );
  const isFilled = value !== undefined || isNumbered || generated !== undefined;
  if ((find('CONSTR_NOTNULL') ?? find('CONSTR_PRIMARY')) !== undefined && !isFilled)
    found.push(
      hazard(
        'high',
        'not-null-without-default',
        `Adds ${name} NOT NULL without a default: it fails as soon as ${table} has a row.`,
        'Give it a DEFAULT; or add it nullable, fill it in batches, and set NOT NULL by a validated check.',
      ),
    );
  if (find('CONSTR_UNIQUE') !== undefined || find('CONSTR_PRIMARY') !== undefined)
    found.push(uniqueUnderLock(table, find('CONSTR_PRIMARY') !== undefined));
  // Rows that get null satisfy both kinds of check, and the server knows it for foreign keys alone.
  if (find('CONSTR_CHECK') !== undefined) found.push(checkScan(table));
  if (find('CONSTR_FOREIGN') !== undefined && isFilled) found.push(foreignScan(table));
  return found;
}

function judgeConstraint(table: string, constraint: Fields, context: AlterContext): Hazard[] {
  if (constraint['skip_validation'] === true) return [];
  switch (constraint['contype']) {
    case 'CONSTR_FOREIGN':
      return [foreignScan(table)];
    case 'CONSTR_CHECK':
      return [checkScan(table, notNullColumn(constraint))];
    case 'CONSTR_NOTNULL':
      return strings(constraint['keys']).flatMap((column) => judgeNotNull(table, column, context));
    case 'CONSTR_UNIQUE':
    case 'CONSTR_PRIMARY':
      return constraint['indexname'] === undefined
        ? [uniqueUnderLock(table, constraint['contype'] === 'CONSTR_PRIMARY')]
        : [];
    case 'CONSTR_EXCLUSION':
      return [
        hazard(
          'high',
          'exclusion-under-lock',
          `An exclusion constraint on ${table} builds its index under ACCESS EXCLUSIVE; there is no way to build it beside the traffic.`,
          'Add it while the table is small, or to a new table that takes over.',
          true,
        ),
      ];
    default:
      return [];
  }
}

function uniqueUnderLock(table: string, isPrimary: boolean): Hazard {
  return hazard(
    'high',
    'unique-under-lock',
    `${isPrimary ? 'A primary key' : 'UNIQUE'} on ${table} builds its index under ACCESS EXCLUSIVE: neither reads nor writes go on meanwhile.`,
    `CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT … ${isPrimary ? 'PRIMARY KEY' : 'UNIQUE'} USING INDEX, which is short${isPrimary ? ' where the columns are NOT NULL already' : ''}.`,
    true,
  );
}

function checkScan(table: string, column?: string): Hazard {
  return hazard(
    'high',
    'check-scans-under-lock',
    `A check on ${table} reads the whole table under ACCESS EXCLUSIVE: neither reads nor writes go on meanwhile.`,
    `ADD CONSTRAINT … CHECK (…) NOT VALID, then VALIDATE CONSTRAINT in a transaction of its own: that reads under SHARE UPDATE EXCLUSIVE, which blocks no traffic.${column === undefined ? '' : ` Then SET NOT NULL on ${column} is free (PostgreSQL 12 and later).`}`,
    true,
  );
}

function foreignScan(table: string): Hazard {
  return hazard(
    'medium',
    'foreign-key-scans-under-lock',
    `A foreign key on ${table} reads the whole table under SHARE ROW EXCLUSIVE on both tables: writes to either wait.`,
    'ADD CONSTRAINT … FOREIGN KEY … NOT VALID, then VALIDATE CONSTRAINT in a transaction of its own.',
    true,
  );
}

function judgeNotNull(table: string, column: string, context: AlterContext): Hazard[] {
  const checks = [...(context.catalog.tables.get(table)?.notNullChecks.values() ?? [])];
  const check = checks.find((item) => item.column === column);
  if (check?.isValid === true && context.server >= 12) return [];
  const open = check === undefined ? '' : ' Its CHECK is there but not yet validated.';
  return [
    hazard(
      'high',
      'set-not-null-scans',
      `NOT NULL on ${table}.${column} reads the whole table under ACCESS EXCLUSIVE.${open}`,
      context.server >= 18
        ? 'ADD CONSTRAINT … NOT NULL … NOT VALID (PostgreSQL 18), then VALIDATE CONSTRAINT in a transaction of its own.'
        : 'ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID, VALIDATE it in a transaction of its own, then SET NOT NULL, which trusts it (PostgreSQL 12 and later); drop the check.',
      true,
    ),
  ];
}

function judgeType(table: string, command: Fields, { catalog }: AlterContext): Hazard[] {
  const column = String(command['name']);
  const definition = named(command['def'], 'ColumnDef');
  const to = typeText(definition['typeName']);
  const from = catalog.tables.get(table)?.columns.get(column);
  const hasUsing = definition['raw_default'] !== undefined;
  const change = hasUsing ? 'rewrite' : typeChange(from === '' ? undefined : from, to);
  if (change === 'free') return [];
  const was = from === undefined || from === '' ? '' : ` from ${from}`;
  return [
    hazard(
      change === 'rewrite' ? 'high' : 'medium',
      'type-change-rewrites',
      `Changes ${table}.${column}${was} to ${to}: ${change === 'rewrite' ? 'the table and its indexes are' : 'unless that only widens it, the table and its indexes are'} written again under ACCESS EXCLUSIVE.`,
      'Add a column of the new type, keep both equal by trigger, fill in batches, switch the code, drop the old one. Free are varchar to a wider one or to text, numeric to more digits of the same scale, cidr to inet.',
      true,
    ),
  ];
}
