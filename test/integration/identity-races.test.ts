/** What must hold when everybody asks at once, and when a process hears nothing any more. */
import { TOTP } from 'otpauth';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/base.ts';
import { checkTotp } from '../../src/identity/one-time-codes.ts';
import { sql } from '../../src/database/database.ts';
import { openTestBridge, type TestBridge, type TestBridgeOptions } from '../support/bridge.ts';
import { drivers, unavailable, until } from '../support/databases.ts';
import { openRelay } from '../support/relay.ts';
import { redisUnavailable, startRedis } from '../support/redis.ts';

const password = 'violet otter paints the harbour';
const wrong = 'seven lamps over quiet water';
const attempts = 10;
/** A place for everybody, so that 429 says one thing only. */
const roomy = { passwordQueue: 1_000, loginAttempts: attempts };
const noServer = unavailable('server') !== undefined;

const opened: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of opened.splice(0).toReversed()) await end();
});

async function open(options: TestBridgeOptions = {}): Promise<TestBridge> {
  const bridge = await openTestBridge({ ...options, settings: { ...roomy, ...options.settings } });
  opened.push(() => bridge.end());
  return bridge;
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function send(
  { url }: Pick<TestBridge, 'url'>,
  method: string,
  path: string,
  given: { body?: unknown; token?: string } = {},
): Promise<Answer> {
  const { body, token } = given;
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as never) };
}

const login = (bridge: TestBridge, username: string, given = password): Promise<Answer> =>
  send(bridge, 'POST', '/api/v1/login', { body: { username, password: given, as: 'client' } });

interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly sessionId: string;
}

async function signedIn(bridge: TestBridge, username: string): Promise<Tokens> {
  await bridge.client.createPrincipal({ username, password, roles: ['guest'] });
  const { status, body } = await login(bridge, username);
  expect(status).toBe(200);
  return body['tokens'] as Tokens;
}

