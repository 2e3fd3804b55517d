import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BoundedQueue, toAppError } from './base.ts';

const operations = fc.array(
  fc.oneof(
    fc.record({ push: fc.integer() }),
    fc.record({ take: fc.integer({ min: -3, max: 12 }) }),
  ),
  { maxLength: 200 },
);

function push(queue: BoundedQueue<number>, item: number): string {
  try {
    queue.push(item);
    return 'taken';
  } catch (error) {
    return toAppError(error).message;
  }
}

test('a queue does what a list with a limit does', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), operations, (capacity, steps) => {
      const queue = new BoundedQueue<number>('model', capacity);
      const model: number[] = [];
      for (const step of steps) {
        const [did, expected] =
          'take' in step
            ? [queue.take(step.take), model.splice(0, Math.max(0, step.take))]
            : [
                push(queue, step.push),
                model.length < capacity ? 'taken' : `model is full (${capacity})`,
              ];
        if (expected === 'taken' && 'push' in step) model.push(step.push);
        expect(did).toEqual(expected);
        expect(queue.size).toBe(model.length);
      }
      expect(queue.take(capacity)).toEqual(model);
    }),
  );
});

test('a full queue says so with its name, its limit and what to do', () => {
  const queue = new BoundedQueue<number>('writes', 1);
  queue.push(1);
  expect(() => queue.push(2)).toThrow(
    expect.objectContaining({
      code: 'limit_exceeded',
      details: { queue: 'writes', capacity: 1 },
      remedy: expect.any(String),
    }),
  );
});

test('a capacity that is no limit is refused', () => {
  for (const capacity of [0, -1, Number.NaN]) {
    expect(() => new BoundedQueue('x', capacity)).toThrow(RangeError);
  }
});
