/** One migration as a whole: what is held while what runs, and what can not run where it stands. */
import { asRecord } from './packages.ts';
import type { Catalog } from './migration-catalog.ts';
import { hazard, type Hazard } from './migration-hazard.ts';
import { blockedBy, isConcurrent, locksOf, type LockMode } from './migration-locks.ts';
import { judgeStatement } from './migration-rules.ts';
import type { ParsedStatement } from './sql-check.ts';
import { list, named, strings, tableName } from './sql-nodes.ts';

export interface FileFinding {
  readonly hazard: Hazard;
  readonly statement: ParsedStatement;
}

export interface FileContext {
  /** As the migrations before have left it; this one is taken into account as it is judged. */
  readonly catalog: Catalog;
  readonly server: number;
  /** Whether the tool that runs it puts a transaction around it. */
  readonly wrapped: boolean;
}

interface Held {
  readonly table: string;
  readonly mode: LockMode;
  /** Which statement of the transaction took it, from 1. */
  readonly statement: ParsedStatement;
}

/** What goes on in one transaction of the file. */
interface Transaction {
  readonly held: Held[];
  readonly enumValues: Map<string, ParsedStatement>;
  readonly unvalidated: Set<string>;
  saidHeld: boolean;
  saidSeveral: boolean;
}

/** The dangers of a file, statement by statement and of its transactions, with one `locks` line of what it locks. */
export function judgeFile(
  statements: readonly ParsedStatement[],
  { catalog, server, wrapped }: FileContext,
): FileFinding[] {
  const found: FileFinding[] = [];
  const created = new Set<string>();
  const locked = new Map<string, LockMode>();
  let firstLock: ParsedStatement | undefined;
  let hasTimeout = false;
  const explicit = statements.some((item) => transactionKind(item) === 'begin');
  let current: Transaction | undefined = wrapped && !explicit ? begin() : undefined;
  for (const statement of statements) {
    const edge = transactionKind(statement);
    if (edge === 'begin') current = begin();
    else if (edge === 'end') current = wrapped && !explicit ? begin() : undefined;
    hasTimeout ||= setsLockTimeout(statement);
    const hazards = judgeStatement(statement, { catalog, created, server });
    const locks = locksOf(statement).filter(({ table }) => !created.has(table));
    // Alone, a statement lets its locks go at its own end.
    const around = current ?? begin();
    const inside = judgeInside(statement, hazards, around, server, current !== undefined, created);
    for (const item of [...hazards, ...inside]) found.push({ hazard: item, statement });
    for (const { table, mode } of locks) {
      around.held.push({ table, mode, statement });
      if (blockedBy(mode) === 'nothing') continue;
      locked.set(table, stronger(locked.get(table), mode));
      if (!hasTimeout) firstLock ??= statement;
    }
    for (const table of createdBy(statement)) created.add(table);
    catalog.apply(statement);
  }
  if (firstLock !== undefined) found.push({ hazard: withoutTimeout(), statement: firstLock });
  const [first] = statements;
  if (locked.size > 0 && first !== undefined)
    found.push({ hazard: summary(locked), statement: first });
  return found;
}

function begin(): Transaction {
  return {
    held: [],
    enumValues: new Map(),
    unvalidated: new Set(),
    saidHeld: false,
    saidSeveral: false,
  };
}

function stronger(a: LockMode | undefined, b: LockMode): LockMode {
  return a === 'ACCESS EXCLUSIVE' ? a : b;
}

function transactionKind({ kind, fields }: ParsedStatement): 'begin' | 'end' | undefined {
  if (kind !== 'TransactionStmt') return undefined;
  const what = String(fields['kind']);
  if (what === 'TRANS_STMT_BEGIN' || what === 'TRANS_STMT_START') return 'begin';
  return what === 'TRANS_STMT_COMMIT' || what === 'TRANS_STMT_ROLLBACK' ? 'end' : undefined;
}

