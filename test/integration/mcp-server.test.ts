import { join } from 'node:path';
import { expect, test, afterAll, beforeAll } from 'vitest';
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { writeAskingWorkflows } from '../support/asking-workflows.ts';
import { testToken } from '../support/bridge.ts';
import { openOAuthBridge, type OAuthBridge } from '../support/oauth.ts';
import { cleanEnvironment, startProgram } from '../support/cli.ts';
import { release } from '../support/fleet.ts';
import {
  messagesOf,
  send,
  tasksExtension,
  withTasks,
  withTasksAndForms,
} from '../support/mcp-messages.ts';
import { modernClient, oldClient } from '../support/mcp-clients.ts';
import { until } from '../support/databases.ts';

let bridge: OAuthBridge;
let guest: string;
let agent: string;
beforeAll(async () => {
  bridge = await openOAuthBridge();
  await writeAskingWorkflows(bridge.home);
  guest = (await bridge.principal('visitor', 'user', ['guest'])).key;
  agent = (await bridge.principal('worker', 'user', ['agent'])).key;
});
afterAll(() => bridge.end());

interface RunResult {
  readonly id: string;
  readonly status: string;
  readonly output?: unknown;
}
const runOf = (result: object) => (result as { structuredContent: RunResult }).structuredContent;

test('the official client of 2026-07-28 finds the tools, starts a run and gets its output', async () => {
  const client = await modernClient(bridge, testToken);
  expect(client.getServerCapabilities()).toMatchObject({
    tools: {},
    resources: { subscribe: true },
    extensions: { [tasksExtension]: {} },
  });
  const { tools } = await client.listTools();
  expect(tools.length).toBeGreaterThan(24);
  const seen: string[] = [];
  const result = await client.callTool(
    { name: 'run_start', arguments: { workflow: 'hello', input: { who: 'you' } } },
    { onprogress: ({ message = '' }) => void seen.push(message) },
  );
  expect(runOf(result)).toMatchObject({ status: 'completed', output: { greeting: 'hello you' } });
  expect(seen).toContain('first: attempt 1');
  expect(seen).toContain('second: done');
  await client.close();
});

test('the official client of 2025-11-25 gets the same', async () => {
  const client = await oldClient(bridge, testToken);
  expect((await client.listTools()).tools.map(({ name }) => name)).toContain('agent_run');
  const result = await client.callTool({
    name: 'agent_run',
    arguments: { agent: 'echo', input: 7 },
  });
  expect(runOf(result)).toMatchObject({ status: 'completed', output: 7 });
  expect((await client.listResourceTemplates()).resourceTemplates).toHaveLength(4);
  expect(
    (await client.getPrompt({ name: 'choose-agent', arguments: { task: 'x' } })).messages,
  ).toHaveLength(1);
  await client.close();
});

test('an answer is the JSON of the route, and a refusal is a result that a model can mend', async () => {
  const agents = await bridge.fetch('/api/v1/agents');
  const listed = await send(bridge, 'tools/call', { name: 'agents_list' });
  expect(listed.message.result?.['structuredContent']).toEqual(await agents.json());
  expect(listed.message.result?.['resultType']).toBe('complete');

  const wrong = await send(bridge, 'tools/call', {
    name: 'run_start',
    arguments: { workflow: 'hllo' },
  });
  expect(wrong.message.result).toMatchObject({
    isError: true,
    content: [{ text: 'workflow_not_found: there is no workflow hllo\nDid you mean hello?' }],
    structuredContent: { error: { code: 'workflow_not_found', retryable: false } },
  });
  for (const [given, text] of [
    [{ ide: 'x' }, 'the argument ide is not known here\nDid you mean id?'],
    [{}, 'the argument id is needed'],
    [{ id: '..' }, 'path id must be the name of something'],
    [{ id: 'a/b' }, 'there is no run "a/b"'],
  ] as const) {
    const { message } = await send(bridge, 'tools/call', { name: 'run_get', arguments: given });
    expect(message.result).toMatchObject({ isError: true });
    expect(JSON.stringify(message.result?.['content'])).toContain(
      JSON.stringify(text).slice(1, -1),
    );
  }
});

test('a tool that the caller may not use is not there', async () => {
  const client = await modernClient(bridge, guest);
  const names = (await client.listTools()).tools.map(({ name }) => name);
  expect(names).toContain('runs_list');
  expect(names).not.toContain('run_start');
  await client.close();
  const [hidden, unknown] = await Promise.all(
    ['run_start', 'rm_rf'].map((name) => send(bridge, 'tools/call', { name }, { token: guest })),
  );
  expect(hidden?.message.error).toEqual({ code: -32602, message: 'there is no tool run_start' });
  expect(unknown?.message.error).toEqual({ code: -32602, message: 'there is no tool rm_rf' });
  expect(hidden?.status).toBe(unknown?.status);
});

