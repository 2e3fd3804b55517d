import type { AgentDefinition } from '../agents/agents.ts';
import type { AttemptContext } from './attempt.ts';
import type { WorkflowDefinition } from './definition.ts';
import type { EventLog } from './event-log.ts';
import type { RunEvent } from './events.ts';
import type { ClaimedRow, SignalRow } from './queries.ts';
import type { Ended } from './run-feed.ts';
import type { Slots } from './slots.ts';
import type { UndoContext } from './undo.ts';

/** What a driver stands on; the same for all runs of a worker. */
export interface DriverContext extends UndoContext, AttemptContext {
  readonly worker: string;
  readonly eventLog: EventLog;
  readonly slots: Slots;
  /** Called when events have become durable, with the run's end when it has ended with them. */
  readonly publish: (runId: string, end: Ended | undefined) => void;
}

export interface ClaimedRun {
  readonly row: ClaimedRow;
  /** The monotonic clock when the row came. */
  readonly claimedMonotonicMs: number;
  readonly definition: WorkflowDefinition;
  readonly events: readonly RunEvent[];
  /** Of a run that has a budget: its agents by name. */
  readonly agents: ReadonlyMap<string, AgentDefinition>;
  readonly signals: readonly SignalRow[];
}

/** How a driver let go of its run: `parked` waits for a time or for somebody, without a worker. */
export type DriverEnd = 'ended' | 'released' | 'parked' | 'fenced';
