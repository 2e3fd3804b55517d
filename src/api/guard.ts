import { createHash, randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { AppError, type Clock } from '../base/base.ts';
import type { Caller, Credential, Identity } from '../identity/identity.ts';
import { originOf } from './callers.ts';

/** What the guard reads of a request. */
export interface Asked {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** The remote address. */
  readonly ip: string;
  /** Path and query. */
  readonly url: string;
}

const loginCodeMs = 5 * 60_000;
const mostLoginCodes = 20;

export interface Guard {
  /** Refuses a Host that is not ours: a page elsewhere whose name was pointed at this address. Throws `misdirected`. */
  checkHost(asked: Asked): void;
  /** Refuses what a browser sends from a page of another origin. Throws `denied`. */
  checkPage(asked: Asked): void;
  /**
   * Who asks: an Authorization header, or a browser's cookie. Without a promise where memory knows.
   * Throws what `callers.whoIs` does, `unauthenticated` without a credential, and `denied` for a
   * browser's request from another page.
   */
  whoAsks(asked: Asked): Caller | Promise<Caller>;
  /** A code that opens one browser session of the owner once, within five minutes. At most 20 wait; the oldest gives way. */
  loginCode(): string;
  /** The `Set-Cookie` value of a new session; undefined when the code is unknown, used or too old. */
  exchange(code: string, asked: Asked): Promise<string | undefined>;
  /** The `Set-Cookie` value that keeps a browser's access token; with no token, the one that removes it. */
  sessionCookie(token: string, maxAgeSeconds: number): string;
}

export interface GuardOptions {
  readonly identity: Pick<Identity, 'callers' | 'signIn'>;
  /** The address the server binds to, as configured. */
  readonly host: string;
  /** Known once the server listens. */
  readonly port: () => number;
  /** Where people reach the server: what tokens for one resource are for. */
  readonly publicUrl: () => string;
  /** Where this door of it is, when that is not the public address: what requests and their proofs are for. */
  readonly origin?: () => string;
  readonly clock: Clock;
}

/** From HTTP to the question of identity: who asks? */
export function createGuard(options: GuardOptions): Guard {
  const { identity, host, port, publicUrl, origin = publicUrl, clock } = options;
  const codes = new ExpiringCodes(loginCodeMs, mostLoginCodes, clock);
  // Browsers keep one cookie jar for all ports of a host, so the port is part of the name.
  const cookieName = () => `centuria_session_${port()}`;

  const guard: Guard = {
    checkHost({ headers }) {
      const name = hostName(headers.host ?? '');
      if (name !== undefined && isOurs(name, host)) return;
      const own = origin();
      const isKnown = [own, publicUrl()].some((url) => name === new URL(url).hostname);
      if (name !== undefined && isKnown) return;
      throw new AppError(
        'misdirected',
        `this server does not answer for Host ${name ?? '(none)'}`,
        { remedy: `Use ${own}/, or set CENTURIA_PUBLIC_URL to the address that people use.` },
      );
    },

    checkPage({ headers: { origin: from, host: named = '' } }) {
      if (from === undefined || from === `http://${named}`) return;
      if (from === new URL(origin()).origin) return;
      throw new AppError('denied', 'the request comes from another page');
    },

    whoAsks(asked) {
      const credential = credentialOf(asked, cookieName(), origin);
      const caller = identity.callers.whoIs(credential, originOf(asked));
      if (caller instanceof Promise) return caller.then((known) => within(known, asked, publicUrl));
      return caller.audience === undefined ? caller : within(caller, asked, publicUrl);
    },

    loginCode: () => codes.create(),

    async exchange(code, asked) {
      if (!codes.take(code)) return undefined;
      const { access } = await identity.callers.owner();
      const tokens = await identity.signIn.open(access.userId, 'login_link', {
        ...originOf(asked),
        as: 'browser',
      });
      return guard.sessionCookie(tokens.accessToken, tokens.expiresInSeconds);
    },

    sessionCookie(token, maxAgeSeconds) {
      const secure = publicUrl().startsWith('https:') ? '; Secure' : '';
      return `${cookieName()}=${token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${maxAgeSeconds}${secure}`;
    },
  };
  return guard;
}

/** How a browser or client on this machine reaches a server bound to `host`. */
export function displayHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return isIP(host) === 6 ? `[${host}]` : host;
}

