/** Letting in a program that has no browser, by a short code on another screen (RFC 8628). */
import { randomBytes, randomInt } from 'node:crypto';
import { AppError } from '../base/base.ts';
import type { Caller } from './access.ts';
import type { IssuedTokens, Origin, SignIn } from './doors.ts';
import { secretHash } from './issue.ts';
import type { LimitPolicy, RateLimiter } from './limits.ts';
import { oauthError, refusedAs } from './oauth-errors.ts';
import {
  claimDevice,
  decideDevice,
  insertDeviceCode,
  pollDevice,
  selectClaimedDevice,
  type DeviceRow,
} from './oauth-queries.ts';
import { needed } from './oauth-requests.ts';
import { askedScopes, heldBy, narrowResource, narrowScope } from './oauth-scope.ts';
import type {
  ClientRequest,
  DeviceAuthorization,
  DeviceLogin,
  DeviceQuestion,
} from './oauth-types.ts';
import type { Parts } from './parts.ts';
import { allBits } from './permissions.ts';

export interface DeviceParts extends Parts {
  readonly signIn: Pick<SignIn, 'open'>;
  readonly limits: RateLimiter;
  readonly publicUrl: () => string;
}

/** No vowels, so that no code is a word (RFC 8628, 6.1): 20^8 codes. */
const letters = 'BCDFGHJKLMNPQRSTVWXZ';
const codeLength = 8;
const lifetimeMs = 10 * 60_000;
const intervalSeconds = 5;

/** Ten guesses a minute against 20^8 codes. A right code counts too: whoever has one could guess beside it. */
const lookPolicy: LimitPolicy = {
  name: 'device_code',
  limit: 10,
  windowMs: 60_000,
  blockMs: 60_000,
  onStoreDown: 'refuse',
};
/** Many people share an address, and one person may open many sessions. */
const addressPolicy: LimitPolicy = { ...lookPolicy, name: 'device_address', limit: 60 };
const beginPolicy: LimitPolicy = { ...lookPolicy, name: 'device_begin', limit: 60, blockMs: 0 };

/** What a client asks, checked. */
export interface DeviceRequest extends Origin {
  readonly clientId: string;
  readonly scope: string | undefined;
  readonly resource: string | undefined;
  readonly boundTo: string | undefined;
}

export interface DeviceFlow extends DeviceLogin {
  begin(request: DeviceRequest): Promise<DeviceAuthorization>;
  /** The tokens of an approved code. Throws `authorization_pending`, `slow_down` and the rest of RFC 8628, 3.5. */
  exchange(request: ClientRequest, asked: DeviceRequest): Promise<IssuedTokens>;
}

