/** Coordination as the faces see it: runs, their tasks, and what may be asked of them. */
import type { ErrorRecord } from '../base/base.ts';
import type { RouteDecision } from '../learning/learning.ts';
import type { Amounts, WorkflowDefinition, WorkflowMode } from './definition.ts';
import type { Answer, Parent, Question, RunEvent, Usage, Verdict } from './events.ts';

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

/** How a run's effects stand once somebody asked to undo them. */
export type UndoStatus = 'requested' | 'undone' | 'failed';

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
  /** Equal for runs that failed in the same way. */
  readonly fingerprint?: string;
  readonly undo?: UndoStatus;
  /** The principal who started it. */
  readonly startedBy?: string;
  /** The run that it was forked from. */
  readonly forkedFrom?: string;
  /** The run whose agent asked for this one, and the task that it was doing. */
  readonly parent?: { readonly runId: string; readonly task: string; readonly attemptId?: string };
  /** A parked run: when it goes on by itself. */
  readonly wakeAt?: string;
}

export interface TaskView {
  /** Its path; items of a pipeline are numbered (`parse#3`). */
  readonly id: string;
  readonly kind: 'agent' | 'group' | 'approval' | 'wait';
  /** The group it stands in. */
  readonly parent?: string;
  /** Who does it; of a task whose agent is chosen, once that is done. */
  readonly agent?: string;
  /** How its agent was chosen. */
  readonly routed?: RoutedView;
  /** Of a group. */
  readonly mode?: WorkflowMode;
  readonly description: string;
  readonly status: TaskStatus;
  readonly needs: readonly string[];
  readonly after: readonly string[];
  /** Attempts begun so far. */
  readonly attempts: number;
  readonly startedAt?: string;
  readonly finishedAt?: string;
  /** Of all attempts together. */
  readonly usage?: Usage;
  readonly error?: ErrorRecord;
  readonly skippedBecause?: string;
  /** Why it waits, and until when. */
  readonly waitsFor?: { readonly what: string; readonly until?: string };
  readonly progress?: string;
  /** Withheld while votes are still being cast. */
  readonly output?: unknown;
  readonly verdict?: Verdict;
  /** Of a pipeline: its items. */
  readonly items?: number;
}

/** A choice in short; the event `task.routed` has all of it. */
export interface RoutedView {
  /** How many could have been chosen. */
  readonly of?: number;
  /** It has the task from an attempt before. */
  readonly stays?: true;
  /** Its probability of success, 0 to 1. */
  readonly success?: number;
  readonly basis?: RouteDecision['basis'];
  /** Outcomes of tasks like this one that spoke for it, weighed by their likeness. */
  readonly evidence?: number;
}

export interface RunDetail extends RunSummary {
  readonly input: Readonly<Record<string, unknown>>;
  readonly definitionHash: string;
  readonly mode: WorkflowMode;
  /** At most 5,000: a pipeline's further items are only counted. */
  readonly taskList: readonly TaskView[];
  readonly output?: unknown;
  /** Of a workflow that votes or races itself. */
  readonly verdict?: Verdict;
  /** Of a workflow that is a pipeline itself and has begun: its items. */
  readonly items?: number;
  /** What a person has to answer before it goes on. */
  readonly questions: readonly Question[];
  /** What all attempts have used together. */
  readonly spent: Usage;
  /** Its limit on that, with what was added since. */
  readonly budget?: Amounts;
  /** Tasks whose effects can't be undone. */
  readonly irreversible: readonly string[];
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
  /** The principal who asks. */
  readonly startedBy?: string;
  /** Whether whoever asks may call an agent: those that the run's agents call are held to it. Absent: all. */
  readonly mayCall?: (agent: string) => boolean | Promise<boolean>;
}

