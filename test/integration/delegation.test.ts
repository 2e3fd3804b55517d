import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentFailure, type AgentDefinition, type Invocation } from '../../src/agents/agents.ts';
import { AppError } from '../../src/base/base.ts';
import type { CoordinationOptions, RunDetail } from '../../src/coordination/coordination.ts';
import { openFixture, openStore, type Fixture, type TestStore } from '../support/coordination.ts';
import { until } from '../support/databases.ts';
import { inProcessAgents, Used, type AgentFunction } from '../support/in-process-agents.ts';

let store: TestStore;
beforeAll(async () => {
  store = await openStore('embedded');
});
afterAll(() => store.close());

type Fields = Readonly<Record<string, Partial<AgentDefinition>>>;

/** Coordination with these agents, for one test. */
async function withAgents<Result>(
  functions: Readonly<Record<string, AgentFunction>>,
  fields: Fields,
  work: (fixture: Fixture) => Promise<Result>,
  options: Partial<CoordinationOptions> = {},
): Promise<Result> {
  const fixture = await openFixture(store, {}, inProcessAgents(functions, fields), options);
  try {
    return await work(fixture);
  } finally {
    await fixture.part.stop(0);
  }
}

const call = (invocation: Invocation, agent: string, input: unknown = {}) => {
  if (invocation.delegate === undefined) throw new AppError('agent_failed', 'calls nobody');
  return invocation.delegate.call({ agent, input });
};

async function ended(
  { part }: Fixture,
  name: string,
  input: unknown = {},
  more: object = {},
): Promise<RunDetail> {
  const { id } = await part.runs.startAgent({ name, input, startedBy: 'ada', ...more });
  return part.runs.wait(id);
}

test('an agent is run by itself, with any input, once for a key', async () => {
  await withAgents({ echo: ({ input }) => input }, {}, async (fixture) => {
    const { runs } = fixture.part;
    for (const input of [null, 0, 'a ${b}', ['x'], { a: { b: 1 } }]) {
      const run = await ended(fixture, 'echo', input);
      expect(run).toMatchObject({ status: 'completed', output: input, workflow: 'agent:echo' });
    }
    const request = { name: 'echo', input: 1, idempotencyKey: 'once' };
    const first = await runs.startAgent(request);
    expect(await runs.startAgent(request)).toMatchObject({ id: first.id });
    await expect(runs.startAgent({ ...request, input: 2 })).rejects.toMatchObject({
      code: 'conflict',
    });
    await expect(runs.startAgent({ name: 'ecko', input: 1 })).rejects.toMatchObject({
      code: 'agent_not_found',
      remedy: 'Did you mean echo?',
    });
  });
});

test('an agent calls others, and the whole tree is seen', async () => {
  const functions = {
    lead: async (invocation: Invocation) => {
      const [one, two] = await Promise.all([
        call(invocation, 'expert', 1),
        call(invocation, 'expert', 2),
      ]);
      return [one.output, two.output];
    },
    expert: async (invocation: Invocation) =>
      (await call(invocation, 'tool', invocation.input)).output,
    tool: ({ input }: Invocation) => Number(input) * 10,
  };
  const fields = { lead: { invokes: ['expert'] }, expert: { invokes: ['tool'] } };
  await withAgents(functions, fields, async (fixture) => {
    const run = await ended(fixture, 'lead');
    expect(run).toMatchObject({ status: 'completed', output: [10, 20] });
    const calls = await fixture.part.runs.calls(run.id);
    expect(calls.map(({ agent, depth }) => `${depth} ${agent}`).toSorted()).toEqual([
      '1 expert',
      '1 expert',
      '2 tool',
      '2 tool',
    ]);
    const expert = calls.find(({ agent }) => agent === 'expert');
    expect(expert).toMatchObject({ parent: { runId: run.id, task: 'lead' }, status: 'completed' });
    const below = await fixture.part.runs.get(expert?.id ?? '');
    expect(below).toMatchObject({ parent: { runId: run.id, task: 'lead' }, startedBy: 'ada' });
  });
});

