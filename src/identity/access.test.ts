import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { assertAllowed, authorize, authorizeSome, type Access, type Caller } from './access.ts';
import { matchesPattern } from './patterns.ts';
import {
  actions,
  actionsIn,
  allBits,
  expandMask,
  maskFrom,
  maskOf,
  maskOfActions,
  maskValue,
  noBits,
  registry,
  systemRoles,
  type Action,
  type Mask,
} from './permissions.ts';

function callerWith(access: Partial<Access>, within: Mask = allBits): Caller {
  return {
    access: {
      userId: '6b1f2f0e-0000-4000-8000-000000000001',
      username: 'ada',
      kind: 'user',
      roles: ['reviewer'],
      roleLevel: 3,
      mustChangePassword: false,
      everywhere: noBits,
      bitmask: noBits,
      grants: [],
      validUntilMs: Infinity,
      isCurrent: true,
      ...access,
    },
    kind: 'session',
    id: 'session:1',
    sessionId: '1',
    within,
    actor: undefined,
    audience: undefined,
    untilMs: Infinity,
    limit: undefined,
  };
}

const reads = expandMask(maskFrom(1n));

test('what is granted everywhere is allowed on everything', () => {
  const caller = callerWith({ everywhere: reads });
  expect(authorize(caller, 'agents.read', 'spelling').allowed).toBe(true);
  expect(authorize(caller, 'agents.read').allowed).toBe(true);
});

test('a refusal says why, and who could change it', () => {
  const caller = callerWith({ everywhere: reads, roles: ['guest'] });
  expect(authorize(caller, 'agents.execute', 'spelling')).toEqual({
    allowed: false,
    reason: 'no role of it (guest) grants it',
  });
  expect(() => assertAllowed(caller, 'agents.execute', 'spelling')).toThrow(
    expect.objectContaining({
      code: 'denied',
      message: 'ada may not agents.execute on "spelling": no role of it (guest) grants it',
      remedy: expect.stringContaining('centuria access who agents.execute'),
    }),
  );
  expect(authorize(callerWith({ roles: [] }), 'read').reason).toBe('it has no role');
});

test('a pattern allows what it stands for and nothing beside it', () => {
  const grants = [{ resourceType: 'agents', pattern: 'review-*', mask: maskOf('agents.execute') }];
  const caller = callerWith({ grants });
  expect(authorize(caller, 'agents.execute', 'review-sql').allowed).toBe(true);
  expect(authorize(caller, 'agents.execute', 'spelling').reason).toBe(
    'it is granted on review-* only',
  );
  // Without a resource the question is about every agent.
  expect(authorize(caller, 'agents.execute').allowed).toBe(false);
  expect(authorizeSome(caller, 'agents.execute').allowed).toBe(true);
  expect(authorizeSome(caller, 'agents.read').allowed).toBe(false);
});

test('a scope narrows what a role grants, on patterns as well', () => {
  const grants = [{ resourceType: 'agents', pattern: 'review-*', mask: maskOf('agents.execute') }];
  const caller = callerWith({ everywhere: reads, grants }, maskOfActions(['agents.read']));
  expect(authorize(caller, 'agents.read').allowed).toBe(true);
  expect(authorize(caller, 'runs.read').reason).toBe(
    'the credential is narrowed to other permissions',
  );
  expect(authorize(caller, 'agents.execute', 'review-sql').allowed).toBe(false);
  expect(authorizeSome(caller, 'agents.execute').allowed).toBe(false);
});

test('nothing is allowed by rights that were taken back or have expired', () => {
  expect(authorize(callerWith({ everywhere: allBits, isCurrent: false }), 'read').allowed).toBe(
    false,
  );
  const expired = callerWith({ everywhere: allBits, validUntilMs: Date.now() - 1 });
  expect(authorize(expired, 'read').allowed).toBe(false);
  const later = callerWith({ everywhere: allBits, validUntilMs: Date.now() + 60_000 });
  expect(authorize(later, 'read').allowed).toBe(true);
});

