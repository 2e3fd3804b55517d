/** The events of a run: all that is known of it is read from them. */
import type { ErrorCode, ErrorRecord } from '../base/base.ts';
import type { RouteDecision } from '../learning/learning.ts';
import type { WorkspaceChange, WorkspaceMark } from '../workspaces/workspaces.ts';
import type { Amounts } from './definition.ts';

export type { WorkspaceChange, WorkspaceMark };

/** What one attempt used. */
export interface Usage {
  readonly wallMs: number;
  readonly cpuMs?: number;
  readonly peakMemoryBytes?: number;
  readonly outputBytes?: number;
  readonly tokens?: number;
  readonly microUsd?: number;
}

/** A way to an agent beside calling it in the worker's own process. */
export type DoorName = 'http' | 'wire';

/** What came of an attempt at one door. */
export interface Passage {
  readonly door: DoorName;
  /** `taken`: its answer counted, or was the same. `other`: it answered something else. */
  readonly outcome: 'taken' | 'other' | 'failed' | 'cancelled';
  /** Of a failure. */
  readonly code?: ErrorCode;
}

/** Who asked for a run: an attempt of a task of another one. */
export interface Parent {
  readonly runId: string;
  readonly task: string;
  readonly attemptId: string;
  /** The agents from the outermost caller down to the one that asked. */
  readonly chain: readonly string[];
}

/** What a run asks a person. */
export interface Question {
  /** Unique within the run. */
  readonly id: string;
  readonly kind: 'approval' | 'tie' | 'budget';
  /** The task that waits for it. */
  readonly task: string;
  readonly prompt: string;
  /** Of a tie: the answers to choose from. */
  readonly choices?: readonly unknown[];
  /** Of a budget: what is asked for beyond the limit. */
  readonly lacking?: Amounts;
}

export interface Answer {
  readonly decision: 'approve' | 'reject';
  /** Of a tie: which of the choices, from 0. */
  readonly choice?: number;
  /** Of a budget: what is added to it. */
  readonly add?: Amounts;
  readonly comment?: string;
  readonly by?: string;
}

/** One voter's answer. */
export interface Vote {
  readonly task: string;
  readonly weight: number;
  /** Which of the different answers it is, from 0; -1: it gave none. */
  readonly answer: number;
  /** Set when it gave none. */
  readonly error?: ErrorRecord;
}

/** How a group came to its result. */
export type Verdict =
  | {
      readonly mode: 'consensus' | 'redundant';
      readonly votes: readonly Vote[];
      /** The different answers; the first has the most weight. */
      readonly answers: readonly { readonly output: unknown; readonly share: number }[];
      /** Which of them was taken, or -1. An arbiter's own answer is added as the last. */
      readonly chosen: number;
      readonly decidedBy: 'agreement' | 'order' | 'arbiter' | 'person' | 'nobody';
      /** Of lists voted on by element: how much weight stands behind each element of the result and of what was left out. */
      readonly elements?: readonly {
        readonly element: unknown;
        readonly share: number;
        readonly taken: boolean;
      }[];
    }
  | {
      readonly mode: 'competitive';
      readonly winner?: string;
      /** Answers that came and were not accepted. */
      readonly refused: readonly { readonly task: string; readonly reason: string }[];
    }
  | {
      readonly mode: 'pipeline';
      readonly items: number;
      readonly completed: number;
      /** Items that a stage failed on, by number. */
      readonly dropped: readonly number[];
    };

/** The body of an event, by type. */
export type EventBody = RunEventBody | TaskEventBody;

/** What a fork takes over of a task. */
export interface Inherited {
  readonly output: unknown;
  /** Who did it, where that was chosen. */
  readonly agent?: string;
}

