import { argon2Sync } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemClock, toAppError } from '../base/base.ts';
import {
  calibrate,
  createPasswordHasher,
  leastParameters,
  normalisePassword,
} from './passwords.ts';

const cheap = { memoryKiB: 64, iterations: 1, parallelism: 1 };
const decoyKey = new Uint8Array(32).fill(7);

function hasher(options: Partial<Parameters<typeof createPasswordHasher>[0]> = {}) {
  return createPasswordHasher({
    parameters: cheap,
    concurrency: 2,
    capacity: 1_000,
    decoyKey,
    ...options,
  });
}

/** A clock on which each hash takes the next of these times. */
function scriptedClock(hashesMs: readonly number[]) {
  let readings = 0;
  let nowMs = 0;
  const clock = {
    ...systemClock,
    monotonicMs() {
      if (readings % 2 === 1) nowMs += hashesMs[(readings - 1) / 2] ?? Number.NaN;
      readings += 1;
      return nowMs;
    },
  };
  return { clock, hashes: () => readings / 2 };
}

const thrice = (times: readonly number[]): number[] => times.flatMap((ms) => [ms, ms, ms]);
const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);
const unpadded = (raw: Uint8Array): string =>
  Buffer.from(raw).toString('base64').replaceAll('=', '');

// The reference implementation's own vectors for Argon2id version 19 without associated data.
test.each([
  [
    'password',
    '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc',
  ],
  [
    'password',
    '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
  ],
  [
    'password',
    '$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc',
  ],
])("the reference implementation's hash of %j comes out: %s", async (password, phc) => {
  expect(await hasher().recompute(password, phc)).toBe(phc);
  expect(await hasher().recompute(`${password}!`, phc)).not.toBe(phc);
});

test('the package takes no associated data, so RFC 9106 5.3 proves the second implementation, and that one proves ours', async () => {
  const tag = argon2Sync('argon2id', {
    message: bytes(32, 1),
    nonce: bytes(16, 2),
    secret: bytes(8, 3),
    associatedData: bytes(12, 4),
    parallelism: 4,
    tagLength: 32,
    memory: 32,
    passes: 3,
  });
  expect(tag.toString('hex')).toBe(
    '0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659',
  );
  const cases = fc.record({
    password: fc.string({ minLength: 1, unit: 'grapheme-ascii' }),
    salt: fc.uint8Array({ minLength: 8, maxLength: 48 }),
    tagLength: fc.integer({ min: 16, max: 64 }),
    parallelism: fc.integer({ min: 1, max: 4 }),
    memory: fc.integer({ min: 32, max: 200 }),
    passes: fc.integer({ min: 1, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ password, salt, ...costs }) => {
      const hash = argon2Sync('argon2id', { message: password, nonce: salt, ...costs });
      const { memory, passes, parallelism } = costs;
      const phc = `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${unpadded(salt)}$${unpadded(hash)}`;
      expect(await hasher().recompute(password, phc)).toBe(phc);
    }),
  );
});

test('a password gives its own hash again and no other password does', async () => {
  const passwords = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' });
  await fc.assert(
    fc.asyncProperty(passwords, passwords, async (password, other) => {
      const phc = await hasher().hash(password);
      expect(phc).toMatch(/^\$argon2id\$v=19\$m=64,t=1,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
      expect(await hasher().recompute(password, phc)).toBe(phc);
      const isSame = normalisePassword(other) === normalisePassword(password);
      expect((await hasher().recompute(other, phc)) === phc).toBe(isSame);
    }),
  );
});

test('every hash has a salt of its own', async () => {
  const hashes = await Promise.all(Array.from({ length: 50 }, () => hasher().hash('the same')));
  expect(new Set(hashes.map((phc) => phc.split('$')[4])).size).toBe(50);
});

test('the same password typed on another keyboard is the same', async () => {
  const composed = 'caf\u00e9 au lait';
  const phc = await hasher().hash(composed);
  for (const typed of [composed.normalize('NFD'), 'caf\u00e9\u00a0au\u3000lait']) {
    expect(typed).not.toBe(composed);
    expect(await hasher().recompute(typed, phc)).toBe(phc);
  }
  // Upper case and the width of letters are part of a password.
  for (const other of ['Caf\u00e9 au lait', 'caf\u00e9 au l\uff41it']) {
    expect(await hasher().recompute(other, phc)).not.toBe(phc);
  }
});

test('normalising twice is normalising once', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 60, unit: 'binary' }), (text) => {
      const once = normalisePassword(text);
      expect(normalisePassword(once)).toBe(once);
    }),
  );
});