async function allAnswered(fixture: Fixture): Promise<void> {
  const runs = await Promise.all([1, 2, 3, 4].map((input) => ended(fixture, 'lead', input)));
  expect(runs.map(({ output }) => output)).toEqual([1, 2, 3, 4]);
  expect((await fixture.part.status()).worker?.attempts).toBe(0);
}

test('callers do not hold the places that those they call need', async () => {
  const functions = {
    lead: async (invocation: Invocation) =>
      (await call(invocation, 'expert', invocation.input)).output,
    expert: async (invocation: Invocation) =>
      (await call(invocation, 'tool', invocation.input)).output,
    tool: ({ input }: Invocation) => input,
  };
  const fields = { lead: { invokes: ['expert'] }, expert: { invokes: ['tool'] } };
  await withAgents(functions, fields, allAnswered, { concurrency: 1 });
});

test('nobody is called who is not named, is above the caller, or may not be called by who began', async () => {
  const functions = {
    lead: async (invocation: Invocation) =>
      (await call(invocation, String(invocation.input))).output,
    back: async (invocation: Invocation) => (await call(invocation, 'lead')).output,
    other: () => 'reached',
  };
  const fields = {
    lead: { invokes: ['back', 'other', 'gone'], retries: 0 },
    back: { invokes: ['lead'], retries: 0 },
  };
  await withAgents(functions, fields, async (fixture) => {
    const refused = async (input: string, why: RegExp, more: object = {}) => {
      const run = await ended(fixture, 'lead', input, more);
      expect(run.status).toBe('failed');
      expect(run.error?.message).toMatch(why);
    };
    await refused('stranger', /does not name it under invokes/);
    await refused('gone', /there is no such agent/);
    await refused('back', /working already: lead → back → lead/);
    await refused('other', /ada may not call it/, { mayCall: (name: string) => name === 'back' });
    expect(await ended(fixture, 'lead', 'other')).toMatchObject({ output: 'reached' });
  });
});

test('agents stand above one another five deep at the most', async () => {
  const names = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7'];
  const functions = Object.fromEntries(
    names.map((name, index) => [
      name,
      async (invocation: Invocation) =>
        invocation.delegate?.agents.length === 0
          ? 'calls nobody'
          : (await call(invocation, names[index + 1] ?? '')).output,
    ]),
  );
  const fields = Object.fromEntries(
    names.map((name, index) => [name, { invokes: names.slice(index + 1, index + 2), retries: 0 }]),
  );
  await withAgents(functions, fields, async (fixture) => {
    const run = await ended(fixture, 'a1');
    expect(run).toMatchObject({ status: 'completed', output: 'calls nobody' });
    expect((await fixture.part.runs.calls(run.id)).map(({ agent }) => agent)).toEqual([
      'a2',
      'a3',
      'a4',
      'a5',
      'a6',
    ]);
  });
});

test('a budget is inherited: what those below use is the caller’s use, and no more than it has', async () => {
  const allowed: unknown[] = [];
  const functions = {
    lead: async (invocation: Invocation) => {
      await call(invocation, 'tool', 1);
      await call(invocation, 'tool', 2);
      return new Used((await call(invocation, 'tool', 3)).output, { tokens: 10 });
    },
    tool: ({ budget }: Invocation) => {
      allowed.push(budget?.tokens);
      return new Used('done', { tokens: 400 });
    },
  };
  const fields = {
    lead: { invokes: ['tool'], budget: { tokens: 1_000 }, retries: 0 },
    tool: { budget: { tokens: 500 }, retries: 0 },
  };
  await withAgents(functions, fields, async (fixture) => {
    const run = await ended(fixture, 'lead');
    expect(allowed).toEqual([500, 500, 200]);
    // The third was told 200 and took 400: what was used is what is counted.
    expect(run).toMatchObject({ status: 'completed', spent: { tokens: 1_210 } });
  });
  const spendthrift = { ...fields, lead: { ...fields.lead, budget: { tokens: 800 } } };
  await withAgents(functions, spendthrift, async (fixture) => {
    const run = await ended(fixture, 'lead');
    expect(run).toMatchObject({ status: 'failed', spent: { tokens: 800 } });
    expect(run.error).toMatchObject({ code: 'budget_exceeded' });
  });
});

