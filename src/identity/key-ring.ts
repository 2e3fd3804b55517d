/**
 * The keys that sign tokens, in the database, for any number of processes. Each key signs for a
 * time and then only verifies; the one that follows is published a whole time before it signs. All
 * processes change over by the database's clock, with nothing to do at that moment.
 */
import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  randomBytes,
} from 'node:crypto';
import { AppError, type Clock, type Log } from '../base/base.ts';
import type { Database, Queryable } from '../database/database.ts';
import { exportPublicJwk, publicJwkOf, thumbprint } from './jwk.ts';
import type { Algorithm, SigningKey, VerifyingKey } from './jws.ts';
import * as queries from './key-queries.ts';
import type { NewSigningKey, SigningKeyRow } from './key-queries.ts';
import type { Sealer } from './seal.ts';

export interface KeyRingOptions {
  readonly database: Database;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly log: Log;
  /** Of keys made from now on; ES256. */
  readonly algorithm?: Algorithm;
  /** How long a key signs; 168 hours. */
  readonly rotateEveryMs?: number;
  /** How long a key verifies after that, and no more than it signs; 24 hours. No token may live longer. */
  readonly overlapMs?: number;
  /** Called within the transaction of each rotation, to record it. */
  readonly record?: (transaction: Queryable, rotation: Rotation) => Promise<void>;
}

/** `scheduled`: a key follows in time. `compromised`: every key before it counts no longer. */
export type RotationReason = 'scheduled' | 'requested' | 'compromised';

export interface Rotation {
  readonly reason: RotationReason;
  /** The keys that were made. */
  readonly made: readonly string[];
}

export interface KeyState {
  readonly kid: string;
  readonly algorithm: Algorithm;
  readonly state: 'next' | 'current' | 'previous';
  readonly signsFrom: Date;
  readonly signsUntil: Date;
  readonly verifiesUntil: Date;
}

export interface KeyRing {
  /** The key to sign with now. Throws `unavailable` where the last one has ended and the database gave no other. */
  signing(): SigningKey;
  /** A key by its kid as far as this process knows; its `untilMs` says when it counts no longer. */
  find(kid: string): VerifyingKey | undefined;
  /** As `find`, after asking the database where the kid is not known: all that ask share one question a second. */
  findFresh(kid: string): Promise<VerifyingKey | undefined>;
  /** The keys as others may know them: at most three, none of HS256. */
  jwks(): { keys: object[] };
  list(): KeyState[];
  /**
   * `requested`: the next key signs from now on; throws `conflict` while the previous one still
   * verifies. `compromised`: all keys stop verifying and fresh ones are made. Processes that ask at
   * the same time make one rotation.
   */
  rotate(reason: 'requested' | 'compromised'): Promise<void>;
  /** Reads the keys again: after a notice that they changed. */
  reload(): Promise<void>;
  /** Makes the key that follows in time, reads the keys now and then, and forgets those that ended. To be called about once a second. */
  tick(): Promise<void>;
  close(): void;
}

interface HeldKey {
  readonly row: SigningKeyRow;
  readonly signing: SigningKey;
}

const hourMs = 3_600_000;
/** A lost notice is made good after this. */
const reloadEveryMs = 30_000;
/** Tokens with made-up kids must not become as many questions to the database. */
const freshEveryMs = 1_000;

/**
 * Opens the ring and makes the first keys. Throws `master_key_wrong`, `config_invalid` and
 * `database_*`. One long function, since all of it shares the keys that this process holds.
 */
