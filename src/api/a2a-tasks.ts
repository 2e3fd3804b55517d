/** Runs as tasks of A2A. A task's id is the run's; its states are those of the run, one to one. */
import type { Conversation, Question, RunDetail } from '../coordination/coordination.ts';
import { outputPart } from './a2a-parts.ts';
import type {
  TaskState,
  WireArtifact,
  WireMessage,
  WirePart,
  WireStatus,
  WireTask,
} from './a2a-schemas.ts';

/** Why a run ended as rejected rather than failed: somebody said no, or nobody could begin it. */
const refusals: ReadonlySet<string> = new Set(['rejected', 'agent_unavailable']);

export interface TaskShape {
  /** What was said, oldest first. */
  readonly history?: readonly unknown[];
  readonly artifacts: boolean;
}

export function taskOf(run: RunDetail, { contextId }: Conversation, shape: TaskShape): WireTask {
  const { history } = shape;
  return {
    id: run.id,
    contextId,
    status: statusOf(run, contextId),
    ...(shape.artifacts ? { artifacts: artifactsOf(run) } : {}),
    ...(history === undefined ? {} : { history }),
    metadata: { workflow: run.workflow, spent: run.spent },
  };
}

export function stateOf({
  status,
  questions,
  error,
}: Pick<RunDetail, 'status' | 'questions' | 'error'>): TaskState {
  if (status === 'completed') return 'TASK_STATE_COMPLETED';
  if (status === 'cancelled') return 'TASK_STATE_CANCELED';
  if (status === 'failed') return endedBadly(error?.code);
  if (questions.length > 0) return 'TASK_STATE_INPUT_REQUIRED';
  return status === 'created' || status === 'queued'
    ? 'TASK_STATE_SUBMITTED'
    : 'TASK_STATE_WORKING';
}

/** How a run that failed with this code ended. */
export function endedBadly(code: string | undefined): TaskState {
  return code !== undefined && refusals.has(code) ? 'TASK_STATE_REJECTED' : 'TASK_STATE_FAILED';
}

export function hasEnded({ status }: Pick<RunDetail, 'status'>): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

function statusOf(run: RunDetail, contextId: string): WireStatus {
  const { error, questions } = run;
  const place = { taskId: run.id, contextId };
  const message =
    error !== undefined
      ? agentSays(place, `${run.id}-error`, [{ text: error.message }])
      : hasEnded(run) || questions.length === 0
        ? undefined
        : asking(place, questions);
  return {
    state: stateOf(run),
    timestamp: run.finishedAt ?? run.startedAt ?? run.createdAt,
    ...(message === undefined ? {} : { message }),
  };
}

export interface Place {
  readonly taskId: string;
  readonly contextId: string;
}

/** A message of the agent. The id is the same whenever the same is said. */
export function agentSays(
  place: Place,
  messageId: string,
  parts: readonly WirePart[],
): WireMessage {
  return { messageId, ...place, role: 'ROLE_AGENT', parts };
}

/** The questions in words, and for programs. */
export function asking(place: Place, questions: readonly Question[]): WireMessage {
  return agentSays(
    place,
    `${place.taskId}-${questions.map(({ id }) => id).join('-')}`.slice(0, 200),
    [
      { text: questions.map(({ prompt }) => prompt).join('\n') },
      { data: { questions }, mediaType: 'application/json' },
    ],
  );
}

function artifactsOf({ output }: RunDetail): readonly WireArtifact[] {
  const artifact = artifactOf(output);
  return artifact === undefined ? [] : [artifact];
}

/** A task has one result. */
export function artifactOf(output: unknown): WireArtifact | undefined {
  const part = outputPart(output);
  return part && { artifactId: 'output', name: 'output', parts: [part] };
}