export type RunEventBody =
  | {
      readonly type: 'run.created';
      readonly workflow: string;
      readonly definitionHash: string;
      readonly input: Readonly<Record<string, unknown>>;
      /** Agent name to definition hash: what this run uses for its whole life. */
      readonly agents: Readonly<Record<string, string>>;
      /** Of tasks whose agents are chosen, by path in the workflow: those that may be. */
      readonly routes?: Readonly<Record<string, readonly string[]>>;
      /** Tasks whose effects can't be undone: said before the run starts. */
      readonly irreversible?: readonly string[];
      readonly startedBy?: string;
      readonly forkedFrom?: { readonly runId: string; readonly task: string };
      /** Of a run that an agent asked for. */
      readonly parent?: Parent;
      /** Agents that its agents may call, as far as whoever started it may; absent: all that they name. */
      readonly callable?: readonly string[];
      /** What it may use: what is left to the caller. */
      readonly allowance?: Amounts;
      /** Results taken over from the run that this one was forked from. */
      readonly inherited?: Readonly<Record<string, Inherited>>;
    }
  | { readonly type: 'run.claimed'; readonly worker: string; readonly takeover: boolean }
  /** The worker let go in good order; time until the next claim does not count against the limit. */
  | { readonly type: 'run.released'; readonly reason: string; readonly until?: string }
  | {
      readonly type: 'run.paused';
      readonly reason: string;
      readonly by?: string;
      readonly signalId: string;
    }
  | { readonly type: 'run.resumed'; readonly by?: string; readonly signalId: string }
  | { readonly type: 'question.asked'; readonly question: Question }
  | {
      readonly type: 'question.answered';
      readonly question: string;
      readonly answer: Answer;
      readonly signalId: string;
    }
  | {
      readonly type: 'signal.received';
      readonly name: string;
      readonly data: unknown;
      readonly by?: string;
      readonly signalId: string;
    }
  /** The run can not go on and stops what is under way; it will end as failed with this error. */
  | { readonly type: 'run.stopping'; readonly error: ErrorRecord; readonly verdict?: Verdict }
  | {
      readonly type: 'run.cancel_requested';
      readonly reason: string;
      readonly by?: string;
      readonly signalId: string;
    }
  | {
      readonly type: 'run.retried';
      readonly tasks: readonly string[];
      readonly by?: string;
      readonly signalId: string;
    }
  | { readonly type: 'run.completed'; readonly output: unknown; readonly verdict?: Verdict }
  | { readonly type: 'run.failed'; readonly error: ErrorRecord; readonly verdict?: Verdict }
  | { readonly type: 'run.cancelled'; readonly reason: string }
  | {
      readonly type: 'run.undo_requested';
      /** Whether what others have changed since is overwritten. */
      readonly force: boolean;
      readonly by?: string;
      readonly signalId: string;
    }
  | { readonly type: 'run.undone'; readonly outcome: 'undone' | 'failed' };

export type TaskEventBody =
  /** A group, a question or a wait began. */
  | {
      readonly type: 'task.started';
      readonly task: string;
      /** What a pipeline streams. */
      readonly items?: readonly unknown[];
      /** When a wait ends by itself. */
      readonly dueAt?: string;
    }
  | {
      readonly type: 'task.ended';
      readonly task: string;
      readonly outcome: 'completed' | 'failed' | 'cancelled';
      readonly output?: unknown;
      readonly error?: ErrorRecord;
      readonly verdict?: Verdict;
      /** A vote, or a part of one. */
      readonly blind?: true;
    }
  | { readonly type: 'task.skipped'; readonly task: string; readonly reason: string }
  | {
      readonly type: 'attempt.started';
      readonly task: string;
      readonly attempt: number;
      readonly attemptId: string;
      /** What was set aside for it from the run's budget. */
      readonly reserved?: Amounts;
    }
  /** Who does an attempt whose agent is chosen: written before the agent is called. */
  | {
      readonly type: 'task.routed';
      readonly task: string;
      readonly attempt: number;
      readonly agent: string;
      /** Its prospects are at most six: those of the chosen one and five others. Absent where the agent only stays. */
      readonly decision?: RouteDecision;
      /** It has the task from an attempt before. */
      readonly stays?: true;
      /** It acts outside: from now on no other agent gets this task of the run. */
      readonly external?: true;
      /** Nothing undoes what it does. */
      readonly irreversible?: true;
    }
  | { readonly type: 'attempt.progress'; readonly task: string; readonly text: string }
  | {
      readonly type: 'attempt.succeeded';
      readonly task: string;
      readonly attempt: number;
      readonly output: unknown;
      readonly usage: Usage;
      /** The doors that it was called through, where the task says `tandem`. */
      readonly via?: readonly Passage[];
      /** A vote that is not shown to anybody before all are in. */
      readonly blind?: true;
    }
  | {
      readonly type: 'attempt.failed';
      readonly task: string;
      readonly attempt: number;
      readonly error: ErrorRecord;
      readonly usage?: Usage;
      readonly via?: readonly Passage[];
      /** What it had given before it failed; the next attempt gets it. */
      readonly partial?: unknown;
      /** Half a vote is one, too. */
      readonly blind?: true;
      /** Set when another attempt follows: not before this time (ISO 8601). */
      readonly retryAt?: string;
    }
  /** It may not begin yet: a breaker is open, a shared budget is used up, the agent asks to be called later. Not counted. */
  | {
      readonly type: 'attempt.deferred';
      readonly task: string;
      readonly attempt: number;
      readonly error: ErrorRecord;
      readonly retryAt: string;
    }
  /** The worker died or let go before the attempt ended; it does not count against the retries. */
  | {
      readonly type: 'attempt.abandoned';
      readonly task: string;
      readonly attempt: number;
      readonly reason: string;
    }
  | {
      readonly type: 'attempt.cancelled';
      readonly task: string;
      readonly attempt: number;
      readonly reason?: string;
      readonly usage?: Usage;
    }
  /** The state of a folder before an attempt: written before the agent may change it. */
  | { readonly type: 'workspace.prepared'; readonly task: string; readonly mark: WorkspaceMark }
  | { readonly type: 'workspace.changed'; readonly task: string; readonly change: WorkspaceChange }
  | {
      readonly type: 'effect.undone';
      readonly task: string;
      readonly how: 'workspace' | 'compensation';
      readonly detail?: unknown;
      readonly error?: ErrorRecord;
    };

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
