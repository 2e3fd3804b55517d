/** Keeping secrets out of what is logged, printed or sent. */
import pino from 'pino';

/** A URL as a whole, up to a space, quote or backslash: JSON must stay JSON. */
const url = /[a-z][a-z0-9+.-]{0,20}:\/\/[^\s"'\\]+/gi;
const credential = /\b([Bb]earer|Basic|DPoP)\s+[A-Za-z0-9._~+/=-]{8,}/g;
const assignment = /\b((?:access_|refresh_)?token|password|secret|api_?key)=[^\s&;"'\\]+/gi;

/** Our own: what is shown of an API key stays, so that a line still says which one it was. */
const ours = /\b(cnt_[a-z2-7]{8}_|cnr_)[A-Za-z0-9_-]{16,}/g;
/** A signed token by itself: people paste them into addresses. */
const signed = /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g;

/** Removes passwords in URLs, bearer tokens, API keys, signed tokens and `token=…` from a text. What was JSON stays JSON. */
export function redact(text: string): string {
  return text
    .replace(url, redactPassword)
    .replace(credential, '$1 [redacted]')
    .replace(assignment, '$1=[redacted]')
    .replace(ours, '$1[redacted]')
    .replace(signed, '[redacted]');
}

/**
 * The password is what stands between the first colon and the last `@`, since people write
 * passwords that should have been escaped. A number and a slash after the colon are a port.
 */
function redactPassword(address: string): string {
  const start = address.indexOf('://') + 3;
  const colon = address.indexOf(':', start);
  const at = address.lastIndexOf('@');
  if (colon === -1 || at <= colon + 1) return address;
  if (/[/@]/.test(address.slice(start, colon))) return address;
  if (/^\d{1,5}[/?#]/.test(address.slice(colon + 1, at))) return address;
  return `${address.slice(0, colon)}:[redacted]${address.slice(at)}`;
}

const secretName =
  /(?:token|password|passphrase|secret|authorization|cookie|apikey|privatekey|credential)$/;
/** Deeper than any record of ours; what is below is cut off. */
const maxDepth = 12;

/**
 * A copy of a value in which fields with a secret's name are replaced at any depth and every text
 * is redacted. Errors become records with their causes. Never throws: what can not be read says so.
 */
export function redactValue(value: unknown): unknown {
  return copy(value, []);
}

function copy(value: unknown, parents: readonly object[]): unknown {
  if (typeof value === 'string') return redact(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (value === null || typeof value !== 'object') return value;
  if (parents.includes(value)) return '[circular]';
  if (parents.length >= maxDepth) return '[too deep]';
  try {
    return copyObject(value, [...parents, value]);
  } catch (error) {
    return `[unreadable: ${error instanceof Error ? redact(error.message) : 'thrown'}]`;
  }
}

function copyObject(value: object, parents: readonly object[]): unknown {
  if (value instanceof Error) return copyFields(pino.stdSerializers.errWithCause(value), parents);
  if (Array.isArray(value)) return value.map((item) => copy(item, parents));
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    return copy(value.toJSON(), parents);
  }
  if (value instanceof Map) return copy(Object.fromEntries(value), parents);
  if (value instanceof Set) return copy([...value], parents);
  return copyFields(value, parents);
}

function copyFields(value: object, parents: readonly object[]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      isSecret(name, item) ? '[redacted]' : copy(item, parents),
    ]),
  );
}

/** `accessToken`, `api_key`, `Set-Cookie`; a boolean under such a name says that there is one. */
function isSecret(name: string, value: unknown): boolean {
  if (value === undefined || value === null || typeof value === 'boolean') return false;
  return secretName.test(name.toLowerCase().replaceAll(/[_-]/g, ''));
}
