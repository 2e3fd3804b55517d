/** What of a run's events shows in its row. */
import type { ErrorRecord } from '../base/base.ts';
import type { RowChange } from './event-log.ts';
import type { EventBody } from './events.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { RunRow } from './queries.ts';
import { agentAt, countTasks, isOver, openQuestions, runEnded, type RunState } from './state.ts';

const statusChanges: ReadonlySet<EventBody['type']> = new Set([
  'run.claimed',
  'run.released',
  'run.paused',
  'run.resumed',
  'run.retried',
  'run.undo_requested',
  'run.undone',
  'run.completed',
  'run.failed',
  'run.cancelled',
]);

/** Undefined when nothing does; counts alone are worth a change only from time to time. */
export function rowChange(
  state: RunState,
  events: readonly { readonly body: EventBody }[],
  {
    release,
    withCounts,
  }: {
    readonly release: Extract<EventBody, { type: 'run.released' }> | undefined;
    readonly withCounts: boolean;
  },
): RowChange | undefined {
  const changesStatus = events.some(({ body }) => statusChanges.has(body.type));
  if (!changesStatus && !withCounts) return undefined;
  const { error, undo } = state;
  const isEnding = isOver(state);
  const status = isEnding || !runEnded(state.status) ? state.status : 'recovering';
  return {
    counts: countTasks(state),
    ...(changesStatus ? { status } : {}),
    ...(error === undefined ? {} : { error, fingerprint: fingerprint(state, error) }),
    ...(undo === undefined ? {} : { undo }),
    ...(release === undefined ? {} : { release: true, wakeAt: release.until ?? null }),
    ...(isEnding ? { finished: true, ...endOf(state) } : {}),
  };
}

/** The end of a run that was undone since. */
function endOf({ undo, finishedAtMs }: RunState): { finishedAt?: string } {
  if (undo === undefined || finishedAtMs === undefined) return {};
  return { finishedAt: new Date(finishedAtMs).toISOString() };
}

/** The row of a run as its last turn left it. */
export function endedRow(row: RunRow, state: RunState, at: Date | null): RunRow {
  const { error, undo, status } = state;
  return {
    ...row,
    status,
    owner: null,
    task_counts: countTasks(state),
    error: error ?? null,
    fingerprint: error === undefined ? null : fingerprint(state, error),
    undo: undo ?? null,
    wake_at: null,
    finished_at: undo === undefined && at !== null ? at : new Date(state.finishedAtMs ?? 0),
  };
}

function fingerprint(state: RunState, error: ErrorRecord): string {
  const task = error.details?.['task'];
  if (typeof task !== 'string') return fingerprintOf(error);
  const agent = agentAt(state, task);
  return fingerprintOf(error, { id: task, ...(agent === undefined ? {} : { agent }) });
}

/** Why a run needs no worker for now. */
export function whyParked(state: RunState): string {
  if (state.paused) return 'paused';
  const [question] = openQuestions(state);
  return question === undefined ? 'nothing to do yet' : `waits for an answer: ${question.prompt}`;
}
