/**
 * The lock that each statement takes on each table, as chapter "Explicit Locking" and the pages of
 * ALTER TABLE and CREATE INDEX of PostgreSQL's documentation have them (versions 12 to 18). A test
 * holds them against the locks that a real server holds after the statement.
 */
import { asRecord } from './packages.ts';
import type { ParsedStatement } from './sql-check.ts';
import { droppedNames, list, named, tableName, type Fields } from './sql-nodes.ts';

/** From the weakest to the strongest; the position is the strength, and LOCK TABLE's own number less one. */
export const lockModes = [
  'ACCESS SHARE',
  'ROW SHARE',
  'ROW EXCLUSIVE',
  'SHARE UPDATE EXCLUSIVE',
  'SHARE',
  'SHARE ROW EXCLUSIVE',
  'EXCLUSIVE',
  'ACCESS EXCLUSIVE',
] as const;
export type LockMode = (typeof lockModes)[number];

export interface Lock {
  readonly table: string;
  readonly mode: LockMode;
}

/** What stops while it is held. */
export function blockedBy(mode: LockMode): 'reads and writes' | 'writes' | 'nothing' {
  if (mode === 'ACCESS EXCLUSIVE') return 'reads and writes';
  return lockModes.indexOf(mode) >= lockModes.indexOf('SHARE') ? 'writes' : 'nothing';
}

/** The locks on tables that a statement takes, the strongest for each table. */
export function locksOf(statement: ParsedStatement): Lock[] {
  const strongest = new Map<string, LockMode>();
  for (const { table, mode } of rawLocks(statement)) {
    const known = strongest.get(table);
    if (known === undefined || lockModes.indexOf(mode) > lockModes.indexOf(known))
      strongest.set(table, mode);
  }
  return [...strongest].map(([table, mode]) => ({ table, mode }));
}

function rawLocks({ kind, fields }: ParsedStatement): Lock[] {
  const relation = tableName(fields['relation']);
  const on = (mode: LockMode, table = relation): Lock[] => [{ table, mode }];
  switch (kind) {
    case 'AlterTableStmt':
      return fields['objtype'] === 'OBJECT_TABLE' ? alterLocks(relation, fields) : [];
    case 'CreateStmt':
      return createLocks(relation, fields);
    case 'IndexStmt':
      return on(fields['concurrent'] === true ? 'SHARE UPDATE EXCLUSIVE' : 'SHARE');
    case 'RenameStmt':
      return ['OBJECT_TABLE', 'OBJECT_COLUMN', 'OBJECT_TABCONSTRAINT'].includes(
        String(fields['renameType']),
      )
        ? on('ACCESS EXCLUSIVE')
        : [];
    case 'DropStmt':
      return dropLocks(fields);
    case 'TruncateStmt':
      return list(fields['relations']).flatMap((item) => on('ACCESS EXCLUSIVE', tableName(item)));
    case 'CreateTrigStmt':
      return on('SHARE ROW EXCLUSIVE');
    case 'CreatePolicyStmt':
    case 'AlterPolicyStmt':
      return on('ACCESS EXCLUSIVE', tableName(fields['table']));
    case 'RefreshMatViewStmt':
      return on(fields['concurrent'] === true ? 'EXCLUSIVE' : 'ACCESS EXCLUSIVE');
    case 'ClusterStmt':
      return relation === '' ? [] : on('ACCESS EXCLUSIVE');
    case 'ReindexStmt':
      if (fields['kind'] !== 'REINDEX_OBJECT_TABLE') return [];
      return on(isConcurrent(fields) ? 'SHARE UPDATE EXCLUSIVE' : 'SHARE');
    case 'LockStmt': {
      const mode = lockModes[Number(fields['mode'] ?? 8) - 1] ?? 'ACCESS EXCLUSIVE';
      return list(fields['relations']).flatMap((item) => on(mode, tableName(item)));
    }
    case 'UpdateStmt':
    case 'DeleteStmt':
    case 'InsertStmt':
      return on('ROW EXCLUSIVE');
    default:
      return [];
  }
}

