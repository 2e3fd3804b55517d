/** What is dangerous about one statement of a migration, given those before it. */
import { judgeAlter, type AlterContext } from './migration-alter.ts';
import { hazard, type Hazard } from './migration-hazard.ts';
import { isConcurrent } from './migration-locks.ts';
import type { ParsedStatement } from './sql-check.ts';
import { droppedNames, list, named, tableName, type Fields } from './sql-nodes.ts';

export function judgeStatement({ kind, fields }: ParsedStatement, context: AlterContext): Hazard[] {
  const table = tableName(fields['relation']);
  const isNew = context.created.has(table);
  switch (kind) {
    case 'AlterTableStmt':
      return judgeAlter(fields, context);
    case 'IndexStmt':
      return isNew ? [] : judgeIndex(table, fields);
    case 'DropStmt':
      return judgeDrop(fields, context);
    case 'RenameStmt':
      return isNew ? [] : judgeRename(table, fields);
    case 'TruncateStmt':
      return list(fields['relations']).flatMap((item) => {
        const name = tableName(item);
        return context.created.has(name) ? [] : [truncates(name)];
      });
    case 'UpdateStmt':
    case 'DeleteStmt':
      return isNew || fields['whereClause'] !== undefined ? [] : judgeAll(kind, table, fields);
    case 'ReindexStmt':
      return isConcurrent(fields) ? [] : [reindexes(table)];
    case 'RefreshMatViewStmt':
      return fields['concurrent'] === true ? [] : [refreshes(table)];
    case 'ClusterStmt':
      return [rewrites('CLUSTER', table)];
    case 'VacuumStmt':
      return list(fields['options']).some((item) => named(item, 'DefElem')['defname'] === 'full')
        ? [rewrites('VACUUM FULL', 'the table')]
        : [];
    case 'AlterEnumStmt':
      return fields['oldVal'] === undefined ? [] : [renamed(`a value of an enum`, 'a view')];
    default:
      return [];
  }
}

function judgeIndex(table: string, fields: Fields): Hazard[] {
  if (fields['concurrent'] !== true)
    return [
      hazard(
        'medium',
        'index-not-concurrent',
        `CREATE INDEX takes SHARE on ${table}: every write waits until it is built.`,
        'CREATE INDEX CONCURRENTLY, outside of a transaction. A failed one leaves an invalid index that must be dropped. On a partitioned table build it on each partition and attach.',
        true,
      ),
    ];
  if (fields['if_not_exists'] === true)
    return [
      hazard(
        'low',
        'invalid-index-kept',
        `IF NOT EXISTS takes an index that an earlier failed CONCURRENTLY on ${table} left invalid for a good one.`,
        'DROP INDEX CONCURRENTLY IF EXISTS first, or look at pg_index.indisvalid afterwards.',
      ),
    ];
  return [];
}

function judgeDrop(fields: Fields, { created }: AlterContext): Hazard[] {
  const names = droppedNames(fields).filter((name) => !created.has(name));
  const what = names.join(', ');
  if (names.length === 0) return [];
  const cascades = fields['behavior'] === 'DROP_CASCADE' ? ', and all that depends on it' : '';
  switch (fields['removeType']) {
    case 'OBJECT_TABLE':
    case 'OBJECT_SCHEMA':
      return [
        hazard(
          'high',
          fields['removeType'] === 'OBJECT_TABLE' ? 'drop-table' : 'drop-schema',
          `Drops ${what} with its data${cascades}.`,
          'Release a version that no longer uses it; rename it for a while if in doubt; drop it later, with a backup that was restored once.',
        ),
      ];
    case 'OBJECT_INDEX':
      return fields['concurrent'] === true
        ? []
        : [
            hazard(
              'low',
              'drop-index-not-concurrent',
              `DROP INDEX ${what} takes ACCESS EXCLUSIVE on its table: short, but it waits for every query and holds up those behind it.`,
              'DROP INDEX CONCURRENTLY, outside of a transaction.',
            ),
          ];
    case 'OBJECT_VIEW':
    case 'OBJECT_MATVIEW':
    case 'OBJECT_TYPE':
    case 'OBJECT_FUNCTION':
      return cascades === ''
        ? []
        : [
            hazard(
              'medium',
              'drop-cascade',
              `Drops ${what}${cascades}, whatever that is by then.`,
              'Name each thing that goes, so that nothing else goes with it.',
            ),
          ];
    default:
      return [];
  }
}

function judgeRename(table: string, fields: Fields): Hazard[] {
  const type = fields['renameType'];
  if (type === 'OBJECT_COLUMN')
    return [renamed(`${table}.${String(fields['subname'])}`, 'a second column kept equal')];
  return type === 'OBJECT_TABLE' ? [renamed(table, 'a view of the old name')] : [];
}

function renamed(what: string, bridge: string): Hazard {
  return hazard(
    'high',
    'rename',
    `Renames ${what}: the version that is running fails from that moment.`,
    `Keep the old name beside the new one (${bridge}), release, and drop it in a later migration.`,
  );
}

function truncates(table: string): Hazard {
  return hazard(
    'high',
    'truncate',
    `Empties ${table} under ACCESS EXCLUSIVE.`,
    'Take it out of the migration, or keep a copy of the rows first.',
  );
}

function judgeAll(kind: string, table: string, fields: Fields): Hazard[] {
  if (kind === 'DeleteStmt')
    return fields['usingClause'] !== undefined
      ? []
      : [
          hazard(
            'high',
            'delete-all',
            `Deletes every row of ${table}.`,
            'Say which rows by WHERE.',
          ),
        ];
  return [
    hazard(
      'medium',
      'update-all',
      `Updates every row of ${table} in one transaction: each row stays locked to its end, and the table grows by as much again.`,
      'Fill in batches by key ranges of some thousand rows, each committed, outside of the migration.',
      true,
    ),
  ];
}

function reindexes(name: string): Hazard {
  return hazard(
    'medium',
    'reindex-not-concurrent',
    `REINDEX ${name} stops writes to its table, and reads that want the index.`,
    'REINDEX … CONCURRENTLY (PostgreSQL 12 and later), outside of a transaction.',
    true,
  );
}

function refreshes(view: string): Hazard {
  return hazard(
    'medium',
    'refresh-not-concurrent',
    `REFRESH MATERIALIZED VIEW takes ACCESS EXCLUSIVE on ${view}: nobody reads it until it is full.`,
    'REFRESH … CONCURRENTLY, which needs a unique index on it; the first filling can not be concurrent.',
    true,
  );
}

function rewrites(command: string, table: string): Hazard {
  return hazard(
    'high',
    'table-rewrite',
    `${command} writes all of ${table} again under ACCESS EXCLUSIVE.`,
    'pg_repack does the same beside the traffic.',
    true,
  );
}
