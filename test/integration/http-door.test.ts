/** One list of what a call means, held against an agent called directly and through the HTTP door. */
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAgent, type AgentDefinition, type Invocation } from '../../src/agents/agents.ts';
import { AppError, newId, systemClock } from '../../src/base/base.ts';
import { createHttpDoor } from '../../src/client/client.ts';
import type { Door, DoorAnswer } from '../../src/coordination/coordination.ts';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';
import { until } from '../support/databases.ts';
import { openFixture, openStore } from '../support/coordination.ts';
import { release } from '../support/fleet.ts';
import { doorTo } from '../support/in-process-doors.ts';

let bridge: TestBridge;
let http: Door;
const doors: Record<string, Door> = {};

beforeAll(async () => {
  bridge = await openTestBridge({ graceMs: 0 });
  http = createHttpDoor({
    bridge: () => ({ url: bridge.url, token: testToken }),
    clock: systemClock,
  });
  doors['directly'] = doorTo('wire', bridge.registry);
  doors['through the HTTP door'] = http;
});
afterAll(() => bridge.end());

/** An agent that is one line of a shell, pinned as a run would pin it. */
async function shell(line: string, more = '', verify = ''): Promise<AgentDefinition> {
  const name = `shell-${newId()}`;
  const text = `---\nname: ${name}\ndescription: runs a line\ncenturia:\n  runtime: {kind: command, program: sh, arguments: [-c, ${JSON.stringify(line)}], stdin: json, stdout: json${more}}\n${verify}---\n`;
  const { definition, problems } = parseAgent(text, `${name}.md`);
  if (definition === undefined) throw new Error(JSON.stringify(problems));
  await bridge.registry.pin([definition]);
  return definition;
}

function call(agent: AgentDefinition, fields: Partial<Invocation> = {}): Invocation {
  return {
    agent,
    input: { n: 1 },
    attemptId: newId(),
    idempotencyKey: 'run/task',
    attempt: 1,
    timeoutMs: 20_000,
    signal: new AbortController().signal,
    ...fields,
  };
}

function failureOf(answer: DoorAnswer): Extract<DoorAnswer, { error: AppError }> {
  if ('error' in answer) return answer;
  throw new Error(`it answered ${JSON.stringify(answer.result)}`);
}

describe.each(['directly', 'through the HTTP door'])('%s', (way) => {
  const through = (invocation: Invocation): Promise<DoorAnswer> => {
    const door = doors[way];
    if (door === undefined) throw new Error('no door');
    return door.call(invocation);
  };

  test('an agent gets what a call carries, and its result, progress and usage come back', async () => {
    const agent = await shell(
      `echo one >&2; echo two >&2; printf '{"key":"%s","id":"%s","in":' "$CENTURIA_ATTEMPT_KEY" "$CENTURIA_ATTEMPT_ID"; cat; echo }`,
    );
    const lines: string[] = [];
    const invocation = call(agent, {
      input: { text: 'ä\u2028"\n', list: [1, null, { deep: true }] },
      onProgress: (text) => lines.push(text),
    });
    expect(await through(invocation)).toMatchObject({
      result: {
        output: { key: 'run/task', id: invocation.attemptId, in: invocation.input },
        usage: { wallMs: expect.any(Number), outputBytes: expect.any(Number) },
      },
    });
    expect(lines).toEqual(['one', 'two']);
  });

  test('a failure keeps its code, whether it may pass, its details and what was used', async () => {
    const answer = failureOf(await through(call(await shell('echo broken >&2; exit 3'))));
    expect(answer).toMatchObject({
      began: true,
      error: { code: 'agent_failed', retryable: true, details: { exit: 3 } },
    });
    expect(answer.error.message).toContain('broken');
    const invalid = await shell('echo 4', '', '  verify: {schema: {type: string}}\n');
    expect(failureOf(await through(call(invalid))).error.code).toBe('agent_output_invalid');
    const slow = await shell('sleep 60');
    const late = failureOf(await through(call(slow, { timeoutMs: 300 })));
    expect(late.error).toMatchObject({ code: 'timeout', retryable: true });
  });

  test('an input that the agent does not take is refused', async () => {
    const picky = await shell('cat', '', '  input: {type: object, required: [x]}\n');
    expect(failureOf(await through(call(picky))).error).toMatchObject({
      code: 'invalid_input',
      retryable: false,
    });
  });

  test('three megabytes come through as they are, both ways', async () => {
    const input = { text: 'ab\u00e4\n'.repeat(500_000) };
    const answer = await through(call(await shell('cat'), { input }));
    expect('result' in answer && (answer.result.output as typeof input).text === input.text).toBe(
      true,
    );
  });

  test('when a call is cancelled its agent has ended before the answer', async () => {
    const leaving = new AbortController();
    const trace = join(bridge.home, `trace-${newId()}`);
    // The trap and what it ends stand before the test is told: a signal in between would meet neither.
    const agent = await shell(
      `trap 'echo ended > ${trace}; kill $!; exit 1' TERM; sleep 60 & echo up >&2; wait`,
    );
    const answer = await through(
      call(agent, {
        signal: leaving.signal,
        onProgress: () => leaving.abort(new AppError('cancelled', 'enough')),
      }),
    );
    expect(failureOf(answer)).toMatchObject({
      error: { code: 'cancelled' },
      facts: { usage: { wallMs: expect.any(Number) } },
    });
    expect(await readFile(trace, 'utf8')).toBe('ended\n');
  });
});