export async function openKeyRing(options: KeyRingOptions): Promise<KeyRing> {
  const { database, clock } = options;
  const life = lifeOf(options);
  const closing = new AbortController();
  let keys: readonly HeldKey[] = [];
  /** The database's clock minus ours, milliseconds. */
  let offsetMs = 0;
  let loadedAtMs = Number.NEGATIVE_INFINITY;
  let loading: Promise<void> | undefined;
  let loadingNext: Promise<void> | undefined;
  let freshening: Promise<void> | undefined;
  let ticking: Promise<void> | undefined;

  async function load(): Promise<void> {
    const sentMs = clock.nowMs();
    const rows = await database.query(queries.selectSigningKeys());
    const now = rows[0]?.now.getTime();
    const held = new Map(keys.map((key) => [key.signing.kid, key]));
    // The latest that the database's clock can be, so that no key counts a moment too long.
    const aheadMs = (now ?? sentMs) - sentMs;
    keys = rows.map((row) => {
      const known = held.get(row.kid)?.signing ?? openKey(row, options.sealer);
      return { row, signing: { ...known, untilMs: row.verifies_until.getTime() - aheadMs } };
    });
    offsetMs = aheadMs - (clock.nowMs() - sentMs) / 2;
    loadedAtMs = clock.monotonicMs();
  }

  function reload(): Promise<void> {
    if (loading === undefined) {
      loading = load().finally(() => (loading = undefined));
      return loading;
    }
    // What is being read may have been read before the change that this call is about.
    const again = () => {
      loadingNext = undefined;
      return reload();
    };
    loadingNext ??= loading.then(again, again);
    return loadingNext;
  }

  async function freshen(): Promise<void> {
    const pauseMs = loadedAtMs + freshEveryMs - clock.monotonicMs();
    if (pauseMs > 0) await clock.sleep(pauseMs, closing.signal);
    await reload();
  }

  const nowMs = () => clock.nowMs() + offsetMs;
  const counts = () => keys.filter(({ signing }) => clock.nowMs() < signing.untilMs);
  const isComplete = () =>
    keys.some(({ row }) => phase(row, nowMs()) === 'current') &&
    keys.some(({ row }) => phase(row, nowMs()) === 'next');
  const find = (kid: string) => keys.find(({ signing }) => signing.kid === kid)?.signing;

  async function change(work: (transaction: Queryable) => Promise<Rotation | undefined>) {
    const rotation = await database.transaction(async (transaction) => {
      await transaction.query(queries.lockSigningKeys());
      const done = await work(transaction);
      if (done !== undefined) await options.record?.(transaction, done);
      return done;
    });
    if (rotation !== undefined) options.log.info({ ...rotation }, 'signing keys rotated');
    await reload();
  }

  const complete = () => change((transaction) => fill(transaction, options, life, 'scheduled'));

  async function tick(): Promise<void> {
    keys = counts();
    if (!isComplete()) await complete();
    else if (clock.monotonicMs() - loadedAtMs >= reloadEveryMs) await reload();
  }

  await complete();
  return {
    signing() {
      const at = nowMs();
      // A clock that was set back must not leave us without a key: any that may still sign will do.
      const key =
        keys.find(({ row }) => phase(row, at) === 'current') ??
        keys.find(({ row }) => phase(row, at) === 'next');
      if (key !== undefined) return key.signing;
      throw new AppError('unavailable', 'the last signing key has ended and no other is known', {
        remedy: 'See whether the database can be reached: it keeps the keys.',
      });
    },
    find,
    async findFresh(kid) {
      const found = find(kid);
      if (found !== undefined || closing.signal.aborted) return found;
      freshening ??= freshen().finally(() => (freshening = undefined));
      await freshening;
      return find(kid);
    },
    jwks: () => ({
      keys: counts().flatMap(({ row: { kid, public_jwk: jwk } }) =>
        jwk === null ? [] : [exportPublicJwk(jwk, kid)],
      ),
    }),
    list: () => counts().map(({ row }) => stateOf(row, nowMs())),
    async rotate(reason) {
      const seen = await database.query(queries.selectSigningKeys());
      await change((transaction) => advance(transaction, options, life, reason, seen));
    },
    reload,
    tick() {
      if (closing.signal.aborted) return Promise.resolve();
      ticking ??= tick().finally(() => (ticking = undefined));
      return ticking;
    },
    close: () => closing.abort(new AppError('cancelled', 'the key ring is closed')),
  };
}

function lifeOf({ rotateEveryMs = 168 * hourMs, overlapMs = 24 * hourMs }: KeyRingOptions) {
  // Longer, and more than one previous key would have to verify.
  if (rotateEveryMs >= 1 && overlapMs >= 0 && overlapMs <= rotateEveryMs) {
    return { rotateEveryMs, overlapMs };
  }
  throw new AppError('config_invalid', 'signing keys must overlap for no longer than they sign', {
    details: { rotateEveryMs, overlapMs },
  });
}

