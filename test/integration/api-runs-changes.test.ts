import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunDetail, TaskStatus } from '../../src/coordination/coordination.ts';
import { writeAskingWorkflows } from '../support/asking-workflows.ts';
import { openTestBridge, type TestBridge } from '../support/bridge.ts';
import { release } from '../support/fleet.ts';

let bridge: TestBridge;
beforeAll(async () => {
  bridge = await openTestBridge();
  await writeAskingWorkflows(bridge.home);
});
afterAll(async () => {
  await bridge.end();
});

/** The run once it is as wanted. */
async function until(id: string, isWanted: (run: RunDetail) => boolean): Promise<RunDetail> {
  let run = await bridge.client.run(id);
  const look = async (): Promise<boolean> => {
    run = await bridge.client.run(id);
    return isWanted(run);
  };
  await expect.poll(look, { timeout: 20_000 }).toBe(true);
  return run;
}

function statusOf(run: RunDetail, task: string): TaskStatus | undefined {
  return run.taskList.find(({ id }) => id === task)?.status;
}

test('what a run asks is listed, and goes on with the answer and who gave it', async () => {
  const { client } = bridge;
  expect(await client.questions()).toEqual({ items: [] });
  const { id } = await client.startRun({ workflow: 'asking', input: { what: '1.2.0' } });
  await until(id, ({ status }) => status === 'waiting');
  const { items } = await client.questions();
  expect(items).toEqual([
    {
      run: id,
      workflow: 'asking',
      question: { id: 'ok', kind: 'approval', task: 'ok', prompt: 'Publish 1.2.0?' },
    },
  ]);
  await client.answerRun(id, { decision: 'approve', comment: 'looked at it' });
  expect(await client.waitForRun(id)).toMatchObject({ status: 'completed', startedBy: 'owner' });
  const answers = (await client.events(id, { limit: 1_000 })).items.flatMap(({ body }) =>
    body.type === 'question.answered' ? [body.answer] : [],
  );
  expect(answers).toEqual([{ decision: 'approve', comment: 'looked at it', by: 'owner' }]);
});

test('a no ends the run as rejected, and there is nothing to answer then', async () => {
  const { client } = bridge;
  const { id } = await client.startRun({ workflow: 'asking' });
  await expect(client.answerRun(id, { decision: 'reject', choice: 1 })).rejects.toMatchObject({
    code: 'invalid_input',
  });
  await until(id, ({ questions }) => questions.length > 0);
  await expect(client.answerRun(id, { decision: 'approve', question: 'other' })).rejects.toThrow(
    /other/,
  );
  await client.answerRun(id, { decision: 'reject', question: 'ok' });
  expect(await client.waitForRun(id)).toMatchObject({ status: 'failed' });
  await expect(client.answerRun(id, { decision: 'approve' })).rejects.toMatchObject({
    code: 'run_finished',
  });
});

test('a paused run begins nothing new until it is resumed', async () => {
  const { client } = bridge;
  const { id } = await client.startRun({ workflow: 'asking' });
  await client.pauseRun(id, 'lunch');
  const paused = await until(id, ({ status }) => status === 'paused');
  expect(paused.status).toBe('paused');
  expect(statusOf(paused, 'behind')).toBe('created');
  await client.resumeRun(id);
  await until(id, ({ questions }) => questions.length > 0);
  await client.cancelRun(id, 'enough');
  expect(await client.waitForRun(id)).toMatchObject({ status: 'cancelled' });
  await expect(client.pauseRun(id)).rejects.toMatchObject({ code: 'run_finished' });
  await expect(client.resumeRun(id)).rejects.toMatchObject({ code: 'run_finished' });
});

test('a signal reaches the task that waits for it, with its data', async () => {
  const { client } = bridge;
  const { id } = await client.startRun({ workflow: 'signalled' });
  await until(id, (run) => statusOf(run, 'go') === 'running');
  await client.signalRun(id, { name: 'go', data: { version: '1.2.0' } });
  const ended = await client.waitForRun(id);
  expect(ended.status).toBe('completed');
  expect(ended.taskList.find(({ id: task }) => task === 'behind')?.output).toEqual({
    version: '1.2.0',
  });
});

