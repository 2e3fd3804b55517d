/** The methods of A2A that answer with a stream: the task, then what happens to it. */
import type { RunEvent } from '../coordination/coordination.ts';
import { ownTask, type Door, type OwnTask } from './a2a-access.ts';
import { A2aError } from './a2a-errors.ts';
import { hiddenTask, wholeTask } from './a2a-methods.ts';
import { readSend, readTaskId, type TaskState, type WireMessage } from './a2a-schemas.ts';
import { sendMessage } from './a2a-send.ts';
import {
  agentSays,
  artifactOf,
  asking,
  endedBadly,
  hasEnded,
  stateOf,
  type Place,
} from './a2a-tasks.ts';

/** A stream that can begin: whatever could be refused was looked at. */
export interface TaskStream {
  /** The workflow that the caller must be allowed to look at for as long as it goes on; absent: nothing more comes. */
  readonly workflow?: string;
  /** Each a StreamResponse. */
  responses(signal: AbortSignal): AsyncIterable<object>;
}

type StreamMethod = (door: Door, params: unknown) => Promise<TaskStream>;

export const streamMethods: Readonly<Record<string, StreamMethod>> = {
  async SendStreamingMessage(door, given) {
    const params = readSend(given);
    const sent = await sendMessage(door, params);
    const { conversation, answered } = sent;
    if (sent.hidden !== undefined) return once({ task: hiddenTask(sent) });
    const run = await door.parts.coordination.get(conversation.runId);
    const historyLength = params.configuration?.historyLength;
    return streamOf(door, { conversation, run }, { untilAsked: true, answered, historyLength });
  },
  async SubscribeToTask(door, given) {
    const task = await ownTask(door, readTaskId(given).id);
    if (hasEnded(task.run)) {
      throw new A2aError(
        'UNSUPPORTED_OPERATION',
        `task ${task.run.id} has ended: GetTask has its result`,
        {
          taskId: task.run.id,
        },
      );
    }
    return streamOf(door, task, {
      untilAsked: false,
      answered: undefined,
      historyLength: undefined,
    });
  },
};

interface StreamShape {
  /** Ends when the task asks something: whoever sent the message has to say more. */
  readonly untilAsked: boolean;
  /** The question that the message answered. */
  readonly answered: string | undefined;
  readonly historyLength: number | undefined;
}

function once(response: object): TaskStream {
  return {
    async *responses() {
      yield response;
    },
  };
}

async function streamOf(door: Door, task: OwnTask, shape: StreamShape): Promise<TaskStream> {
  const first = { task: await wholeTask(door, task, shape.historyLength) };
  return {
    workflow: task.run.workflow,
    async *responses(signal) {
      yield first;
      yield* changes(door, task, shape, signal);
    },
  };
}

async function* changes(
  { parts }: Door,
  { conversation, run }: OwnTask,
  { untilAsked, answered }: StreamShape,
  signal: AbortSignal,
): AsyncGenerator<object> {
  const place = { taskId: run.id, contextId: conversation.contextId };
  const open = new Map(run.questions.map((question) => [question.id, question]));
  if (answered !== undefined) open.delete(answered);
  if (hasEnded(run) || (untilAsked && open.size > 0)) return;
  let state = stateOf({ ...run, questions: [...open.values()] });
  for await (const event of parts.coordination.follow(run.id, run.lastSeq, signal)) {
    const { body } = event;
    if (body.type === 'question.asked') open.set(body.question.id, body.question);
    if (body.type === 'question.answered') open.delete(body.question);
    const next = stateAfter(event, state, open.size > 0);
    const message = messageOf(event, place, [...open.values()]);
    if (body.type === 'run.completed') {
      const artifact = artifactOf(body.output);
      if (artifact !== undefined) yield { artifactUpdate: { ...place, artifact, lastChunk: true } };
    }
    if (next === state && message === undefined) continue;
    state = next;
    const status = { state, timestamp: event.at, ...(message === undefined ? {} : { message }) };
    yield { statusUpdate: { ...place, status } };
    if (untilAsked && state === 'TASK_STATE_INPUT_REQUIRED' && body.type.startsWith('question.'))
      return;
  }
}

function stateAfter({ body }: RunEvent, state: TaskState, asks: boolean): TaskState {
  switch (body.type) {
    case 'run.completed':
      return 'TASK_STATE_COMPLETED';
    case 'run.failed':
      return endedBadly(body.error.code);
    case 'run.cancelled':
      return 'TASK_STATE_CANCELED';
    case 'run.undo_requested':
    case 'run.undone':
      return state;
    default:
      return asks ? 'TASK_STATE_INPUT_REQUIRED' : 'TASK_STATE_WORKING';
  }
}

/** What of an event a person would want to hear. */
function messageOf(
  { seq, body }: RunEvent,
  place: Place,
  open: Parameters<typeof asking>[1],
): WireMessage | undefined {
  const says = (text: string) => agentSays(place, `${place.taskId}-${seq}`, [{ text }]);
  switch (body.type) {
    case 'question.asked':
      return asking(place, open);
    case 'attempt.progress':
      return says(body.text);
    case 'attempt.failed':
      return body.retryAt === undefined
        ? undefined
        : says(`attempt ${body.attempt} failed and is repeated: ${body.error.message}`);
    case 'run.paused':
      return says(`paused: ${body.reason}`);
    case 'run.failed':
      return says(body.error.message);
    case 'run.cancelled':
      return says(body.reason);
    default:
      return undefined;
  }
}
