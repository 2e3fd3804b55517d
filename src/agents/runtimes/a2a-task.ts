/** A remote task as it is known here: a fold over what its agent tells of it. */
import { Role, TaskState } from '@a2a-js/sdk';
import type { Artifact, Message, Part, StreamResponse, Task, TaskStatus } from '@a2a-js/sdk';
import { AppError } from '../../base/base.ts';

const saidCharacters = 1_000;
/** Of a failed attempt, characters of what it had given that are kept. */
const partialLength = 65_536;
/** A stream of pieces must not become a list without end. */
const maxArtifacts = 1_000;

export interface RemoteTask {
  /** Undefined until the agent has said it. */
  id(): string | undefined;
  apply(event: StreamResponse): void;
  applyTask(task: Task): void;
  applyMessage(message: Message): void;
  /** Whether it is over for its agent as well, so that there is nothing to cancel. */
  isEnded(): boolean;
  /** Whether nothing more comes: it has ended, or it waits for what nobody here can give. */
  isOver(): boolean;
  /** What came of it. Throws `agent_failed` where that is no result. */
  output(): unknown;
  /** The text that it has given so far. */
  partial(): string;
}

/** `tell` gets a line for each change that says something. */
export function followTask(agent: string, tell: (line: string) => void): RemoteTask {
  let taskId: string | undefined;
  let status: TaskStatus | undefined;
  let message: Message | undefined;
  let history: readonly Message[] = [];
  const artifacts = new Map<string, Artifact>();
  let told = '';

  function tellOnce(line: string): void {
    if (line === told || line.trim() === '') return;
    told = line;
    tell(line);
  }

  function applyStatus(next: TaskStatus | undefined): void {
    if (next === undefined) return;
    status = next;
    const said = textOf(next.message?.parts ?? [], '\n');
    tellOnce(said === '' ? wordOf(next.state) : `${wordOf(next.state)}: ${said}`);
  }

  function applyArtifact(artifact: Artifact | undefined, append: boolean): void {
    if (artifact === undefined) return;
    const known = artifacts.get(artifact.artifactId);
    if (known === undefined && artifacts.size >= maxArtifacts) {
      throw failed(agent, `gave more than ${maxArtifacts} artifacts`, false);
    }
    const parts = append && known ? [...known.parts, ...artifact.parts] : artifact.parts;
    artifacts.set(artifact.artifactId, { ...(append && known ? known : artifact), parts });
    const name = artifact.name || artifact.artifactId;
    const said = textOf(artifact.parts, '');
    tellOnce(said === '' ? `artifact ${name}` : `artifact ${name}: ${said}`);
  }

  function applyTask(task: Task): void {
    taskId = task.id;
    history = task.history;
    // A whole task takes the place of what was heard of it.
    if (task.artifacts.length > 0) artifacts.clear();
    for (const artifact of task.artifacts.slice(0, maxArtifacts)) {
      artifacts.set(artifact.artifactId, artifact);
    }
    applyStatus(task.status);
  }

  const state = (): TaskState | undefined => status?.state;

  return {
    id: () => taskId,
    apply({ payload }) {
      if (payload === undefined) return;
      if (payload.$case === 'task') applyTask(payload.value);
      else if (payload.$case === 'message') message = payload.value;
      else if (payload.$case === 'statusUpdate') {
        taskId ??= payload.value.taskId;
        applyStatus(payload.value.status);
      } else {
        taskId ??= payload.value.taskId;
        applyArtifact(payload.value.artifact, payload.value.append);
      }
    },
    applyTask,
    applyMessage(given) {
      message = given;
    },
    isEnded: () => message !== undefined || endStates.has(state()),
    isOver: () => message !== undefined || endStates.has(state()) || askingStates.has(state()),
    output() {
      if (message !== undefined) return outputOf(message.parts, '\n');
      if (state() !== TaskState.TASK_STATE_COMPLETED) throw endError(agent, status);
      const given = [...artifacts.values()];
      const [first] = given;
      if (first === undefined) {
        const last = status?.message ?? history.findLast(({ role }) => role === Role.ROLE_AGENT);
        return outputOf(last?.parts ?? [], '\n');
      }
      if (given.length === 1) return outputOf(first.parts, '');
      return given.map(({ name, artifactId, parts }) => ({
        name: name || artifactId,
        output: outputOf(parts, ''),
      }));
    },
    partial: () =>
      [...artifacts.values()]
        .map(({ parts }) => textOf(parts, ''))
        .join('\n')
        .slice(0, partialLength),
  };
}

const endStates: ReadonlySet<TaskState | undefined> = new Set([
  TaskState.TASK_STATE_COMPLETED,
  TaskState.TASK_STATE_FAILED,
  TaskState.TASK_STATE_CANCELED,
  TaskState.TASK_STATE_REJECTED,
]);
/** No ends for the peer, but nobody here can give what it waits for. */
const askingStates: ReadonlySet<TaskState | undefined> = new Set([
  TaskState.TASK_STATE_INPUT_REQUIRED,
  TaskState.TASK_STATE_AUTH_REQUIRED,
]);

function endError(agent: string, status: TaskStatus | undefined): AppError {
  const said = textOf(status?.message?.parts ?? [], '\n').slice(0, saidCharacters);
  const tail = said === '' ? '' : `: ${said}`;
  switch (status?.state) {
    case TaskState.TASK_STATE_INPUT_REQUIRED:
      return failed(agent, `asks for more than it was given${tail}`, false);
    case TaskState.TASK_STATE_AUTH_REQUIRED:
      return failed(agent, `asks somebody to sign in${tail}`, false);
    case TaskState.TASK_STATE_REJECTED:
      return failed(agent, `refused the task${tail}`, false);
    case TaskState.TASK_STATE_CANCELED:
      return failed(agent, `cancelled the task by itself${tail}`, false);
    default:
      return failed(agent, `failed${tail}`, true);
  }
}

function failed(agent: string, what: string, retryable: boolean): AppError {
  const details = { agent };
  return new AppError('agent_failed', `agent ${agent} ${what}`, { details, retryable });
}

/** `TASK_STATE_INPUT_REQUIRED` as people say it. */
function wordOf(state: TaskState): string {
  return (TaskState[state] ?? 'unknown')
    .replace(/^TASK_STATE_/, '')
    .toLowerCase()
    .replaceAll('_', ' ');
}

function textOf(parts: readonly Part[], separator: string): string {
  return parts
    .flatMap(({ content }) => (content?.$case === 'text' ? [content.value] : []))
    .join(separator);
}

/** The one data part, or the text; files and what is mixed in another way as a list. */
function outputOf(parts: readonly Part[], separator: string): unknown {
  const data = parts.flatMap(({ content }) => (content?.$case === 'data' ? [content] : []));
  const files = parts.filter(({ content }) => content?.$case === 'url' || content?.$case === 'raw');
  if (files.length === 0 && data.length === 1) return (data[0]?.value ?? null) as unknown;
  if (files.length === 0 && data.length === 0) return textOf(parts, separator);
  return parts.map(({ content, filename, mediaType }): unknown => {
    if (content?.$case === 'text') return { text: content.value };
    if (content?.$case === 'data') return { data: content.value as unknown };
    const file = { name: filename, mediaType };
    if (content?.$case === 'url') return { file: { ...file, url: content.value } };
    if (content?.$case === 'raw') {
      return { file: { ...file, base64: Buffer.from(content.value).toString('base64') } };
    }
    return {};
  });
}
