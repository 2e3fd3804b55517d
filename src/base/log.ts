import pino from 'pino';

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

const secretNames = ['token', 'password', 'secret', 'authorization', 'cookie', 'apiKey', 'api_key'];

/** A URL with a password in it, wherever it stands in a text. */
const urlPassword = /([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):[^\s/@]+@/gi;
const bearer = /\b(Bearer|Basic|DPoP)\s+[A-Za-z0-9._~+/=-]{8,}/g;

/** Removes passwords in URLs and bearer tokens from a text. */
export function redact(text: string): string {
  return text.replace(urlPassword, '$1:[redacted]@').replace(bearer, '$1 [redacted]');
}

/**
 * A log of JSON lines. Fields with a secret's name are replaced at the first two levels, and
 * passwords in URLs and bearer tokens wherever they stand.
 */
export function createLog(options: LogOptions): Log {
  const destination = options.destination ?? {
    write: (line: string) => void process.stderr.write(line),
  };
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
        censor: '[redacted]',
      },
      serializers: {
        err: pino.stdSerializers.errWithCause,
        error: pino.stdSerializers.errWithCause,
      },
    },
    { write: (line: string) => destination.write(redact(line)) },
  );
}