/** Makes what lacks of a key that signs and one that follows. Undefined where another process has. */
async function fill(
  transaction: Queryable,
  options: KeyRingOptions,
  life: queries.KeyLife,
  reason: RotationReason,
): Promise<Rotation | undefined> {
  const rows = await transaction.query(queries.selectSigningKeys());
  const ready = rows.filter((row) => row.signs_until > row.now).length;
  const made: string[] = [];
  for (let count = ready; count < 2; count += 1) {
    const key = makeKey(options.algorithm ?? 'ES256', options.sealer);
    await transaction.query(queries.insertSigningKey(key, life));
    made.push(key.kid);
  }
  if (made.length === 0) return undefined;
  await transaction.query(queries.deleteEndedSigningKeys());
  return { reason, made };
}

/** `seen`: the keys when the rotation was asked for. */
async function advance(
  transaction: Queryable,
  options: KeyRingOptions,
  life: queries.KeyLife,
  reason: 'requested' | 'compromised',
  seen: readonly SigningKeyRow[],
): Promise<Rotation | undefined> {
  const rows = await transaction.query(queries.selectSigningKeys());
  if (reason === 'compromised') {
    // Only where none of the keys that were meant is left has somebody else done all of it.
    const left = rows.some(({ kid }) => seen.some((row) => row.kid === kid));
    if (rows.length > 0 && !left) return undefined;
    await transaction.query(queries.deleteAllSigningKeys());
    return await fill(transaction, options, life, reason);
  }
  if (currentOf(rows) !== currentOf(seen)) return undefined;
  const previous = rows.find((row) => row.signs_until <= row.now);
  if (previous !== undefined) {
    const until = previous.verifies_until.toISOString();
    throw new AppError('conflict', `the previous signing key still verifies, until ${until}`, {
      details: { kid: previous.kid, until },
      remedy:
        'Wait until then, or rotate as compromised, which ends every token that is out at once.',
    });
  }
  await fill(transaction, options, life, reason);
  await transaction.query(queries.advanceSigningKeys(life));
  return await fill(transaction, options, life, reason);
}

function currentOf(rows: readonly SigningKeyRow[]): string | undefined {
  return rows.find((row) => phase(row, row.now.getTime()) === 'current')?.kid;
}

function phase(row: SigningKeyRow, nowMs: number): KeyState['state'] {
  if (nowMs >= row.signs_until.getTime()) return 'previous';
  return nowMs < row.signs_from.getTime() ? 'next' : 'current';
}

function stateOf(row: SigningKeyRow, nowMs: number): KeyState {
  return {
    kid: row.kid,
    algorithm: row.algorithm,
    state: phase(row, nowMs),
    signsFrom: row.signs_from,
    signsUntil: row.signs_until,
    verifiesUntil: row.verifies_until,
  };
}

function makeKey(algorithm: Algorithm, sealer: Sealer): NewSigningKey {
  if (algorithm === 'HS256') {
    const kid = randomBytes(12).toString('base64url');
    const sealedPrivate = sealer.seal(randomBytes(32), sealContext(kid, algorithm));
    return { kid, algorithm, publicJwk: undefined, sealedPrivate };
  }
  const { privateKey, publicKey } =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('ed25519');
  const publicJwk = publicJwkOf(publicKey);
  const kid = thumbprint(publicJwk).slice(0, 16);
  const der = privateKey.export({ format: 'der', type: 'pkcs8' });
  return {
    kid,
    algorithm,
    publicJwk,
    sealedPrivate: sealer.seal(der, sealContext(kid, algorithm)),
  };
}

/**
 * The public half comes out of the sealed one: who can write the table and does not have the master
 * key could otherwise put a key of their own there.
 */
function openKey(row: SigningKeyRow, sealer: Sealer): SigningKey {
  const { kid, algorithm, public_jwk: jwk } = row;
  const bytes = Buffer.from(sealer.open(row.sealed_private, sealContext(kid, algorithm)));
  const untilMs = row.verifies_until.getTime();
  if (algorithm === 'HS256') {
    const secret = createSecretKey(bytes);
    return { kid, algorithm, key: secret, privateKey: secret, untilMs };
  }
  const privateKey = createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' });
  const key = createPublicKey(privateKey);
  if (jwk === null || thumbprint(publicJwkOf(key)) !== thumbprint(jwk)) {
    throw new AppError('internal', `the public half of the signing key ${kid} is not its own`, {
      remedy: 'Somebody has changed the table signing_keys: rotate the keys as compromised.',
    });
  }
  return { kid, algorithm, key, privateKey, untilMs };
}

function sealContext(kid: string, algorithm: Algorithm): string {
  return `signing-key:${algorithm}:${kid}`;
}
