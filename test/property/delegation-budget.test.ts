import { array, assert, asyncProperty, integer, record, scheduler } from 'fast-check';
import { expect, test } from 'vitest';
import type { AgentDefinition } from '../../src/agents/agents.ts';
import { AppError } from '../../src/base/base.ts';
import type { RunDetail } from '../../src/coordination/coordination.ts';
import { delegatingOf, type DelegationOptions } from '../../src/coordination/delegation.ts';
import { silentLog } from '../support/databases.ts';
import { inProcessAgents } from '../support/in-process-agents.ts';

type Runs = DelegationOptions['runs'];
type Started = Parameters<Runs['startAgent']>[0];

const limit = 1_000;
const wishes = [undefined, 100, 400, 1_500];
const tools = wishes.map((_, index) => `tool-${index}`);
const agents = Object.fromEntries(['lead', ...tools].map((name) => [name, () => 0]));

/** A call: of whom, the tokens that it uses whatever it may, and whether its caller leaves it (0). */
const step = record({
  tool: integer({ min: 0, max: wishes.length - 1 }),
  uses: integer({ min: 0, max: 2_000 }),
  leaves: integer({ min: 0, max: 3 }),
});

test('whatever the order, calls set aside no more than the budget has, and all that they use is counted', async () => {
  await assert(
    asyncProperty(
      scheduler(),
      array(step, { minLength: 1, maxLength: 12 }),
      async (order, steps) => {
        let used = 0;
        let held = 0;
        let beyond = 0;
        const open = new Map<string, () => RunDetail>();
        const runs = {
          async startAgent({ allowance = {}, input }: Started) {
            await order.schedule(Promise.resolve(), 'start');
            const id = `run ${open.size}`;
            const may = allowance.tokens ?? 0;
            expect(may).toBeGreaterThan(0);
            held += may;
            let ended: RunDetail | undefined;
            open.set(id, () => {
              if (ended !== undefined) return ended;
              const tokens = steps[Number(input)]?.uses ?? 0;
              held -= may;
              used += tokens;
              beyond += Math.max(0, tokens - may);
              ended = { id, status: 'completed', output: 0, spent: { tokens } } as RunDetail;
              return ended;
            });
            // Of what was set aside all is there, but for what others have used beyond theirs.
            expect(used + held).toBeLessThanOrEqual(limit + beyond);
            return { id, status: 'queued' };
          },
          async wait(id: string, signal?: AbortSignal) {
            await order.schedule(Promise.resolve(), `end of ${id}`);
            signal?.throwIfAborted();
            return open.get(id)?.();
          },
          cancel: async () => undefined,
          get: async (id: string) => open.get(id)?.(),
          calls: async () => [],
        } as unknown as Runs;
        const fields = Object.fromEntries([
          ['lead', { invokes: tools }],
          ...wishes.map((tokens, index) => [
            `tool-${index}`,
            tokens === undefined ? {} : { budget: { tokens } },
          ]),
        ]) as Record<string, Partial<AgentDefinition>>;
        const registry = inProcessAgents(agents, fields);
        const agent = registry.get('lead');
        if (agent === undefined) throw new Error('no lead');
        const calls = delegatingOf(
          { registry, runs, log: silentLog },
          {
            agent,
            parent: { runId: 'parent', task: 'lead', attemptId: 'first', chain: [] },
            key: 'parent/lead',
            untold: [],
            startedBy: undefined,
            callable: undefined,
            priority: 50,
            budget: { tokens: limit },
            budgets: [],
            signal: new AbortController().signal,
            isLettingGo: () => false,
            onProgress: () => undefined,
            lend: () => () => undefined,
          },
        );
        const made = steps.map(async ({ leaves, tool }, input) => {
          await order.schedule(Promise.resolve(), 'call');
          const leaving = new AbortController();
          const call = calls?.call({ agent: `tool-${tool}`, input, signal: leaving.signal });
          if (leaves === 0) leaving.abort(new AppError('cancelled', 'left'));
          await call?.catch((error: AppError) => {
            expect(['budget_exceeded', 'cancelled']).toContain(error.code);
          });
        });
        await order.waitFor(Promise.all(made));
        await calls?.close();
        expect(held).toBe(0);
        expect(calls?.spent.tokens ?? 0).toBe(used);
        expect(used).toBeLessThanOrEqual(limit + beyond);
      },
    ),
    { numRuns: 200 },
  );
});
