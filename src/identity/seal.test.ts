import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSealer } from './seal.ts';

const key = Buffer.alloc(32, 7);
const sealer = createSealer(key);
const wrongKey = expect.objectContaining({
  code: 'master_key_wrong',
  remedy: expect.stringContaining('CENTURIA_MASTER_KEY_FILE'),
});

test('what was sealed opens with the same key and context', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), (plain, context) => {
      const sealed = sealer.seal(plain, context);
      expect(Buffer.from(createSealer(key).open(sealed, context))).toEqual(Buffer.from(plain));
    }),
  );
});

test('any changed bit, cut end, other context or other key is refused', () => {
  const sealed = sealer.seal(Buffer.from('secret'), 'a');
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const changed = Uint8Array.from(sealed);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(() => sealer.open(changed, 'a')).toThrow(wrongKey);
  }
  for (let length = 0; length < sealed.length; length += 1) {
    expect(() => sealer.open(sealed.subarray(0, length), 'a')).toThrow(wrongKey);
  }
  expect(() => sealer.open(sealed, 'b')).toThrow(wrongKey);
  expect(() => createSealer(randomBytes(32)).open(sealed, 'a')).toThrow(wrongKey);
});

test('the same text is sealed differently each time', () => {
  const seen = new Set(
    Array.from({ length: 100 }, () => Buffer.from(sealer.seal(key, 'a')).toString('hex')),
  );
  expect(seen.size).toBe(100);
});

test('derived keys depend on the label and the master key only, and are none of the sealer’s own', () => {
  expect(sealer.derive('a', 32)).toEqual(createSealer(key).derive('a', 32));
  expect(sealer.derive('a', 32)).not.toEqual(sealer.derive('b', 32));
  expect(sealer.derive('a', 32)).not.toEqual(createSealer(randomBytes(32)).derive('a', 32));
  expect(Buffer.from(sealer.derive('fingerprint', 8)).toString('hex')).not.toBe(sealer.fingerprint);
  expect(sealer.derive('a', 100)).toHaveLength(100);
});

test('a sealer keeps its key when the caller wipes the bytes', () => {
  const given = Uint8Array.from(key);
  const kept = createSealer(given);
  given.fill(0);
  expect(kept.fingerprint).toBe(sealer.fingerprint);
  expect(kept.derive('a', 32)).toEqual(sealer.derive('a', 32));
  expect(kept.fingerprint).toMatch(/^[0-9a-f]{16}$/);
});

test.each([0, 16, 31, 33, 64])('a master key of %i bytes is refused', (length) => {
  expect(() => createSealer(Buffer.alloc(length))).toThrow(
    expect.objectContaining({ code: 'config_invalid' }),
  );
});