/** CONCURRENTLY of REINDEX stands among its parameters. */
export function isConcurrent(fields: Fields): boolean {
  return (
    fields['concurrent'] === true ||
    list(fields['params']).some((item) => named(item, 'DefElem')['defname'] === 'concurrently')
  );
}

function createLocks(table: string, fields: Fields): Lock[] {
  const parents = list(fields['inhRelations']).map((item) => tableName(item));
  const isPartition = fields['partbound'] !== undefined;
  const referenced = list(fields['tableElts']).flatMap((element) => {
    const column = asRecord(asRecord(element)?.['ColumnDef']);
    const own = column === undefined ? [element] : list(column['constraints']);
    return own.flatMap((item) => referencedBy(named(item, 'Constraint')));
  });
  return [
    ...parents.map((parent): Lock => ({
      table: parent,
      mode: isPartition ? 'ACCESS EXCLUSIVE' : 'SHARE UPDATE EXCLUSIVE',
    })),
    ...referenced
      .filter((name) => name !== table)
      .map((name): Lock => ({ table: name, mode: 'SHARE ROW EXCLUSIVE' })),
  ];
}

function referencedBy(constraint: Fields): string[] {
  return constraint['contype'] === 'CONSTR_FOREIGN' ? [tableName(constraint['pktable'])] : [];
}

function dropLocks(fields: Fields): Lock[] {
  const names = droppedNames(fields);
  if (fields['removeType'] === 'OBJECT_TABLE')
    return names.map((table) => ({ table, mode: 'ACCESS EXCLUSIVE' }));
  // `table.trigger`: the object comes last.
  if (fields['removeType'] === 'OBJECT_TRIGGER' || fields['removeType'] === 'OBJECT_POLICY')
    return names.map((name) => ({
      table: name.slice(0, Math.max(0, name.lastIndexOf('.'))),
      mode: 'ACCESS EXCLUSIVE',
    }));
  return [];
}

function alterLocks(table: string, fields: Fields): Lock[] {
  return list(fields['cmds']).flatMap((item): Lock[] => {
    const command = named(item, 'AlterTableCmd');
    const definition = asRecord(command['def']) ?? {};
    const constraint = asRecord(definition['Constraint']);
    const column = asRecord(definition['ColumnDef']);
    const other = [
      ...(constraint === undefined ? [] : referencedBy(constraint)),
      ...list(column?.['constraints']).flatMap((one) => referencedBy(named(one, 'Constraint'))),
    ].filter((name) => name !== table);
    const partition = named(definition, 'PartitionCmd')['name'];
    return [
      { table, mode: commandLock(command, constraint) },
      ...(partition === undefined
        ? []
        : [{ table: tableName(partition), mode: 'ACCESS EXCLUSIVE' } as const]),
      ...other.map((name): Lock => ({ table: name, mode: 'SHARE ROW EXCLUSIVE' })),
    ];
  });
}

function commandLock(command: Fields, constraint: Fields | undefined): LockMode {
  switch (command['subtype']) {
    case 'AT_AddConstraint':
      return constraint?.['contype'] === 'CONSTR_FOREIGN'
        ? 'SHARE ROW EXCLUSIVE'
        : 'ACCESS EXCLUSIVE';
    case 'AT_ValidateConstraint':
    case 'AT_SetStatistics':
    case 'AT_SetOptions':
    case 'AT_ResetOptions':
    case 'AT_ClusterOn':
    case 'AT_DropCluster':
    case 'AT_AttachPartition':
      return 'SHARE UPDATE EXCLUSIVE';
    case 'AT_DetachPartition':
      return named(command['def'], 'PartitionCmd')['concurrent'] === true
        ? 'SHARE UPDATE EXCLUSIVE'
        : 'ACCESS EXCLUSIVE';
    case 'AT_SetRelOptions':
    case 'AT_ResetRelOptions':
      return 'SHARE UPDATE EXCLUSIVE';
    case 'AT_EnableTrig':
    case 'AT_EnableTrigAll':
    case 'AT_EnableTrigUser':
    case 'AT_DisableTrig':
    case 'AT_DisableTrigAll':
    case 'AT_DisableTrigUser':
      return 'SHARE ROW EXCLUSIVE';
    default:
      return 'ACCESS EXCLUSIVE';
  }
}