test('a repeated attempt finds what was answered before, and counts it once', async () => {
  const seen: unknown[] = [];
  let attempts = 0;
  const functions = {
    lead: async (invocation: Invocation) => {
      const { output } = await call(invocation, 'tool', 'same');
      attempts += 1;
      if (attempts === 1) throw new AppError('agent_failed', 'afterwards', { retryable: true });
      return output;
    },
    tool: ({ input }: Invocation) => {
      seen.push(input);
      return new Used('done', { tokens: 100 });
    },
  };
  await withAgents(functions, { lead: { invokes: ['tool'] } }, async (fixture) => {
    const run = await ended(fixture, 'lead');
    expect(run).toMatchObject({ status: 'completed', output: 'done', spent: { tokens: 100 } });
    expect(seen).toEqual(['same']);
    expect(await fixture.part.runs.calls(run.id)).toHaveLength(1);
  });
});

test('an agent that is asked the same again works again', async () => {
  let count = 0;
  const functions = {
    lead: async (invocation: Invocation) => {
      const first = await call(invocation, 'tool', 'same');
      return [first.output, (await call(invocation, 'tool', 'same')).output];
    },
    tool: () => (count += 1),
  };
  await withAgents(functions, { lead: { invokes: ['tool'] } }, async (fixture) => {
    expect(await ended(fixture, 'lead')).toMatchObject({ output: [1, 2] });
  });
});

test('a failure below is a failure of the call, with its reason', async () => {
  const functions = {
    lead: async (invocation: Invocation) => (await call(invocation, 'tool')).output,
    tool: () => {
      throw new AppError('agent_failed', 'no disk left', { retryable: false });
    },
  };
  await withAgents(functions, { lead: { invokes: ['tool'], retries: 0 } }, async (fixture) => {
    const run = await ended(fixture, 'lead');
    expect(run.error?.message).toMatch(/tool, called in run .* failed: .*no disk left/);
  });
});

test('cancelling a run cancels what its agents asked for', async () => {
  const stopped: string[] = [];
  const functions = {
    lead: async (invocation: Invocation) => (await call(invocation, 'tool')).output,
    tool: ({ signal }: Invocation) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          stopped.push('tool');
          reject(signal.reason as Error);
        });
      }),
  };
  await withAgents(functions, { lead: { invokes: ['tool'] } }, async (fixture) => {
    const { runs } = fixture.part;
    const { id } = await runs.startAgent({ name: 'lead', input: 1 });
    await until(async () => (await runs.calls(id))[0]?.status === 'running');
    await runs.cancel(id, { reason: 'enough' });
    expect(await runs.wait(id)).toMatchObject({ status: 'cancelled' });
    const [below] = await runs.calls(id);
    expect(await runs.wait(below?.id ?? '')).toMatchObject({ status: 'cancelled' });
    expect(stopped).toEqual(['tool']);
  });
});

test('what a call has used counts when its caller leaves it before its end', async () => {
  const refusals: unknown[] = [];
  const functions = {
    lead: async ({ delegate }: Invocation) => {
      for (let nth = 1; nth <= 4; nth += 1) {
        began = false;
        const leaving = new AbortController();
        const leave = async () => {
          await until(() => began);
          leaving.abort(new AppError('cancelled', 'left'));
        };
        await Promise.all([
          leave(),
          delegate?.call({ agent: 'tool', input: nth, signal: leaving.signal }),
        ]).catch((error: AppError) => {
          refusals.push(error.code);
          began = true;
        });
      }
      return 'done';
    },
    tool: ({ signal }: Invocation) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () =>
          reject(
            new AgentFailure(new AppError('cancelled', 'ended'), {
              usage: { wallMs: 1, tokens: 400 },
            }),
          ),
        );
        began = true;
      }),
  };
  let began = false;
  const fields = { lead: { invokes: ['tool'], budget: { tokens: 800 } } };
  await withAgents(functions, fields, async (fixture) => {
    const run = await ended(fixture, 'lead');
    expect(run).toMatchObject({ status: 'completed', spent: { tokens: 800 } });
    expect(refusals).toEqual(['cancelled', 'cancelled', 'budget_exceeded', 'budget_exceeded']);
  });
});

