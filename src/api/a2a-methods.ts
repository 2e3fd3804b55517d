/** The methods of A2A that answer once. */
import { AppError } from '../base/base.ts';
import type { Conversation, RunDetail, RunStatus } from '../coordination/coordination.ts';
import { isHere, ownTask, type Door } from './a2a-access.ts';
import { fleetCard, ownCard } from './a2a-cards.ts';
import { A2aError } from './a2a-errors.ts';
import {
  readGet,
  readList,
  readSend,
  readTaskId,
  type TaskState,
  type WireTask,
} from './a2a-schemas.ts';
import { noPush, sendMessage, unlessEmpty, type Sent } from './a2a-send.ts';
import { hasEnded, stateOf, taskOf } from './a2a-tasks.ts';
import { assertMay, callerOf, mayRead, renew } from './callers.ts';
import { asker } from './run-access.ts';
import { waitForEnd } from './run-event-routes.ts';

type Method = (door: Door, params: unknown) => Promise<unknown>;

const defaultPage = 50;
/** Ending what is under way takes a moment; beyond it the task is told as it is. */
const cancelWaitMs = 10_000;

export const methods: Readonly<Record<string, Method>> = {
  SendMessage: async (door, given) => {
    const params = readSend(given);
    const sent = await sendMessage(door, params);
    const { historyLength, returnImmediately = false } = params.configuration ?? {};
    if (sent.hidden !== undefined) return { task: hiddenTask(sent) };
    const run = returnImmediately
      ? await door.parts.coordination.get(sent.conversation.runId)
      : await door.parts.longPolls.hold(() => untilSettled(door, sent));
    return { task: await wholeTask(door, { conversation: sent.conversation, run }, historyLength) };
  },
  GetTask: async (door, given) => {
    const { id, historyLength } = readGet(given);
    return wholeTask(door, await ownTask(door, id), historyLength);
  },
  ListTasks: listTasks,
  CancelTask: cancelTask,
  GetExtendedAgentCard: async (door) =>
    door.agent === undefined
      ? fleetCard(door.parts, door.request)
      : ownCard(door.parts, door.request, door.agent),
  CreateTaskPushNotificationConfig: refusePush,
  GetTaskPushNotificationConfig: refusePush,
  ListTaskPushNotificationConfigs: refusePush,
  DeleteTaskPushNotificationConfig: refusePush,
};

async function refusePush(): Promise<never> {
  throw noPush();
}

/** With its result, and so much of what was said as the client wants. */
export async function wholeTask(
  { parts }: Door,
  { conversation, run }: { conversation: Conversation; run: RunDetail },
  historyLength: number | undefined,
): Promise<WireTask> {
  const said = await histories(parts, [run.id], historyLength);
  return taskOf(run, conversation, { artifacts: true, ...historyOf(said, run.id) });
}

/** What somebody may know of a run that he may start and not look at. */
export function hiddenTask({ conversation, hidden }: Sent): WireTask {
  const { runId: id, contextId, workflow } = conversation;
  return {
    id,
    contextId,
    status: {
      state: 'TASK_STATE_SUBMITTED',
      timestamp: hidden?.createdAt ?? new Date(0).toISOString(),
    },
    metadata: { workflow },
  };
}

type Histories = ReadonlyMap<string, readonly unknown[]>;

async function histories(
  { conversations }: Pick<Door['parts'], 'conversations'>,
  runIds: readonly string[],
  historyLength: number | undefined,
): Promise<Histories | undefined> {
  if (historyLength === 0 || runIds.length === 0) return undefined;
  const all = await conversations.messages(runIds);
  return new Map(
    [...all].map(([id, said]) => [
      id,
      said.slice(-(historyLength ?? said.length)).map(({ body }) => body),
    ]),
  );
}

function historyOf(said: Histories | undefined, runId: string): { history?: readonly unknown[] } {
  return said === undefined ? {} : { history: said.get(runId) ?? [] };
}

/**
 * The run when it has ended, asks somebody, or the server closes. The client may leave: the run goes on.
 */
