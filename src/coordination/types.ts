/** The words of coordination: workflows, runs, tasks, attempts and the events that all state is read from. */
import type { ErrorRecord } from '../base/base.ts';

export type WorkflowMode = 'sequential' | 'parallel';

/** One input that a workflow takes. */
export interface InputSpec {
  readonly type: 'string' | 'number' | 'integer' | 'boolean' | 'directory' | 'git-repository';
  readonly description: string;
  readonly required: boolean;
  readonly default?: string | number | boolean;
}

/** A node of a workflow. */
export interface TaskSpec {
  readonly id: string;
  readonly agent: string;
  readonly description: string;
  /** What the agent gets; `${…}` expressions are resolved when the task starts. */
  readonly input: unknown;
  /** These must have completed. */
  readonly needs: readonly string[];
  /** These must have ended, however. */
  readonly after: readonly string[];
  /** One attempt's limit; absent: the agent's own. */
  readonly timeoutMs?: number;
  /** Further tries after the first; absent: the agent's own. */
  readonly retries?: number;
  /** 1 to 100; higher goes first. */
  readonly priority: number;
  /** `stop`: a failure ends the run as failed. `continue`: the rest goes on. */
  readonly onFailure: 'stop' | 'continue';
}

/** A checked workflow, in the form that is hashed and pinned by a run. */
export interface WorkflowDefinition {
  readonly name: string;
  readonly description: string;
  readonly mode: WorkflowMode;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly tasks: readonly TaskSpec[];
  readonly maxParallel: number;
  readonly timeoutMs: number;
  /** What the run gives back, with expressions; absent: the outputs of all tasks by id. */
  readonly output?: unknown;
}

export type RunStatus =
  | 'created'
  | 'queued'
  | 'running'
  | 'paused'
  | 'waiting'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'recovering';

export type TaskStatus =
  | 'created'
  | 'ready'
  | 'running'
  | 'waiting'
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'skipped';

/** What one attempt used. */
export interface Usage {
  readonly wallMs: number;
  readonly cpuMs?: number;
  readonly peakMemoryBytes?: number;
  readonly outputBytes?: number;
}

/** The body of an event, by type. */
export type EventBody =
  | {
      readonly type: 'run.created';
      readonly workflow: string;
      readonly definitionHash: string;
      readonly input: Readonly<Record<string, unknown>>;
      /** Agent name to definition hash: what this run uses for its whole life. */
      readonly agents: Readonly<Record<string, string>>;
    }
  | { readonly type: 'run.claimed'; readonly worker: string; readonly takeover: boolean }
  /** The worker let go in good order; time until the next claim does not count against the limit. */
  | { readonly type: 'run.released'; readonly reason: string }
  | {
      readonly type: 'attempt.started';
      readonly task: string;
      readonly attempt: number;
      readonly attemptId: string;
    }
  | { readonly type: 'attempt.progress'; readonly task: string; readonly text: string }
  | {
      readonly type: 'attempt.succeeded';
      readonly task: string;
      readonly attempt: number;
      readonly output: unknown;
      readonly usage: Usage;
    }
  | {
      readonly type: 'attempt.failed';
      readonly task: string;
      readonly attempt: number;
      readonly error: ErrorRecord;
      /** Set when another attempt follows: not before this time (ISO 8601). */
      readonly retryAt?: string;
    }
  /** The worker died or let go before the attempt ended; it does not count against the retries. */
  | {
      readonly type: 'attempt.abandoned';
      readonly task: string;
      readonly attempt: number;
      readonly reason: string;
    }
  | { readonly type: 'attempt.cancelled'; readonly task: string; readonly attempt: number }
  | { readonly type: 'task.skipped'; readonly task: string; readonly reason: string }
  /** The run can not go on and stops what is under way; it will end as failed with this error. */
  | { readonly type: 'run.stopping'; readonly error: ErrorRecord }
  | { readonly type: 'run.cancel_requested'; readonly reason: string; readonly signalId: string }
  | { readonly type: 'run.retried'; readonly tasks: readonly string[]; readonly signalId: string }
  | { readonly type: 'run.completed'; readonly output: unknown }
  | { readonly type: 'run.failed'; readonly error: ErrorRecord }
  | { readonly type: 'run.cancelled'; readonly reason: string };

