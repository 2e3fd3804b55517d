/** What learning knows and says: the words that its parts and its callers share. */

/** Length of every embedding; each has unit length, so that their dot product is the cosine. */
export const embeddingLength = 256;

/** Longest text of a task that is kept and compared, in characters. */
export const taskTextLength = 4_000;

/** How much a choice may try out: always the best known, what could be the best, or more than that. */
export const routeModes = ['exploitation', 'balanced', 'exploration'] as const;
export type RouteMode = (typeof routeModes)[number];

/** What is known of a task before it begins. */
export interface TaskFacts {
  /** Tasks of one type are compared with each other first: `workflow/task` unless a workflow says. */
  readonly type: string;
  /** What is asked, in words; what `embed` gets. */
  readonly text: string;
  /** 0 to 1, where somebody says. */
  readonly complexity?: number;
  /** What there is to work on: of a folder, the bytes of its files. */
  readonly inputBytes?: number;
  /** Further facts, as far as they are measured: `files` of a folder, for instance. */
  readonly context?: Readonly<Record<string, string | number | boolean>>;
}

/** An agent that could do a task: what of its definition counts before there is any outcome. */
export interface Candidate {
  readonly name: string;
  readonly hash: string;
  readonly description: string;
  readonly category: string;
  readonly capabilities: readonly string[];
  /** What one call may take at the most: an upper bound where nothing has been measured. */
  readonly timeoutMs: number;
  readonly budgetMicroUsd?: number;
}

/** What an attempt came to. `cancelled` says nothing of the agent: the loser of a race, a run that was stopped. */
export type OutcomeResult = 'succeeded' | 'failed' | 'cancelled';

/** What came of one attempt, as it is written with the events of its run. */
export interface Outcome {
  readonly attemptId: string;
  readonly runId: string;
  /** The task's path in the run. */
  readonly task: string;
  readonly workflow: string;
  /** Of the group that the task stands in. */
  readonly mode: string;
  readonly agent: string;
  readonly definitionHash: string;
  readonly facts: TaskFacts;
  /** By the run's clock (the database's), in milliseconds since 1970. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly result: OutcomeResult;
  /** Whether a failure is the agent's own: not so for a bad input, or a program that is missing here. */
  readonly isOwnFault?: boolean;
  readonly errorCode?: string;
  readonly usage?: {
    readonly wallMs: number;
    readonly cpuMs?: number;
    readonly peakMemoryBytes?: number;
    readonly outputBytes?: number;
    readonly tokens?: number;
    readonly microUsd?: number;
  };
  /** Agents that worked beside it in its group: other voters, stages before it. */
  readonly partners?: readonly string[];
  /** Of a routed task. */
  readonly decision?: Pick<
    RouteDecision,
    'policy' | 'propensity' | 'success' | 'expected' | 'candidates'
  >;
}

/** A number with the interval that holds it with a probability of 90 %. */
export interface Estimate {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface RouteRequest {
  readonly task: TaskFacts;
  /** Those that may and can do it now, at least one. */
  readonly candidates: readonly Candidate[];
  /** Agents already chosen for the same group, with which the new one will work. */
  readonly partners?: readonly string[];
  /** What is set for the whole fleet unless given. */
  readonly mode?: RouteMode;
  /** What a dollar and a minute count against success: how much of a probability of 1 each costs. */
  readonly worth?: { readonly perUsd?: number; readonly perMinute?: number };
  /** From 0 up to 1: which of the possible choices is made. */
  readonly draw: number;
  /** Of who waits for the choice: it ends the wait for an embedder that is a server. */
  readonly signal?: AbortSignal;
}

/** How one candidate looks for one task. */
export interface Prospect {
  readonly agent: string;
  /** Expected success less what cost and time count: what choices are made by. */
  readonly score: number;
  readonly success: Estimate;
  /** Outcomes of tasks like this one that speak for this agent, weighed by their likeness. */
  readonly evidence: number;
  /** Absent while nothing was measured. */
  readonly expected: { readonly ms?: Estimate; readonly microUsd?: Estimate };
  /** With which probability this one is chosen. */
  readonly propensity: number;
}

/** Where a choice stands: what decided, in the order of its weight. */
export interface Factor {
  readonly name: string;
  /** How much it moves the score of the chosen one against the next best. */
  readonly weight: number;
  readonly text: string;
}

/** A task of before that is like this one. */
export interface NearTask {
  readonly text: string;
  readonly type: string;
  /** The cosine, −1 to 1. */
  readonly similarity: number;
  readonly agents: readonly {
    readonly agent: string;
    readonly tried: number;
    readonly succeeded: number;
  }[];
}

export interface RouteDecision {
  readonly agent: string;
  /** Name of the policy that decided. */
  readonly policy: string;
  readonly mode: RouteMode;
  /** With which probability this agent was chosen: what off-policy estimates divide by. Above 0. */
  readonly propensity: number;
  readonly success: Estimate;
  /**
   * How sure: its probability of success is at least so much, with a probability of 95 %. Without
   * evidence that is little, and `basis` says so.
   */
  readonly confidence: number;
  /** What the choice stands on: outcomes, the definitions' words alone, or nothing at all. */
  readonly basis: 'outcomes' | 'definitions' | 'nothing';
  readonly expected: Prospect['expected'];
  /** All who could have been chosen: whom another policy is compared over. */
  readonly candidates: readonly string[];
  /** The chosen one first, then at most five others by score. */
  readonly prospects: readonly Prospect[];
}

/** A decision with its reasons, for people. */
export interface Recommendation extends RouteDecision {
  readonly factors: readonly Factor[];
  readonly neighbours: readonly NearTask[];
  /** What would have to be different for another choice, in sentences. */
  readonly wouldChange: readonly string[];
}

/** Turns texts into vectors of `embeddingLength`. The same name always gives the same vectors. */
export interface Embedder {
  /** What its vectors are kept under: kind, model and version. */
  readonly name: string;
  /** Vector i belongs to text i. Throws `embedding_invalid` for a wrong length or a number that is none. */
  embed(texts: readonly string[], signal?: AbortSignal): Promise<readonly Float32Array[]>;
}

/** What tasks of one text came to, by agent: sums, so that more can be added. */
export interface Evidence {
  readonly agent: string;
  readonly tried: number;
  readonly succeeded: number;
  /** Sums over successes of the logarithm of their time in ms, and of its square. */
  readonly logMs: number;
  readonly logMsSquares: number;
  /** How many told what they cost, and the sum. */
  readonly paid: number;
  readonly microUsd: number;
}

export interface Neighbour {
  /** SHA-256 of type and text, lower-case hex. */
  readonly taskHash: string;
  readonly type: string;
  readonly text: string;
  readonly similarity: number;
  readonly evidence: readonly Evidence[];
}

/** Tasks of before by their vectors. */
export interface Neighbourhood {
  /** The `k` nearest by cosine, nearest first. */
  near(vector: Float32Array, k: number): Promise<readonly Neighbour[]>;
}
