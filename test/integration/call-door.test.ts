import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseAgent, type AgentDefinition, type Delegate } from '../../src/agents/agents.ts';
import { createCallDoor } from '../../src/agents/call-door.ts';
import { createCommandRuntime } from '../../src/agents/runtimes/command.ts';
import { AppError, newId, systemClock } from '../../src/base/base.ts';
import { attemptDoor, callFromAttempt } from '../../src/client/client.ts';
import { silentLog, until } from '../support/databases.ts';
import { testFolder } from '../support/processes.ts';

const door = createCallDoor(silentLog);
let folder: string;
beforeAll(async () => {
  folder = await testFolder();
});
afterAll(async () => {
  await door.close();
  await rm(folder, { recursive: true, force: true });
});

function agentOf(name: string, own: string): AgentDefinition {
  const text = `---\nname: ${name}\ndescription: does ${name}\ncenturia:\n${own}---\n\nWork.\n`;
  const { definition, problems } = parseAgent(text, `${name}.md`);
  if (definition === undefined) throw new Error(JSON.stringify(problems));
  return definition;
}

const double = agentOf(
  'double',
  '  input: {type: object, properties: {n: {type: number}}, required: [n]}\n',
);
const plain = agentOf('plain', '  category: data\n');

function delegate(call: Delegate['call']): Delegate {
  return { agents: [double, plain], call };
}

const doubling = delegate(async ({ agent, input }) => {
  if (agent === 'double') return { runId: newId(), output: 2 * (input as { n: number }).n };
  if (agent === 'plain') return { runId: newId(), output: { got: input } };
  throw new AppError('delegation_refused', `lead may not call ${agent}`);
});

test('a program that an agent runs calls others by what its environment says', async () => {
  const program = join(folder, 'lead.mjs');
  await writeFile(
    program,
    `const url = process.env.CENTURIA_ATTEMPT_CALLS_URL;
    const headers = { authorization: 'Bearer ' + process.env.CENTURIA_ATTEMPT_CALLS_TOKEN };
    const { agents } = await (await fetch(url + '/agents', { headers })).json();
    const body = JSON.stringify({ input: { n: 21 } });
    const { output } = await (await fetch(url + '/agents/double', { method: 'POST', headers, body })).json();
    console.log(JSON.stringify({ agents: agents.map(({ name }) => name), output }));`,
  );
  const runtime = await createCommandRuntime({
    callDoor: door,
    packageRoot: folder,
    clock: systemClock,
    environment: { PATH: process.env['PATH'] },
  });
  const lead = agentOf(
    'lead',
    `  runtime: {kind: command, program: node, arguments: [${program}], stdout: json}\n`,
  );
  const id = newId();
  const { output } = await runtime.run({
    agent: lead,
    input: {},
    attemptId: id,
    idempotencyKey: id,
    timeoutMs: 20_000,
    signal: new AbortController().signal,
    delegate: doubling,
  });
  expect(output).toEqual({ agents: ['double', 'plain'], output: 42 });
});

test('the client within an attempt gives answers and reasons', async () => {
  const admission = await door.admit(doubling);
  const found = attemptDoor(admission.environment);
  if (found === undefined) throw new Error('no door');
  expect(await callFromAttempt(found, { agent: 'double', input: { n: 2 } })).toMatchObject({
    output: 4,
  });
  await expect(callFromAttempt(found, { agent: 'other', input: 1 })).rejects.toMatchObject({
    code: 'delegation_refused',
    message: 'lead may not call other',
  });
  expect(attemptDoor({})).toBeUndefined();
  admission.end();
  await expect(callFromAttempt(found, { agent: 'double', input: {} })).rejects.toMatchObject({
    code: 'unauthenticated',
  });
});

test('an official client of the Model Context Protocol finds the agents as tools', async () => {
  const admission = await door.admit(doubling);
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(
    new StreamableHTTPClientTransport(new URL(admission.mcpUrl), {
      requestInit: { headers: { authorization: `Bearer ${admission.token}` } },
    }),
  );
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toEqual(['agent_double', 'agent_plain']);
  const answer = await client.callTool({ name: 'agent_double', arguments: { n: 4 } });
  expect(answer).toMatchObject({ structuredContent: { output: 8 } });
  const other = await client.callTool({ name: 'agent_plain', arguments: { input: 'x' } });
  expect(other).toMatchObject({ structuredContent: { output: { got: 'x' } } });
  await client.close();
  admission.end();
});

test('no page of a browser, no wrong token and no other path is answered', async () => {
  const admission = await door.admit(doubling);
  const headers = { authorization: `Bearer ${admission.token}` };
  const status = async (path: string, more: RequestInit = {}) =>
    (await fetch(`${admission.url}${path}`, { headers, ...more })).status;
  expect(await status('/agents')).toBe(200);
  expect(await status('/agents', { headers: { ...headers, origin: 'http://evil.test' } })).toBe(
    401,
  );
  expect(await status('/agents', { headers: {} })).toBe(401);
  expect(await status('/agents', { headers: { authorization: 'Bearer x' } })).toBe(401);
  expect(await status('/')).toBe(404);
  expect(await status('/agents/double/x', { method: 'POST', body: '{}' })).toBe(404);
  for (const body of ['', 'no', '[]', 'null', '{}']) {
    expect(await status('/agents/double', { method: 'POST', body })).toBe(422);
  }
  expect(await status('/agents/%E0%A4%A', { method: 'POST', body: '{}' })).toBe(422);
  const found = attemptDoor(admission.environment);
  if (found === undefined) throw new Error('no door');
  const input = 'x'.repeat(9 * 1_048_576);
  await expect(callFromAttempt(found, { agent: 'plain', input })).rejects.toMatchObject({
    code: 'too_large',
    message: 'a call has 8 MB at the most',
  });
  admission.end();
});

test('a call ends when its caller leaves, when the attempt ends, and one of many at once waits outside', async () => {
  const stopped: string[] = [];
  let began = 0;
  const slow = delegate(
    ({ agent, signal }) =>
      new Promise((_resolve, reject) => {
        began += 1;
        signal?.addEventListener('abort', () => {
          stopped.push(agent);
          reject(signal.reason as Error);
        });
      }),
  );
  const admission = await door.admit(slow);
  const found = attemptDoor(admission.environment);
  if (found === undefined) throw new Error('no door');
  const leaving = new AbortController();
  const call = callFromAttempt(found, { agent: 'plain', input: 1, signal: leaving.signal });
  await until(() => began === 1);
  leaving.abort();
  await expect(call).rejects.toThrow('aborted');
  await until(() => stopped.length === 1);
  const others = Array.from({ length: 16 }, () =>
    callFromAttempt(found, { agent: 'double', input: 1 }).catch((error: AppError) => error.code),
  );
  await until(() => began === 17);
  await expect(callFromAttempt(found, { agent: 'plain', input: 1 })).rejects.toMatchObject({
    code: 'limit_exceeded',
  });
  admission.end();
  expect(new Set(await Promise.all(others))).toEqual(new Set(['cancelled']));
  expect(stopped).toHaveLength(17);
});
