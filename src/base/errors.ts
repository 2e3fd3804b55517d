/**
 * The registry of error codes. One row says what a code means to every face of the product: the
 * HTTP status, the exit status of the command line, and whether the same call may succeed later.
 * `docs/reference/errors.md` is generated from it.
 */
export const errorCodes = {
  usage: { status: 400, exit: 2, retryable: false, title: 'The call is malformed' },
  invalid_input: { status: 422, exit: 2, retryable: false, title: 'A value is not acceptable' },
  config_invalid: { status: 500, exit: 2, retryable: false, title: 'The configuration is wrong' },
  unauthenticated: { status: 401, exit: 3, retryable: false, title: 'No valid credential' },
  token_invalid: { status: 401, exit: 3, retryable: false, title: 'The token is not acceptable' },
  token_expired: { status: 401, exit: 3, retryable: false, title: 'The token is over' },
  signature_invalid: {
    status: 401,
    exit: 3,
    retryable: false,
    title: 'The signature is not that of the key',
  },
  denied: { status: 403, exit: 3, retryable: false, title: 'Not permitted' },
  not_found: { status: 404, exit: 4, retryable: false, title: 'No such thing' },
  conflict: { status: 409, exit: 5, retryable: false, title: 'In conflict with the present state' },
  method_not_allowed: {
    status: 405,
    exit: 2,
    retryable: false,
    title: 'The address does not take this method',
  },
  unsupported_media_type: {
    status: 415,
    exit: 2,
    retryable: false,
    title: 'A body of this type is not read',
  },
  misdirected: {
    status: 421,
    exit: 3,
    retryable: false,
    title: 'The request names another server',
  },
  limit_exceeded: { status: 429, exit: 6, retryable: true, title: 'A limit was reached' },
  too_large: { status: 413, exit: 2, retryable: false, title: 'Larger than the limit' },
  timeout: { status: 408, exit: 1, retryable: true, title: 'Took longer than allowed' },
  cancelled: { status: 409, exit: 1, retryable: false, title: 'Cancelled' },
  unavailable: { status: 503, exit: 6, retryable: true, title: 'Can not be reached or used now' },
  internal: { status: 500, exit: 1, retryable: false, title: 'A defect in Centuria' },

  home_locked: {
    status: 409,
    exit: 5,
    retryable: true,
    title: 'Another process holds the data folder',
  },
  home_unusable: {
    status: 500,
    exit: 1,
    retryable: false,
    title: 'The data folder can not be used',
  },
  master_key_wrong: {
    status: 500,
    exit: 6,
    retryable: false,
    title: 'The master key is not the one that sealed the data',
  },
  port_in_use: { status: 409, exit: 5, retryable: true, title: 'The port is taken' },
  server_not_running: { status: 503, exit: 6, retryable: true, title: 'Centuria is not running' },

  database_unreachable: {
    status: 503,
    exit: 6,
    retryable: true,
    title: 'The database does not answer',
  },
  database_unsupported: {
    status: 500,
    exit: 6,
    retryable: false,
    title: 'The database is too old',
  },
  database_failed: { status: 500, exit: 1, retryable: false, title: 'A statement failed' },
  database_retry: {
    status: 503,
    exit: 6,
    retryable: true,
    title: 'A transaction must be tried again',
  },
  migration_changed: {
    status: 500,
    exit: 1,
    retryable: false,
    title: 'An applied migration was edited',
  },
  migration_failed: { status: 500, exit: 1, retryable: false, title: 'A migration failed' },
  schema_too_new: {
    status: 500,
    exit: 1,
    retryable: false,
    title: 'The schema is newer than this version',
  },
  postgres_install_failed: {
    status: 503,
    exit: 6,
    retryable: true,
    title: 'PostgreSQL was not installed',
  },
  postgres_start_failed: {
    status: 503,
    exit: 6,
    retryable: true,
    title: 'PostgreSQL did not start',
  },

  agent_invalid: { status: 422, exit: 2, retryable: false, title: 'An agent definition is wrong' },
  agent_not_found: { status: 404, exit: 4, retryable: false, title: 'No such agent' },
  agent_unavailable: {
    status: 503,
    exit: 6,
    retryable: false,
    title: 'The agent can not work here',
  },
  agent_failed: { status: 502, exit: 1, retryable: true, title: 'The agent failed' },
  agent_crashed: {
    status: 502,
    exit: 1,
    retryable: true,
    title: 'The agent was ended by a signal',
  },
  agent_output_invalid: {
    status: 502,
    exit: 1,
    retryable: true,
    title: 'The result did not pass its check',
  },
  agent_output_too_large: {
    status: 502,
    exit: 1,
    retryable: false,
    title: 'The output passed its limit',
  },
  agent_memory_exceeded: {
    status: 502,
    exit: 1,
    retryable: false,
    title: 'The memory passed its limit',
  },

  outbound_refused: {
    status: 403,
    exit: 3,
    retryable: false,
    title: 'An address that must not be reached',
  },
  agent_busy: {
    status: 429,
    exit: 6,
    retryable: true,
    title: 'The agent asks to be called later',
  },
  agent_stalled: {
    status: 504,
    exit: 1,
    retryable: true,
    title: 'The agent reported no progress for too long',
  },

  workflow_invalid: { status: 422, exit: 2, retryable: false, title: 'A workflow is wrong' },
  workflow_not_found: { status: 404, exit: 4, retryable: false, title: 'No such workflow' },
  run_not_found: { status: 404, exit: 4, retryable: false, title: 'No such run' },
  run_finished: { status: 409, exit: 5, retryable: false, title: 'The run has ended' },
  run_failed: { status: 500, exit: 1, retryable: false, title: 'The run failed' },
  run_corrupt: {
    status: 500,
    exit: 1,
    retryable: false,
    title: 'The events of the run contradict each other',
  },
  rejected: { status: 409, exit: 1, retryable: false, title: 'A person said no' },
  quorum_missed: { status: 409, exit: 1, retryable: true, title: 'Too few agents answered' },
  no_consensus: { status: 409, exit: 1, retryable: true, title: 'The answers do not agree' },
  no_winner: { status: 409, exit: 1, retryable: true, title: 'No answer was accepted' },
  undo_failed: { status: 409, exit: 1, retryable: true, title: 'Not all of it could be undone' },
  fenced: { status: 409, exit: 5, retryable: true, title: 'Another worker took the run over' },
  breaker_open: {
    status: 503,
    exit: 6,
    retryable: true,
    title: 'What failed too often is left alone for a while',
  },
  ext_refused: {
    status: 422,
    exit: 2,
    retryable: false,
    title: 'The extension does not fit the server',
  },
  ext_build_failed: { status: 500, exit: 1, retryable: false, title: 'The build failed' },
  ext_failed: { status: 500, exit: 1, retryable: false, title: 'The deployment failed' },
  ext_busy: {
    status: 409,
    exit: 5,
    retryable: true,
    title: 'Another deployment is under way or was left unfinished',
  },
  target_unreachable: {
    status: 503,
    exit: 6,
    retryable: true,
    title: 'The target machine or its server can not be reached',
  },

  budget_not_found: { status: 404, exit: 4, retryable: false, title: 'No such budget' },
  delegation_refused: {
    status: 403,
    exit: 3,
    retryable: false,
    title: 'An agent may not call that one',
  },
  budget_exceeded: { status: 429, exit: 6, retryable: false, title: 'A budget has no room' },
  dependency_failed: {
    status: 409,
    exit: 1,
    retryable: false,
    title: 'A task that this one needs failed',
  },

  embedding_invalid: { status: 422, exit: 2, retryable: false, title: 'This is no embedding' },

  workspace_elsewhere: {
    status: 503,
    exit: 6,
    retryable: false,
    title: 'The workspace is on another host',
  },
  workspace_unusable: {
    status: 503,
    exit: 6,
    retryable: false,
    title: 'The folder can not be worked in',
  },
  workspace_lost: {
    status: 410,
    exit: 4,
    retryable: false,
    title: 'What is needed to undo is gone',
  },
} as const satisfies Record<string, ErrorCodeEntry>;

