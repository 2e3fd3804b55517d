/**
 * Signing keys that change every second under a steady pace of checks: whether a token that counts is
 * ever refused, or one that is over ever taken. On a database of its own, since all who share one
 * share its keys.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, systemClock } from '../../src/base/base.ts';
import { migrate, openDatabase, type Database } from '../../src/database/database.ts';
import { openIdentity, type Identity, type IdentitySettings } from '../../src/identity/identity.ts';
import { leastParameters } from '../../src/identity/passwords.ts';
import { log } from './identity-data.ts';
import type { Measured, MeasureOptions } from './report.ts';

const forMs = 15_000;
const leastPerSecond = 5_000;
/** A tenth more than is asked for, since what is under way at the end does not count. */
const pacePerSecond = 5_500;
/** Beyond it the machine is too slow for the pace, and waiting checks would only fill memory. */
const mostUnderWay = 10_000;
const rotationMs = 1_000;
const leastKeys = 10;
const issueEveryMs = 20;
/** As many as are issued in half a second, of which most still count. */
const freshTokens = 25;
/** As many as are issued in four seconds: past their own end and their key's. */
const keptTokens = 200;
/** What the server allows clocks to differ by: a token may be taken so much beyond its `exp`. */
const leewayMs = 5_000;
/**
 * A process knows the database's clock as well as one question was quick, and ends a key early for
 * the rest: a refusal within this of the key's end is none in error.
 */
const earlyMs = 100;

const settings: IdentitySettings = {
  redisUrl: '',
  issuer: '',
  signingAlgorithm: 'ES256',
  accessTokenMs: 1_000,
  browserSessionMs: 3_600_000,
  clientSessionMs: 3_600_000,
  keyRotationMs: rotationMs,
  keyOverlapMs: rotationMs,
  passwordHashMs: 1,
  hashParameters: leastParameters,
  passwordQueue: 64,
  loginAttempts: 100,
  loginsPerMinute: 1_000_000,
  requestsPerMinute: 100_000_000,
  usualRequests: 100_000_000,
  breachedPasswords: '',
};

export interface RotationPlace {
  /** To make the other database with. */
  readonly database: Database;
  readonly url: string;
  readonly home: string;
  readonly migrations: string;
}

export async function rotationFigures(
  place: RotationPlace,
  progress: MeasureOptions['progress'],
): Promise<Measured[]> {
  await place.database.script('create database rotation');
  const url = new URL(place.url);
  url.pathname = '/rotation';
  const { home, migrations: folder } = place;
  const database = await openDatabase({
    url: url.href,
    home,
    poolSize: 4,
    log,
    clock: systemClock,
  });
  try {
    await migrate(database, { folder, log, clock: systemClock });
    const identity = await openIdentity({
      database,
      clock: systemClock,
      log,
      masterKey: randomBytes(32),
      ownerToken: undefined,
      publicUrl: () => 'http://127.0.0.1',
      settings,
    });
    try {
      return figuresOf(await checkWhileKeysRotate(identity), progress);
    } finally {
      await identity.close();
    }
  } finally {
    await database.close();
  }
}

interface Token {
  readonly text: string;
  readonly kid: string;
  /** It must count until then, milliseconds since 1970: its own end, and about its key's. */
  readonly goodUntilMs: number;
  /** It must not count from then on. */
  readonly overMs: number;
}

interface Seen {
  readonly kids: Set<string>;
  /** Times at which there was no key to sign with, since the next one came late. */
  unsigned: number;
  accepted: number;
  refused: number;
  perSecond: number;
  falseRefusals: number;
  lateAcceptances: number;
  /** The first thing that was wrong, in words. */
  wrong: string | undefined;
}

async function checkWhileKeysRotate(identity: Identity): Promise<Seen> {
  const owner = await identity.callers.owner();
  const { id } = await identity.principals.create({ username: 'checked', roles: ['guest'] }, owner);
  const seen: Seen = {
    kids: new Set(),
    unsigned: 0,
    accepted: 0,
    refused: 0,
    perSecond: 0,
    falseRefusals: 0,
    lateAcceptances: 0,
    wrong: undefined,
  };
  const tokens: Token[] = [];
  const untilMs = performance.now() + forMs;
  await Promise.all([
    issue(identity, id, tokens, untilMs, seen),
    check(identity, tokens, untilMs, seen),
  ]);
  return seen;
}

async function issue(
  identity: Identity,
  userId: string,
  tokens: Token[],
  untilMs: number,
  seen: Seen,
): Promise<void> {
  while (performance.now() < untilMs) {
    const token = await newToken(identity, userId);
    if (token === undefined) seen.unsigned += 1;
    else tokens.push(token);
    if (tokens.length > keptTokens) tokens.shift();
    await sleep(issueEveryMs);
  }
}

