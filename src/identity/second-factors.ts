/** Second factors: authenticator apps with recovery codes, and passkeys. */
import { randomBytes } from 'node:crypto';
import { AppError } from '../base/base.ts';
import type { Caller } from './access.ts';
import {
  assertMayStandFor,
  eventColumns,
  findPrincipal,
  noPrincipal,
  tellOf,
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
  type FactorsRow,
  type PasskeyRow,
} from './factor-queries.ts';
import {
  countTry,
  forgetTries,
  selectSecondFactor,
  useRecoveryCode,
  useTotpStep,
} from './credential-queries.ts';
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
import {
  assertProved,
  provePassword,
  usualLockRules,
  type PasswordChangeOptions,
} from './password-changes.ts';
import { insertSecurityEvents } from './queries.ts';
import type { LockRules } from './session-queries.ts';

const mostPasskeys = 20;
const mostNameCharacters = 100;
const registrationMs = 5 * 60_000;

export function createSecondFactors(
  parts: Parts,
  { lockRules = usualLockRules }: PasswordChangeOptions = {},
): SecondFactors {
  const { database, sealer, clock } = parts;

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
      const { display_name: displayName } = await factorsOf(parts, userId);
      const existing = (await database.query(selectPasskeys(userId))).map(passkeyFrom);
      if (existing.length >= mostPasskeys) {
        throw new AppError('limit_exceeded', `${username} has ${mostPasskeys} passkeys`, {
          retryable: false,
          remedy: 'Remove one that is not used any more.',
        });
      }
      const { asked, challenge } = parts.singleUse.issue(registration(userId), registrationMs);
      const options = await registrationOptions({
        rp: parts.relyingParty(),
        challenge: asked,
        nowMs: clock.nowMs(),
        // The id, as a login compares it: it says nothing of the person.
        user: { id: Buffer.from(userId), name: username, displayName },
        existing,
      });
      return { challenge, options };
    },

    async addPasskey(caller, challenge, answer, name) {
      const { userId, username } = caller.access;
      const called = checkText('name', name, mostNameCharacters);
      const asked = await parts.singleUse.redeem(registration(userId), challenge);
      const passkey = await verifyRegistration({
        rp: parts.relyingParty(),
        challenge: asked,
        nowMs: clock.nowMs(),
        response: answer,
        name: called === '' ? 'passkey' : called,
      });
      return database.transaction(async (transaction) => {
        const [added] = await transaction.query(insertPasskey(userId, passkey));
        if (added === undefined) {
          throw new AppError('conflict', 'the passkey is registered already');
        }
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
  const { userId, username } = caller.access;
  if (proof.password !== undefined) {
    const { password, origin } = proof;
    const row = await factorsOf(parts, userId);
    return provePassword(parts, { row, password, caller, lockRules }, origin);
  }
  // Counted before it is judged, so that parallel guesses can not outrun the lock.
  const [counted] = await parts.database.query(countTry(username, lockRules));
  if (counted?.outcome === 'locked') assertProved(counted, '');
  if (await useCode(parts, userId, proof.code ?? '')) {
    await parts.database.query(forgetTries(username));
    return;
  }
  const { sessionId } = caller;
  const event = {
    type: 'login_failure' as const,
    severity: 3,
    risk: 50,
    userId,
    username,
    sessionId,
    ...proof.origin,
    details: { method: 'one-time code', outcome: 'wrong' },
  };
  await parts.database.query(insertSecurityEvents(eventColumns([event])));
  throw wrongCode();
}

/** Whether a code of the authenticator or a recovery code is right; it is used up then. */
async function useCode(parts: Parts, userId: string, code: string): Promise<boolean> {
  const { database, clock } = parts;
  const [row] = await database.query(selectSecondFactor(userId));
  if (row === undefined || row.totp_secret === null) return false;
  const secret = openTotp(parts, userId, row.totp_secret);
  const lastUsedStep = row.totp_last_step === null ? undefined : Number(row.totp_last_step);
  const checked = checkTotp({ secret, code, atMs: clock.nowMs(), lastUsedStep });
  const use = checked.ok
    ? useTotpStep(userId, checked.step)
    : useRecoveryCode(userId, recoveryCodeHash(code));
  return (await database.query(use)).length === 1;
}

async function factorsOf({ database }: Parts, userId: string): Promise<FactorsRow> {
  const [row] = await database.query(selectFactors(userId));
  if (row === undefined) throw noPrincipal(userId);
  return row;
}

function openTotp({ sealer }: Parts, userId: string, sealed: Uint8Array): string {
  return Buffer.from(sealer.open(sealed, totpContext(userId))).toString();
}

/** What a challenge is for: it serves its own user only. */
function registration(userId: string): string {
  return `passkey registration of ${userId}`;
}

/** What the secret of an authenticator is sealed for: it opens for its own user only. */
function totpContext(userId: string): string {
  return `totp:${userId}`;
}

function wrongCode(): AppError {
  return new AppError('unauthenticated', 'the code is wrong', {
    remedy: 'Wait for the next one, and check that the clock of the device is right.',
  });
}

function passkeyFrom(row: PasskeyRow): Passkey {
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
