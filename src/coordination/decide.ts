/** What to do next with a run: pure, from its definition, its state and the time. */
import { decideGraph } from './decide-graph.ts';
import { decideRace } from './decide-race.ts';
import { decideStream } from './decide-stream.ts';
import { decideVotes } from './decide-votes.ts';
import type { WorkflowDefinition, WorkflowMode } from './definition.ts';
import { heldMs, taskEnded, type RunState } from './state.ts';
import { Walk, type Decision, type Expressions, type Look, type RunEnd } from './walk.ts';

const modes: Readonly<Record<WorkflowMode, Look>> = {
  sequential: decideGraph,
  parallel: decideGraph,
  pipeline: decideStream,
  consensus: decideVotes,
  redundant: decideVotes,
  competitive: decideRace,
};

/** Decides for a run that is held by a worker. Cancellation outranks the time limit, and that a failed task. */
export function decide(
  definition: WorkflowDefinition,
  state: RunState,
  nowMs: number,
  expressions: Expressions,
): Decision {
  const walk = new Walk(state, nowMs, expressions, (own, path, group) =>
    modes[group.mode](own, path, group),
  );
  const limitAtMs = nowMs + Math.max(0, definition.timeoutMs - heldMs(state, nowMs));
  const stopped = stopping(definition, state, nowMs);
  if (stopped !== undefined) return walk.closing(stopped, limitAtMs);
  const problem = walk.openStream(definition);
  const { ended, failing } = problem ?? walk.group('', definition);
  // Losers of a race, and voters that are not needed any more, are on nobody's way; one that was to be
  // tried again when its group had its result already is still waiting.
  if (ended !== undefined) walk.closeRest('', 'the result is there');
  if (walk.facts.length > 0) return walk.decision(undefined, limitAtMs);
  if (failing !== undefined) return walk.closing({ outcome: 'failed', error: failing }, limitAtMs);
  if (ended?.outcome === 'failed') return walk.closing(ended, limitAtMs);
  // Attempts of groups that have ended already may still be on their way out.
  if (ended === undefined || state.running.size > 0) return walk.decision(undefined, limitAtMs);
  return walk.decision(ended, limitAtMs);
}

/** Why the run as a whole can not go on, or undefined. */
function stopping(
  definition: WorkflowDefinition,
  state: RunState,
  nowMs: number,
): RunEnd | undefined {
  if (state.cancelReason !== undefined) return { outcome: 'cancelled', reason: state.cancelReason };
  if (state.stopError !== undefined) {
    const { verdict } = state;
    return { outcome: 'failed', error: state.stopError, ...(verdict && { verdict }) };
  }
  if (heldMs(state, nowMs) < definition.timeoutMs) return undefined;
  const isOpen = definition.tasks.some(
    ({ id }) => !taskEnded(state.tasks.get(id)?.status ?? 'created'),
  );
  if (!isOpen) return undefined;
  return {
    outcome: 'failed',
    error: {
      code: 'timeout',
      message: `the run took longer than its ${definition.timeoutMs / 1_000} s`,
      retryable: true,
      remedy: 'Raise timeoutSeconds in the workflow, or `centuria run retry` what is left.',
    },
  };
}
