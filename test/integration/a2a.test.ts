import { TaskState, type Task } from '@a2a-js/sdk';
import type { Client } from '@a2a-js/sdk/client';
import { Client as Postgres } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clientAt, inShort, resultOf, saying, signIn, type Saying } from '../support/a2a.ts';
import { writeAskingWorkflows } from '../support/asking-workflows.ts';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';
import { release } from '../support/fleet.ts';
import { postgresUnavailable } from '../support/postgres.ts';

let bridge: TestBridge;
const tokens = new Map<string, string>([['owner', testToken]]);
beforeAll(async () => {
  bridge = await openTestBridge();
  await writeAskingWorkflows(bridge.home);
  for (const [name, role] of [
    ['ada', 'agent'],
    ['bob', 'agent'],
    ['guest-1', 'guest'],
  ] as const) {
    tokens.set(name, await signIn(bridge, name, [role]));
  }
});
afterAll(() => bridge.end());

const tokenOf = (who: string) => tokens.get(who) ?? '';
const agent = (name: string, who = 'ada') =>
  clientAt(bridge, `/a2a/agents/${name}/agent-card.json`, tokenOf(who));
const fleet = (who = 'ada') => clientAt(bridge, '/.well-known/agent-card.json', tokenOf(who));

async function send(client: Client, what: Saying): Promise<Task> {
  const answer = await client.sendMessage(saying(what));
  if (!('status' in answer)) throw new Error('the answer is no task');
  return answer;
}
const get = (client: Client, id: string) => client.getTask({ tenant: '', id });
const refused = (reason: string) => expect.objectContaining({ reason });

test('a message to an agent is a task with its result, its context and what was said', async () => {
  const client = await agent('echo');
  const task = await send(client, {
    data: { a: [1, null] },
    contextId: 'talk-1',
    messageId: 'm-1',
  });
  expect(task.status?.state).toBe(TaskState.TASK_STATE_COMPLETED);
  expect(resultOf(task)).toEqual({ a: [1, null] });
  expect(task).toMatchObject({ contextId: 'talk-1', history: [{ messageId: 'm-1' }] });
  const text = await send(client, { text: 'hello' });
  expect(text.status).toMatchObject({ state: TaskState.TASK_STATE_COMPLETED });
  expect([resultOf(text), text.artifacts[0]?.parts[0]?.mediaType]).toEqual(['hello', 'text/plain']);
  expect(text.contextId).toMatch(/^[0-9a-f-]{36}$/);
  expect(await get(client, task.id)).toEqual(task);
  const run = await bridge.client.run(task.id);
  expect(run).toMatchObject({ workflow: 'agent:echo', startedBy: 'ada', status: 'completed' });
});

test('the same message again is the same task, and another one under its id is refused', async () => {
  const client = await agent('echo');
  const first = await send(client, { data: 1, messageId: 'again' });
  expect(await send(client, { data: 1, messageId: 'again' })).toEqual(first);
  await expect(send(client, { data: 2, messageId: 'again' })).rejects.toMatchObject({
    envelopeCode: -32602,
  });
  // Another principal's ids are his own.
  expect((await send(await agent('echo', 'bob'), { data: 3, messageId: 'again' })).id).not.toBe(
    first.id,
  );
});

test.skipIf(postgresUnavailable !== undefined)(
  'roles that change while a message is taken hide its task from nobody who may see it',
  async () => {
    const client = await agent('echo');
    const owner = await bridge.identity.callers.owner();
    const holder = new Postgres(bridge.place.url);
    await holder.connect();
    await holder.query('begin; lock table run_conversations in exclusive mode');
    const answer = send(client, { data: 7 });
    await expect
      .poll(async () => {
        const waiting = await holder.query(
          `select from pg_locks where relation = 'run_conversations'::regclass and not granted`,
        );
        return waiting.rowCount;
      })
      .toBe(1);
    // A role that has nothing to do with who asks: all rights are read again.
    await bridge.identity.roles.create({ name: 'meanwhile', permissions: [] }, owner);
    await holder.query('commit');
    await holder.end();
    expect(resultOf(await answer)).toBe(7);
  },
);

