import { createHash } from 'node:crypto';
import { checkInput } from '../agents/agents.ts';
import { newId } from '../base/base.ts';
import type { Conversation, RunSummary } from '../coordination/coordination.ts';
import { ownTask, targetOf, type Door, type OwnTask, type Target } from './a2a-access.ts';
import { A2aError } from './a2a-errors.ts';
import { agentInput, answerIn, assertAccepts, workflowInput } from './a2a-parts.ts';
import type { SendParams, SentMessage } from './a2a-schemas.ts';
import { asking, hasEnded } from './a2a-tasks.ts';
import { assertMay, callerOf, mayRead, renew } from './callers.ts';
import { asker, mayCall } from './run-access.ts';
import { invalid } from './validate.ts';

/** What a message came to. */
export interface Sent {
  readonly conversation: Conversation;
  /** The run as far as who began it may know it: one may be allowed to start what one may not look at. */
  readonly hidden?: RunSummary;
  /** The question that was answered; its run needs a moment to hear of it. */
  readonly answered?: string;
  /** What had happened in the run before the message. */
  readonly after: number;
}

/** Begins a task, or answers what one asks. The same message again comes to the same. */
export async function sendMessage(door: Door, params: SendParams): Promise<Sent> {
  const { message, configuration = {} } = params;
  assertAccepts(configuration.acceptedOutputModes);
  if (configuration.taskPushNotificationConfig !== undefined) throw noPush();
  const taskId = unlessEmpty(message.taskId);
  if (taskId !== undefined) return answerTask(door, await ownTask(door, taskId), message);
  return beginTask(door, await targetOf(door, skillOf(params)), message);
}

export function noPush(): A2aError {
  return new A2aError(
    'PUSH_NOTIFICATION_NOT_SUPPORTED',
    'nothing is pushed: ask with GetTask, or listen with SubscribeToTask',
  );
}

async function beginTask(door: Door, target: Target, message: SentMessage): Promise<Sent> {
  const { conversations, clock } = door.parts;
  const { access } = callerOf(door.request);
  const run = await startRun(door, target, message);
  const conversation = await conversations.begin(
    {
      runId: run.id,
      workflow: run.workflow,
      contextId: unlessEmpty(message.contextId) ?? newId(clock),
      principalId: access.userId,
    },
    { id: message.messageId, body: message },
  );
  await renew(door.request, door.parts);
  const isHidden = !mayRead(door.request, 'runs.read', run.workflow);
  return { conversation, after: 0, ...(isHidden ? { hidden: run } : {}) };
}

function startRun(
  door: Door,
  target: Target,
  { messageId, parts }: SentMessage,
): Promise<RunSummary> {
  const { request } = door;
  const { coordination } = door.parts;
  const asked = {
    idempotencyKey: keyOf(callerOf(request).access.userId, target, messageId),
    startedBy: asker(request),
    mayCall: mayCall(request, door.parts),
  };
  if ('workflow' in target) {
    const { name } = target.workflow;
    return coordination.start({
      workflow: name,
      input: workflowInput(target.workflow, parts),
      ...asked,
    });
  }
  const input = agentInput(target.agent, parts);
  // Before there is a task: a client learns more from a refusal than from a task that fails.
  checkInput(target.agent, input);
  return coordination.startAgent({ name: target.agent.name, input, ...asked });
}

async function answerTask(
  { parts, request }: Door,
  { conversation, run }: OwnTask,
  message: SentMessage,
): Promise<Sent> {
  const { conversations, coordination } = parts;
  const contextId = unlessEmpty(message.contextId);
  if (contextId !== undefined && contextId !== conversation.contextId) {
    throw invalid('body', 'message.contextId', 'is not the context of the task');
  }
  const said = (await conversations.messages([run.id])).get(run.id) ?? [];
  if (said.some(({ id }) => id === message.messageId)) {
    return { conversation, after: run.lastSeq };
  }
  if (hasEnded(run))
    throw unsupported(run.id, `task ${run.id} has ended and takes no more messages`);
  if (run.questions.length === 0) {
    throw unsupported(
      run.id,
      `task ${run.id} asks nothing now and takes no messages while it works`,
    );
  }
  await renew(request, parts);
  assertMay(request, 'runs.approve', run.workflow);
  const answer = answerIn(message.parts);
  const question =
    answer.question ?? (run.questions.length === 1 ? run.questions[0]?.id : undefined);
  await coordination.answer(run.id, { ...answer, by: asker(request) });
  const asked = run.questions.filter(({ id }) => id === question);
  const place = { taskId: run.id, contextId: conversation.contextId };
  const asks = asking(place, asked);
  await conversations.add(run.id, [
    { id: asks.messageId, body: asks },
    { id: message.messageId, body: message },
  ]);
  return {
    conversation,
    after: run.lastSeq,
    ...(question === undefined ? {} : { answered: question }),
  };
}

function unsupported(taskId: string, message: string): A2aError {
  return new A2aError('UNSUPPORTED_OPERATION', message, { taskId });
}

/** A client makes up the ids of its messages, so they are its own and those of whom it asks. */
function keyOf(principalId: string, target: Target, messageId: string): string {
  const asked =
    'agent' in target ? ['agent', target.agent.name] : ['workflow', target.workflow.name];
  const named = JSON.stringify([principalId, ...asked, messageId]);
  return `a2a:${createHash('sha256').update(named).digest('hex')}`;
}

function skillOf({ metadata = {}, message }: SendParams): string | undefined {
  const said = { ...message.metadata, ...metadata };
  const named = said['agent'] ?? said['skill'];
  return typeof named === 'string' && named !== '' ? named : undefined;
}

/** An empty text is how Protocol Buffers write that nothing was given. */
export function unlessEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
