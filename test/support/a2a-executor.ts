/** What the remote agent of the tests does: what its message asks for. */
import { randomUUID } from 'node:crypto';
import { Role, TaskState, type Message, type Part } from '@a2a-js/sdk';
import { AgentEvent, type AgentExecutor, type ExecutionEventBus } from '@a2a-js/sdk/server';

export interface TestExecutor extends AgentExecutor {
  /** The parts of the last message. */
  received(): readonly Part[];
  /** Ids of tasks that somebody cancelled. */
  readonly cancelled: string[];
  /** Lets a task go on that was told to wait. */
  release(): void;
}

const textPart = (value: string): Part => part({ $case: 'text', value });
const dataPart = (value: unknown): Part => part({ $case: 'data', value });

function part(content: NonNullable<Part['content']>): Part {
  return { content, metadata: undefined, filename: '', mediaType: '' };
}

export function createTestExecutor(): TestExecutor {
  const cancelled: string[] = [];
  let received: readonly Part[] = [];
  let release: (() => void) | undefined;

  return {
    received: () => received,
    cancelled,
    release: () => release?.(),
    async execute({ userMessage, taskId, contextId }, bus) {
      received = userMessage.parts;
      const [content] = userMessage.parts.map((each) => each.content);
      const data = content?.$case === 'data' ? (content.value as { do?: string }).do : undefined;
      const wanted = content?.$case === 'text' ? content.value : data;
      const made = tellerOf(bus, taskId, contextId);
      if (wanted === 'message') {
        bus.publish(AgentEvent.message(made.message([textPart('hello'), textPart('you')])));
        return;
      }
      made.begin();
      made.status(TaskState.TASK_STATE_WORKING, 'thinking');
      if (wanted === 'wait') await new Promise<void>((resolve) => (release = resolve));
      if (cancelled.includes(taskId)) return;
      if (wanted === 'data') made.artifact('a', [textPart('see'), dataPart({ n: 1 })]);
      if (wanted === 'two') {
        made.artifact('a', [textPart('one')]);
        made.artifact('b', [dataPart([2])]);
      }
      if (wanted === 'pieces' || wanted === 'wait') {
        made.artifact('a', [textPart('Hel')]);
        made.artifact('a', [textPart('lo')], true);
      }
      const [end, said] = ends[wanted ?? ''] ?? [TaskState.TASK_STATE_COMPLETED, undefined];
      made.status(end, said);
    },
    async cancelTask(taskId, bus) {
      cancelled.push(taskId);
      tellerOf(bus, taskId, '').status(TaskState.TASK_STATE_CANCELED, undefined);
      release?.();
    },
  };
}

const ends: Readonly<Record<string, readonly [TaskState, string | undefined]>> = {
  fail: [TaskState.TASK_STATE_FAILED, 'out of luck'],
  reject: [TaskState.TASK_STATE_REJECTED, 'not my field'],
  ask: [TaskState.TASK_STATE_INPUT_REQUIRED, 'which branch?'],
  login: [TaskState.TASK_STATE_AUTH_REQUIRED, 'sign in first'],
  said: [TaskState.TASK_STATE_COMPLETED, 'all is well'],
};

function tellerOf(bus: ExecutionEventBus, taskId: string, contextId: string) {
  const message = (parts: Part[]): Message => ({
    messageId: randomUUID(),
    contextId,
    taskId,
    role: Role.ROLE_AGENT,
    parts,
    metadata: undefined,
    extensions: [],
    referenceTaskIds: [],
  });
  const statusOf = (state: TaskState, said: string | undefined) => ({
    state,
    message: said === undefined ? undefined : message([textPart(said)]),
    timestamp: new Date().toISOString(),
  });
  return {
    message: (parts: Part[]): Message => ({ ...message(parts), taskId: '' }),
    begin(): void {
      const status = statusOf(TaskState.TASK_STATE_SUBMITTED, undefined);
      const task = { id: taskId, contextId, status, artifacts: [], history: [] };
      bus.publish(AgentEvent.task({ ...task, metadata: undefined }));
    },
    status(state: TaskState, said: string | undefined): void {
      const status = statusOf(state, said);
      bus.publish(AgentEvent.statusUpdate({ taskId, contextId, status, metadata: undefined }));
    },
    artifact(name: string, parts: Part[], append = false): void {
      const artifact = { artifactId: name, name, description: '', parts, extensions: [] };
      const event = { taskId, contextId, append, lastChunk: true, metadata: undefined };
      bus.publish(
        AgentEvent.artifactUpdate({ ...event, artifact: { ...artifact, metadata: undefined } }),
      );
    },
  };
}
