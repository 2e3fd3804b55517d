import type { ErrorRecord } from '../base/base.ts';
import { childPath, type Standing, type Walk } from './walk.ts';
import type { Group, Race, TaskSpec } from './definition.ts';
import { fitProblem } from './fit.ts';
import { taskEnded, type TaskState } from './state.ts';

/**
 * Competition: the first starts, the next when nobody has won for a while or one has failed, and the
 * first answer that is accepted wins. What is still under way then is stopped; its cost is kept.
 */
export function decideRace(walk: Walk, path: string, group: Group): Standing {
  const { race } = group;
  if (race === undefined) throw new Error(`group ${path} has no race`);
  const racers = group.tasks.map((task, index) => {
    const racer = childPath(path, task);
    return { task, index, path: racer, own: walk.task(racer) };
  });
  const refused: { task: string; reason: string }[] = [];
  let verifying = 0;
  const finished = racers
    .filter(({ own }) => own?.status === 'completed')
    .toSorted((a, b) => (a.own?.finishedAtMs ?? 0) - (b.own?.finishedAtMs ?? 0));
  for (const racer of finished) {
    const judged = judge(walk, path, race, racer.index, racer.own);
    if (judged === 'accepted') {
      const verdict = { mode: 'competitive', winner: racer.path, refused } as const;
      const output = racer.own?.output;
      const running = walk.runningIn(path);
      return { ended: { outcome: 'completed', output, verdict }, running };
    }
    if (judged === 'open') verifying += 1;
    else refused.push({ task: racer.path, reason: judged });
  }
  const started = racers.filter(({ own }) => own !== undefined && own.status !== 'created');
  const going = started.filter(({ own }) => !taskEnded(own?.status ?? 'created'));
  for (const { path: racer, task } of going) walk.advance(racer, task);
  const next = racers.find(({ own }) => own === undefined || own.status === 'created');
  if (next !== undefined) {
    startNext(
      walk,
      race,
      next,
      started.map(({ own }) => own),
      verifying > 0,
    );
  } else if (going.length === 0 && verifying === 0) {
    const errors = racers.flatMap(({ path: racer, own }) =>
      own?.error === undefined ? [] : [{ task: racer, error: own.error.message }],
    );
    const error: ErrorRecord = {
      code: 'no_winner',
      message: `${path || 'the workflow'}: none of ${racers.length} gave an answer that was accepted`,
      retryable: true,
      details: { refused, errors },
    };
    return {
      ended: { outcome: 'failed', error, verdict: { mode: 'competitive', refused } },
      running: 0,
    };
  }
  return { running: walk.runningIn(path) };
}

function startNext(
  walk: Walk,
  race: Race,
  next: { readonly path: string; readonly task: TaskSpec },
  started: readonly (TaskState | undefined)[],
  isVerifying: boolean,
): void {
  const lastMs = Math.max(-Infinity, ...started.map((own) => own?.startedAtMs ?? -Infinity));
  const hasHope =
    isVerifying || started.some((own) => own?.status === 'running' && own.failures === 0);
  const dueMs = hasHope ? lastMs + race.hedgeMs : walk.nowMs;
  if (dueMs > walk.nowMs) {
    walk.due(dueMs);
    return;
  }
  walk.advance(next.path, next.task);
  // Whoever is behind it has to be thought of in time, though nothing else may happen until then.
  walk.due(walk.nowMs + race.hedgeMs);
}

/** Whether an answer wins: `open` while its verifier is at work, else why it was refused. */
function judge(
  walk: Walk,
  path: string,
  { accept, verify }: Race,
  index: number,
  own: TaskState | undefined,
): 'accepted' | 'open' | (string & {}) {
  if (accept !== undefined) {
    const problem = fitProblem(accept, own?.output);
    if (problem !== undefined) return problem;
  }
  if (verify === undefined) return 'accepted';
  const verifier = `${childPath(path, verify)}#${index}`;
  const judged = walk.task(verifier);
  if (judged === undefined || !taskEnded(judged.status)) {
    walk.advance(verifier, verify, { answer: own?.output ?? null });
    return 'open';
  }
  if (judged.status !== 'completed')
    return judged.error?.message ?? `its verifier was ${judged.status}`;
  const { output } = judged;
  const isNo =
    output === false ||
    (output !== null && typeof output === 'object' && Reflect.get(output, 'ok') === false);
  if (!isNo) return 'accepted';
  const reason: unknown = output === false ? undefined : Reflect.get(output as object, 'reason');
  return typeof reason === 'string' ? `its verifier said no: ${reason}` : 'its verifier said no';
}
