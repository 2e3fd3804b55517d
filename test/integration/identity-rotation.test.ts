/** Keys that change every second under a crowd of checks: nobody is refused in error, nothing outlives its end. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AppError, systemClock } from '../../src/base/base.ts';
import { openTestBridge, type TestBridge } from '../support/bridge.ts';
import { drivers, unavailable } from '../support/databases.ts';

const rotationMs = 1_000;
const forMs = 6_000;
const checkers = 16;
/** What the server allows clocks to differ by; a token may be taken so much beyond its `exp`. */
const leewayMs = 5_000;
/**
 * A process knows the database's clock as well as one question was quick, and ends a key early for the
 * rest. On a busy machine with keys of a second that can be felt.
 */
const earlyMs = 500;

interface Token {
  readonly text: string;
  readonly kid: string;
  /** It must count until then: its own end, and its key's. */
  readonly goodUntilMs: number;
  /** It must not count from then on. */
  readonly overMs: number;
}

for (const driver of drivers) {
  describe.skipIf(unavailable(driver) !== undefined)(`on the ${driver} database`, () => {
    let bridge: TestBridge;
    beforeAll(async () => {
      const settings = {
        keyRotationMs: rotationMs,
        keyOverlapMs: rotationMs,
        accessTokenMs: 1_000,
      };
      bridge = await openTestBridge({ driver, settings });
    });
    afterAll(() => bridge.end());

    test('keys rotate under load with no false refusal and no late acceptance', async () => {
      const made = await bridge.client.createPrincipal({ username: 'checked', roles: ['guest'] });
      const untilMs = Date.now() + forMs;
      const tokens: Token[] = [];
      const seen = { accepted: 0, refused: 0, kids: new Set<string>() };
      const wrong: string[] = [];

      const issue = async (): Promise<void> => {
        while (Date.now() < untilMs) {
          const token = await newToken(bridge, made.id);
          if (token !== undefined) tokens.push(token);
          // Old ones stay for a while after their end, since those must be refused.
          if (tokens.length > 60) tokens.shift();
          await systemClock.sleep(40);
        }
      };
      const check = async (first: number): Promise<void> => {
        for (let turn = first; Date.now() < untilMs; turn += checkers) {
          const token = tokens[turn % Math.max(1, tokens.length)];
          if (token === undefined) await systemClock.sleep(5);
          else await judge(token);
        }
      };
      const judge = async (token: Token): Promise<void> => {
        const before = Date.now();
        const { status, body } = await ask(bridge, token.text);
        const after = Date.now();
        seen.kids.add(token.kid);
        if (status === 200) {
          seen.accepted += 1;
          if (before >= token.overMs)
            wrong.push(`${token.kid} ${before - token.overMs} ms too late`);
        } else {
          seen.refused += 1;
          const isRefusal = status === 401;
          if (after < token.goodUntilMs || !isRefusal) {
            wrong.push(
              `${token.kid}: ${status} ${token.goodUntilMs - after} ms before its end: ${body}`,
            );
          }
        }
      };
      await Promise.all([issue(), ...Array.from({ length: checkers }, (_, index) => check(index))]);

      expect(wrong).toEqual([]);
      expect(seen.kids.size).toBeGreaterThanOrEqual(4);
      expect(seen.accepted).toBeGreaterThan(100);
      expect(seen.refused).toBeGreaterThan(0);
    });
  });
}

/** Undefined where the next key came late: with keys of a second a stalled machine may be without one. */
async function newToken(bridge: TestBridge, userId: string): Promise<Token | undefined> {
  const origin = { address: '127.0.0.1', userAgent: 'a test' };
  try {
    const issued = await bridge.identity.signIn.open(userId, 'test', { as: 'client', ...origin });
    return tokenFrom(issued.accessToken, bridge);
  } catch (error) {
    if (error instanceof AppError && error.code === 'unavailable') return undefined;
    throw error;
  }
}

async function ask({ url }: TestBridge, token: string): Promise<{ status: number; body: string }> {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${url}/api/v1/me/access?action=agents.read`, { headers });
  return { status: answer.status, body: await answer.text() };
}

/** Right after it was issued, when its key is surely among those that are listed. */
function tokenFrom(text: string, { identity }: TestBridge): Token {
  const [header, payload] = text
    .split('.', 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as never);
  const { kid } = header as unknown as { kid: string };
  const { exp } = payload as unknown as { exp: number };
  const key = identity.tokens.keys().find((known) => known.kid === kid);
  if (key === undefined) throw new Error(`the key ${kid} is not listed`);
  const keyEndsMs = Date.parse(key.verifiesUntil);
  return {
    text,
    kid,
    goodUntilMs: Math.min(exp * 1_000, keyEndsMs - earlyMs),
    overMs: Math.min(exp * 1_000 + leewayMs, keyEndsMs),
  };
}