/** Every other check is of a token that was just issued, the others of all that are kept. */
async function check(
  identity: Identity,
  tokens: readonly Token[],
  untilMs: number,
  seen: Seen,
): Promise<void> {
  while (tokens.length === 0) await sleep(1);
  const startedMs = performance.now();
  const underWay = new Set<Promise<void>>();
  let started = 0;
  for (let now = startedMs; now < untilMs; now = performance.now()) {
    const due = ((now - startedMs) / 1_000) * pacePerSecond;
    for (; started < due && underWay.size < mostUnderWay; started += 1) {
      const back = started % 2 === 0 ? (started / 2) % freshTokens : started;
      const token = tokens.at(-1 - (back % tokens.length));
      if (token === undefined) continue;
      const judged = judge(identity, token, seen).finally(() => underWay.delete(judged));
      underWay.add(judged);
    }
    await sleep(1);
  }
  seen.perSecond = (seen.accepted + seen.refused) / ((performance.now() - startedMs) / 1_000);
  await Promise.all(underWay);
}

async function judge({ callers }: Identity, token: Token, seen: Seen): Promise<void> {
  const origin = { address: '127.0.0.1', userAgent: 'bench' };
  const beforeMs = Date.now();
  try {
    await callers.whoIs({ kind: 'bearer', token: token.text }, origin);
    seen.accepted += 1;
    seen.kids.add(token.kid);
    if (beforeMs < token.overMs) return;
    seen.lateAcceptances += 1;
    seen.wrong ??= `a token was taken ${beforeMs - token.overMs} ms after its end`;
  } catch (error) {
    seen.refused += 1;
    const leftMs = token.goodUntilMs - Date.now();
    const isVerdict = error instanceof AppError && error.status === 401;
    if (leftMs <= 0 && isVerdict) return;
    // What could not be decided was not let in either.
    seen.falseRefusals += 1;
    seen.wrong ??= `a token was refused ${leftMs} ms before its end: ${String(error)}`;
  }
}

/** Undefined where the next key came late: with keys of a second a stalled machine may be without one. */
async function newToken(identity: Identity, userId: string): Promise<Token | undefined> {
  const origin = { address: '127.0.0.1', userAgent: 'bench' };
  try {
    const { accessToken: text } = await identity.signIn.open(userId, 'bench', {
      as: 'browser',
      ...origin,
    });
    return tokenFrom(text, identity);
  } catch (error) {
    if (error instanceof AppError && error.code === 'unavailable') return undefined;
    throw error;
  }
}

/** Right after it was issued, when its key is surely among those that are listed. */
function tokenFrom(text: string, { tokens }: Identity): Token {
  const [header, payload] = text
    .split('.', 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as unknown);
  const { kid } = header as { kid: string };
  const expMs = (payload as { exp: number }).exp * 1_000;
  const key = tokens.keys().find((known) => known.kid === kid);
  if (key === undefined) throw new Error(`the key ${kid} is not listed`);
  const keyEndsMs = Date.parse(key.verifiesUntil);
  return {
    text,
    kid,
    goodUntilMs: Math.min(expMs, keyEndsMs - earlyMs),
    overMs: Math.min(expMs + leewayMs, keyEndsMs),
  };
}

/** Throws where too little happened for the absence of mistakes to mean anything. */
function figuresOf(seen: Seen, progress: MeasureOptions['progress']): Measured[] {
  const { kids, accepted, refused, perSecond, unsigned, wrong } = seen;
  progress(`${accepted} taken and ${refused} refused by ${kids.size} keys`);
  if (unsigned > 0) progress(`${unsigned} times there was no key to sign with: one came late`);
  if (wrong !== undefined) progress(wrong);
  if (perSecond < leastPerSecond) progress('this machine could not hold the pace of the checks');
  if (kids.size < leastKeys || accepted === 0 || refused === 0) {
    throw new Error(`${kids.size} keys, ${accepted} taken and ${refused} refused show nothing`);
  }
  return [
    {
      metric: 'rotation_checks_per_s',
      unit: '1/s',
      values: [perSecond],
      target: { atLeast: leastPerSecond },
    },
    {
      metric: 'rotation_false_refusals',
      unit: '',
      values: [seen.falseRefusals],
      target: { atMost: 0 },
    },
    {
      metric: 'rotation_late_acceptances',
      unit: '',
      values: [seen.lateAcceptances],
      target: { atMost: 0 },
    },
  ];
}