test('an attempt that is under way is not begun again, and nobody else stops it', async () => {
  const agent = bridge.registry.get('gate');
  if (agent === undefined) throw new Error('no agent gate');
  const first = call(agent, { input: { name: 'twice' } });
  const running = http.call(first);
  const status = async (): Promise<number> =>
    (await bridge.client.systemStatus()).bridge.invocations;
  await until(async () => (await status()) === 1);
  expect(failureOf(await http.call(first))).toMatchObject({
    began: false,
    error: { code: 'conflict' },
  });
  const key = await strangersKey();
  const stopped = await fetch(`${bridge.url}/api/v1/attempts/${first.attemptId}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${key}` },
  });
  expect(stopped.status).toBe(404);
  await release(bridge.home, 'twice');
  expect(await running).toMatchObject({ result: { output: { released: 'twice' } } });
  expect(await status()).toBe(0);
});

async function strangersKey(): Promise<string> {
  const owner = await bridge.identity.callers.owner();
  await bridge.identity.principals.create({ username: 'stranger', roles: ['agent'] }, owner);
  const { key } = await bridge.client.createApiKeyFor('stranger', { name: 'test' });
  return key;
}

test('a definition that is not known, or bears another name, is refused before anything begins', async () => {
  const agent = await shell('cat');
  const unknown = { ...agent, hash: 'f'.repeat(64) };
  for (const wrong of [unknown, { ...agent, name: 'echo' }]) {
    expect(failureOf(await http.call(call(wrong)))).toMatchObject({
      began: false,
      error: { code: 'agent_not_found' },
    });
  }
});

test('without a bridge the door is closed, as it is to agents that call others', async () => {
  const agent = await shell('cat');
  const nowhere = createHttpDoor({ bridge: () => undefined, clock: systemClock });
  expect(nowhere.closed(call(agent))).toBe('no bridge runs in this process');
  expect(http.closed(call(agent))).toBeUndefined();
  const delegate = { agents: [], call: () => Promise.reject(new Error('nobody calls')) };
  expect(http.closed(call(agent, { delegate }))).toContain('calls other agents');
});

test('a bridge that is gone or has no place was not reached; one that answers nonsense may have begun', async () => {
  const agent = await shell('cat');
  let answer = { status: 200, body: '', headers: {} as Record<string, string> };
  const peer: Server = createServer((_request, response) => {
    response.writeHead(answer.status, { ...answer.headers, connection: 'close' }).end(answer.body);
  });
  await once(peer.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(peer.address() as AddressInfo).port}`;
  const door = createHttpDoor({ bridge: () => ({ url, token: 'x' }), clock: systemClock });
  const failed = async () => failureOf(await door.call(call(agent)));
  const problem = { code: 'limit_exceeded', detail: '32 calls are under way', retryable: true };
  answer = { status: 429, body: JSON.stringify(problem), headers: { 'retry-after': '3' } };
  expect(await failed()).toMatchObject({
    began: false,
    error: { code: 'agent_busy', details: { retryAfterMs: 3_000 } },
  });
  for (const body of ['', '{"progress":"x"}\n', 'no json\n', '{"result":']) {
    answer = { status: 200, body, headers: {} };
    expect(await failed()).toMatchObject({
      began: true,
      error: { code: 'unavailable', retryable: true },
    });
  }
  const made = { problem: { code: 'made_up', message: 'x', retryable: true } };
  answer = { status: 200, body: `\n${JSON.stringify(made)}\n`, headers: {} };
  expect((await failed()).error).toMatchObject({ code: 'agent_failed', message: 'x' });
  peer.closeAllConnections();
  peer.close();
  await once(peer, 'close');
  expect(await failed()).toMatchObject({
    began: false,
    error: { code: 'unavailable', retryable: true },
  });
});

test('a run whose bridge goes in the middle tries again, and says through which door it went', async () => {
  const store = await openStore('embedded');
  const marker = join(store.home, 'marker');
  const agent = await shell(
    `echo up >&2; test -e ${marker} && cat || { touch ${marker}.up; sleep 60; }`,
  );
  const known = {
    ...bridge.registry,
    get: () => agent,
    list: () => [agent],
    byHash: async () => agent,
  };
  const place = { url: bridge.url, token: testToken };
  const fixture = await openFixture(
    store,
    {
      doored: `mode: parallel\ntasks:\n  a: { agent: ${agent.name}, tandem: standard, retries: 2, input: { n: 1 } }\n`,
      speedy: `mode: parallel\ntasks:\n  a: { agent: ${agent.name}, tandem: speed, retries: 2 }\n`,
    },
    known,
    { doors: [createHttpDoor({ bridge: () => place, clock: systemClock })] },
  );
  const { id } = await fixture.part.runs.start({ workflow: 'doored', input: {} });
  await until(() => existsSync(`${marker}.up`));
  await writeFile(marker, '');
  await bridge.close();
  // The second attempt finds nobody, or the bridge that is there again.
  await bridge.restart();
  const run = await fixture.part.runs.wait(id);
  expect(run.status).toBe('completed');
  const ends = (await fixture.events(id)).flatMap(({ body }) =>
    body.type === 'attempt.failed' || body.type === 'attempt.succeeded' ? [body] : [],
  );
  expect(ends[0]).toMatchObject({
    type: 'attempt.failed',
    error: { code: 'unavailable', retryable: true },
    via: [{ door: 'http', outcome: 'failed', code: 'unavailable' }],
  });
  expect(ends.at(-1)).toMatchObject({
    type: 'attempt.succeeded',
    output: { n: 1 },
    via: [{ door: 'http', outcome: 'taken' }],
  });
  const speedy = await fixture.run('speedy');
  expect(speedy.error?.message).toContain('the wire is not in this version');
  await fixture.part.stop(0);
  await store.close();
});
