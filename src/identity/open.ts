/** Puts identity together, and keeps its clocks: key rotation, cleaning, what was used when. */
import { availableParallelism } from 'node:os';
import { AppError, newId } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import { eventColumns } from './administering.ts';
import { createAccessQuestions } from './access-questions.ts';
import { createApiKeys } from './api-keys.ts';
import { openBreachedList } from './breached-passwords.ts';
import { createCallers } from './callers.ts';
import { followChanges, type ChangeBus, type Changes } from './changes.ts';
import { insertOwner } from './credential-queries.ts';
import { createDirectory } from './directory.ts';
import { createMemoryReplayStore } from './dpop.ts';
import type { Identity, IdentityOptions } from './identity.ts';
import { openKeyRing } from './key-ring.ts';
import { createOAuth } from './oauth.ts';
import { limitsFor } from './limits.ts';
import type { Parts } from './parts.ts';
import { calibrate, createPasswordHasher, type HashParameters } from './passwords.ts';
import { createPrincipals } from './principals.ts';
import { insertSecurityEvents, insertSetting, selectSetting, type ChangeKind } from './queries.ts';
import { createRedis, type Redis } from './redis.ts';
import { createRequestLimits } from './request-limits.ts';
import { createRoles } from './roles.ts';
import { createSealer } from './seal.ts';
import { createSecondFactors } from './second-factors.ts';
import { createSecurityEvents } from './security-events.ts';
import { createSessions } from './sessions.ts';
import { createSharedCache } from './shared-cache.ts';
import { createSignIn } from './sign-in.ts';
import { createTokens } from './tokens.ts';
import { keepHouse } from './upkeep.ts';

/** The principal that the data folder's token stands for. It has no password. */
export const ownerName = 'owner';
const replayCapacity = 1_000_000;
const lockMs = {
  forgetAfterMs: 15 * 60_000,
  firstLockMs: 60_000,
  longestLockMs: 3_600_000,
} as const;

/**
 * Opens identity on a migrated database. Throws `master_key_wrong` when the database was sealed with
 * another key, `config_invalid` for settings that contradict each other, and `database_*`.
 */
export async function openIdentity(options: IdentityOptions): Promise<Identity> {
  const { database, clock, log, settings } = options;
  checkSettings(options);
  const sealer = createSealer(options.masterKey);
  await checkMasterKey(database, sealer.fingerprint);
  const issuer = settings.issuer === '' ? await deploymentName(database) : settings.issuer;
  const parameters = await hashParameters(options);
  const [owner] = await database.query(insertOwner(ownerName));
  if (owner === undefined) throw new AppError('internal', 'the owner could not be made');
  const breached =
    settings.breachedPasswords === ''
      ? undefined
      : await openBreachedList(settings.breachedPasswords);

  const redis = createRedis({ url: settings.redisUrl, log, clock });
  const shared = createSharedCache({ redis, sealer, clock, log });
  const directory = createDirectory(database, clock, shared);
  const keyRing = await openKeyRing({
    database,
    sealer,
    clock,
    log,
    algorithm: settings.signingAlgorithm,
    rotateEveryMs: settings.keyRotationMs,
    overlapMs: settings.keyOverlapMs,
    record: async (transaction, { reason, made }) => {
      const severity = reason === 'compromised' ? 4 : 1;
      const event = { type: 'key_rotated' as const, severity, details: { reason, made } };
      await transaction.query(insertSecurityEvents(eventColumns([event])));
    },
  });
  const hasher = createPasswordHasher({
    parameters,
    concurrency: Math.max(1, Math.min(availableParallelism(), 3)),
    capacity: settings.passwordQueue,
    decoyKey: sealer.derive('decoy', 32),
  });

  /** Tokens were judged by keys that may count no longer; they are judged again by those that do. */
  const keysChanged = (): void => {
    keyRing
      .reload()
      .catch((error: unknown) => log.warn({ err: error }, 'signing keys can not be read again'))
      .finally(() => {
        callers.forgetTokens();
        callers.recheck();
      });
  };
  const forget = (kind: ChangeKind, subject: string): void => {
    if (kind === 'signing_keys') keysChanged();
    else if (kind === 'api_key') callers.forgetKey(subject);
    else directory.forget(kind, subject);
    callers.recheck();
  };
  const forgetAll = (): void => {
    directory.forgetAll();
    callers.forgetAll();
    void Promise.all([directory.loadRevoked(), keyRing.reload()]).catch((error: unknown) =>
      log.debug({ err: error }, 'revocations can not be read again'),
    );
    callers.recheck();
  };
  const upkeep = keepHouse({ database, keyRing, directory, clock, log });
  const trusted: { changes: Changes | undefined } = { changes: undefined };
  const callers = createCallers({
    database,
    directory,
    shared,
    isFresh: () => trusted.changes?.isFresh() === true,
    keyRing,
    replay: createMemoryReplayStore(replayCapacity, clock),
    clock,
    issuer,
    publicUrl: options.publicUrl,
    ownerToken: options.ownerToken,
    ownerId: owner.user_id,
    onUse: upkeep.noteUse,
  });
  const following = await followChanges({
    database,
    bus: busOver(redis),
    clock,
    log,
    onChange: forget,
    onGap: forgetAll,
  });
  await directory.loadRevoked();
  // Nothing is trusted before: what is revoked is known now.
  trusted.changes = following;
  directory.warm().catch((error: unknown) => log.debug({ err: error }, 'memory was not warmed'));

  const parts: Parts = {
    database,
    clock,
    log,
    directory,
    applyChange: following.apply,
    hasher,
    breached,
    sealer,
    ownerName,
  };
  const rules = { maxFailures: settings.loginAttempts, ...lockMs };
  const events = createSecurityEvents(parts);
  const limits = limitsFor({ redis, database });
  const issue = { keyRing, clock, issuer };
  const signIn = createSignIn({
    ...parts,
    ...issue,
    limits,
    rules,
    publicUrl: options.publicUrl,
    addressPolicy: {
      name: 'login_address',
      limit: settings.loginsPerMinute,
      windowMs: 60_000,
      blockMs: 60_000,
      onStoreDown: 'refuse',
    },
    accessTokenMs: settings.accessTokenMs,
    browserSessionMs: settings.browserSessionMs,
    clientSessionMs: settings.clientSessionMs,
    onLimited: (what, origin) => events.limited(what, origin, undefined),
  });

  const tokens = createTokens({ ...parts, ...issue, keyRing, callers, shared });
  const requestLimits = createRequestLimits({ shared: limits, redis, clock, events, settings });

  return {
    callers,
    signIn,
    tokens,
    oauth: createOAuth({
      ...parts,
      callers,
      signIn,
      tokens,
      limits,
      requestLimits,
      publicUrl: options.publicUrl,
    }),
    limits: requestLimits,
    principals: createPrincipals(parts, { lockRules: rules }),
    secondFactors: createSecondFactors(parts, { publicUrl: options.publicUrl, lockRules: rules }),
    roles: createRoles(parts),
    sessions: createSessions(parts),
    apiKeys: createApiKeys(parts),
    events,
    access: createAccessQuestions(parts),
    status: () => ({
      hashing: { ...hasher.parameters, ...hasher.load },
      memory: {
        principals: directory.principals.size,
        sessions: directory.sessions.size,
        tokens: callers.tokenCount,
        revoked: directory.revokedCount,
      },
      isFresh: following.isFresh(),
      redis: redis.state,
      cache: { ...shared.stats },
    }),
    async close() {
      callers.close();
      await upkeep.close();
      await events.close();
      await following.close();
      await keyRing.close();
      redis.close();
    },
  };
}

