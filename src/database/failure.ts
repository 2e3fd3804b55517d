import { AppError, redact } from '../base/base.ts';

/** What PostgreSQL says about an error; both drivers' error objects have this shape. */
interface ServerError {
  readonly code: string;
  readonly message: string;
  readonly routine?: string | undefined;
  readonly schema?: string | undefined;
  readonly table?: string | undefined;
  readonly column?: string | undefined;
  readonly constraint?: string | undefined;
  readonly position?: string | undefined;
}

export interface FailureContext {
  /** `localhost:5432/centuria`, or the data folder. Never a password. */
  readonly target: string;
  /** Name of the prepared statement. */
  readonly statement?: string;
  readonly timeoutMs?: number;
  /** What is known of the effect when the connection breaks; `unknown` unless given. */
  readonly outcome?: 'rolled_back';
  /** The text was a script without parameters, so PostgreSQL's message can't repeat one. */
  readonly script?: boolean;
}

/** Whether an error came from PostgreSQL itself, rather than from the way to it. */
export function isServerError(error: unknown): error is Error & ServerError {
  return (
    error instanceof Error &&
    'severity' in error &&
    'code' in error &&
    typeof error.code === 'string' &&
    /^[0-9A-Z]{5}$/.test(error.code)
  );
}

/**
 * A named statement outlived a change of its tables. It did not run, and runs again once it is
 * prepared anew.
 */
export function isStalePlan(error: unknown): boolean {
  return (
    isServerError(error) && error.code === '0A000' && error.routine === 'RevalidateCachedQuery'
  );
}

/** Whether the connection is of no more use. */
export function isConnectionLoss(error: unknown): boolean {
  if (error instanceof AppError) return error.code === 'database_unreachable';
  if (isServerError(error)) return /^(08|57P0[1-35]|25P03)/.test(error.code);
  if (!(error instanceof Error)) return false;
  return ('syscall' in error || 'errors' in error) && 'code' in error
    ? true
    : lostInDriver.test(error.message);
}

/** `pg` has no codes of its own for these. */
const lostInDriver =
  /^(Connection terminated|Query read timeout|Client (was closed|has encountered)|timeout expired)/;

/** The AppError of what a statement threw. */
export function statementFailure(error: unknown, context: FailureContext): AppError {
  if (error instanceof AppError) return error;
  if (isConnectionLoss(error)) return connectionLost(error, context);
  return isServerError(error) ? serverFailure(error, context) : internal(error);
}

/** The connection went away after a statement may have been sent. */
function connectionLost(error: unknown, context: FailureContext): AppError {
  const { target, outcome = 'unknown' } = context;
  return new AppError(
    'database_unreachable',
    `the connection to ${target} was lost: ${reason(error)}`,
    {
      details: { target, outcome },
      remedy:
        outcome === 'unknown'
          ? 'Try again; what was under way may have been committed or not.'
          : 'Try again; nothing of what was under way has been kept.',
    },
  );
}

/** A connection could not be made; nothing was sent. */
export function connectFailure(error: unknown, target: string): AppError {
  if (error instanceof AppError) return error;
  const sqlstate = isServerError(error) ? error.code : undefined;
  return new AppError('database_unreachable', `${target} can not be used: ${reason(error)}`, {
    details: { target, ...(sqlstate === undefined ? {} : { sqlstate }) },
    remedy: connectRemedy(error, sqlstate),
    retryable: sqlstate === undefined || /^(08|53|57)/.test(sqlstate),
  });
}

function connectRemedy(error: unknown, sqlstate: string | undefined): string {
  if (sqlstate?.startsWith('28') === true) {
    return 'Check the user and the password in CENTURIA_DATABASE_URL, and pg_hba.conf.';
  }
  if (sqlstate === '3D000') return 'Create the database, or name another in CENTURIA_DATABASE_URL.';
  if (sqlstate === '53300') return 'Raise max_connections, or lower CENTURIA_DATABASE_POOL_SIZE.';
  if (error instanceof Error && /SSL|TLS|certificate|self-signed/i.test(error.message)) {
    return 'Check sslmode and sslrootcert in CENTURIA_DATABASE_URL.';
  }
  return 'Check that PostgreSQL runs there, and CENTURIA_DATABASE_URL.';
}

function serverFailure(error: ServerError, context: FailureContext): AppError {
  const details = {
    sqlstate: error.code,
    ...(context.statement === undefined ? {} : { statement: context.statement }),
    ...(error.schema === undefined ? {} : { schema: error.schema }),
    ...(error.table === undefined ? {} : { table: error.table }),
    ...(error.column === undefined ? {} : { column: error.column }),
    ...(error.constraint === undefined ? {} : { constraint: error.constraint }),
    ...(error.position === undefined ? {} : { position: Number(error.position) }),
  };
  if (error.code === '40001' || error.code === '40P01' || isStalePlan(error)) {
    return new AppError('database_retry', serverMessage(error, context), { details });
  }
  if (error.code === '57014') {
    return new AppError('timeout', `a statement took longer than ${context.timeoutMs ?? '?'} ms`, {
      details: { ...details, timeoutMs: context.timeoutMs },
    });
  }
  // The original is not kept as the cause: its message and detail can hold parameter values.
  return new AppError('database_failed', serverMessage(error, context), { details });
}

/** Of these classes PostgreSQL's message repeats values: data exceptions and RAISE. */
const messageHoldsValues = /^(22|P0)/;

function serverMessage(error: ServerError, context: FailureContext): string {
  if (context.script !== true && messageHoldsValues.test(error.code)) {
    return `PostgreSQL refused a value (SQLSTATE ${error.code})`;
  }
  return `${error.message} (SQLSTATE ${error.code})`;
}

/** Node reports a host with several addresses as an error without a message, but with the code. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return redact(String(error));
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  return redact(error.message === '' ? code : error.message);
}

function internal(error: unknown): AppError {
  return new AppError('internal', 'a statement failed in the driver', { cause: error });
}