test('a wait that is over before the run says how it stands', async () => {
  const { client } = bridge;
  const { id } = await client.startRun({ workflow: 'signalled' });
  expect(await client.waitForRun(id, { timeoutMs: 50 })).not.toHaveProperty('finishedAt');
  await client.cancelRun(id);
  expect(await client.waitForRun(id, { timeoutMs: 60_000 })).toMatchObject({ status: 'cancelled' });
});

test('a vote is in nobody’s hands before all are in', async () => {
  const { client } = bridge;
  const { id } = await client.startRun({ workflow: 'voting', input: { name: 'ballot' } });
  const open = await until(id, (run) => statusOf(run, 'early') === 'completed');
  expect(open.taskList.find(({ id: task }) => task === 'early')).not.toHaveProperty('output');
  const cast = (await client.events(id, { limit: 1_000 })).items.flatMap(({ body }) =>
    body.type === 'attempt.succeeded' ? [body] : [],
  );
  expect(cast).toMatchObject([{ task: 'early', blind: true, output: null }]);
  await release(bridge.home, 'ballot');
  const ended = await client.waitForRun(id);
  expect(ended.verdict).toMatchObject({
    mode: 'consensus',
    votes: [{ task: 'early' }, { task: 'late' }],
  });
});

test('retry from a task does it and what stands on it again, and keeps the rest', async () => {
  const { client } = bridge;
  const { id } = await client.startRun({ workflow: 'hello' });
  const before = await client.waitForRun(id);
  await client.retryRun(id, 'second');
  const after = await until(
    id,
    ({ status, lastSeq }) => status === 'completed' && lastSeq > before.lastSeq,
  );
  expect(after.taskList.map(({ id: task, attempts }) => [task, attempts])).toEqual([
    ['first', 1],
    ['second', 2],
  ]);
  await expect(client.retryRun(id, 'third')).rejects.toMatchObject({ code: 'invalid_input' });
});

test('a fork is a new run that keeps what does not stand on its task, with other inputs', async () => {
  const { client } = bridge;
  const { id } = await client.startRun({ workflow: 'asking', input: { what: 'a' } });
  await until(id, ({ questions }) => questions.length > 0);
  const response = await bridge.fetch(`/api/v1/runs/${id}/fork`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ from: 'ok', input: { what: 'b' } }),
  });
  const fork = (await response.json()) as RunDetail;
  expect([response.status, response.headers.get('location')]).toEqual([
    201,
    `/api/v1/runs/${fork.id}`,
  ]);
  const asking = await until(fork.id, ({ questions }) => questions.length > 0);
  expect(asking).toMatchObject({ forkedFrom: id, questions: [{ prompt: 'Publish b?' }] });
  expect(asking.taskList.find(({ id: task }) => task === 'before')).toMatchObject({
    status: 'completed',
    attempts: 0,
    output: { said: 'a' },
  });
  for (const run of [id, fork.id]) await client.cancelRun(run);
});

test('what an undo would do is told without doing it, also what it can not do', async () => {
  const { client } = bridge;
  const { id } = await client.startRun({ workflow: 'hello' });
  await client.waitForRun(id);
  const plan = await client.undoPlan(id);
  const told = plan.effects.map(({ task, how }) => `${task}: ${how}`);
  expect(told.toSorted()).toEqual(['first: impossible', 'second: impossible']);
  expect(await client.run(id)).not.toHaveProperty('undo');
});

test('undoing an open run stops it first', async () => {
  const { client } = bridge;
  const { id } = await client.startRun({ workflow: 'signalled' });
  expect(await client.undoPlan(id)).toEqual({ runId: id, effects: [], conflicts: false });
  await client.undoRun(id);
  expect(await until(id, ({ undo }) => undo === 'undone')).toMatchObject({ status: 'cancelled' });
});
