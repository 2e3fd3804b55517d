import { expect, test } from 'vitest';
import type { Page, RunSummary } from '../coordination/coordination.ts';
import { resolveRunId } from './run-ids.ts';

const ids = Array.from(
  { length: 1_200 },
  (_, index) =>
    `01935f6e-0000-7000-8000-${(index + 0x10_0000_0000).toString(16).padStart(12, '0')}`,
).toReversed();

/** Pages of a list as the server gives them. */
function listOf(all: readonly string[]) {
  return async (filter: { limit: number; cursor?: string }): Promise<Page<RunSummary>> => {
    const from = Number(filter.cursor ?? 0);
    const items = all.slice(from, from + filter.limit).map((id) => ({
      id,
      workflow: 'review',
      status: 'completed' as const,
      priority: 50,
      createdAt: '2026-11-21T09:00:00Z',
      tasks: {},
    }));
    const next = from + filter.limit;
    return next < all.length ? { items, nextCursor: String(next) } : { items };
  };
}

test('latest is the newest run', async () => {
  expect(await resolveRunId('latest', listOf(ids))).toBe(ids[0]);
});

test('a suffix of six characters finds a run on a later page', async () => {
  const id = ids[1_100] ?? '';
  expect(await resolveRunId(id.slice(-6).toUpperCase(), listOf(ids))).toBe(id);
});

test('a whole id is taken as it is, whether it exists or not', async () => {
  const id = '01935f6e-0000-7000-8000-ffffffffffff';
  expect(await resolveRunId(id, listOf([]))).toBe(id);
});

test('a suffix that fits several runs is refused with the candidates', async () => {
  const twins = ['01935f6e-0000-7000-8000-aaaaaabbbbbb', '01935f6e-0000-7000-8000-ccccccbbbbbb'];
  await expect(resolveRunId('bbbbbb', listOf(twins))).rejects.toMatchObject({
    code: 'conflict',
    details: { candidates: twins },
  });
});

test.each([
  ['bbbbbb', 'run_not_found'],
  ['latest', 'run_not_found'],
  ['abcde', 'usage'],
  ['report', 'usage'],
])('%s without runs is %s', async (text, code) => {
  await expect(resolveRunId(text, listOf([]))).rejects.toMatchObject({ code });
});
