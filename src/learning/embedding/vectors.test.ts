import { array, assert, constantFrom, double, integer, nat, pre, property } from 'fast-check';
import { expect, test } from 'vitest';
import { embeddingLength } from '../types.ts';
import { assertEmbedding, unit, vectorBytes, vectorFromBytes } from './vectors.ts';

const numbers = array(double({ min: -1e6, max: 1e6, noNaN: true }), {
  minLength: embeddingLength,
  maxLength: embeddingLength,
});
const directions = numbers
  .filter((values) => values.some((value) => Math.abs(value) > 1e-3))
  .map((values) => unit(Float64Array.from(values), 'a direction'));

/** Of 256 numbers in one look; comparing them one by one took seconds. */
const same = (a: Float32Array, b: Float32Array): boolean =>
  Buffer.from(a.buffer).equals(Buffer.from(b.buffer));

test('a vector comes back from its bytes as it was, wherever they lie in memory', () => {
  assert(
    property(directions, integer({ min: 0, max: 7 }), (vector, shift) => {
      const bytes = vectorBytes(vector);
      const moved = new Uint8Array(bytes.length + shift);
      moved.set(bytes, shift);
      expect(same(vectorFromBytes(moved.subarray(shift)), vector)).toBe(true);
    }),
  );
});

test('the bytes are little-endian', () => {
  const vector = new Float32Array(embeddingLength);
  vector[1] = -1;
  expect([...vectorBytes(vector).subarray(0, 12)]).toEqual([
    0, 0, 0, 0, 0, 0, 0x80, 0xbf, 0, 0, 0, 0,
  ]);
});

test('bytes of another length are refused, with both lengths', () => {
  assert(
    property(integer({ min: 0, max: 3_000 }), (length) => {
      pre(length !== 1_024);
      expect(() => vectorFromBytes(new Uint8Array(length))).toThrow(
        expect.objectContaining({
          code: 'embedding_invalid',
          message: `an embedding has 1024 bytes, these are ${length}`,
        }),
      );
    }),
  );
});

test('a number that is none is refused wherever it stands, on the way in and out', () => {
  const wrong = constantFrom(NaN, Infinity, -Infinity);
  assert(
    property(directions, nat(embeddingLength - 1), wrong, (vector, place, value) => {
      const broken = vector.slice();
      broken[place] = value;
      const refused = expect.objectContaining({
        code: 'embedding_invalid',
        message: expect.stringContaining(`as number ${place}`),
      });
      expect(() => vectorBytes(broken)).toThrow(refused);
      expect(() => unit(broken, 'it')).toThrow(refused);
      const bytes = vectorBytes(vector);
      new DataView(bytes.buffer).setFloat32(place * 4, value, true);
      expect(() => vectorFromBytes(bytes)).toThrow(refused);
    }),
  );
});

test('another length than 1 is refused, and zeros have no direction', () => {
  assert(
    property(directions, constantFrom(0, 0.5, 0.99, 1.01, 2), (vector, factor) => {
      const scaled = vector.map((value) => value * factor);
      expect(() => vectorBytes(scaled)).toThrow(/has the length .*, not 1/);
    }),
  );
  expect(() => unit(new Float32Array(embeddingLength), 'it')).toThrow(/all zeros/);
  expect(() => unit(new Float64Array([1e200, 1e200]), 'it')).toThrow(/too large/);
});

test('another number of dimensions is refused', () => {
  expect(() => assertEmbedding(Float32Array.of(1), 'it')).toThrow('it has 1 numbers, not 256');
});