/** How often each status was answered. */
function counted(answers: readonly Answer[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

const crowd = <T>(count: number, one: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => one(index)));

for (const driver of drivers) {
  const missing = unavailable(driver) !== undefined;
  describe.skipIf(missing)(`in a crowd, on the ${driver} database`, () => {
    // In one process they take turns anyway, and a request gives up after 10 s of waiting for its own.
    const many = driver === 'embedded' ? 100 : 200;
    let bridge: TestBridge;
    beforeAll(async () => {
      bridge = await openTestBridge({ driver, settings: roomy });
    });
    afterAll(() => bridge.end());

    test(`of ${many} wrong passwords for one name exactly so many are judged as may be`, async () => {
      await bridge.client.createPrincipal({ username: 'target', password });
      const answers = await crowd(many, () => login(bridge, 'target', wrong));
      expect(counted(answers)).toEqual({ 401: attempts, 429: many - attempts });
    });

    test('for a name that nobody has as many are judged', async () => {
      const answers = await crowd(many / 2, () => login(bridge, 'nobody', wrong));
      expect(counted(answers)).toEqual({ 401: attempts, 429: many / 2 - attempts });
    });

    test('the right password does not get past a lock, neither within the crowd nor after it', async () => {
      await bridge.client.createPrincipal({ username: 'torn', password });
      const answers = await crowd(many, (index) =>
        login(bridge, 'torn', index === many / 2 ? password : wrong),
      );
      expect(counted(answers)).toEqual({ 401: attempts, 429: many - attempts });
      expect(answers[many / 2]?.status).toBe(429);
      expect((await login(bridge, 'torn')).status).toBe(429);
    });

    test(`of ${many} wrong one-time codes exactly so many are judged as may be`, async () => {
      const { accessToken: token } = await signedIn(bridge, 'coded');
      const begun = await send(bridge, 'POST', '/api/v1/me/totp', { token });
      const secret = begun.body['secret'] as string;
      const code = totpCode(secret, Date.now());
      const on = await send(bridge, 'POST', '/api/v1/me/totp/confirm', { token, body: { code } });
      expect(on.status).toBe(200);
      const asked = await login(bridge, 'coded');
      expect(asked.body).toMatchObject({ outcome: 'second_factor' });
      const { ticket } = asked.body;
      const body = { ticket, code: codeThatIsWrong(secret) };
      const path = '/api/v1/login/second-factor';
      const answers = await crowd(many, () => send(bridge, 'POST', path, { body }));
      expect(counted(answers)).toEqual({ 401: attempts, 429: many - attempts });
      // The code that comes next is right, and is not even looked at.
      const next = { ticket, code: totpCode(secret, Date.now() + 30_000) };
      expect((await send(bridge, 'POST', path, { body: next })).status).toBe(429);
    });

    test('one refresh token used by fifty at once gives one new pair at most, and ends the family', async () => {
      const { accessToken, refreshToken, sessionId } = await signedIn(bridge, 'family');
      expect((await send(bridge, 'GET', '/api/v1/me', { token: accessToken })).status).toBe(200);
      const origin = { address: '127.0.0.1', userAgent: 'a test' };
      const one = () =>
        bridge.identity.signIn.refresh({ refreshToken, clientId: 'centuria-cli', ...origin });
      const results = await Promise.allSettled(Array.from({ length: 50 }, one));
      const won = results.filter((result) => result.status === 'fulfilled');
      expect(won.length).toBeLessThanOrEqual(1);
      const rows = await bridge.database.query(sql<{ used: bigint; all: bigint }>`
        select count(used_at) as used, count(*) as all from refresh_tokens where session_id = ${sessionId}::uuid`);
      expect(rows).toEqual([{ used: 1n, all: 2n }]);
      for (const { value } of won) {
        await expect(
          bridge.identity.signIn.refresh({
            ...origin,
            clientId: 'centuria-cli',
            refreshToken: value.refreshToken ?? '',
          }),
        ).rejects.toMatchObject({ code: 'token_invalid' });
        const me = await send(bridge, 'GET', '/api/v1/me', { token: value.accessToken });
        expect(me.status).toBe(401);
      }
      expect((await send(bridge, 'GET', '/api/v1/me', { token: accessToken })).status).toBe(401);
    });
  });
}

/** What an authenticator shows at a time. */
function totpCode(secret: string, timestamp: number): string {
  return new TOTP({ secret, algorithm: 'SHA1', digits: 6, period: 30 }).generate({ timestamp });
}

/** Six digits that are not the code of any step near now. */
function codeThatIsWrong(secret: string): string {
  for (let number = 0; ; number += 1) {
    const code = String(number).padStart(6, '0');
    const isRight = [-60_000, 0, 60_000, 120_000].some(
      (ms) => checkTotp({ secret, code, atMs: Date.now() + ms, lastUsedStep: undefined }).ok,
    );
    if (!isRight) return code;
  }
}

const anybody = (index: number) => `somebody-${index % 50}`;

describe('from one address', () => {
  const settings = { loginAttempts: 1_000, loginsPerMinute: 10 };

  test.skipIf(noServer)('exactly ten of 500 logins pass, on PostgreSQL', async () => {
    const bridge = await open({ driver: 'server', settings });
    const answers = await crowd(500, (index) => login(bridge, anybody(index), wrong));
    expect(counted(answers)).toEqual({ 401: 10, 429: 490 });
  });

  test.skipIf(redisUnavailable)('exactly ten of 500 logins pass, on Redis', async () => {
    const redis = await startRedis();
    opened.push(() => redis.remove());
    const bridge = await open({ settings: { ...settings, redisUrl: redis.url } });
    await until(() => bridge.identity.status().redis.state === 'ready');
    const answers = await crowd(500, (index) => login(bridge, anybody(index), wrong));
    expect(counted(answers)).toEqual({ 401: 10, 429: 490 });
  });
});

test.skipIf(redisUnavailable)(
  'with Redis down nobody signs in, and who is in goes on reading',
  async () => {
    const redis = await startRedis();
    opened.push(() => redis.remove());
    const bridge = await open({ settings: { redisUrl: redis.url } });
    await until(() => bridge.identity.status().redis.state === 'ready');
    const { accessToken: token } = await signedIn(bridge, 'reader');
    await redis.kill();
    await until(() => bridge.identity.status().redis.state === 'down');
    const refused = await login(bridge, 'reader');
    expect(refused.status).toBe(503);
    expect(refused.body).toMatchObject({ code: 'unavailable' });
    expect((await send(bridge, 'GET', '/api/v1/me', { token })).status).toBe(200);
    await redis.start();
    await until(() => bridge.identity.status().redis.state === 'ready');
    expect((await login(bridge, 'reader')).status).toBe(200);
  },
);

async function two(): Promise<{ one: TestBridge; other: TestBridge; tokens: Tokens }> {
  const one = await open({ driver: 'server' });
  const other = await open({ on: one.place });
  const tokens = await signedIn(one, 'guest-of-both');
  const token = tokens.accessToken;
  for (const bridge of [one, other]) {
    expect((await send(bridge, 'GET', '/api/v1/me', { token })).status).toBe(200);
  }
  return { one, other, tokens };
}

const isRefused = async (bridge: TestBridge, token: string): Promise<boolean> =>
  (await send(bridge, 'GET', '/api/v1/me', { token })).status === 401;

async function endSession({ client }: TestBridge, { sessionId }: Tokens): Promise<void> {
  await client.endSession(sessionId);
}

describe.skipIf(noServer)('two bridges on one database', () => {
  test('a session that is ended at one is refused there at once, and soon at the other', async () => {
    const { one, other, tokens } = await two();
    await endSession(one, tokens);
    expect(await isRefused(one, tokens.accessToken)).toBe(true);
    await until(() => isRefused(other, tokens.accessToken));
  });

  test('whoever hears nothing, since its listening connection is cut again and again, finds out too', async () => {
    const { one, other, tokens } = await two();
    const cut = () =>
      one.database.query(sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and query ilike 'listen%'`);
    const stop = new AbortController();
    const cutting = (async () => {
      while (!stop.signal.aborted) {
        await cut();
        await systemClock.sleep(5);
      }
    })();
    try {
      await endSession(one, tokens);
      await until(() => isRefused(other, tokens.accessToken));
      expect(await isRefused(one, tokens.accessToken)).toBe(true);
    } finally {
      stop.abort();
      await cutting;
    }
  });

  test('a change that nobody announces is found in the table', async () => {
    const { one, other, tokens } = await two();
    await endWithoutNotice(one, tokens.sessionId);
    for (const bridge of [one, other]) {
      await until(() => isRefused(bridge, tokens.accessToken));
      expect(await isRefused(bridge, tokens.accessToken)).toBe(true);
    }
  });

  test.each(['refuses', 'is silent'] as const)(
    'a process whose database %s stops honouring the tokens that it knows, until it is back',
    async (how) => {
      const one = await open({ driver: 'server' });
      const relay = await openRelay(Number(new URL(one.place.url).port));
      opened.push(() => relay.close());
      const url = new URL(one.place.url);
      url.port = String(relay.port);
      const far = await open({ on: { url: url.href, masterKey: one.place.masterKey } });
      const { accessToken: token } = await signedIn(one, 'traveller');
      expect((await send(far, 'GET', '/agents', { token })).status).toBe(200);
      if (how === 'refuses') await relay.refuse();
      else relay.freeze();
      await until(async () => (await statusWithin(far, token, 4_000)) !== 200);
      // Not for a moment only: it stays so for as long as nothing is known.
      expect(await statusWithin(far, token, 4_000)).not.toBe(200);
      await relay.resume();
      await until(async () => (await statusWithin(far, token, 4_000)) === 200);
    },
  );
});

/** What is answered; undefined when nothing is in time, which lets nobody in either. */
async function statusWithin(
  { url }: TestBridge,
  token: string,
  limitMs: number,
): Promise<number | undefined> {
  try {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${url}/agents`, { headers, signal: AbortSignal.timeout(limitMs) });
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    return undefined;
  }
}

/** As `sessions.end` does it, but with the triggers off that tell of it; the row that stays is written by hand. */
async function endWithoutNotice({ database }: TestBridge, sessionId: string): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.query(sql`set local session_replication_role = replica`);
    await transaction.query(sql`
      update user_sessions set is_active = false, ended_at = now() where session_id = ${sessionId}::uuid`);
    await transaction.query(sql`
      insert into identity_changes (kind, subject) values ('session', ${sessionId})`);
  });
}
