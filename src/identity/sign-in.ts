/** Proving who one is: passwords, second factors, passkeys. */
import { AppError, newId } from '../base/base.ts';
import {
  countTry,
  forgetTries,
  selectPasskey,
  updatePasswordHash,
  usePasskey,
} from './credential-queries.ts';
import type { Origin, SignIn, SignInRequest, SignInResult } from './doors.ts';
import { secretHash } from './issue.ts';
import type { LimitPolicy, RateLimiter } from './limits.ts';
import { foldName } from './names.ts';
import { loginOptions, verifyLogin, type Challenge } from './passkeys.ts';
import { claimNonce } from './queries.ts';
import { relyingParty, userHandle } from './relying-party.ts';
import { passkeyFrom, tellWrongCode, useCode } from './second-factors.ts';
import { selectFactors, selectPasskeys } from './factor-queries.ts';
import { createSessionOpener, riskOf, type How, type OpenerParts } from './session-opener.ts';
import {
  judgePassword,
  selectLoginFacts,
  type LockRules,
  type LoginFacts,
} from './session-queries.ts';
import { issueTicket, readTicket, spend, type Ticket } from './tickets.ts';

export interface SignInParts extends OpenerParts {
  readonly limits: RateLimiter;
  /** Where people reach this server: passkeys are bound to its host name. */
  readonly publicUrl: () => string;
  readonly rules: LockRules;
  /** Logins that one address may try. */
  readonly addressPolicy: LimitPolicy;
  readonly onLimited: (what: string, origin: Origin) => void;
}

const passkeyLogin = 'signing in with a passkey';
const ticketMs = 5 * 60_000;