test('a run that goes on after the wait says what to call next, and one that asks says what', async () => {
  const started = await send(bridge, 'tools/call', {
    name: 'run_start',
    arguments: { workflow: 'gated', input: { name: 'patience' }, waitSeconds: 0 },
  });
  const run = runOf(started.message.result ?? {});
  expect(JSON.stringify(started.message.result?.['content'])).toContain('Call run_wait');
  await release(bridge.home, 'patience');
  const waited = await send(bridge, 'tools/call', { name: 'run_wait', arguments: { id: run.id } });
  expect(runOf(waited.message.result ?? {})).toMatchObject({ id: run.id, status: 'completed' });

  const asking = await send(bridge, 'tools/call', {
    name: 'run_start',
    arguments: { workflow: 'asking', waitSeconds: 100 },
  });
  expect(JSON.stringify(asking.message.result?.['content'])).toContain('Publish it?');
  const { id } = runOf(asking.message.result ?? {});
  const answered = await send(bridge, 'tools/call', {
    name: 'run_answer',
    arguments: { id, decision: 'approve' },
  });
  expect(answered.message.result).not.toHaveProperty('isError');
  expect(await bridge.client.waitForRun(id)).toMatchObject({ status: 'completed' });
});

test('a run that failed is a result that says so', async () => {
  const { message } = await send(bridge, 'tools/call', {
    name: 'run_start',
    arguments: { workflow: 'failing' },
  });
  expect(message.result).toMatchObject({
    isError: true,
    structuredContent: { status: 'failed', error: { code: 'agent_failed' } },
  });
});

test('a client with Tasks gets a handle, and the result in another session', async () => {
  const created = await send(
    bridge,
    'tools/call',
    { name: 'agent_run', arguments: { agent: 'gate', input: { name: 'task' } } },
    { ...withTasks, token: agent },
  );
  expect(created.message.result).toMatchObject({
    resultType: 'task',
    status: 'working',
    ttlMs: null,
    pollIntervalMs: 1_000,
  });
  expect(created.message.result).not.toHaveProperty('content');
  const taskId = String(created.message.result?.['taskId']);
  const get = () => send(bridge, 'tasks/get', { taskId }, { ...withTasks, token: agent });
  expect((await get()).message.result).toMatchObject({ resultType: 'complete', status: 'working' });
  await release(bridge.home, 'task');
  await bridge.client.waitForRun(taskId);
  expect((await get()).message.result).toMatchObject({
    status: 'completed',
    result: { structuredContent: { id: taskId, status: 'completed' } },
  });
});

test('a task of somebody else is none, for the owner of the server too', async () => {
  const created = await send(
    bridge,
    'tools/call',
    { name: 'agent_run', arguments: { agent: 'echo', input: 1 } },
    { ...withTasks, token: agent },
  );
  const taskId = String(created.message.result?.['taskId']);
  for (const method of ['tasks/get', 'tasks/cancel', 'tasks/update']) {
    const params = { taskId, ...(method === 'tasks/update' ? { inputResponses: {} } : {}) };
    const stolen = await send(bridge, method, params, withTasks);
    const unknown = await send(bridge, method, { ...params, taskId: 'nothing' }, withTasks);
    expect(stolen.message.error).toEqual({ code: -32602, message: `there is no task ${taskId}` });
    expect(unknown.message.error?.code).toBe(-32602);
    expect(stolen.status).toBe(unknown.status);
    const undeclared = await send(bridge, method, params, { token: agent });
    expect(undeclared.message.error).toMatchObject({
      code: -32021,
      data: { requiredCapabilities: { extensions: { [tasksExtension]: {} } } },
    });
  }
});

test('what a run asks is answered through its task, and other keys are passed over', async () => {
  const created = await send(
    bridge,
    'tools/call',
    { name: 'run_start', arguments: { workflow: 'asking', input: { what: 'the book' } } },
    withTasksAndForms,
  );
  const taskId = String(created.message.result?.['taskId']);
  const get = async (options = withTasksAndForms) =>
    (await send(bridge, 'tasks/get', { taskId }, options)).message.result ?? {};
  await until(async () => (await get())['status'] === 'input_required');
  const { inputRequests } = (await get()) as { inputRequests: Record<string, object> };
  expect(inputRequests).toEqual({
    ok: {
      method: 'elicitation/create',
      params: expect.objectContaining({ mode: 'form', message: 'Publish the book?' }),
    },
  });
  expect(await get(withTasks as typeof withTasksAndForms)).toMatchObject({
    status: 'working',
    statusMessage: expect.stringContaining('run_answer'),
  });
  const update = (inputResponses: object) =>
    send(bridge, 'tasks/update', { taskId, inputResponses }, withTasksAndForms);
  expect((await update({ other: { action: 'accept', content: {} } })).message.result).toMatchObject(
    {
      resultType: 'complete',
    },
  );
  expect((await update({ ok: { action: 'decline' } })).message.error).toBeUndefined();
  expect(await get()).toMatchObject({ status: 'input_required' });
  const wrong = await update({ ok: { action: 'accept', content: { decision: 'maybe' } } });
  expect(wrong.message.error).toMatchObject({ code: -32602, data: { code: 'invalid_input' } });
  await update({ ok: { action: 'accept', content: { decision: 'approve', comment: 'good' } } });
  await bridge.client.waitForRun(taskId);
  expect(await get()).toMatchObject({ status: 'completed' });
});