test('a stream shows the work, and who disconnects finds the result later', async () => {
  const client = await agent('gate');
  let id = '';
  for await (const { payload } of client.sendMessageStream(saying({ data: { name: 'left' } }))) {
    if (payload?.$case !== 'task') continue;
    ({ id } = payload.value);
    break;
  }
  const later = await agent('gate');
  await expect
    .poll(async () => (await get(later, id)).status?.state, { timeout: 20_000 })
    .toBe(TaskState.TASK_STATE_WORKING);
  const subscribed: string[] = [];
  for await (const response of later.resubscribeTask({ tenant: '', id })) {
    subscribed.push(inShort(response));
    if (subscribed.length === 1) await release(bridge.home, 'left');
  }
  expect(subscribed).toEqual(['task 2', 'artifact {"released":"left"}', 'status 3']);
  expect(resultOf(await get(await agent('gate'), id))).toEqual({ released: 'left' });
  await expect(later.resubscribeTask({ tenant: '', id }).next()).rejects.toEqual(
    refused('UNSUPPORTED_OPERATION'),
  );
});

test('progress comes with the stream, and a failure says why', async () => {
  const talk: string[] = [];
  for await (const response of (await agent('talk')).sendMessageStream(saying({ data: 1 }))) {
    talk.push(inShort(response));
  }
  expect(talk).toContain('status 2: line 1');
  expect(talk.slice(-2)).toEqual(['artifact 1', 'status 3']);
  const failed = await send(await agent('fail'), { text: 'do' });
  expect(failed.status?.state).toBe(TaskState.TASK_STATE_FAILED);
  expect(failed.artifacts).toEqual([]);
  expect(failed.status?.message?.parts[0]?.content?.value).toContain('it always fails');
});

test('a task is cancelled once, and one that has ended is not', async () => {
  const client = await agent('gate');
  const task = await send(client, { data: { name: 'never' }, now: true });
  const cancel = (id: string) => client.cancelTask({ tenant: '', id, metadata: undefined });
  expect((await cancel(task.id)).status?.state).toBe(TaskState.TASK_STATE_CANCELED);
  expect((await cancel(task.id)).status?.state).toBe(TaskState.TASK_STATE_CANCELED);
  const echo = await send(await agent('echo'), { data: 1 });
  // A task of another agent is none of this address.
  await expect(cancel(echo.id)).rejects.toEqual(refused('TASK_NOT_FOUND'));
  const atFleet = await fleet();
  await expect(
    atFleet.cancelTask({ tenant: '', id: echo.id, metadata: undefined }),
  ).rejects.toEqual(refused('TASK_NOT_CANCELABLE'));
});

test('a task that asks goes on with an answer from who may give one', async () => {
  const client = await fleet('owner');
  const asks = await send(client, { data: { what: '1.2.0' }, skill: 'workflow:asking' });
  expect(asks.status?.state).toBe(TaskState.TASK_STATE_INPUT_REQUIRED);
  expect(asks.status?.message?.parts[0]?.content?.value).toBe('Publish 1.2.0?');
  const taskId = asks.id;
  await expect(send(client, { taskId, text: 'no problem, go on' })).rejects.toMatchObject({
    envelopeCode: -32602,
  });
  await expect(
    send(client, { taskId, contextId: 'another', text: 'approve' }),
  ).rejects.toMatchObject({ envelopeCode: -32602 });
  const done = await send(client, { taskId, messageId: 'yes', text: 'approve: well done' });
  expect(done.status?.state).toBe(TaskState.TASK_STATE_COMPLETED);
  expect(done.history.map(({ role }) => role)).toEqual([1, 2, 1]);
  expect((await send(client, { taskId, messageId: 'yes', text: 'approve' })).id).toBe(taskId);
  await expect(send(client, { taskId, text: 'approve' })).rejects.toEqual(
    refused('UNSUPPORTED_OPERATION'),
  );

  const no = await send(client, { data: {}, skill: 'workflow:asking' });
  const streamed: string[] = [];
  for await (const response of client.sendMessageStream(
    saying({ taskId: no.id, data: { decision: 'reject', comment: 'not now' } }),
  )) {
    streamed.push(inShort(response));
  }
  // Where the run was quicker than the stream, the task comes as it ended.
  expect(streamed.at(-1)).toMatch(new RegExp(`^(task|status) ${TaskState.TASK_STATE_REJECTED}`));

  // An agent may run the workflow, and not answer for people.
  const ada = await fleet();
  const hers = await send(ada, { data: {}, skill: 'workflow:asking' });
  await expect(send(ada, { taskId: hers.id, text: 'approve' })).rejects.toThrow('403');
  await expect(send(client, { taskId: hers.id, text: 'approve' })).rejects.toEqual(
    refused('TASK_NOT_FOUND'),
  );
});