export type ErrorCode = keyof typeof errorCodes;

interface ErrorCodeEntry {
  /** HTTP status. */
  readonly status: number;
  /** Exit status of the command line: 1 failed, 2 usage, 3 denied, 4 not found, 5 conflict, 6 unavailable. */
  readonly exit: number;
  /** Whether the same call may succeed later with nothing changed by the caller. */
  readonly retryable: boolean;
  readonly title: string;
}

export interface AppErrorOptions {
  /** Facts for a program: field names, paths, limits. Never a secret. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** What to do about it, as a sentence or a command. */
  readonly remedy?: string;
  /** Overrides the registry where the thrower knows better. */
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

/** The one error type that crosses a folder's border. The message names the thing that was wrong. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  readonly remedy: string | undefined;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.remedy = options.remedy;
    this.retryable = options.retryable ?? errorCodes[code].retryable;
  }

  get status(): number {
    return errorCodes[this.code].status;
  }

  get exitCode(): number {
    return errorCodes[this.code].exit;
  }
}

/** An error as data: what an event, a log line or a problem document carries. */
export interface ErrorRecord {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly remedy?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Turns anything thrown into an AppError; what is not ours becomes `internal` with its cause kept. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  if (thrown instanceof Error) {
    if (thrown.name === 'AbortError') {
      return thrown.cause instanceof AppError
        ? thrown.cause
        : new AppError('cancelled', thrown.message, { cause: thrown });
    }
    // What `AbortSignal.timeout` aborts with.
    if (thrown.name === 'TimeoutError') {
      return new AppError('timeout', thrown.message, { cause: thrown });
    }
    return new AppError('internal', thrown.message, { cause: thrown });
  }
  return new AppError('internal', textOf(thrown), { cause: thrown });
}

/** `String` throws for an object without a way to become a text. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return Object.prototype.toString.call(thrown);
  }
}

/** The record of an error, without its stack and cause. */
export function errorRecord(thrown: unknown): ErrorRecord {
  const error = toAppError(thrown);
  return {
    code: error.code,
    message: error.message,
    retryable: error.retryable,
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    ...(Object.keys(error.details).length === 0 ? {} : { details: error.details }),
  };
}
