/** What learning shows of what it knows. */
import type { Estimate, OutcomeResult, RouteMode } from './types.ts';

export interface ListPage {
  /** 1 to 500; 50 unless given. */
  readonly limit?: number;
  readonly cursor?: string;
}

export interface Listed<Item> {
  readonly items: readonly Item[];
  readonly nextCursor?: string;
}

export interface Rater {
  readonly id: string;
  readonly name: string;
}

/** For an attempt, or the last one of a task of a run. */
export interface GivenFeedback {
  readonly of: { readonly attemptId: string } | { readonly runId: string; readonly task?: string };
  /** 1 (useless) to 10. */
  readonly score: number;
  readonly comment?: string;
  readonly by: Rater;
}

export interface TakenFeedback {
  readonly attemptId: string;
  readonly agent: string;
  readonly score: number;
  /** Principals who have rated this agent; below three, ratings move no choice. */
  readonly principals: number;
}

export interface ReportedOutcome {
  readonly agent: string;
  readonly type: string;
  readonly text: string;
  readonly complexity?: number;
  readonly inputBytes?: number;
  readonly result: OutcomeResult;
  readonly errorCode?: string;
  /** Non-negative. */
  readonly ms: number;
  readonly microUsd?: number;
  readonly tokens?: number;
  /** ISO 8601; now unless given, never later. */
  readonly endedAt?: string;
  /** Makes a repeated report one. */
  readonly attemptId?: string;
}

/** What is known of one agent. */
export interface AgentPerformance {
  readonly agent: string;
  readonly executions: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Absent while nothing was tried to its end. */
  readonly successRate?: number;
  readonly averageMs?: number;
  readonly p95Ms?: number;
  readonly averageMicroUsd?: number;
  readonly averageTokens?: number;
  /** Mean of the principals' means, 1 to 10. */
  readonly feedback?: number;
  readonly feedbackPrincipals: number;
  /** Of the success rate: the last days against the time before. */
  readonly trend7d?: number;
  readonly trend30d?: number;
  readonly anomalyRate?: number;
  readonly anomaly?: string;
  readonly alerts: readonly string[];
  readonly lastAt?: string;
  readonly updatedAt: string;
}

export interface TaskTypeView {
  readonly type: string;
  readonly executions: number;
  readonly successRate?: number;
  readonly averageMs?: number;
  readonly p95Ms?: number;
  readonly averageComplexity?: number;
  readonly agents: number;
  readonly best?: { readonly agent: string; readonly rate: number };
  readonly lastAt?: string;
}

export interface CombinationView {
  readonly hash: string;
  readonly mode: string;
  readonly agents: readonly string[];
  readonly executions: number;
  readonly successRate: number;
  readonly expectedRate: number;
  /** −1 to 1. */
  readonly synergy: number;
  readonly confidence: number;
}

export type InsightKind =
  | 'optimal_combo'
  | 'avoid_pattern'
  | 'performance_tip'
  | 'resource_optimization'
  | 'specialization'
  | 'trend_alert'
  | 'anomaly_detection'
  | 'efficiency_improvement';

/** Something that was found, with the numbers that it was found from. */
export interface Insight {
  readonly key: string;
  readonly kind: InsightKind;
  readonly agents: readonly string[];
  readonly taskType?: string;
  readonly statement: string;
  readonly evidence: unknown;
  readonly confidence: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface PolicyView {
  readonly policy: string;
  readonly state: 'candidate' | 'incumbent' | 'retired' | 'refused';
  /** Outcomes that it was fitted on. */
  readonly executions: number;
  /** Its value and the incumbent's on outcomes that it was not fitted on. */
  readonly evaluation?: {
    readonly estimator: string;
    readonly outcomes: number;
    readonly value: Estimate;
    readonly incumbent: Estimate;
  };
  /** Why it was taken or not. */
  readonly reason?: string;
  readonly fittedAt: string;
  readonly decidedAt?: string;
}

export interface LearningStatus {
  readonly mode: RouteMode;
  readonly policy: string;
  readonly embedder: string;
  /** How neighbours are found here, and why so. */
  readonly similarity: { readonly kind: 'hnsw' | 'exact'; readonly reason?: string };
  readonly executions: number;
  readonly texts: number;
  /** Texts that have no vector of the present embedder yet. */
  readonly unembedded: number;
  /** Executions that the projections have not read yet. */
  readonly behind: number;
  /** Of choices made by this process, in the last minute. */
  readonly choices: { readonly perSecond: number; readonly averageMs?: number };
  readonly calibration?: {
    readonly outcomes: number;
    readonly brier: number;
    readonly expectedCalibrationError: number;
  };
  readonly signing: { readonly available: false; readonly reason: string };
  readonly fitting: boolean;
}

/** Of 95 %. */
export interface Bounded {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** How choices fared by the database's own record: of routed attempts that succeeded or failed. */
export interface LogReport {
  readonly outcomes: number;
  readonly agents: number;
  /** What was chosen succeeded so often. */
  readonly successRate?: Bounded;
  /** What choosing by chance among the same candidates would have come to (doubly robust). */
  readonly byChance?: Bounded;
  readonly calibration?: {
    readonly outcomes: number;
    readonly brier: number;
    readonly expectedCalibrationError: number;
    /** From low to high: what was stated on average, and what came. */
    readonly bins: readonly (Bounded & { readonly stated: number; readonly outcomes: number })[];
  };
  readonly times?: {
    readonly outcomes: number;
    /** Half of the attempts were off by less than this factor, either way. */
    readonly medianFactor: number;
    /** How often the time lay in the interval that was to hold it in 90 % of cases. */
    readonly coverage?: Bounded;
  };
  /** Since when success or time differ from what is predicted. */
  readonly drift: { readonly success?: string; readonly times?: string };
  /** What could not be measured, and why. */
  readonly unavailable: readonly string[];
}
