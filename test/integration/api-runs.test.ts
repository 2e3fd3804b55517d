import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId, type AppError } from '../../src/base/base.ts';
import type { RunEvent } from '../../src/coordination/coordination.ts';
import { openTestBridge, type TestBridge } from '../support/bridge.ts';
import { release } from '../support/fleet.ts';

let bridge: TestBridge;
beforeAll(async () => {
  bridge = await openTestBridge();
});
afterAll(async () => {
  await bridge.end();
});

async function all(events: AsyncIterable<RunEvent>): Promise<RunEvent[]> {
  const found: RunEvent[] = [];
  for await (const event of events) found.push(event);
  return found;
}

function numbersTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}

test('a run is started, followed to its end and read with its output', async () => {
  const { client } = bridge;
  const run = await client.startRun({ workflow: 'hello', input: { who: 'Livia' } });
  const events = await all(client.follow(run.id));
  const detail = await client.run(run.id);
  expect(detail).toMatchObject({ status: 'completed', output: { greeting: 'hello Livia' } });
  expect(detail.taskList.map(({ id, status }) => [id, status])).toEqual([
    ['first', 'completed'],
    ['second', 'completed'],
  ]);
  expect(events.map(({ seq }) => seq)).toEqual(numbersTo(detail.lastSeq));
  expect(events.at(-1)?.body).toMatchObject({ type: 'run.completed' });
  expect((await client.events(run.id, { limit: 1_000 })).items).toEqual(events);
});

test('a start names the run in Location and takes an Idempotency-Key', async () => {
  const first = await startOnce('Marcus');
  const { id } = (await first.json()) as { id: string };
  expect([first.status, first.headers.get('location')]).toEqual([201, `/api/v1/runs/${id}`]);
  expect(await (await startOnce('Marcus')).json()).toMatchObject({ id });
  const other = await startOnce('Gaius');
  expect(other.status).toBe(409);
  expect(await other.json()).toMatchObject({ code: 'conflict' });
});

test('a plan says what would run and starts nothing', async () => {
  const before = (await bridge.client.runs({ limit: 500 })).items.length;
  const plan = await bridge.client.planRun({ workflow: 'hello' });
  expect(plan.waves).toEqual([['first'], ['second']]);
  expect(plan.input).toEqual({ who: 'world' });
  expect((await bridge.client.runs({ limit: 500 })).items).toHaveLength(before);
});

test('runs are listed in pages, newest first, and by workflow and status', async () => {
  const { client } = bridge;
  const ids: string[] = [];
  for (let index = 0; index < 5; index += 1) {
    const { id } = await client.startRun({ workflow: 'failing' });
    await client.waitForRun(id);
    ids.unshift(id);
  }
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.runs({
      workflow: 'failing',
      status: 'failed',
      limit: 2,
      ...(cursor === undefined ? {} : { cursor }),
    });
    found.push(...page.items.map(({ id }) => id));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  expect(found).toEqual(ids);
  expect((await client.runs({ workflow: 'failing', status: 'completed' })).items).toEqual([]);
});

test('waiting answers 202 while a run goes on, and 200 with it when it has ended', async () => {
  const { id } = await bridge.client.startRun({ workflow: 'gated', input: { name: 'wait' } });
  const early = await bridge.fetch(`/api/v1/runs/${id}/wait?timeoutSeconds=0`);
  expect(early.status).toBe(202);
  const late = bridge.fetch(`/api/v1/runs/${id}/wait?timeoutSeconds=60`);
  await started(id, 'wait');
  await release(bridge.home, 'wait');
  const ended = await late;
  expect(ended.status).toBe(200);
  expect(await ended.json()).toMatchObject({ id, status: 'completed' });
});

test('a run that is cancelled ends as cancelled, and cancelling it again is a conflict', async () => {
  const { client } = bridge;
  const { id } = await client.startRun({ workflow: 'gated', input: { name: 'cancel' } });
  await started(id, 'wait');
  await client.cancelRun(id, 'enough');
  expect(await client.waitForRun(id)).toMatchObject({ status: 'cancelled' });
  await expect(client.cancelRun(id)).rejects.toMatchObject({ code: 'run_finished' });
});

test('a failed run says what failed, and completes when it is retried', async () => {
  const { client } = bridge;
  const { id } = await client.startRun({ workflow: 'healing', input: { name: 'retry' } });
  const failed = await client.waitForRun(id);
  expect(failed.status).toBe('failed');
  expect(failed.taskList[0]?.error).toMatchObject({
    code: 'agent_failed',
    message: expect.stringContaining('not yet'),
  });
  await client.retryRun(id);
  await all(client.follow(id, { after: failed.lastSeq }));
  expect(await client.waitForRun(id)).toMatchObject({ status: 'completed' });
});

test('what is asked of a run that is none is not found', async () => {
  const { client } = bridge;
  for (const id of [newId(), 'not-an-id', '..%2f']) {
    await expect(client.run(id)).rejects.toMatchObject({ code: 'run_not_found' });
    await expect(client.events(id)).rejects.toMatchObject({ code: 'run_not_found' });
    await expect(client.cancelRun(id)).rejects.toMatchObject({ code: 'run_not_found' });
    await expect(client.waitForRun(id)).rejects.toMatchObject({ code: 'run_not_found' });
    await expect(all(client.follow(id))).rejects.toMatchObject({ code: 'run_not_found' });
  }
});

test('a wrong input is named with its field and what would be right', async () => {
  const { client } = bridge;
  const input = await refusal(client.startRun({ workflow: 'hello', input: { woh: 'x' } }));
  expect(input).toMatchObject({ code: 'invalid_input', remedy: 'Did you mean who?' });
  expect(input.details['errors']).toMatchObject([{ in: 'body', field: 'input.woh' }]);
  const workflow = await refusal(client.startRun({ workflow: 'helo' }));
  expect(workflow.code).toBe('workflow_not_found');
  const priority = await refusal(client.startRun({ workflow: 'hello', priority: 101 }));
  expect(priority.details['errors']).toMatchObject([{ in: 'body', field: 'priority' }]);
});

/** Until the task's attempt has begun. */
async function started(id: string, task: string): Promise<void> {
  for await (const { body } of bridge.client.follow(id)) {
    if (body.type === 'attempt.started' && body.task === task) return;
  }
}

function startOnce(who: string): Promise<Response> {
  return bridge.fetch('/api/v1/runs', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': 'start-1' },
    body: JSON.stringify({ workflow: 'hello', input: { who } }),
  });
}

async function refusal(work: Promise<unknown>): Promise<AppError> {
  try {
    await work;
  } catch (error) {
    return error as AppError;
  }
  throw new Error('it was taken');
}
