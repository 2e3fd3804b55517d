/** Durable workflows: an append-only log of events a run, advanced by whichever worker holds its lease. */
import { availableParallelism } from 'node:os';
import type { AgentRegistry } from '../agents/agents.ts';
import type { Clock, Log } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type { Learning } from '../learning/learning.ts';
import type { Workspaces } from '../workspaces/workspaces.ts';
import type { Breakers } from './breakers.ts';
import type { Budgets } from './budgets.ts';
import { createCallGate, type CallGate } from './call-gate.ts';
import { ensurePartitions } from './partitions.ts';
import { anyRun, countOpenRuns } from './queries.ts';
import { RunFeed } from './run-feed.ts';
import { openRuns } from './runs.ts';
import type { Coordination, RunStatus } from './types.ts';
import type { Door } from './tandem.ts';
import { openTandem } from './tandem-calls.ts';
import { Worker } from './worker.ts';

export type * from './definition.ts';
export type * from './events.ts';
export type { Door, DoorAnswer } from './tandem.ts';
export type * from './types.ts';
export { allTasks, isAgentTask, isApprovalTask, isGroupTask } from './definition.ts';
export {
  breakerError,
  breakerKey,
  breakerOutcome,
  openBreakers,
  type Admission,
  type BreakerFilter,
  type BreakerLimits,
  type BreakerOutcome,
  type BreakerView,
  type Breakers,
} from './breakers.ts';
export {
  openConversations,
  type Conversation,
  type ConversationList,
  type Conversations,
  type SaidMessage,
} from './conversations.ts';
export {
  openDeadLetters,
  type DeadLetters,
  type FailureGroup,
  type RetriedFailures,
} from './dead-letters.ts';
export { pruneRuns, type PruneReport, type PruneRequest } from './retention.ts';
export type * from './schedule-types.ts';
export {
  budgetError,
  budgetKinds,
  formatAmount,
  openBudgets,
  periods,
  type BudgetChange,
  type BudgetKind,
  type BudgetLimits,
  type BudgetUse,
  type BudgetView,
  type Budgets,
  type Overrun,
  type Period,
  type ReserveAnswer,
  type ReserveRequest,
  type Shortage,
} from './budgets.ts';
export { runFolder } from './run-folder.ts';
export { openSchedules } from './schedules.ts';
export { keepRunTables, startUpkeep, type Upkeep, type UpkeepOptions } from './upkeep.ts';
export {
  loadWorkflows,
  readWorkflow,
  workflowFolders,
  type LoadedWorkflows,
} from './workflow-files.ts';
export { workflowFileSchema, type KnownAgents } from './workflow.ts';

export interface CoordinationOptions {
  readonly database: Database;
  readonly registry: AgentRegistry;
  readonly workflowFolders: readonly string[];
  /** The data folder: runs leave their files in `runs/<id>` there. */
  readonly home: string;
  /** What relative defaults of path inputs start from. */
  readonly cwd: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: () => number;
  readonly leaseMs: number;
  /** Attempts at the same time; 0: twice the processors, at least 4. */
  readonly concurrency: number;
  /** Runs that the worker holds at the same time. */
  readonly maxRuns?: number;
  /** Asked before every call of an agent; absent: every call is let in, and no workflow may name a budget. */
  readonly limits?: { readonly breakers: Breakers; readonly budgets: Budgets };
  /** Ways to agents for tasks that say `tandem`; none unless given. */
  readonly doors?: readonly Door[];
  /** Folders that agents may change; absent: tasks that name one fail. */
  readonly workspaces?: Workspaces;
  /** Chooses the agents of tasks that say `route`; absent: workflows that say it are refused. */
  readonly router?: Pick<Learning, 'choose'>;
}

export interface CoordinationPart {
  readonly runs: Coordination;
  /** Starts a worker here; without one, runs are started and watched in this process but driven elsewhere. */
  startWorker(): Promise<void>;
  /** Open runs by status, and what the worker here has under way. */
  status(): Promise<{
    readonly open: Readonly<Partial<Record<RunStatus, number>>>;
    readonly worker?: {
      readonly id: string;
      readonly runs: number;
      readonly attempts: number;
      readonly concurrency: number;
    };
  }>;
  /** Whether any run has ever been started in this database. */
  hasRuns(): Promise<boolean>;
  /**
   * Stops the worker in order: attempts under way may finish within `graceMs`, the rest is stopped
   * and goes on after the next start. Aborting `hurry` ends the waiting.
   */
  stop(graceMs: number, hurry?: AbortSignal): Promise<void>;
}

/** Opens coordination on a migrated database. Nothing is driven until `startWorker`. */
export async function openCoordination(options: CoordinationOptions): Promise<CoordinationPart> {
  const { database, clock, log } = options;
  const feed = new RunFeed();
  await ensurePartitions(database, clock, log);
  const gate = options.limits && createCallGate(options.limits);
  const runs = openRuns({ ...options, feed, ...(gate && { gate }) });
  let worker: Worker | undefined;
  return {
    runs,
    async startWorker() {
      worker ??= createWorker(options, runs, feed, gate);
      await worker.start();
    },
    async status() {
      const open = await database.query(countOpenRuns());
      return {
        open: Object.fromEntries(open.map(({ status, total }) => [status, total])),
        ...(worker === undefined ? {} : { worker: { id: worker.id, ...worker.load } }),
      };
    },
    hasRuns: async () => (await database.query(anyRun())).length > 0,
    stop: async (graceMs, hurry) => worker?.stop(graceMs, hurry),
  };
}

function createWorker(
  options: CoordinationOptions,
  runs: Coordination,
  feed: RunFeed,
  gate: CallGate | undefined,
): Worker {
  const { database, registry, home, clock, log, leaseMs, concurrency } = options;
  const { workspaces, router } = options;
  return new Worker({
    database,
    registry,
    home,
    clock,
    log,
    random: options.random ?? Math.random,
    leaseMs,
    concurrency: concurrency === 0 ? Math.max(4, 2 * availableParallelism()) : concurrency,
    maxRuns: options.maxRuns ?? 10_000,
    feed,
    runs,
    tandem: openTandem({ doors: options.doors ?? [], clock, log }),
    ...(gate === undefined ? {} : { gate }),
    ...(workspaces === undefined ? {} : { workspaces }),
    ...(router === undefined ? {} : { router }),
  });
}