test('what is empty, over 1,024 bytes or no Unicode is refused without being told again', async () => {
  const right = 'é'.repeat(512);
  const phc = await hasher().hash(right);
  expect(await hasher().recompute(right.normalize('NFD'), phc)).toBe(phc);
  for (const wrong of ['', `${right}e`, 'a'.repeat(1_025), 'x'.repeat(5_000_000), 'pass\ud800']) {
    const error = toAppError(
      await hasher()
        .hash(wrong)
        .catch((thrown: unknown) => thrown),
    );
    expect(error).toMatchObject({ code: 'invalid_input', remedy: expect.any(String) });
    if (wrong !== '') expect(JSON.stringify(error)).not.toContain(wrong);
    await expect(hasher().recompute(wrong, phc)).rejects.toMatchObject({ code: 'invalid_input' });
  }
});

test('a decoy is the same for the same name and looks like a hash that is checked the same way', async () => {
  const names = ['ann', 'bob', 'Ann', ''];
  const decoys = names.map((name) => hasher().decoy(name));
  expect(new Set(decoys).size).toBe(names.length);
  expect(names.map((name) => hasher().decoy(name))).toEqual(decoys);
  const other = hasher({ decoyKey: new Uint8Array(32).fill(8) });
  expect(other.decoy('ann')).not.toBe(decoys[0]);
  const real = await hasher().hash('a password');
  for (const decoy of decoys) {
    expect(decoy.length).toBe(real.length);
    expect(decoy.slice(0, 28)).toBe(real.slice(0, 28));
    expect(await hasher().recompute('a password', decoy)).not.toBe(decoy);
    expect(hasher().needsRehash(decoy)).toBe(false);
  }
});

test('a stored hash needs another exactly when it is weaker than a new one', async () => {
  const costs = fc.record({
    memoryKiB: fc.integer({ min: 64, max: 128 }),
    iterations: fc.integer({ min: 1, max: 3 }),
    parallelism: fc.integer({ min: 1, max: 2 }),
  });
  fc.assert(
    fc.property(costs, costs, (before, now) => {
      const stored = hasher({ parameters: before }).decoy('ann');
      const isWeaker = before.memoryKiB < now.memoryKiB || before.iterations < now.iterations;
      expect(hasher({ parameters: now }).needsRehash(stored)).toBe(isWeaker);
    }),
  );
  const shortSalt = `$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$${'A'.repeat(43)}`;
  const shortHash = `$argon2id$v=19$m=64,t=1,p=1$${'A'.repeat(22)}$${'A'.repeat(22)}`;
  expect([shortSalt, shortHash].map((phc) => hasher().needsRehash(phc))).toEqual([true, true]);
});

const salt = 'A'.repeat(22);
const output = 'A'.repeat(43);
test.each([
  ['nothing', ''],
  ['a memory of 1 GiB and one KiB', `$argon2id$v=19$m=1048577,t=1,p=1$${salt}$${output}`],
  ['101 iterations', `$argon2id$v=19$m=64,t=101,p=1$${salt}$${output}`],
  ['17 lanes', `$argon2id$v=19$m=1024,t=1,p=17$${salt}$${output}`],
  ['too little memory for its lanes', `$argon2id$v=19$m=15,t=1,p=2$${salt}$${output}`],
  ['no iteration', `$argon2id$v=19$m=64,t=0,p=1$${salt}$${output}`],
  ['a number with a leading zero', `$argon2id$v=19$m=064,t=1,p=1$${salt}$${output}`],
  ['parameters past any number', `$argon2id$v=19$m=1e9,t=1,p=1$${salt}$${output}`],
  ['another kind', `$argon2i$v=19$m=64,t=1,p=1$${salt}$${output}`],
  ['another version', `$argon2id$v=16$m=64,t=1,p=1$${salt}$${output}`],
  ['unused bits that are set', `$argon2id$v=19$m=64,t=1,p=1$${salt}$${output.slice(1)}B`],
  ['padding', `$argon2id$v=19$m=64,t=1,p=1$${salt}==$${output}=`],
  ['base64url', `$argon2id$v=19$m=64,t=1,p=1$${salt.slice(1)}_$${output}`],
  ['a salt of 7 bytes', `$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAA$${output}`],
  ['a line end', `$argon2id$v=19$m=64,t=1,p=1$${salt}$${output}\n`],
  ['bcrypt', '$2b$12$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'],
])('a stored hash with %s is a defect, and stays out of the error', async (_what, phc) => {
  const error = toAppError(
    await hasher()
      .recompute('x', phc)
      .catch((thrown: unknown) => thrown),
  );
  expect(error.code).toBe('internal');
  if (phc !== '') expect(error.message + JSON.stringify(error.details)).not.toContain(phc);
  expect(() => hasher().needsRehash(phc)).toThrow(expect.objectContaining({ code: 'internal' }));
});

