import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { AppError, type Clock } from '../base/base.ts';

/** Who asks: the holder of the data folder's token, or a browser that such a holder let in. */
export interface Caller {
  readonly kind: 'token' | 'session';
  /** Names the credential in logs without giving it away. */
  readonly id: string;
}

/** What the guard reads of a request. */
export interface Asked {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
}

const loginCodeMs = 5 * 60_000;
const mostLoginCodes = 20;
const sessionMs = 12 * 3_600_000;
const mostSessions = 100;

export interface Guard {
  /** Refuses a Host that is not ours: a page elsewhere whose name was pointed at this address. Throws `misdirected`. */
  checkHost(asked: Asked): void;
  /** Who asks. Throws `unauthenticated`, or `denied` for a browser's request from another page. */
  whoAsks(asked: Asked): Caller;
  /** A code that opens one browser session once, within five minutes. At most 20 wait; the oldest gives way. */
  loginCode(): string;
  /** The `Set-Cookie` value of a new session, 12 hours; undefined when the code is unknown, used or too old. */
  exchange(code: string): string | undefined;
}

export interface GuardOptions {
  readonly token: string;
  /** The address the server binds to, as configured. */
  readonly host: string;
  /** Known once the server listens. */
  readonly port: () => number;
  readonly clock: Clock;
}

/** The one place that knows credentials. Everything lives in memory: a restart ends browser sessions. */
export function createGuard({ token, host, port, clock }: GuardOptions): Guard {
  const tokenHash = hash(token);
  const codes = new ExpiringSet(loginCodeMs, mostLoginCodes, clock);
  const sessions = new ExpiringSet(sessionMs, mostSessions, clock);
  // Browsers keep one cookie jar for all ports of a host, so the port is part of the name.
  const cookieName = () => `centuria_session_${port()}`;

  return {
    checkHost({ headers }) {
      const name = hostName(headers.host ?? '');
      if (name !== undefined && isOurs(name, host)) return;
      throw new AppError(
        'misdirected',
        `this server does not answer for Host ${name ?? '(none)'}`,
        {
          remedy: `Use http://${displayHost(host)}:${port()}/.`,
        },
      );
    },

    whoAsks(asked) {
      const { authorization, cookie } = asked.headers;
      if (authorization !== undefined) {
        const given = /^Bearer +([\x21-\x7e]+) *$/i.exec(authorization)?.[1];
        if (given !== undefined && timingSafeEqual(hash(given), tokenHash)) {
          return { kind: 'token', id: `token:${tokenHash.toString('hex', 0, 4)}` };
        }
        throw unauthenticated('the token is not the one of this data folder');
      }
      const session = readCookie(cookie, cookieName());
      if (session === undefined) throw unauthenticated('a token is needed');
      if (!sessions.has(session)) throw unauthenticated('the session has ended');
      checkOrigin(asked);
      return { kind: 'session', id: `session:${hash(session).toString('hex', 0, 4)}` };
    },

    loginCode: () => codes.create(),

    exchange(code) {
      if (!codes.take(code)) return undefined;
      const attributes = `Path=/; HttpOnly; SameSite=Strict; Max-Age=${sessionMs / 1_000}`;
      return `${cookieName()}=${sessions.create()}; ${attributes}`;
    },
  };
}

/** How a browser or client on this machine reaches a server bound to `host`. */
export function displayHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return isIP(host) === 6 ? `[${host}]` : host;
}

function unauthenticated(message: string): AppError {
  return new AppError('unauthenticated', message, {
    remedy:
      'Programs send Authorization: Bearer with the token of the data folder; browsers open the link that `centuria open` prints.',
  });
}

/**
 * A cookie is sent by the browser, whoever made the page that asks: so what changes something must
 * come from our own page. Two ports of one host are the same *site*, so SameSite alone is not enough.
 */
function checkOrigin({ method, headers }: Asked): void {
  const site = headers['sec-fetch-site'];
  const reads = method === 'GET' || method === 'HEAD';
  const sameOrigin =
    site === undefined
      ? headers.origin === undefined
        ? reads
        : headers.origin === `http://${headers.host ?? ''}`
      : site === 'same-origin' || (site === 'none' && reads);
  if (!sameOrigin) throw new AppError('denied', 'the request comes from another page');
}

/** The name in a Host header, lower-case, without port and brackets. */
function hostName(header: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(header);
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}

function isOurs(name: string, bound: string): boolean {
  if (name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'))) {
    return true;
  }
  if (name === bound.toLowerCase()) return true;
  // Bound to every address: an address in digits can not have been pointed here by anybody's name server.
  const everywhere = bound === '0.0.0.0' || bound === '::';
  return everywhere && (isIP(name) !== 0 || name === hostname().toLowerCase());
}

function readCookie(header: string | undefined, name: string): string | undefined {
  for (const part of header?.split(';') ?? []) {
    const [key, value] = part.trim().split('=', 2);
    if (key === name) return value;
  }
  return undefined;
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Random names that hold for a while. Kept as hashes, so that a look-up's time says nothing of a name. */
class ExpiringSet {
  readonly #lifeMs: number;
  readonly #most: number;
  readonly #clock: Clock;
  readonly #ends = new Map<string, number>();

  constructor(lifeMs: number, most: number, clock: Clock) {
    this.#lifeMs = lifeMs;
    this.#most = most;
    this.#clock = clock;
  }

  create(): string {
    const name = randomBytes(32).toString('base64url');
    this.#ends.set(hash(name).toString('hex'), this.#clock.monotonicMs() + this.#lifeMs);
    const oldest = this.#ends.keys().next();
    if (this.#ends.size > this.#most && oldest.value !== undefined) this.#ends.delete(oldest.value);
    return name;
  }

  has(name: string): boolean {
    const key = hash(name).toString('hex');
    const end = this.#ends.get(key);
    if (end === undefined) return false;
    if (this.#clock.monotonicMs() < end) return true;
    this.#ends.delete(key);
    return false;
  }

  /** Whether it held; it holds no longer. */
  take(name: string): boolean {
    const held = this.has(name);
    this.#ends.delete(hash(name).toString('hex'));
    return held;
  }
}
