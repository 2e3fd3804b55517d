/** Proof of possession: whoever sends a token shows that it holds the token's key (RFC 9449). */
import { createHash } from 'node:crypto';
import { AppError, type Clock } from '../base/base.ts';
import { thumbprint } from './jwk.ts';
import { verifySelfSigned } from './jws.ts';

export interface ProofOptions {
  readonly method: string;
  /** As the sender addressed it; query and fragment don't count. */
  readonly url: string;
  readonly nowMs: number;
  /** The token that came with the proof; the proof must name it. */
  readonly accessToken?: string;
  /** The key that the token is bound to. */
  readonly expectedJkt?: string;
  readonly replay: ReplayStore;
}

export interface ReplayStore {
  /**
   * Whether the id is new; from then on it is not, until `untilMs` at least. Throws `limit_exceeded`
   * where it can't remember one more.
   */
  claim(id: string, untilMs: number): Promise<boolean>;
}

const oldestSeconds = 60;
/** How far the sender's clock may be ahead. */
const aheadSeconds = 5;
const mostJtiCharacters = 128;

/**
 * Checks a proof as RFC 9449, 4.3 says and takes it once. Returns the thumbprint of its key. Throws
 * `token_invalid` with the member that is wrong, `signature_invalid`, or `limit_exceeded` when too
 * many proofs are remembered. Members that are not known are passed over, as the RFC lets senders
 * add them.
 */
export async function verifyProof(proof: string, options: ProofOptions): Promise<{ jkt: string }> {
  const { payload, jwk } = verifySelfSigned(proof, 'dpop+jwt');
  const jkt = thumbprint(jwk);
  if (payload['htm'] !== options.method) throw wrong('htm', 'is not the method of the request');
  checkAddress(payload['htu'], options.url);
  const iat = checkTime(payload['iat'], options.nowMs);
  const { jti } = payload;
  if (typeof jti !== 'string' || jti.length < 1 || jti.length > mostJtiCharacters) {
    throw wrong('jti', `must be a text of 1 to ${mostJtiCharacters} characters`);
  }
  if (options.accessToken !== undefined && payload['ath'] !== sha256(options.accessToken)) {
    throw wrong('ath', 'is not the hash of the token that came with the proof');
  }
  if (options.expectedJkt !== undefined && options.expectedJkt !== jkt) {
    throw new AppError('token_invalid', 'the proof is of another key than the token is bound to');
  }
  // Last, so that only a proof that counts takes room. JSON keeps key and name apart.
  const untilMs = (iat + oldestSeconds) * 1_000 + 1;
  if (await options.replay.claim(sha256(JSON.stringify([jkt, jti])), untilMs)) return { jkt };
  throw wrong('jti', 'was used before');
}

/** Ids that end within one span are forgotten together, so that no clearing looks at each. */
const spanMs = 10_000;

/**
 * A replay store in this process, of `capacity` ids. Full, it refuses: what it forgot early would
 * count a second time.
 */
export function createMemoryReplayStore(capacity: number, clock: Clock): ReplayStore {
  if (!(capacity >= 1)) throw new RangeError(`a capacity of ${capacity} is no limit`);
  /** By the number of the span in which they end. */
  const spans = new Map<number, Set<string>>();
  let size = 0;

  function forget(nowMs: number): void {
    for (const [span, ids] of spans) {
      if ((span + 1) * spanMs > nowMs) continue;
      spans.delete(span);
      size -= ids.size;
    }
  }

  return {
    async claim(id, untilMs) {
      forget(clock.nowMs());
      // One id may come with two ends, so each span is asked: there are about seven.
      for (const ids of spans.values()) if (ids.has(id)) return false;
      if (size >= capacity) {
        throw new AppError('limit_exceeded', `${capacity} proofs are remembered already`, {
          details: { capacity },
          remedy: 'Try again in a minute.',
        });
      }
      const span = Math.floor(untilMs / spanMs);
      const ids = spans.get(span) ?? new Set<string>();
      spans.set(span, ids.add(id));
      size += 1;
      return true;
    },
  };
}

function checkAddress(htu: unknown, url: string): void {
  const asked = normalAddress(url);
  if (asked === undefined) throw new AppError('internal', 'the address of a request is no URL');
  const named = typeof htu === 'string' ? normalAddress(htu) : undefined;
  if (named !== asked) throw wrong('htu', 'is not the address of the request');
}

/**
 * An address without query and fragment, normalised by syntax and scheme (RFC 3986, 6.2.2 and
 * 6.2.3): `URL` does the cases, the default port and the dots, and leaves percent signs alone.
 */
function normalAddress(text: string): string | undefined {
  // `URL` would pass over white space, and take a backslash for a slash.
  if (!/^https?:\/\/[\x21-\x5b\x5d-\x7e]+$/i.test(text) || !URL.canParse(text)) return undefined;
  const { origin, username, password, pathname } = new URL(text);
  if (username !== '' || password !== '') return undefined;
  return origin + pathname.replaceAll(/%[0-9a-f]{2}/gi, normalEscape);
}

function normalEscape(escape: string): string {
  const char = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
  return /[\w.~-]/.test(char) ? char : escape.toUpperCase();
}

function checkTime(iat: unknown, nowMs: number): number {
  if (typeof iat !== 'number' || !Number.isSafeInteger(iat) || iat < 0) {
    throw wrong('iat', 'must be whole seconds since 1970, as a number');
  }
  const ageSeconds = nowMs / 1_000 - iat;
  if (ageSeconds > oldestSeconds) throw wrong('iat', `is more than ${oldestSeconds} seconds ago`);
  if (ageSeconds < -aheadSeconds) throw wrong('iat', 'lies in the future');
  return iat;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

function wrong(member: string, what: string): AppError {
  return new AppError('token_invalid', `${member} of the proof ${what}`, { details: { member } });
}
