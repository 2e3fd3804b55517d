/** Names as they are compared and stored: one form for whatever looks the same or means the same. */
import { AppError } from '../base/base.ts';

const usernamePattern = /^[a-z0-9][a-z0-9._@+-]{0,62}$/;
const roleNamePattern = /^[a-z][a-z0-9_.-]{0,62}$/;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** RFC 5321, section 4.5.3.1.3: a path has 256 octets, two of them its angle brackets. */
const mostEmailBytes = 254;

/** NFKC, then lower case, and NFKC again since lower case may come apart (`İ`) and compose anew. */
export function foldName(text: string): string {
  return text.normalize('NFKC').toLowerCase().normalize('NFKC');
}

export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/**
 * A new username in its stored form. Throws `invalid_input`; a name that reads as an id is refused,
 * since whoever is looked up by name or id would be ambiguous.
 */
export function normaliseUsername(username: string): string {
  const name = foldName(username);
  if (usernamePattern.test(name) && !isUuid(name)) return name;
  throw wrong('username', `${shown(username)} can be no username`, {
    remedy:
      'Use 1 to 63 of the letters a to z, digits and . _ @ + -, beginning with a letter or digit, and not the form of an id.',
  });
}

/** A new role's name in its stored form. Throws `invalid_input`. */
export function normaliseRoleName(role: string): string {
  const name = foldName(role);
  if (roleNamePattern.test(name)) return name;
  throw wrong('name', `${shown(role)} can be no name of a role`, {
    remedy: 'Use 1 to 63 of the letters a to z, digits and _ . -, beginning with a letter.',
  });
}

/**
 * An e-mail address in its stored form. Whether anybody reads it only a message can tell; here it is
 * one that could be written to. Throws `invalid_input`.
 */
export function normaliseEmail(email: string): string {
  const address = foldName(email.trim());
  const isAddress =
    email.isWellFormed() &&
    /^[^\s@\p{C}]+@[^\s@\p{C}]+$/u.test(address) &&
    Buffer.byteLength(address) <= mostEmailBytes;
  if (isAddress) return address;
  throw wrong('email', `${shown(email)} is no e-mail address`, {
    remedy: `Use name@host, without spaces, in at most ${mostEmailBytes} bytes.`,
  });
}

/** A name to show, as it was written. Throws `invalid_input` for control characters and length. */
export function checkText(field: string, text: string, most: number): string {
  const trimmed = text.trim();
  // Marks of direction would let a name read as another one; line ends would break logs and tables.
  const isPlain =
    text.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u.test(text);
  if (isPlain && [...trimmed].length <= most) return trimmed;
  throw wrong(field, `${field} can not be kept`, {
    remedy: `Use at most ${most} characters, on one line and without control characters.`,
  });
}

/** A moment that is still to come, as an ISO text. Throws `invalid_input`. */
export function futureTime(field: string, text: string, nowMs: number): Date {
  const at = new Date(text);
  // Only ISO 8601 means the same everywhere; Date reads much more, and guesses.
  const isIso = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  if (!isIso || Number.isNaN(at.getTime())) {
    throw wrong(field, `${field} is no time`, { remedy: 'Write it as 2030-01-31T12:00:00Z.' });
  }
  if (at.getTime() <= nowMs) {
    throw wrong(field, `${field} is over already`, {
      remedy: 'Give a time that is still to come.',
    });
  }
  return at;
}

function wrong(field: string, message: string, more: { remedy: string }): AppError {
  return new AppError('invalid_input', message, { details: { field }, remedy: more.remedy });
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