export function createSignIn(parts: SignInParts): SignIn {
  const { database, clock, hasher, limits } = parts;
  const opener = createSessionOpener(parts);

  async function checkAddress(origin: Origin): Promise<void> {
    if (origin.address === null) return;
    const verdict = await limits.take(parts.addressPolicy, origin.address);
    if (verdict.allowed) return;
    parts.onLimited(parts.addressPolicy.name, origin);
    throw tooMany('too many logins from this address', verdict.retryAfterMs);
  }

  async function password(request: SignInRequest): Promise<SignInResult> {
    const startedMs = clock.monotonicMs();
    const username = foldName(request.username.slice(0, 1_000)).trim().slice(0, 63);
    const [, [facts]] = await Promise.all([
      checkAddress(request),
      database.query(selectLoginFacts(username, request.address)),
    ]);
    if (facts === undefined) throw new AppError('internal', 'a login has no facts');
    // Nothing is hashed for a locked name: that would be work for whoever attacks it.
    if (facts.locked_for_ms !== null) throw locked(facts.locked_for_ms);
    const stored = facts.password_hash ?? hasher.decoy(username);
    const computed = await hasher.recompute(request.password, stored);
    const methods = await secondFactorsOf(facts);
    const session = opener.prepare(request, 'password');
    const [judged] = await database.query(
      judgePassword(
        facts.password_hash === null ? '' : computed,
        parts.rules,
        methods.length === 0,
        session.row,
        {
          username,
          ...riskOf(facts, clock),
          spentMs: clock.monotonicMs() - startedMs,
        },
      ),
    );
    if (judged?.outcome === 'locked') throw locked(judged.locked_for_ms ?? 0);
    if (judged?.outcome !== 'ok' || judged.judged_user === null) throw wrongPassword();
    if (hasher.needsRehash(stored)) void rehash(judged.judged_user, request.password, stored);
    if (methods.length > 0) {
      const ticket = makeTicket(judged.judged_user, facts, { ...request, username });
      // This address has been counted for this request already.
      if (request.code !== undefined) return proveCode(ticket, request.code, request);
      return { outcome: 'second_factor', ticket, methods };
    }
    const tokens = await opener.tokensOf(judged.judged_user, session, request);
    return {
      outcome: 'signed_in',
      username,
      tokens,
      mustChangePassword: facts.must_change_password,
    };
  }

  async function secondFactorsOf(
    facts: LoginFacts,
  ): Promise<('totp' | 'passkey' | 'recovery_code')[]> {
    if (!facts.has_totp) return [];
    const keys = facts.user_id === null ? [] : await database.query(selectPasskeys(facts.user_id));
    return ['totp', ...(keys.length > 0 ? (['passkey'] as const) : []), 'recovery_code'];
  }

  /** With the present parameters, behind whoever waits for a login. */
  async function rehash(userId: string, text: string, before: string): Promise<void> {
    try {
      const after = await hasher.hash(text);
      await database.query(updatePasswordHash(userId, before, after));
    } catch (error) {
      parts.log.debug(
        { err: error, userId },
        'a password was not hashed again; the next login will',
      );
    }
  }

  interface PasswordTicket {
    /** Names it, since it opens one session. */
    readonly id: string;
    readonly userId: string;
    readonly username: string;
    readonly untilMs: number;
    /** When the password that was right had been set: another one since ends the ticket. */
    readonly passwordOfMs: number;
    readonly mustChangePassword: boolean;
    readonly how: How;
  }

  function makeTicket(userId: string, facts: LoginFacts, request: SignInRequest): string {
    const { password: _password, username, ...how } = request;
    const ticket: PasswordTicket = {
      id: newId(clock),
      userId,
      username,
      untilMs: clock.nowMs() + ticketMs,
      passwordOfMs: facts.password_changed_at?.getTime() ?? 0,
      mustChangePassword: facts.must_change_password,
      how,
    };
    const sealed = parts.sealer.seal(Buffer.from(JSON.stringify(ticket)), 'sign-in ticket');
    return Buffer.from(sealed).toString('base64url');
  }

  function readPasswordTicket(text: string): PasswordTicket {
    try {
      const plain = parts.sealer.open(Buffer.from(text, 'base64url'), 'sign-in ticket');
      const ticket = JSON.parse(Buffer.from(plain).toString()) as PasswordTicket;
      if (ticket.untilMs > clock.nowMs()) return ticket;
    } catch {
      // Told below: whoever sends a ticket of his own making learns nothing about why.
    }
    throw staleTicket();
  }

  async function secondFactor(text: string, code: string, origin: Origin): Promise<SignInResult> {
    await checkAddress(origin);
    return proveCode(text, code, origin);
  }

  async function proveCode(text: string, code: string, origin: Origin): Promise<SignInResult> {
    const startedMs = clock.monotonicMs();
    const ticket = readPasswordTicket(text);
    const { userId, username, how, mustChangePassword } = ticket;
    const [counted] = await database.query(countTry(username, parts.rules));
    if (counted?.outcome === 'locked') throw locked(counted.locked_for_ms ?? 0);
    const [factors] = await database.query(selectFactors(userId));
    if ((factors?.password_changed_at?.getTime() ?? 0) !== ticket.passwordOfMs) throw staleTicket();
    const method = factors === undefined ? undefined : await useCode(parts, factors, code);
    if (method === undefined) {
      const where = { ...origin, sessionId: undefined };
      await tellWrongCode(
        parts,
        { user_id: userId, username },
        counted?.locked_for_ms ?? null,
        where,
      );
      throw new AppError('unauthenticated', 'the code is not right', {
        remedy: 'Wait for the next code of the authenticator, or use a recovery code.',
      });
    }
    const hash = secretHash(ticket.id);
    const [spent] = await database.query(claimNonce(hash, ticketMs + 60_000));
    if (spent === undefined) throw staleTicket();
    await database.query(forgetTries(username));
    const request = { ...how, ...origin };
    const result = await opened(userId, username, `password+${method}`, request, startedMs);
    return { ...result, mustChangePassword };
  }

  async function passkeyOptions(
    ticket: string | undefined,
  ): Promise<{ challenge: string; options: unknown }> {
    const userId = ticket === undefined ? undefined : readPasswordTicket(ticket).userId;
    const rows = userId === undefined ? [] : await database.query(selectPasskeys(userId));
    const { ticket: asked, sealed } = issueTicket(parts.sealer, passkeyLogin, '', clock.nowMs());
    const options = await loginOptions({
      ...ceremony(asked),
      ...(userId === undefined ? {} : { passkeys: rows.map(passkeyFrom) }),
    });
    return { challenge: sealed, options };
  }

  /** A passkey proves two factors at once, the device and its owner's presence: no ticket is asked for. */
  async function passkey(sealed: string, answer: unknown, request: How): Promise<SignInResult> {
    const startedMs = clock.monotonicMs();
    await checkAddress(request);
    const asked = readTicket(parts.sealer, passkeyLogin, sealed, clock.nowMs());
    await spend(database, asked, clock.nowMs());
    const id = credentialId(answer);
    const [row] = id === undefined ? [] : await database.query(selectPasskey(id));
    if (row === undefined) throw new AppError('unauthenticated', 'the passkey is not known here');
    const { counter } = await verifyLogin({
      ...ceremony(asked),
      response: answer,
      passkey: passkeyFrom(row),
      userId: userHandle(row.user_id),
    });
    await database.query(usePasskey(row.credential_id, counter));
    await database.query(forgetTries(row.username));
    return opened(row.user_id, row.username, 'passkey', request, startedMs);
  }

  function ceremony(ticket: Ticket) {
    const challenge: Challenge = { value: ticket.id, expiresAtMs: ticket.expiresAtMs };
    return { rp: relyingParty(parts.publicUrl()), challenge, nowMs: clock.nowMs() };
  }

  async function opened(
    userId: string,
    username: string,
    method: string,
    request: How,
    startedMs: number,
  ): Promise<Extract<SignInResult, { outcome: 'signed_in' }>> {
    const tokens = await opener.open(userId, method, request, { username, startedMs });
    return { outcome: 'signed_in', username, tokens, mustChangePassword: false };
  }

  return {
    password,
    secondFactor,
    passkeyOptions,
    passkey,
    open: (userId, method, request) => opener.open(userId, method, request),
    refresh: opener.refresh,
  };
}

function staleTicket(): AppError {
  return new AppError('unauthenticated', 'the sign-in took too long or was not begun here', {
    remedy: 'Begin again with the password.',
  });
}

function credentialId(answer: unknown): string | undefined {
  if (typeof answer !== 'object' || answer === null || !('id' in answer)) return undefined;
  return typeof answer.id === 'string' && answer.id.length <= 1_400 ? answer.id : undefined;
}

/** The same for a name that nobody has, a disabled principal, and a wrong password. */
function wrongPassword(): AppError {
  return new AppError('unauthenticated', 'name or password is not right', {
    remedy: 'Try again; after some wrong tries the name is locked for a while.',
  });
}

function locked(forMs: number): AppError {
  return tooMany('too many wrong passwords for this name', forMs);
}

function tooMany(message: string, forMs: number): AppError {
  const retryAfterSeconds = Math.max(1, Math.ceil(forMs / 1_000));
  return new AppError('limit_exceeded', message, {
    details: { retryAfterSeconds },
    remedy: `Wait ${retryAfterSeconds} s.`,
  });
}
