/**
 * Runs as tasks of MCP, in its extension of 2026-07-28 and in the experimental form that 2025-11-25 has
 * in its core. A task's id is the run's, so that any session of the same principal finds it again.
 */
import {
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  type InputRequests,
  type InputResponses,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { isId } from '../base/base.ts';
import type { Question, RunDetail } from '../coordination/coordination.ts';
import { runResult } from './mcp-answers.ts';
import type { Answered, CallOperation } from './mcp-operations.ts';

export const tasksExtension = 'io.modelcontextprotocol/tasks';
/** Where a request of 2026-07-28 says what its client can. */
export const capabilitiesKey = 'io.modelcontextprotocol/clientCapabilities';
const pollIntervalMs = 1_000;

type TaskStatus = 'working' | 'input_required' | 'completed' | 'failed' | 'cancelled';

/** What a client said of itself in a request. */
export interface ClientCapabilities {
  readonly elicitation?: object | undefined;
  readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}

/** What the client said of itself in this request. Before 2026-07-28 it said so only once. */
export function clientOf({ mcpReq }: ServerContext): ClientCapabilities | undefined {
  const envelope = mcpReq.envelope as Readonly<Record<string, unknown>> | undefined;
  return envelope?.[capabilitiesKey] as ClientCapabilities | undefined;
}

export function speaksTasks(capabilities: ClientCapabilities | undefined): boolean {
  return capabilities?.extensions?.[tasksExtension] !== undefined;
}

/** Throws what the extension wants for a client that has not declared it (-32021). */
export function assertSpeaksTasks(capabilities: ClientCapabilities | undefined): void {
  if (speaksTasks(capabilities)) return;
  throw new MissingRequiredClientCapabilityError({
    requiredCapabilities: { extensions: { [tasksExtension]: {} } },
  });
}

/** Whether a person can be asked through this client. A bare `elicitation: {}` has always meant forms. */
function takesForms(capabilities: ClientCapabilities | undefined): boolean {
  const { elicitation } = capabilities ?? {};
  if (elicitation === undefined) return false;
  return 'form' in elicitation || Object.keys(elicitation).length === 0;
}

/**
 * A run as a task. A run that failed is a completed task whose result says so: the extension keeps
 * `failed` for calls that ended in an error of the protocol.
 */
export function taskOf(run: RunDetail, capabilities: ClientCapabilities | undefined) {
  const common = taskFields(run, statusOf(run, takesForms(capabilities)));
  if (common.status === 'input_required') {
    return { ...common, inputRequests: inputRequests(run.questions) };
  }
  return common.status === 'completed' ? { ...common, result: runResult(run) } : common;
}

function taskFields(run: RunDetail, status: TaskStatus) {
  const updated = [run.createdAt, run.startedAt, run.finishedAt, ...run.taskList.flatMap(times)];
  return {
    taskId: run.id,
    status,
    statusMessage: statusMessage(run),
    createdAt: run.createdAt,
    lastUpdatedAt:
      updated
        .filter((time) => time !== undefined)
        .toSorted()
        .at(-1) ?? run.createdAt,
    // Runs are kept until somebody prunes them.
    ttlMs: null,
    pollIntervalMs,
  };
}

function times({ startedAt, finishedAt }: RunDetail['taskList'][number]) {
  return [startedAt, finishedAt];
}

/** The same in the words of 2025-11-25, which has no input requests in a task. */
export function coreTaskOf(run: RunDetail) {
  const {
    ttlMs: ttl,
    pollIntervalMs: pollInterval,
    ...task
  } = taskFields(run, statusOf(run, true));
  return { ...task, ttl, pollInterval };
}

function statusOf({ status, questions }: RunDetail, mayAsk: boolean): TaskStatus {
  if (status === 'completed' || status === 'failed') return 'completed';
  if (status === 'cancelled') return 'cancelled';
  // A client that can not ask a person would never get past this state.
  return questions.length > 0 && mayAsk ? 'input_required' : 'working';
}

function statusMessage({ status, workflow, tasks, error, questions }: RunDetail): string {
  if (error !== undefined) return `${workflow} ${status}: ${error.message}`;
  const asked = questions[0];
  if (asked !== undefined) return `${workflow} waits for an answer (run_answer): ${asked.prompt}`;
  const counts = Object.entries(tasks).map(([state, count]) => `${count} ${state}`);
  return `${workflow} is ${status}; tasks: ${counts.join(', ') || 'none yet'}`;
}

function inputRequests(questions: readonly Question[]): InputRequests {
  return Object.fromEntries(
    questions.map((question) => [
      question.id,
      {
        method: 'elicitation/create',
        params: {
          mode: 'form',
          message: question.prompt,
          requestedSchema: {
            type: 'object',
            properties: questionFields(question),
            required: ['decision', ...(question.kind === 'tie' ? ['choice'] : [])],
          },
        },
      },
    ]),
  ) as InputRequests;
}

function questionFields({ kind, choices = [], lacking = {} }: Question) {
  return {
    decision: { type: 'string', title: 'Decision', enum: ['approve', 'reject'] },
    ...(kind === 'tie'
      ? {
          choice: {
            type: 'integer',
            title: `Which answer: ${choices.map((choice, index) => `${index} ${shortly(choice)}`).join('; ')}`,
            minimum: 0,
            maximum: Math.max(0, choices.length - 1),
          },
        }
      : {}),
    ...(kind === 'budget'
      ? Object.fromEntries(
          Object.keys(lacking).map((amount) => [
            amount,
            { type: 'number', title: `How much to add: ${amount}`, minimum: 0 },
          ]),
        )
      : {}),
    comment: { type: 'string', title: 'Comment', maxLength: 1_000 },
  };
}

function shortly(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null';
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** The run behind a task id, where this principal began it. Otherwise -32602, as for one that never was. */
export async function ownRun(
  call: CallOperation,
  taskId: string,
  principal: string,
): Promise<RunDetail> {
  const answer = isId(taskId) ? await call('getRun', { params: { id: taskId } }) : undefined;
  const run = answer?.document as RunDetail;
  if (answer === undefined || answer.status >= 400 || run.startedBy !== principal) {
    if (answer !== undefined && answer.status >= 429) throw protocolError(answer);
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, `there is no task ${taskId}`);
  }
  return run;
}

/**
 * Answers the run's questions with what the client's person said. Keys that ask nothing now are
 * passed over. Who declines or closes the form leaves the question to others.
 */
export async function answerQuestions(
  call: CallOperation,
  run: RunDetail,
  responses: InputResponses,
): Promise<void> {
  for (const question of run.questions) {
    const response = responses[question.id] as
      | { readonly action?: string; readonly content?: Readonly<Record<string, unknown>> }
      | undefined;
    if (response?.action !== 'accept') continue;
    const { decision, choice, comment, ...others } = response.content ?? {};
    const added = Object.keys(question.lacking ?? {}).filter((name) => others[name] !== undefined);
    const answer = await call('answerRun', {
      params: { id: run.id },
      body: {
        question: question.id,
        decision,
        ...(choice === undefined || decision === 'reject' ? {} : { choice }),
        ...(added.length === 0 || decision === 'reject'
          ? {}
          : { add: Object.fromEntries(added.map((name) => [name, others[name]])) }),
        ...(comment === undefined || comment === '' ? {} : { comment }),
      },
    });
    if (answer.status >= 400) throw protocolError(answer);
  }
}

export async function cancelTask(call: CallOperation, run: RunDetail): Promise<void> {
  const answer = await call('cancelRun', { params: { id: run.id }, body: {} });
  const { code } = answer.document as { readonly code?: string };
  // One that has ended meanwhile is past cancelling, which is not for the client to mend.
  if (answer.status >= 400 && code !== 'run_finished') throw protocolError(answer);
}

/** A refusal of a route where MCP has no result to put it into. */
export function protocolError({ status, document }: Answered): ProtocolError {
  const { code, detail, remedy } = document as Readonly<Record<string, string | undefined>>;
  const isTheirs = status < 500 && status !== 429;
  return new ProtocolError(
    isTheirs ? ProtocolErrorCode.InvalidParams : ProtocolErrorCode.InternalError,
    detail ?? 'the bridge refused the call',
    { code, ...(remedy === undefined ? {} : { remedy }) },
  );
}
