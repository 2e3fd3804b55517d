/** Second factors: authenticator apps with recovery codes, and passkeys. */
import { randomBytes } from 'node:crypto';
import { AppError } from '../base/base.ts';
import type { Caller } from './access.ts';
import {
  assertMayStandFor,
  eventColumns,
  assertOwnerAsks,
  findPrincipal,
  noPrincipal,
  tellOf,
  type NewEvent,
} from './administering.ts';
import type { FactorProof, PasskeyInfo, SecondFactors } from './administration.ts';
import {
  clearTotp,
  confirmPendingTotp,
  deletePasskey,
  deleteRecoveryCodes,
  insertPasskey,
  selectFactors,
  selectPasskeys,
  setPendingTotp,
  useRecoveryCode,
  useTotpStep,
  type FactorsRow,
  type PasskeyRow,
} from './factor-queries.ts';
import { countTry, forgetTries } from './credential-queries.ts';
import { checkText } from './names.ts';
import {
  checkTotp,
  newRecoveryCodes,
  newTotpSecret,
  recoveryCodeHash,
  totpUri,
} from './one-time-codes.ts';
import type { Parts } from './parts.ts';
import { registrationOptions, verifyRegistration, type Passkey } from './passkeys.ts';
import { assertProved, provePassword, usualLockRules } from './password-changes.ts';
import { insertSecurityEvents } from './queries.ts';
import { relyingParty, userHandle } from './relying-party.ts';
import type { LockRules } from './session-queries.ts';
import { issueTicket, readTicket, spend } from './tickets.ts';

const mostPasskeys = 20;
const mostNameCharacters = 100;
const registering = 'registering a passkey';

export interface SecondFactorOptions {
  /** Where people reach this server: passkeys are bound to its host name. */
  readonly publicUrl: () => string;
  readonly lockRules?: LockRules;
}