async function untilSettled({ parts, left }: Door, sent: Sent): Promise<RunDetail> {
  const { coordination, closing } = parts;
  const { runId } = sent.conversation;
  const signal = AbortSignal.any([left, closing]);
  let answered = sent.answered;
  const present = await coordination.get(runId);
  if (hasEnded(present)) return present;
  if (answered === undefined && present.questions.length > 0) return present;
  try {
    for await (const { body } of coordination.follow(runId, sent.after, signal)) {
      if (body.type !== 'question.asked' && body.type !== 'question.answered') continue;
      if (body.type === 'question.answered' && body.question === answered) answered = undefined;
      const run = await coordination.get(runId);
      if (answered === undefined && run.questions.length > 0) return run;
    }
  } catch (error) {
    if (!closing.aborted) throw error;
  }
  return coordination.get(runId);
}

/** Which runs may be in a state; some of it only their events tell. */
const underWay = ['running', 'paused', 'waiting', 'recovering'] as const;
const statusesOf: Readonly<Record<TaskState, readonly RunStatus[]>> = {
  TASK_STATE_SUBMITTED: ['created', 'queued'],
  TASK_STATE_WORKING: underWay,
  TASK_STATE_INPUT_REQUIRED: ['created', 'queued', ...underWay],
  TASK_STATE_COMPLETED: ['completed'],
  TASK_STATE_FAILED: ['failed'],
  TASK_STATE_CANCELED: ['cancelled'],
  TASK_STATE_REJECTED: ['failed'],
};

/**
 * What the caller began, at this address, and may look at still. `totalSize` counts by what rows say:
 * where a state is told by events alone, it is an upper bound and pages may hold fewer.
 */
async function listTasks(door: Door, given: unknown): Promise<unknown> {
  const { conversations, coordination } = door.parts;
  const asked = readList(given ?? {});
  const state = asked.status === 'TASK_STATE_UNSPECIFIED' ? undefined : asked.status;
  const pageSize = asked.pageSize ?? defaultPage;
  const nothing = { tasks: [], nextPageToken: '', pageSize, totalSize: 0 };
  // No task of ours ever waits for a credential.
  if (state === 'TASK_STATE_AUTH_REQUIRED') return nothing;
  const principalId = callerOf(door.request).access.userId;
  const begun = await conversations.workflows(principalId);
  await renew(door.request, door.parts);
  const workflows = begun.filter(
    (workflow) => isHere(door, workflow) && mayRead(door.request, 'runs.read', workflow),
  );
  const contextId = unlessEmpty(asked.contextId);
  const cursor = unlessEmpty(asked.pageToken);
  const { items, total, nextCursor } = await conversations.list({
    principalId,
    workflows,
    limit: pageSize,
    ...(contextId === undefined ? {} : { contextId }),
    ...(state === undefined ? {} : { statuses: statusesOf[state] }),
    ...(asked.statusTimestampAfter === undefined
      ? {}
      : { since: new Date(asked.statusTimestampAfter) }),
    ...(cursor === undefined ? {} : { cursor }),
  });
  const ids = items.map(({ runId }) => runId);
  const [runs, said] = await Promise.all([
    Promise.all(ids.map((id) => coordination.get(id))),
    histories(door.parts, ids, asked.historyLength),
  ]);
  const tasks = runs.flatMap((run, index) => {
    const conversation = items[index];
    if (conversation === undefined || (state !== undefined && stateOf(run) !== state)) return [];
    const artifacts = asked.includeArtifacts ?? false;
    return [taskOf(run, conversation, { artifacts, ...historyOf(said, run.id) })];
  });
  return { tasks, nextPageToken: nextCursor ?? '', pageSize, totalSize: total };
}

async function cancelTask(door: Door, given: unknown): Promise<WireTask> {
  const { coordination } = door.parts;
  const { id } = readTaskId(given);
  const { conversation, run } = await ownTask(door, id);
  await renew(door.request, door.parts);
  assertMay(door.request, 'runs.write', run.workflow);
  // A second request has the effect of the first one.
  if (run.status !== 'cancelled') {
    if (hasEnded(run)) {
      throw new A2aError('TASK_NOT_CANCELABLE', `task ${run.id} has ended`, { taskId: run.id });
    }
    await coordination
      .cancel(run.id, { reason: 'asked for over A2A', by: asker(door.request) })
      // One that has ended meanwhile is told as it ended.
      .catch((error: unknown) => {
        if (!(error instanceof AppError && error.code === 'run_finished')) throw error;
      });
  }
  const ended = await door.parts.longPolls.hold(() =>
    waitForEnd(door.parts, run.id, cancelWaitMs, door.left),
  );
  return wholeTask(door, { conversation, run: ended }, undefined);
}