test('who must change the password may do nothing before, and keys of programs go on', () => {
  const caller = callerWith({ everywhere: allBits, mustChangePassword: true });
  expect(authorize(caller, 'agents.read').reason).toBe('its password must be changed first');
  expect(authorize({ ...caller, kind: 'token' }, 'agents.read').allowed).toBe(false);
  expect(authorize({ ...caller, kind: 'api_key' }, 'agents.read').allowed).toBe(true);
});

test('the bits of the registry are what they were: a bit never gets another meaning', () => {
  expect(Object.entries(registry).map(([action, { bit }]) => `${bit} ${action}`)).toEqual([
    '0 read',
    '1 write',
    '2 execute',
    '3 admin',
    '4 monitor',
    '5 system',
    '6 agents.read',
    '7 agents.write',
    '8 agents.execute',
    '9 workflows.read',
    '10 workflows.write',
    '11 workflows.execute',
    '12 runs.read',
    '13 runs.write',
    '14 checkpoints.read',
    '15 checkpoints.write',
    '16 checkpoints.execute',
    '17 ext.read',
    '18 ext.write',
    '19 ext.execute',
    '20 audit.read',
    '21 users.read',
    '22 users.write',
    '23 roles.read',
    '24 roles.write',
    '25 keys.read',
    '26 keys.write',
    '27 status.read',
    '28 clients.read',
    '29 clients.write',
    '30 runs.approve',
    '31 runs.undo',
    '32 schedules.read',
    '33 schedules.write',
    '34 limits.read',
    '35 limits.write',
    '36 learning.read',
    '37 learning.write',
    '38 learning.execute',
  ]);
});

test('the system roles have the masks of the C face', () => {
  const masks = Object.entries(systemRoles).map(([name, { level, mask }]) => [name, level, mask]);
  expect(masks).toEqual([
    ['admin', 1, 63],
    ['system', 2, 39],
    ['agent', 3, 7],
    ['monitor', 4, 17],
    ['guest', 5, 1],
  ]);
});

test('masks keep all 64 bits on their way through halves and decimals', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
      expect(maskValue(maskFrom(value))).toBe(value);
      // A BIGINT column holds the same bits as a signed number.
      expect(maskValue(maskFrom(BigInt.asIntN(64, value)))).toBe(value);
    }),
  );
});

test('expanding adds exactly what the wide bits imply', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 63 }), (wide) => {
      const expanded = new Set(actionsIn(expandMask(maskFrom(BigInt(wide)))));
      for (const action of actions) {
        const { bit, impliedBy } = registry[action];
        const has = (wide & impliedBy) !== 0 || (bit < 6 && (wide & (1 << bit)) !== 0);
        expect(expanded.has(action)).toBe(has);
      }
    }),
  );
});

test('asking for one action never allows another', () => {
  fc.assert(
    fc.property(fc.constantFrom(...actions), fc.constantFrom(...actions), (granted, asked) => {
      const caller = callerWith({ everywhere: maskOf(granted as Action) });
      expect(authorize(caller, asked as Action).allowed).toBe(granted === asked);
    }),
  );
});

const literal = (part: string) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

test('patterns mean what a regular expression of them means', () => {
  const text = fc.string({
    unit: fc.constantFrom('a', 'b', '-', '_', '%', '.', '\\'),
    maxLength: 12,
  });
  const pattern = fc.string({
    unit: fc.constantFrom('a', 'b', '*', '-', '_', '%', '\\'),
    maxLength: 8,
  });
  fc.assert(
    fc.property(pattern, text, (given, resource) => {
      const expected = new RegExp(`^${given.split('*').map(literal).join('[^]*')}$`).test(resource);
      expect(matchesPattern(given, resource)).toBe(expected);
    }),
    { numRuns: 2_000 },
  );
});

test('a pattern of many stars takes no long time', () => {
  const pattern = `${'a*'.repeat(100)}b`;
  expect(matchesPattern(pattern, 'a'.repeat(20_000))).toBe(false);
});
