import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { idTimeMs, isId, lowestIdAt, newId, systemClock } from './base.ts';

const lastTimeMs = 2 ** 48 - 1;
const anyTimeMs = fc.integer({ min: 0, max: lastTimeMs });
const at = (timeMs: number): string => newId({ ...systemClock, nowMs: () => timeMs });

test('an id tells the time that it was made at', () => {
  fc.assert(
    fc.property(anyTimeMs, (timeMs) => {
      expect(idTimeMs(at(timeMs))).toBe(timeMs);
    }),
  );
});

test('ids sort by the time that they were made at', () => {
  fc.assert(
    fc.property(anyTimeMs, anyTimeMs, (a, b) => {
      fc.pre(a < b);
      expect(at(a) < at(b)).toBe(true);
    }),
  );
});

test('ids made one after another sort in that order, within a millisecond too', () => {
  const ids = Array.from({ length: 5_000 }, () => newId());
  expect(ids.toSorted()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
});

test('the lowest id of a moment stands before every id of it and after every earlier one', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: lastTimeMs }), (timeMs) => {
      const lowest = lowestIdAt(timeMs);
      expect(isId(lowest)).toBe(true);
      // Nothing is set but the time, the version and the variant.
      expect(lowest).toMatch(/-7000-8000-0{12}$/);
      expect(idTimeMs(lowest)).toBe(timeMs);
      expect(lowest <= at(timeMs)).toBe(true);
      expect(lowest > at(timeMs - 1)).toBe(true);
    }),
  );
});

test('a boundary outside the range of ids is the nearest one inside', () => {
  expect(lowestIdAt(-1)).toBe(lowestIdAt(0));
  expect(lowestIdAt(Number.POSITIVE_INFINITY)).toBe(lowestIdAt(lastTimeMs));
  expect(lowestIdAt(1.9)).toBe(lowestIdAt(1));
  expect(isId(lowestIdAt(Number.MAX_SAFE_INTEGER))).toBe(true);
});

test('only a UUIDv7 is an id', () => {
  expect(isId(newId())).toBe(true);
  expect(isId(newId().toUpperCase())).toBe(true);
  for (const text of ['', 'run', crypto.randomUUID(), `${newId()}x`, newId().replaceAll('-', '')]) {
    expect(isId(text)).toBe(false);
  }
  fc.assert(
    fc.property(fc.uuid({ version: [1, 3, 4, 5] }), (id) => {
      expect(isId(id)).toBe(false);
    }),
  );
});