test('a task is cancelled, and cancelling it again is no mistake', async () => {
  const created = await send(
    bridge,
    'tools/call',
    { name: 'run_start', arguments: { workflow: 'gated', input: { name: 'never' } } },
    withTasks,
  );
  const taskId = String(created.message.result?.['taskId']);
  const cancel = () => send(bridge, 'tasks/cancel', { taskId }, withTasks);
  expect((await cancel()).message.result).toMatchObject({ resultType: 'complete' });
  await bridge.client.waitForRun(taskId);
  expect((await cancel()).message.result).toMatchObject({ resultType: 'complete' });
  const { message } = await send(bridge, 'tasks/get', { taskId }, withTasks);
  expect(message.result).toMatchObject({ taskId, status: 'cancelled' });
});

test('a client is killed while its task runs, and others of the same principal fetch the result', async () => {
  const leaver = startProgram(
    process.execPath,
    [join(import.meta.dirname, '../support/mcp-leaver.ts'), bridge.url, agent, 'later'],
    { env: cleanEnvironment(bridge.home) },
  );
  const [, taskId = ''] = await leaver.until('stdout', /^task (\S+)$/m);
  leaver.child.kill('SIGKILL');
  await leaver.ended;

  const second = await oldClient(bridge, agent);
  expect(await second.experimental.tasks.getTask(taskId)).toMatchObject({ status: 'working' });
  await release(bridge.home, 'later');
  const result = await second.experimental.tasks.getTaskResult(taskId, CallToolResultSchema);
  expect(runOf(result)).toMatchObject({ id: taskId, status: 'completed' });
  expect(await second.experimental.tasks.getTask(taskId)).toMatchObject({ status: 'completed' });
  await second.close();
  const { message } = await send(bridge, 'tasks/get', { taskId }, { ...withTasks, token: agent });
  expect(message.result).toMatchObject({ taskId, status: 'completed', result: { content: [{}] } });
});

test('resources are what the caller may read, and a missing one is not found', async () => {
  const client = await modernClient(bridge, testToken);
  const { resources } = await client.listResources();
  const uris = resources.map(({ uri }) => uri);
  expect(uris).toContain('centuria://agent/echo');
  expect(uris).toContain('centuria://workflow/hello');
  const run = uris.find((uri) => uri.startsWith('centuria://run/')) ?? '';
  for (const uri of ['centuria://agent/echo', 'centuria://workflow/hello', run, `${run}/events`]) {
    const { contents } = await client.readResource({ uri });
    expect(contents).toEqual([expect.objectContaining({ uri, mimeType: 'application/json' })]);
  }
  await client.close();
  for (const uri of ['centuria://agent/nobody', 'centuria://agent/..', 'file:///etc/passwd']) {
    const { message } = await send(bridge, 'resources/read', { uri });
    expect(message.error).toMatchObject({ code: -32602 });
  }
  const bare = (await bridge.principal('nobody', 'user', [])).key;
  const { message } = await send(bridge, 'resources/list', {}, { token: bare });
  expect(message.result?.['resources']).toEqual([]);
});

test('a subscription hears of its run, and of none that the caller may not read', async () => {
  const { id } = await bridge.client.startRun({ workflow: 'gated', input: { name: 'heard' } });
  const uri = `centuria://run/${id}`;
  const notifications = { resourceSubscriptions: [uri, 'centuria://run/nothing', 'file:///x'] };
  const bare = (await bridge.principal('deaf', 'user', [])).key;
  const refused = await send(bridge, 'subscriptions/listen', { notifications }, { token: bare });
  expect(messagesOf(refused.text)[0]?.params?.['notifications']).toEqual({});

  const tasks = { notifications: { taskIds: [id] } };
  expect((await send(bridge, 'subscriptions/listen', tasks)).message.error?.code).toBe(-32021);
  const { text } = await send(bridge, 'subscriptions/listen', tasks, withTasks);
  expect(messagesOf(text)[0]?.params?.['notifications']).toEqual({});

  const client = await modernClient(bridge, testToken);
  const heard: string[] = [];
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => {
    heard.push(params.uri);
  });
  const subscription = await client.listen(notifications);
  await release(bridge.home, 'heard');
  await until(() => heard.length > 0);
  expect(new Set(heard)).toEqual(new Set([uri]));
  await subscription.close();
  await client.close();
});

test('completions are the names that there are', async () => {
  const { message } = await send(bridge, 'completion/complete', {
    ref: { type: 'ref/resource', uri: 'centuria://agent/{name}' },
    argument: { name: 'name', value: 'e' },
  });
  expect(message.result?.['completion']).toMatchObject({ values: ['echo'], hasMore: false });
});
