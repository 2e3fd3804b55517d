import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { Role, type Part } from '@a2a-js/sdk';
import { AgentEvent, type AgentExecutor } from '@a2a-js/sdk/server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRegistry, type AgentRegistry } from '../../src/agents/agents.ts';
import { systemClock } from '../../src/base/base.ts';
import { startA2aPeer, type A2aPeer } from '../support/a2a-peer.ts';
import { openFixture, openStore, type Fixture, type TestStore } from '../support/coordination.ts';
import { silentLog } from '../support/databases.ts';
import { serveEverything } from '../support/mcp-everything.ts';
import { servePeer, type McpPeer } from '../support/mcp.ts';
import { startModelProvider, type ModelProvider } from '../support/model-provider.ts';

const key = 'sk-test-five-kinds';
let store: TestStore;
let fixture: Fixture;
let registry: AgentRegistry;
let provider: ModelProvider;
let remote: A2aPeer;
let everything: McpPeer;
let squares: McpPeer;

beforeAll(async () => {
  [store, provider, remote, everything, squares] = await Promise.all([
    openStore('embedded'),
    startModelProvider(key),
    startA2aPeer({ executor: reviewer, streaming: true }),
    serveEverything(),
    servePeer(async (request, response) => {
      const { n } = (await json(request)) as { n: number };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ square: n * n }));
    }),
  ]);
  const folder = join(store.home, 'agents');
  await mkdir(folder);
  for (const [name, centuria] of Object.entries(fleet())) {
    const front = { name, description: `The ${name} of the tests.`, centuria };
    await writeFile(join(folder, `${name}.md`), `---\n${JSON.stringify(front)}\n---\nWork.\n`);
  }
  registry = await openRegistry({
    folders: [{ path: folder, shipped: false }],
    database: store.database,
    packageRoot: store.home,
    log: silentLog,
    clock: systemClock,
    watch: false,
    environment: { PATH: process.env['PATH'], OPENAI_API_KEY: key },
    models: { provider: 'openai-compatible', model: 'local-1', baseUrl: provider.url },
  });
  fixture = await openFixture(store, { 'five-kinds': workflow }, registry);
});
afterAll(async () => {
  await fixture.part.stop(0);
  await registry.close();
  await Promise.all([provider.close(), remote.close(), everything.close(), squares.close()]);
  await store.close();
});

const fleet = () => ({
  counter: {
    runtime: { kind: 'command', program: 'wc', arguments: ['-w'], stdin: 'text' },
    verify: { pattern: '^\\s*\\d+\\s*$' },
  },
  squarer: {
    runtime: { kind: 'http', url: squares.url, body: { n: '${input.words}' }, select: '/square' },
  },
  adder: {
    runtime: {
      kind: 'mcp',
      server: { url: everything.url },
      tool: 'get-sum',
      arguments: { a: '${input.square}', b: 1 },
    },
  },
  reviewer: { runtime: { kind: 'a2a', url: remote.url } },
  writer: {
    runtime: { kind: 'model', price: { inputUsdPerMTok: 3, outputUsdPerMTok: 15 } },
    invokes: ['counter'],
    verify: {
      schema: {
        type: 'object',
        properties: { title: { type: 'string' }, words: { type: 'integer' } },
        required: ['title', 'words'],
      },
    },
  },
});

/** Each task works on what the one before has given. */
const workflow = `
description: One task of each kind.
mode: sequential
inputs:
  text: { type: string, description: What is counted, required: true }
tasks:
  count: { agent: counter, input: '\${inputs.text}' }
  square: { agent: squarer, needs: [count], input: { words: '\${tasks.count.output}' } }
  add: { agent: adder, needs: [square], input: { square: '\${tasks.square.output}' } }
  review: { agent: reviewer, needs: [add], input: { claim: '\${tasks.add.output}' } }
  write:
    agent: writer
    needs: [review]
    input: { task: Write the report., review: '\${tasks.review.output}' }
output: { report: '\${tasks.write.output}', review: '\${tasks.review.output}' }
`;

