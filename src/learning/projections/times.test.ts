import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { bucketOf, quantile } from './times.ts';

test('a quantile is right to 2 %', () => {
  const times = fc.array(fc.double({ min: 1, max: 366 * 86_400_000, noNaN: true }), {
    minLength: 1,
  });
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(times, share, (all, part) => {
      const counts: Record<string, number> = {};
      for (const ms of all) counts[bucketOf(ms)] = (counts[bucketOf(ms)] ?? 0) + 1;
      const exact =
        all.toSorted((a, b) => a - b)[Math.max(1, Math.ceil(part * all.length)) - 1] ?? 0;
      expect(Math.abs((quantile(counts, part) ?? 0) / exact - 1)).toBeLessThan(0.0201);
    }),
  );
  expect(quantile({}, 0.95)).toBeUndefined();
});
