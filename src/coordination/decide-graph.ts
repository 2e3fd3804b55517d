import type { ErrorRecord } from '../base/base.ts';
import { childPath, failureOf, type Ended, type Standing, type Walk } from './walk.ts';
import type { Group, TaskSpec } from './definition.ts';
import { nameOf } from './shape.ts';
import { taskEnded, type TaskState } from './state.ts';

/** Sequential and parallel: whatever waits for nothing any more may start; a failure stops unless the task says `continue`. */
export function decideGraph(walk: Walk, path: string, group: Group): Standing {
  const facts = walk.facts.length;
  skipLost(walk, path, group);
  // What was skipped may have failed the group, or freed who only waits for an end: look again first.
  if (walk.facts.length > facts) return { running: walk.runningIn(path) };
  const failing = failureIn(walk, path, group);
  if (failing !== undefined) {
    const running = walk.runningIn(path);
    return running === 0
      ? { ended: { outcome: 'failed', error: failing }, running }
      : { failing, running };
  }
  let running = 0;
  let open = 0;
  for (const task of group.tasks) {
    const own = walk.task(childPath(path, task));
    const status = own?.status ?? 'created';
    if (taskEnded(status)) continue;
    open += 1;
    if (status === 'created' && !isReady(walk, path, task)) continue;
    running += walk.advance(childPath(path, task), task);
  }
  if (open > 0) return { running };
  return { ended: outcomeOf(walk, path, group), running };
}

function isReady(walk: Walk, path: string, task: TaskSpec): boolean {
  const statusOf = (id: string) => walk.task(childPath(path, { id }))?.status ?? 'created';
  return (
    task.needs.every((id) => statusOf(id) === 'completed') &&
    task.after.every((id) => taskEnded(statusOf(id)))
  );
}

/** Tasks that need one that has ended without completing can never start; a skip passes on in turn. */
function skipLost(walk: Walk, path: string, group: Group): void {
  for (const task of group.tasks) {
    const own = walk.task(childPath(path, task));
    if (own !== undefined && own.status !== 'created' && own.status !== 'waiting') continue;
    for (const id of task.needs) {
      const status = walk.task(childPath(path, { id }))?.status ?? 'created';
      if (status === 'completed' || !taskEnded(status)) continue;
      const reason = `it needs ${nameOf(id)}, which was ${status}`;
      walk.skip(childPath(path, task), reason);
      break;
    }
  }
}

/** The cause: what failed first, or could never start. What was closed because of it comes after. */
function failureIn(walk: Walk, path: string, group: Group): ErrorRecord | undefined {
  let cause: TaskState | undefined;
  for (const task of group.tasks) {
    if (task.onFailure === 'continue') continue;
    const own = walk.task(childPath(path, task));
    if (own === undefined) continue;
    if (own.status !== 'failed' && own.status !== 'skipped' && own.status !== 'cancelled') continue;
    if (cause === undefined || isBefore(own, cause)) cause = own;
  }
  if (cause === undefined) return undefined;
  return failureOf(cause.id, cause.status === 'failed' ? cause.error : undefined, cause.reason);
}

function isBefore(a: TaskState, b: TaskState): boolean {
  const [aMs, bMs] = [a.finishedAtMs ?? Infinity, b.finishedAtMs ?? Infinity];
  if (aMs !== bMs) return aMs < bMs;
  return a.status === 'failed' && b.status !== 'failed';
}

function outcomeOf(walk: Walk, path: string, group: Group): Ended {
  const output =
    group.output === undefined
      ? Object.fromEntries(
          group.tasks.flatMap((task) => {
            const own = walk.task(childPath(path, task));
            return own?.status === 'completed' ? [[nameOf(task.id), own.output]] : [];
          }),
        )
      : walk.resolveOutput(group.output, path);
  return { outcome: 'completed', output };
}