function credentialOf(asked: Asked, cookieName: string, publicUrl: () => string): Credential {
  const { authorization, cookie } = asked.headers;
  if (authorization === undefined) {
    const token = readCookie(cookie, cookieName);
    if (token === undefined) throw unauthenticated('a credential is needed');
    checkOrigin(asked, publicUrl);
    return { kind: 'cookie', token };
  }
  const [, scheme = '', token = ''] =
    /^(Bearer|DPoP) +([\x21-\x7e]+) *$/i.exec(authorization) ?? [];
  if (token === '')
    throw unauthenticated('the Authorization header is not Bearer or DPoP and a token');
  if (scheme.length === 'Bearer'.length) return { kind: 'bearer', token };
  const proof = asked.headers['dpop'];
  if (typeof proof !== 'string') {
    throw new AppError('unauthenticated', 'one proof is needed beside a DPoP token', {
      remedy: 'Send exactly one DPoP header (RFC 9449, section 4.1).',
    });
  }
  const [path] = asked.url.split('?', 1);
  return { kind: 'dpop', token, proof, method: asked.method, url: `${publicUrl()}${path ?? '/'}` };
}

/** A token for one resource (RFC 8707) opens nothing beside it. */
function within(caller: Caller, { url }: Asked, publicUrl: () => string): Caller {
  if (caller.audience === undefined) return caller;
  const path = caller.audience.slice(publicUrl().length);
  const [asked = '/'] = url.split('?', 1);
  if (asked === path || asked.startsWith(path.endsWith('/') ? path : `${path}/`)) return caller;
  throw new AppError('denied', `the token is for ${caller.audience} only`, {
    remedy: 'Ask for a token for this resource.',
  });
}

function unauthenticated(message: string): AppError {
  return new AppError('unauthenticated', message, {
    remedy:
      'Programs send Authorization: Bearer with an access token, an API key or the token of the data folder; browsers sign in at the page, or by the link that `centuria open` prints.',
  });
}

/**
 * A cookie is sent by the browser, whoever made the page that asks: so what changes something must
 * come from our own page. Two ports of one host are the same *site*, so SameSite alone is not enough.
 */
export function checkOrigin({ method, headers }: Asked, publicUrl: () => string): void {
  const site = headers['sec-fetch-site'];
  const reads = method === 'GET' || method === 'HEAD';
  const sameOrigin =
    site === undefined
      ? headers.origin === undefined
        ? reads
        : headers.origin === `http://${headers.host ?? ''}` ||
          headers.origin === new URL(publicUrl()).origin
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
    if (key === name && value !== '') return value;
  }
  return undefined;
}

/** Random codes that count once and for a while. Kept as hashes, so that a look-up's time says nothing of a code. */
class ExpiringCodes {
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
    const code = randomBytes(32).toString('base64url');
    this.#ends.set(hash(code), this.#clock.monotonicMs() + this.#lifeMs);
    const oldest = this.#ends.keys().next();
    if (this.#ends.size > this.#most && oldest.value !== undefined) this.#ends.delete(oldest.value);
    return code;
  }

  /** Whether it counted; it counts no longer. */
  take(code: string): boolean {
    const key = hash(code);
    const end = this.#ends.get(key);
    this.#ends.delete(key);
    return end !== undefined && this.#clock.monotonicMs() < end;
  }
}

function hash(code: string): string {
  return createHash('sha256').update(code).digest('hex');
}