/** A run of one agent alone. */
export interface StartAgent extends Omit<StartRun, 'workflow' | 'input'> {
  readonly name: string;
  readonly input: unknown;
  /** The attempt that asks for it. */
  readonly parent?: Parent;
  /** Instead of `mayCall`: what is known already. */
  readonly callable?: readonly string[];
  /** What it may use at the most. */
  readonly allowance?: Amounts;
  /** Budgets that it shares. */
  readonly budgets?: readonly string[];
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
  /** Tasks of the outermost group in the waves in which they can start at the earliest. */
  readonly waves: readonly (readonly string[])[];
  readonly agents: readonly {
    readonly name: string;
    readonly hash: string;
    readonly unavailable?: string;
  }[];
  /** Who could be chosen, by the paths of the tasks that say `route`. */
  readonly routes?: Readonly<Record<string, readonly string[]>>;
  /** Tasks whose effects can't be undone, and why. */
  readonly irreversible: readonly { readonly task: string; readonly why: string }[];
}

/** What undoing a run would do, newest effect first: nothing is touched. */
export interface UndoPlan {
  readonly runId: string;
  readonly effects: readonly {
    /** Of a folder: the tasks that changed it, newest first. */
    readonly task: string;
    readonly how: 'workspace' | 'compensation' | 'impossible' | 'done';
    /** For people: what would be restored, which agent would be called, or why it can't be undone. */
    readonly summary: string;
    readonly files?: readonly {
      readonly path: string;
      /** `conflict`: changed by somebody else since. `left`: changed, and does not come back. */
      readonly action: 'restore' | 'delete' | 'recreate' | 'conflict' | 'left';
      readonly reason?: string;
    }[];
  }[];
  /** Whether something stands in the way that only `force` overwrites. */
  readonly conflicts: boolean;
}

/** Who asks, for the log. */
export interface Asker {
  readonly by?: string;
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
  /** Starts a run of one agent; its workflow is called `agent:` and the agent's name. Throws `agent_not_found`. */
  startAgent(request: StartAgent): Promise<RunSummary>;
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
  cancel(runId: string, request: Asker & { reason: string }): Promise<RunSummary>;
  /** Starts nothing new until it is resumed; attempts under way go on. Throws `run_finished`. */
  pause(runId: string, request: Asker & { reason: string }): Promise<RunSummary>;
  /** Throws `run_finished`. */
  resume(runId: string, request: Asker): Promise<RunSummary>;
  /**
   * Tries the failed, cancelled and skipped tasks of an ended run again; completed ones are kept.
   * With `from`, that task and all that stands on it are done again, completed or not.
   */
  retry(runId: string, request: Asker & { from?: string }): Promise<RunSummary>;
  /**
   * A new run of the same definition that keeps the results of all tasks that do not stand on `from`.
   * `input` replaces inputs by name. Its agents may call whom whoever asks may call; without `mayCall`,
   * whom those of the run could. Throws `invalid_input` for a task that is not there or has not begun.
   */
  fork(
    runId: string,
    request: Asker &
      Pick<StartRun, 'mayCall'> & { from: string; input?: Readonly<Record<string, unknown>> },
  ): Promise<RunSummary>;
  /**
   * Answers what the run asks; without `question`, the only one open. Throws `run_finished`,
   * `conflict` when it asks nothing, or several things and none was named.
   */
  answer(
    runId: string,
    request: Omit<Answer, 'by'> & Asker & { question?: string },
  ): Promise<RunSummary>;
  /** Gives a signal to a task that waits, or will wait, for one of that name. Throws `run_finished`. */
  signal(runId: string, request: Asker & { name: string; data: unknown }): Promise<RunSummary>;
  undoPlan(runId: string): Promise<UndoPlan>;
  /** Cancels the run if it is open, and undoes its effects, newest first. Again: what is not undone yet. */
  undo(runId: string, request: Asker & { force: boolean }): Promise<RunSummary>;
  /** The runs that its agents asked for, and those below them, oldest first; at most 1,000. */
  calls(runId: string): Promise<readonly CalledRun[]>;
  /** Resolves when the run has ended. Rejects with the signal's reason. */
  wait(runId: string, signal?: AbortSignal): Promise<RunDetail>;
}

/** A run that an agent asked for, somewhere below another. */
export interface CalledRun {
  readonly id: string;
  readonly parent: { readonly runId: string; readonly task: string };
  readonly agent: string;
  /** 1: called by the run that was asked for. */
  readonly depth: number;
  readonly status: RunStatus;
  readonly createdAt: string;
  readonly finishedAt?: string;
  readonly error?: ErrorRecord;
}

/** A complaint about a workflow file. */
export interface WorkflowProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly suggestion?: string;
}