function setsLockTimeout({ kind, fields }: ParsedStatement): boolean {
  if (kind === 'VariableSetStmt') return fields['name'] === 'lock_timeout';
  if (kind !== 'SelectStmt') return false;
  return list(fields['targetList']).some((item) => {
    const call = named(named(item, 'ResTarget')['val'], 'FuncCall');
    if (strings(call['funcname']).at(-1) !== 'set_config') return false;
    const first = asRecord(named(list(call['args'])[0], 'A_Const')['sval']);
    return first?.['sval'] === 'lock_timeout';
  });
}

function createdBy({ kind, fields }: ParsedStatement): string[] {
  if (kind === 'CreateStmt') return [tableName(fields['relation'])];
  if (kind === 'CreateTableAsStmt') return [tableName(asRecord(fields['into'])?.['rel'])];
  return [];
}

/** What is wrong about a statement because of those before it in its transaction, or because it is in one. */
function judgeInside(
  statement: ParsedStatement,
  hazards: readonly Hazard[],
  around: Transaction,
  server: number,
  isInside: boolean,
  created: ReadonlySet<string>,
): Hazard[] {
  if (!isInside) return [];
  const found: Hazard[] = [];
  const outside = needsNoTransaction(statement);
  if (outside !== undefined) found.push(cannotRunInside(outside));
  found.push(...judgeEnum(statement, around, server));
  const { unvalidated } = around;
  const commands = list(statement.fields['cmds']).map((item) => named(item, 'AlterTableCmd'));
  const table = tableName(statement.fields['relation']);
  const validates = commands.filter(({ subtype }) => subtype === 'AT_ValidateConstraint');
  if (validates.some(({ name }) => unvalidated.has(`${table}.${String(name)}`)))
    found.push(validatedTooSoon(table));
  for (const { def } of commands) {
    const constraint = named(def, 'Constraint');
    if (constraint['skip_validation'] === true)
      unvalidated.add(`${table}.${String(constraint['conname'] ?? '')}`);
  }
  const isLong =
    hazards.some((item) => item.isLong) || validates.length > 0 || readsMuch(statement, created);
  const heavy = around.held.find(({ mode }) => blockedBy(mode) === 'reads and writes');
  if (isLong && heavy !== undefined && !around.saidHeld && heavy.statement !== statement) {
    around.saidHeld = true;
    found.push(heldMeanwhile(heavy));
  }
  const tables = new Set(
    [...around.held, ...locksOf(statement).filter((lock) => !created.has(lock.table))]
      .filter(({ mode }) => mode === 'ACCESS EXCLUSIVE')
      .map((lock) => lock.table),
  );
  if (tables.size > 1 && !around.saidSeveral) {
    around.saidSeveral = true;
    found.push(severalLocked([...tables]));
  }
  return found;
}

/** Statements over rows that were there before, which take as long as there are many. */
function readsMuch({ kind, fields }: ParsedStatement, created: ReadonlySet<string>): boolean {
  if (kind === 'UpdateStmt' || kind === 'DeleteStmt')
    return !created.has(tableName(fields['relation']));
  if (kind !== 'InsertStmt') return false;
  const source = named(fields['selectStmt'], 'SelectStmt');
  return list(source['fromClause']).length > 0;
}

function needsNoTransaction({ kind, fields }: ParsedStatement): string | undefined {
  if (kind === 'IndexStmt' && fields['concurrent'] === true) return 'CREATE INDEX CONCURRENTLY';
  if (kind === 'DropStmt' && fields['concurrent'] === true) return 'DROP INDEX CONCURRENTLY';
  if (kind === 'ReindexStmt' && isConcurrent(fields)) return 'REINDEX CONCURRENTLY';
  if (kind === 'VacuumStmt' && fields['is_vacuumcmd'] === true) return 'VACUUM';
  if (kind === 'CreatedbStmt' || kind === 'DropdbStmt') return 'CREATE or DROP DATABASE';
  if (kind === 'AlterSystemStmt') return 'ALTER SYSTEM';
  const detaches = list(fields['cmds']).some((item) => {
    const command = named(item, 'AlterTableCmd');
    const isDetach = command['subtype'] === 'AT_DetachPartition';
    return isDetach && named(command['def'], 'PartitionCmd')['concurrent'] === true;
  });
  return detaches ? 'DETACH PARTITION CONCURRENTLY' : undefined;
}

