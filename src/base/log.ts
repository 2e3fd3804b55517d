import pino from 'pino';
import { redact, redactValue } from './redact.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Structured log: fields first, then a constant message. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A log whose every line carries these fields. */
  child(fields: object): Log;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Where lines go; standard error unless given. */
  readonly destination?: { write(line: string): void };
}

/**
 * A log of JSON lines. Fields with a secret's name are replaced at any depth, and passwords in URLs
 * and bearer tokens wherever they stand. Writing a line never throws for what it is given.
 */
export function createLog(options: LogOptions): Log {
  const destination = options.destination ?? {
    write: (line: string) => void process.stderr.write(line),
  };
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Errors arrive as records; the library's own serializer would take those for errors again.
      serializers: { err: (record: unknown) => record },
    },
    destination,
  );
  return redacting(logger);
}

function redacting(logger: pino.Logger): Log {
  const at = (level: Exclude<LogLevel, 'silent'>) => (fields: object, message: string) => {
    if (!logger.isLevelEnabled(level)) return;
    logger[level](asFields(fields), redact(message));
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => redacting(logger.child(asFields(fields))),
  };
}

/** An error given in the place of fields becomes the field `err`. */
function asFields(fields: object): object {
  if (fields instanceof Error) return { err: redactValue(fields) };
  const copied = redactValue(fields);
  return typeof copied === 'object' && copied !== null ? copied : { fields: copied };
}