export function createDeviceFlow(parts: DeviceParts): DeviceFlow {
  const { database, limits, directory } = parts;

  async function take(policy: LimitPolicy, id: string | null): Promise<void> {
    if (id === null) return;
    const { allowed, retryAfterMs } = await limits.take(policy, id);
    if (allowed) return;
    const retryAfterSeconds = Math.max(1, Math.ceil(retryAfterMs / 1_000));
    throw new AppError('limit_exceeded', 'too many codes in a minute', {
      details: { limit: policy.name, retryAfterSeconds },
      remedy: `Wait ${retryAfterSeconds} s.`,
    });
  }

  /** The code, claimed for this session. What it claimed before is not counted as a guess. */
  async function claimed(given: string, caller: Caller, origin: Origin): Promise<DeviceRow> {
    const sessionId = browserSession(caller);
    const userCode = normalCode(given);
    const known = async (): Promise<DeviceRow | undefined> =>
      userCode === undefined
        ? undefined
        : (await database.query(selectClaimedDevice(userCode, sessionId)))[0];
    const before = await known();
    if (before !== undefined) return before;
    await take(lookPolicy, sessionId);
    await take(addressPolicy, origin.address);
    const [row] =
      userCode === undefined ? [] : await database.query(claimDevice(userCode, sessionId));
    if (row === undefined) throw noCode();
    if (row.claimed_by !== sessionId) throw taken();
    const now = await known();
    if (now === undefined) throw noCode();
    return now;
  }

  async function begin(request: DeviceRequest): Promise<DeviceAuthorization> {
    await take(beginPolicy, request.address);
    const deviceCode = `cnd_${randomBytes(32).toString('base64url')}`;
    const row = {
      hash: secretHash(deviceCode),
      clientId: request.clientId,
      scope: request.scope ?? null,
      resource: request.resource ?? null,
      boundTo: request.boundTo ?? null,
      address: request.address,
      userAgent: request.userAgent.slice(0, 300),
      lifetimeMs,
      intervalSeconds,
    };
    // One in 25 billion is taken by another code that waits.
    for (let tries = 0; tries < 3; tries += 1) {
      const [made] = await database.query(insertDeviceCode({ ...row, userCode: newCode() }));
      if (made === undefined) continue;
      const userCode = shownCode(made.user_code);
      const uri = `${parts.publicUrl()}/device`;
      return {
        device_code: deviceCode,
        user_code: userCode,
        verification_uri: uri,
        verification_uri_complete: `${uri}?code=${userCode}`,
        expires_in: lifetimeMs / 1_000,
        interval: intervalSeconds,
      };
    }
    throw new AppError('unavailable', 'no free code was found');
  }

  async function exchange(request: ClientRequest, asked: DeviceRequest): Promise<IssuedTokens> {
    const { clientId, boundTo, address, userAgent } = asked;
    const hash = secretHash(needed(request, 'device_code'));
    const [row] = await database.query(pollDevice({ hash, clientId, boundTo: boundTo ?? null }));
    if (row === undefined || row.outcome !== 'approved' || row.user_id === null) {
      throw refusal(row?.outcome ?? 'unknown');
    }
    const approver =
      row.claimed_by === null ? undefined : await directory.sessions.get(row.claimed_by);
    const access = await directory.principals.get(row.user_id);
    if (approver === undefined || access === undefined) {
      throw oauthError('access_denied', 'the session that let the device in has ended');
    }
    const scope = narrowScope(row.scope ?? undefined, { access, within: allBits });
    const audience = narrowResource(row.resource ?? undefined, asked.resource);
    return refusedAs('invalid_grant', () =>
      parts.signIn.open(access.userId, 'device', {
        address,
        userAgent,
        as: 'client',
        clientId,
        ...(boundTo === undefined ? {} : { boundTo }),
        ...(scope === undefined ? {} : { scope }),
        ...(audience === undefined ? {} : { audience }),
      }),
    );
  }

  return {
    begin,
    exchange,

    look: async (userCode, caller, origin) =>
      questionFrom(await claimed(userCode, caller, origin), caller),

    async decide(userCode, approve, caller, origin) {
      const row = await claimed(userCode, caller, origin);
      const scope = approve ? narrowScope(row.scope ?? undefined, caller) : row.scope;
      const [decided] = await database.query(
        decideDevice(row.user_code, {
          sessionId: browserSession(caller),
          userId: caller.access.userId,
          isApproved: approve,
          scope: scope ?? null,
        }),
      );
      if (decided === undefined) {
        throw new AppError('conflict', 'it is decided already', {
          remedy: 'Begin again on the device.',
        });
      }
    },
  };
}

/** The session of a person at a browser: whoever may let others in must not be a program. Throws `denied`. */
export function browserSession({ kind, sessionId, actor }: Caller): string {
  if (kind === 'session' && sessionId !== undefined && actor === undefined) return sessionId;
  throw new AppError('denied', 'only a person who is signed in with a browser lets clients in', {
    remedy: 'Open the address in a browser and sign in there.',
  });
}

function questionFrom(row: DeviceRow, caller: Caller): DeviceQuestion {
  const scopes = askedScopes(row.scope ?? undefined, heldBy(caller));
  return {
    userCode: shownCode(row.user_code),
    client: { id: row.client_id, name: row.client_name },
    ...(scopes === undefined ? {} : { scopes }),
    ...(row.resource === null ? {} : { resource: row.resource }),
    ...(row.ip_address === null ? {} : { address: row.ip_address }),
    userAgent: row.user_agent,
    startedAt: row.created_at.toISOString(),
    expiresAt: row.expires_at.toISOString(),
    status: row.status,
  };
}

function refusal(outcome: string): AppError {
  switch (outcome) {
    case 'pending':
      return oauthError('authorization_pending', 'nobody has decided yet');
    case 'slow_down':
      return oauthError('slow_down', 'the client asks too often; the interval is 5 s longer now');
    case 'expired':
      return oauthError('expired_token', 'the code is over; begin again');
    case 'denied':
      return oauthError('access_denied', 'the person refused');
    default:
      return oauthError('invalid_grant', 'the device code is not known, was used, or is not yours');
  }
}

function newCode(): string {
  return Array.from({ length: codeLength }, () => letters[randomInt(letters.length)]).join('');
}

function shownCode(code: string): string {
  return `${code.slice(0, 4)}-${code.slice(4)}`;
}

/** As it is stored, however it was typed; undefined for what can be no code. */
function normalCode(given: string): string | undefined {
  const code = given.replaceAll(/[\s-]/g, '').toUpperCase();
  return code.length === codeLength && [...code].every((letter) => letters.includes(letter))
    ? code
    : undefined;
}

function noCode(): AppError {
  return new AppError('not_found', 'no device waits with this code', {
    remedy: 'Compare it with what the device shows; codes count for ten minutes.',
  });
}

function taken(): AppError {
  return new AppError('conflict', 'another session looked this code up first', {
    remedy: 'If that was not you, refuse it there, or begin again on the device.',
  });
}