export function createSecondFactors(parts: Parts, options: SecondFactorOptions): SecondFactors {
  const { database, sealer, clock } = parts;
  const lockRules = options.lockRules ?? usualLockRules;

  return {
    async beginTotp(caller) {
      const { userId, username } = caller.access;
      const secret = newTotpSecret(randomBytes);
      const sealed = sealer.seal(Buffer.from(secret), totpContext(userId));
      const [pending] = await database.query(setPendingTotp(userId, sealed));
      if (pending === undefined) {
        throw new AppError('conflict', `${username} has an authenticator already`, {
          remedy: 'Remove it first, with one of its codes or the password.',
        });
      }
      return { secret, uri: totpUri({ secret, account: username, issuer: 'Centuria' }) };
    },

    async confirmTotp(caller, code) {
      const { userId, username } = caller.access;
      const row = await factorsOf(parts, userId);
      if (row.totp_pending === null) {
        throw new AppError('conflict', 'no authenticator waits for its first code', {
          remedy: 'Begin with a new secret.',
        });
      }
      const secret = openTotp(parts, userId, row.totp_pending);
      const atMs = clock.nowMs();
      const checked = checkTotp({ secret, code, atMs, lastUsedStep: undefined });
      if (!checked.ok) throw wrongCode();
      const recoveryCodes = newRecoveryCodes(randomBytes);
      const hashes = recoveryCodes.map(recoveryCodeHash);
      await database.transaction(async (transaction) => {
        await transaction.query(deleteRecoveryCodes(userId));
        const seen = row.totp_pending ?? new Uint8Array();
        const confirm = confirmPendingTotp(userId, seen, checked.step, hashes);
        const [confirmed] = await transaction.query(confirm);
        if (confirmed === undefined) {
          throw new AppError('conflict', 'another secret was begun meanwhile', {
            remedy: 'Use the newest one.',
          });
        }
        await tellOf(transaction, parts, caller, {
          type: 'credential_changed',
          severity: 2,
          userId,
          username,
          details: { change: 'authenticator added' },
        });
      });
      return { recoveryCodes };
    },

    async removeTotp(nameOrId, by, proof) {
      const { user_id: userId, username } = await findPrincipal(database, nameOrId);
      if (userId === by.access.userId) await prove(parts, by, proof, lockRules);
      await database.transaction(async (transaction) => {
        assertOwnerAsks(parts, by, username);
        await assertMayStandFor(transaction, by, { userId, username });
        const [former] = await transaction.query(clearTotp(userId));
        if (former === undefined)
          throw new AppError('not_found', `${username} has no authenticator`);
        await transaction.query(deleteRecoveryCodes(userId));
        if (!former.was_on) return;
        await tellOf(transaction, parts, by, {
          type: 'credential_changed',
          severity: 3,
          risk: userId === by.access.userId ? 10 : 30,
          userId,
          username,
          details: { change: 'authenticator removed' },
        });
      });
    },

    async passkeyRegistration(caller) {
      const { userId, username } = caller.access;
      const nowMs = clock.nowMs();
      const rp = relyingParty(options.publicUrl());
      const { display_name: displayName } = await factorsOf(parts, userId);
      const existing = (await database.query(selectPasskeys(userId))).map(passkeyFrom);
      if (existing.length >= mostPasskeys) {
        throw new AppError('limit_exceeded', `${username} has ${mostPasskeys} passkeys`, {
          retryable: false,
          remedy: 'Remove one that is not used any more.',
        });
      }
      const { ticket, sealed } = issueTicket(sealer, registering, userId, nowMs);
      const asked = await registrationOptions({
        rp,
        challenge: { value: ticket.id, expiresAtMs: ticket.expiresAtMs },
        nowMs,
        user: { id: userHandle(userId), name: username, displayName },
        existing,
      });
      return { challenge: sealed, options: asked };
    },

    async addPasskey(caller, challenge, answer, name) {
      const { userId, username } = caller.access;
      const nowMs = clock.nowMs();
      const called = checkText('name', name, mostNameCharacters);
      const ticket = readTicket(sealer, registering, challenge, nowMs);
      if (ticket.userId !== userId) {
        throw new AppError('token_invalid', 'this was given out for somebody else', {
          remedy: 'Begin again.',
        });
      }
      const passkey = await verifyRegistration({
        rp: relyingParty(options.publicUrl()),
        challenge: { value: ticket.id, expiresAtMs: ticket.expiresAtMs },
        nowMs,
        response: answer,
        name: called === '' ? 'passkey' : called,
      });
      return database.transaction(async (transaction) => {
        await spend(transaction, ticket, nowMs);
        const [added] = await transaction.query(insertPasskey(userId, passkey));
        if (added === undefined)
          throw new AppError('conflict', 'the passkey is registered already');
        await tellOf(transaction, parts, caller, {
          type: 'credential_changed',
          severity: 2,
          userId,
          username,
          details: { change: 'passkey added', name: passkey.name, backedUp: passkey.backedUp },
        });
        return {
          id: passkey.id,
          name: passkey.name,
          backedUp: passkey.backedUp,
          createdAt: added.created_at.toISOString(),
        };
      });
    },

    async passkeys(nameOrId) {
      const { user_id: userId } = await findPrincipal(database, nameOrId);
      return (await database.query(selectPasskeys(userId))).map(infoFrom);
    },

    async removePasskey(nameOrId, passkeyId, by) {
      await database.transaction(async (transaction) => {
        const { user_id: userId, username } = await findPrincipal(transaction, nameOrId);
        assertOwnerAsks(parts, by, username);
        await assertMayStandFor(transaction, by, { userId, username });
        const isId = /^[A-Za-z0-9_-]{1,1400}$/.test(passkeyId);
        const [removed] = isId ? await transaction.query(deletePasskey(userId, passkeyId)) : [];
        if (removed === undefined) {
          throw new AppError('not_found', `${username} has no such passkey`, {
            remedy: 'The list of passkeys shows their ids.',
          });
        }
        await tellOf(transaction, parts, by, {
          type: 'credential_changed',
          severity: 2,
          userId,
          username,
          details: { change: 'passkey removed', name: removed.name },
        });
      });
    },
  };
}