test('what an attempt that was put off had asked for is counted once, whatever the next one asks', async () => {
  const tries: number[] = [];
  const functions = {
    lead: async (invocation: Invocation) => {
      tries.push(tries.length + 1);
      const nth = tries.length;
      if (nth === 1) {
        await call(invocation, 'tool', 'forgotten');
        await call(invocation, 'tool', 'fails').catch(() => undefined);
        throw new AppError('agent_busy', 'later', { details: { retryAfterMs: 10 } });
      }
      if (nth === 2) {
        await call(invocation, 'tool', 'fails').catch(() => undefined);
        throw new AppError('agent_failed', 'again', { retryable: true });
      }
      return (await call(invocation, 'tool', 'forgotten')).output;
    },
    tool: ({ input }: Invocation) => {
      if (input !== 'fails') return new Used('done', { tokens: 100 });
      const error = new AppError('agent_failed', 'no', { retryable: false });
      throw new AgentFailure(error, { usage: { wallMs: 1, tokens: 10 } });
    },
  };
  await withAgents(functions, { lead: { invokes: ['tool'] } }, async (fixture) => {
    const run = await ended(fixture, 'lead');
    expect(tries).toEqual([1, 2, 3]);
    // 100, then 10 for each of the two that failed.
    expect(run).toMatchObject({ status: 'completed', output: 'done', spent: { tokens: 120 } });
  });
});

test('a call that nobody waits for ends with its caller', async () => {
  const functions = {
    lead: async (invocation: Invocation) => {
      void call(invocation, 'tool').catch(() => undefined);
      await until(async () => began);
      return 'left';
    },
    tool: ({ signal }: Invocation) =>
      new Promise((_resolve, reject) => {
        began = true;
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      }),
  };
  let began = false;
  await withAgents(functions, { lead: { invokes: ['tool'] } }, async (fixture) => {
    const run = await ended(fixture, 'lead');
    expect(run).toMatchObject({ status: 'completed', output: 'left' });
    const [below] = await fixture.part.runs.calls(run.id);
    expect(await fixture.part.runs.wait(below?.id ?? '')).toMatchObject({ status: 'cancelled' });
  });
});

test('a fork calls whom whoever forks may call, and spends no more than the run could', async () => {
  const functions = {
    lead: async (invocation: Invocation) => (await call(invocation, 'tool')).output,
    tool: ({ budget }: Invocation) => budget?.tokens ?? 'unlimited',
  };
  const fields = { lead: { invokes: ['tool'], retries: 0 } };
  await withAgents(functions, fields, async (fixture) => {
    const { runs } = fixture.part;
    const limits = { mayCall: () => false, allowance: { tokens: 70 } };
    const first = await ended(fixture, 'lead', 1, limits);
    expect(first.error?.message).toMatch(/ada may not call it/);
    const inherits = await runs.fork(first.id, { from: 'lead', by: 'ada' });
    expect((await runs.wait(inherits.id)).error?.message).toMatch(/ada may not call it/);
    const other = await runs.fork(first.id, { from: 'lead', by: 'eve', mayCall: () => false });
    expect((await runs.wait(other.id)).error?.message).toMatch(/eve may not call it/);
    const may = await runs.fork(first.id, { from: 'lead', by: 'bob', mayCall: () => true });
    expect(await runs.wait(may.id)).toMatchObject({ status: 'completed', output: 70 });
  });
});