function judgeEnum(statement: ParsedStatement, around: Transaction, server: number): Hazard[] {
  const { kind, fields } = statement;
  if (kind === 'AlterEnumStmt' && fields['oldVal'] === undefined) {
    around.enumValues.set(String(fields['newVal']), statement);
    return server >= 12
      ? []
      : [
          hazard(
            'high',
            'enum-value-in-transaction',
            'ALTER TYPE … ADD VALUE can not run inside a transaction before PostgreSQL 12: the migration fails.',
            'Run it in a file of its own without a transaction.',
          ),
        ];
  }
  if (around.enumValues.size === 0) return [];
  const used = constantsOf(fields).find((text) => around.enumValues.has(text));
  return used === undefined
    ? []
    : [
        hazard(
          'high',
          'enum-value-used-too-soon',
          `Uses the enum value '${used}', which the same transaction has added: the server refuses that before the commit.`,
          'Add the value in a migration before this one (in all versions up to 18).',
        ),
      ];
}

function constantsOf(value: unknown): string[] {
  const found: string[] = [];
  const pending: unknown[] = [value];
  for (const item of pending) {
    if (Array.isArray(item)) pending.push(...(item as unknown[]));
    const fields = asRecord(item);
    if (fields === undefined) continue;
    const text = asRecord(asRecord(fields['A_Const'])?.['sval'])?.['sval'];
    if (typeof text === 'string') found.push(text);
    pending.push(...Object.values(fields));
  }
  return found;
}

function cannotRunInside(what: string): Hazard {
  return hazard(
    'high',
    'concurrently-in-transaction',
    `${what} can not run inside a transaction: the migration fails here.`,
    'Put it into a file of its own, and tell the migration tool to run that without a transaction.',
  );
}

function validatedTooSoon(table: string): Hazard {
  return hazard(
    'medium',
    'validate-in-same-transaction',
    `Validates a constraint of ${table} in the transaction that added it: the lock of the ADD is held while all rows are read.`,
    'VALIDATE CONSTRAINT in a migration of its own.',
  );
}

function heldMeanwhile({ table, mode }: Held): Hazard {
  return hazard(
    'high',
    'lock-held-meanwhile',
    `Takes a time that grows with the table, while the transaction still holds ${mode} on ${table} from a statement before: nobody reads or writes ${table} until the end.`,
    'Split it: the short change of the schema in one migration, the long work in another, in batches or CONCURRENTLY.',
  );
}

function severalLocked(tables: readonly string[]): Hazard {
  return hazard(
    'low',
    'several-tables-locked',
    `One transaction holds ACCESS EXCLUSIVE on ${tables.join(' and ')}: traffic that takes them in another order deadlocks with it.`,
    'One table a migration.',
  );
}

function withoutTimeout(): Hazard {
  return hazard(
    'low',
    'no-lock-timeout',
    'Waits for its lock without a limit, and all traffic to the table queues behind it meanwhile.',
    "SET lock_timeout = '5s' first (in a transaction, SET LOCAL), and try again when it fails; leave it if the role or the tool sets it.",
  );
}

function summary(locked: ReadonlyMap<string, LockMode>): Hazard {
  const parts = [...locked].map(([table, mode]) => `${mode} on ${table} (${blockedBy(mode)} wait)`);
  return hazard('info', 'locks', `Takes ${parts.join(', ')}.`, '');
}