/** That it is the caller himself, and not only somebody at his open session. */
async function prove(
  parts: Parts,
  caller: Caller,
  proof: FactorProof | undefined,
  lockRules: LockRules,
): Promise<void> {
  if (caller.kind === 'owner') return;
  if (proof?.password === undefined && proof?.code === undefined) {
    throw new AppError('unauthenticated', 'this asks for a code or the password again', {
      remedy: 'Give the present password, a code of the authenticator or a recovery code.',
    });
  }
  const row = await factorsOf(parts, caller.access.userId);
  if (proof.password !== undefined) {
    const { password, origin } = proof;
    return provePassword(parts, { row, password, caller, lockRules }, origin);
  }
  // Counted before it is judged, so that parallel guesses can not outrun the lock.
  const [counted] = await parts.database.query(countTry(row.username, lockRules));
  if (counted?.outcome === 'locked') assertProved(counted, '');
  if ((await useCode(parts, row, proof.code ?? '')) !== undefined) {
    await parts.database.query(forgetTries(row.username));
    return;
  }
  await tellWrongCode(parts, row, counted?.locked_for_ms ?? null, {
    ...proof.origin,
    sessionId: caller.sessionId,
  });
  throw wrongCode();
}

/** Which of the two the code is, the authenticator's or a recovery code, or neither; it is used up then. */
export async function useCode(
  parts: Parts,
  row: FactorsRow,
  code: string,
): Promise<'totp' | 'recovery_code' | undefined> {
  const { user_id: userId, totp_secret: sealed, totp_last_step: last } = row;
  if (sealed === null) return undefined;
  const secret = openTotp(parts, userId, sealed);
  const lastUsedStep = last === null ? undefined : Number(last);
  const checked = checkTotp({ secret, code, atMs: parts.clock.nowMs(), lastUsedStep });
  const use = checked.ok
    ? useTotpStep(userId, checked.step)
    : useRecoveryCode(userId, recoveryCodeHash(code));
  const [used] = await parts.database.query(use);
  if (used === undefined) return undefined;
  return checked.ok ? 'totp' : 'recovery_code';
}

/** A wrong code is told like a wrong password, and so is the lock that it may have begun. */
export async function tellWrongCode(
  { database }: Parts,
  { user_id: userId, username }: Pick<FactorsRow, 'user_id' | 'username'>,
  lockedForMs: number | null,
  where: {
    readonly address?: string | null;
    readonly userAgent?: string;
    readonly sessionId: string | undefined;
  },
): Promise<void> {
  const about = { severity: 3, risk: 50, userId, username, ...where };
  const events: NewEvent[] = [
    { ...about, type: 'login_failure', details: { method: 'one-time code', outcome: 'wrong' } },
  ];
  if (lockedForMs !== null) {
    const details = { forSeconds: Math.ceil(lockedForMs / 1_000) };
    events.push({ ...about, type: 'account_locked', details });
  }
  await database.query(insertSecurityEvents(eventColumns(events)));
}

async function factorsOf({ database }: Parts, userId: string): Promise<FactorsRow> {
  const [row] = await database.query(selectFactors(userId));
  if (row === undefined) throw noPrincipal(userId);
  return row;
}

function openTotp({ sealer }: Parts, userId: string, sealed: Uint8Array): string {
  return Buffer.from(sealer.open(sealed, totpContext(userId))).toString();
}

/** What the secret of an authenticator is sealed for: it opens for its own user only. */
export function totpContext(userId: string): string {
  return `totp ${userId}`;
}

function wrongCode(): AppError {
  return new AppError('unauthenticated', 'the code is wrong', {
    remedy: 'Wait for the next one, and check that the clock of the device is right.',
  });
}

export function passkeyFrom(row: Omit<PasskeyRow, 'created_at' | 'last_used_at'>): Passkey {
  return {
    id: row.credential_id,
    publicKey: row.public_key,
    counter: Number(row.counter),
    transports: row.transports,
    backedUp: row.backed_up,
    name: row.name,
  };
}

function infoFrom(row: PasskeyRow): PasskeyInfo {
  return {
    id: row.credential_id,
    name: row.name,
    backedUp: row.backed_up,
    createdAt: row.created_at.toISOString(),
    ...(row.last_used_at === null ? {} : { lastUsedAt: row.last_used_at.toISOString() }),
  };
}
