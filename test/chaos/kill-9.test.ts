/** The short form of `npm run chaos -- kill-9`. */
import { expect, test } from 'vitest';
import { killRounds } from './kill-9.ts';

test('a review whose server is killed with -9 is completed, and nothing finished runs again', async () => {
  const result = await killRounds({ rounds: 1, seed: 20_261_121, say: () => undefined });
  expect(result).toMatchObject({ status: 'completed', rounds: 1, lost: 0, repeated: 0, met: true });
}, 180_000);
