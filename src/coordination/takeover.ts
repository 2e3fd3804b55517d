/** What becomes of attempts whose worker, or whose task, is gone. */
import { AppError, errorRecord } from '../base/base.ts';
import type { EventBody } from './events.ts';
import { parentOf } from './shape.ts';
import { runEnded, taskEnded, type RunState } from './state.ts';

/** After so many attempts whose worker died, the task itself is taken for the cause. */
const maxAbandoned = 5;

/** The facts that close the attempts under way in a run that was just claimed. */
export function leftByOthers(state: RunState): EventBody[] {
  return [...state.running.keys()].map((path): EventBody => {
    const { attempts: attempt = 0, abandoned = 0 } = state.tasks.get(path) ?? {};
    if (isLeftBehind(state, path)) {
      const reason = 'its group has its result';
      return { type: 'attempt.cancelled', task: path, attempt, reason };
    }
    if (abandoned + 1 >= maxAbandoned) {
      const message = `the worker died ${maxAbandoned} times during this task`;
      const error = errorRecord(new AppError('agent_crashed', message, { retryable: false }));
      return { type: 'attempt.failed', task: path, attempt, error };
    }
    const reason = 'the worker that ran it is gone';
    return { type: 'attempt.abandoned', task: path, attempt, reason };
  });
}

/** Whether the event is of an attempt that is not under way any more. */
export function comesTooLate(state: RunState, body: EventBody): boolean {
  if (!('task' in body) || state.running.has(body.task)) return false;
  return body.type === 'task.routed' || body.type.startsWith('attempt.');
}

/** Whether a group around the task has ended: the task was on its way out. */
function isLeftBehind(state: RunState, path: string): boolean {
  for (let group = parentOf(path); group !== ''; group = parentOf(group)) {
    if (taskEnded(state.tasks.get(group)?.status ?? 'created')) return true;
  }
  return runEnded(state.status);
}