export type EventType = EventBody['type'];

/** One appended fact about a run. */
export interface RunEvent {
  readonly runId: string;
  /** 1, 2, 3 … within the run, without gaps. */
  readonly seq: number;
  readonly at: string;
  /** The lease under which it was written. */
  readonly epoch: number;
  readonly body: EventBody;
}

export interface RunSummary {
  readonly id: string;
  readonly workflow: string;
  readonly status: RunStatus;
  readonly priority: number;
  readonly createdAt: string;
  readonly startedAt?: string;
  readonly finishedAt?: string;
  /** Tasks by status, e.g. {completed: 18, failed: 2}. */
  readonly tasks: Readonly<Partial<Record<TaskStatus, number>>>;
  readonly error?: ErrorRecord;
}

export interface TaskView {
  readonly id: string;
  readonly agent: string;
  readonly description: string;
  readonly status: TaskStatus;
  readonly needs: readonly string[];
  readonly after: readonly string[];
  /** Attempts begun so far. */
  readonly attempts: number;
  readonly startedAt?: string;
  readonly finishedAt?: string;
  readonly usage?: Usage;
  readonly error?: ErrorRecord;
  readonly skippedBecause?: string;
  readonly progress?: string;
  readonly output?: unknown;
}

export interface RunDetail extends RunSummary {
  readonly input: Readonly<Record<string, unknown>>;
  readonly definitionHash: string;
  readonly mode: WorkflowMode;
  readonly taskList: readonly TaskView[];
  readonly output?: unknown;
  /** The last event's number: where a follower starts. */
  readonly lastSeq: number;
  /** Time that no task accounts for: from creation to end, less the time in which at least one attempt ran. */
  readonly overheadMs?: number;
}

export interface StartRun {
  readonly workflow: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** 1 to 100, default 50. */
  readonly priority?: number;
  /** Two starts with the same key give the same run. At most 255 characters. */
  readonly idempotencyKey?: string;
}

export interface Page<Row> {
  readonly items: readonly Row[];
  /** Give it back to get the next page; absent at the end. */
  readonly nextCursor?: string;
}

/** What `run start --plan` shows: nothing is written. */
export interface RunPlan {
  readonly workflow: WorkflowDefinition;
  readonly input: Readonly<Record<string, unknown>>;
  /** Tasks in the waves in which they can start at the earliest. */
  readonly waves: readonly (readonly string[])[];
  readonly agents: readonly {
    readonly name: string;
    readonly hash: string;
    readonly unavailable?: string;
  }[];
}

/** What the faces (HTTP, CLI) may ask of coordination. Ids are UUIDv7; times ISO 8601. */
export interface Coordination {
  /** All loadable workflows, and what is wrong with the others. */
  workflows(): Promise<{
    definitions: readonly WorkflowDefinition[];
    problems: readonly WorkflowProblem[];
  }>;
  /** Throws `workflow_not_found`, `workflow_invalid`, `invalid_input`, `agent_not_found`. */
  plan(request: StartRun): Promise<RunPlan>;
  start(request: StartRun): Promise<RunSummary>;
  /** Newest first; `limit` 1 to 500, default 50. */
  list(filter: {
    status?: RunStatus;
    workflow?: string;
    limit?: number;
    cursor?: string;
  }): Promise<Page<RunSummary>>;
  /** Throws `run_not_found`. */
  get(runId: string): Promise<RunDetail>;
  /** Events with seq > `after`, ascending; `limit` 1 to 1,000, default 200. */
  events(runId: string, after: number, limit?: number): Promise<readonly RunEvent[]>;
  /** Yields events from `after` on as they are appended, and returns when the run has ended. */
  follow(runId: string, after: number, signal?: AbortSignal): AsyncIterable<RunEvent>;
  /** Asks for cancellation; throws `run_finished` when it has ended. */
  cancel(runId: string, reason: string): Promise<RunSummary>;
  /** Tries the failed, cancelled and skipped tasks of an ended run again; completed ones are kept. */
  retry(runId: string): Promise<RunSummary>;
  /** Resolves when the run has ended. Rejects with the signal's reason. */
  wait(runId: string, signal?: AbortSignal): Promise<RunDetail>;
}

/** A complaint about a workflow file. */
export interface WorkflowProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly suggestion?: string;
}