function checkSettings({ settings }: IdentityOptions): void {
  if (settings.keyOverlapMs < settings.accessTokenMs) {
    throw new AppError('config_invalid', 'a signing key must verify as long as its tokens live', {
      remedy: 'Make keyOverlapHours longer, or accessTokenSeconds shorter.',
    });
  }
}

/** The first process leaves its key's fingerprint; one with another key would read nothing that is sealed. */
async function checkMasterKey(database: Database, fingerprint: string): Promise<void> {
  const [row] = await database.query(insertSetting('master_key', fingerprint));
  if (row === undefined || row.value === fingerprint) return;
  throw new AppError('master_key_wrong', 'this database was sealed with another master key', {
    details: { expected: row.value, given: fingerprint },
    remedy:
      'Copy master.key from the data folder that made this database, or set CENTURIA_MASTER_KEY_FILE.',
  });
}

/** A name that tokens of this database carry, whichever process and port gave them out. */
async function deploymentName(database: Database): Promise<string> {
  const [row] = await database.query(insertSetting('issuer', `urn:uuid:${newId()}`));
  return row?.value ?? '';
}

/** Measured once for a database, so that all processes hash alike. */
async function hashParameters({
  database,
  clock,
  log,
  settings,
}: IdentityOptions): Promise<HashParameters> {
  if (settings.hashParameters !== undefined) return settings.hashParameters;
  const [known] = await database.query(selectSetting<HashParameters>('hash_parameters'));
  if (known !== undefined) return known.value;
  const { parameters, measuredMs } = await calibrate(settings.passwordHashMs, clock);
  log.info(
    { ...parameters, measuredMs: Math.round(measuredMs) },
    'measured what a password hash costs',
  );
  const [row] = await database.query(insertSetting('hash_parameters', parameters));
  return row?.value ?? parameters;
}

function busOver(redis: Redis): ChangeBus | undefined {
  if (redis.state.state === 'absent') return undefined;
  return {
    // Nobody waits for it: the row in the table is what counts.
    publish: (channel, payload) => void redis.publish(channel, payload).catch(() => undefined),
    subscribe: (channel, onPayload, onGap) => redis.subscribe(channel, onPayload, onGap),
  };
}