/** A remote agent that says of a claim how long it is. */
const reviewer: AgentExecutor = {
  async execute({ userMessage, contextId }, bus) {
    const [content] = userMessage.parts.map((part) => part.content);
    const { claim } = (content?.$case === 'data' ? content.value : {}) as { claim?: string };
    const value = { claim, length: claim?.length };
    const part: Part = {
      content: { $case: 'data', value },
      metadata: undefined,
      filename: '',
      mediaType: '',
    };
    bus.publish(
      AgentEvent.message({
        messageId: randomUUID(),
        contextId,
        taskId: '',
        role: Role.ROLE_AGENT,
        parts: [part],
        metadata: undefined,
        extensions: [],
        referenceTaskIds: [],
      }),
    );
  },
  async cancelTask() {},
};

test('a workflow goes through five kinds of runtimes, and one of its agents calls another', async () => {
  const report = { title: 'Counted and confirmed', words: 3 };
  provider.script(
    {
      acts: [{ call: 'agent_counter', input: { input: 'all is well' } }],
      usage: { input: 1_000, output: 40 },
    },
    { acts: [{ text: JSON.stringify(report) }], usage: { input: 1_200, output: 60 } },
  );
  const run = await fixture.run('five-kinds', { text: 'arma virumque cano Troiae' });

  const review = { claim: 'The sum of 16 and 1 is 17.', length: 26 };
  expect(run).toMatchObject({ status: 'completed', output: { report, review } });
  const outputs = run.taskList.map(({ id, output }) => [id, output]);
  expect(outputs.slice(0, 3)).toEqual([
    ['count', '4\n'],
    ['square', 16],
    ['add', 'The sum of 16 and 1 is 17.'],
  ]);
  // The model was told what the remote agent said, and what the agent that it called has counted.
  const [first, second] = provider.requests;
  expect(first?.text).toContain('The sum of 16 and 1 is 17.');
  expect(JSON.stringify(second?.body['messages'])).toMatch(/"role":"tool"[^}]*3/);

  await usageIsCounted(run.id);
  await eventsTellIt(run.id);
});

async function usageIsCounted(id: string): Promise<void> {
  const { spent, taskList } = await fixture.part.runs.get(id);
  const [tokens, microUsd] = [2_300, 2_200 * 3 + 100 * 15];
  expect(spent).toMatchObject({ tokens, microUsd });
  expect(taskList.find((task) => task.id === 'write')?.usage).toMatchObject({ tokens, microUsd });
  for (const task of taskList) {
    expect(task.usage?.wallMs).toBeGreaterThanOrEqual(0);
    if (task.id !== 'write') expect(task.usage).not.toHaveProperty('microUsd');
  }
  const [called, ...others] = await fixture.part.runs.calls(id);
  expect(others).toEqual([]);
  expect(called).toMatchObject({
    agent: 'counter',
    depth: 1,
    status: 'completed',
    parent: { runId: id, task: 'write' },
  });
  expect(await fixture.part.runs.get(called?.id ?? '')).toMatchObject({ output: '3\n' });
}

async function eventsTellIt(id: string): Promise<void> {
  const events = (await fixture.events(id)).map(({ body }) => body);
  const succeeded = events.flatMap((body) =>
    body.type === 'attempt.succeeded' ? [body.task] : [],
  );
  expect(succeeded).toEqual(['count', 'square', 'add', 'review', 'write']);
  const told = events.flatMap((body) =>
    body.type === 'attempt.progress' && body.task === 'write' ? [body.text] : [],
  );
  expect(told).toContain('turn 1: 1040 tokens so far');
  expect(events.map(({ type }) => type)).not.toContain('attempt.failed');
  expect(events.at(-1)?.type).toBe('run.completed');
  expect(JSON.stringify(events)).not.toContain(key);
}