test('as many hash as may, as many wait as may, and one more is told to come back', async () => {
  const bounded = hasher({ parameters: leastParameters, concurrency: 2, capacity: 3 });
  expect(bounded.load).toEqual({ running: 0, waiting: 0, capacity: 3 });
  const taken = Array.from({ length: 5 }, (_, index) => bounded.hash(`password ${index}`));
  const refused = bounded.hash('one more');
  await expect(refused).rejects.toMatchObject({
    code: 'limit_exceeded',
    status: 429,
    details: { capacity: 3 },
    remedy: expect.any(String),
  });
  expect(bounded.load).toEqual({ running: 2, waiting: 3, capacity: 3 });
  expect(await Promise.all(taken)).toHaveLength(5);
  expect(bounded.load).toEqual({ running: 0, waiting: 0, capacity: 3 });
  // A place that was given up can be had again.
  expect(await bounded.hash('later')).toMatch(/^\$argon2id/);
});

test('however calls come and go, no more hash or wait than may', async () => {
  const limits = fc.record({
    concurrency: fc.integer({ min: 1, max: 4 }),
    capacity: fc.integer({ min: 1, max: 8 }),
    calls: fc.integer({ min: 1, max: 20 }),
  });
  await fc.assert(
    fc.asyncProperty(limits, async ({ calls, ...limit }) => {
      const bounded = hasher(limit);
      const seen: (typeof bounded.load)[] = [];
      const results = await Promise.allSettled(
        Array.from({ length: calls }, async () => {
          await bounded.hash('x').finally(() => seen.push(bounded.load));
        }),
      );
      const passed = results.filter(({ status }) => status === 'fulfilled').length;
      expect(passed).toBe(Math.min(calls, limit.concurrency + limit.capacity));
      expect(Math.max(...seen.map(({ running }) => running))).toBeLessThanOrEqual(
        limit.concurrency,
      );
      expect(Math.max(...seen.map(({ waiting }) => waiting))).toBeLessThanOrEqual(limit.capacity);
      expect(bounded.load).toMatchObject({ running: 0, waiting: 0 });
    }),
    { numRuns: 40 },
  );
});

test('options that are no limits are refused', () => {
  for (const options of [
    { concurrency: 0 },
    { concurrency: Number.NaN },
    { capacity: 0 },
    { decoyKey: new Uint8Array(31) },
    { parameters: { ...cheap, memoryKiB: 2_000_000 } },
    { parameters: { ...cheap, iterations: 1.5 } },
  ]) {
    expect(() => hasher(options)).toThrow(RangeError);
  }
});

test.each([
  // What each round of three took; the median of a round counts.
  ['a floor that is slow enough stays', 5, [9], 2, 9],
  ['a floor slower than ten targets stays: less would be too little', 5, [80], 2, 80],
  ['iterations rise until the target is met', 35, [10, 34, 38], 8, 38],
  ['a round over ten targets is not taken', 35, [10, 400], 2, 10],
  ['a clock that stands still ends at the most iterations', 35, [0, 0], 100, 0],
])('calibration: %s', async (_what, targetMs, rounds, iterations, measuredMs) => {
  const { clock, hashes } = scriptedClock(thrice(rounds));
  expect(await calibrate(targetMs, clock)).toEqual({
    parameters: { ...leastParameters, iterations },
    measuredMs,
  });
  expect(hashes()).toBe(rounds.length * 3);
});

test('one slow hash of three does not change what is calibrated', async () => {
  const { clock } = scriptedClock([3, 900, 4]);
  expect(await calibrate(4, clock)).toEqual({ parameters: leastParameters, measuredMs: 4 });
});

test('what was calibrated by the real clock can be hashed with', async () => {
  const { parameters } = await calibrate(30, systemClock);
  expect(parameters).toMatchObject({ memoryKiB: 19_456, parallelism: 1 });
  const real = hasher({ parameters });
  const phc = await real.hash('correct horse battery');
  expect(await real.recompute('correct horse battery', phc)).toBe(phc);
});
