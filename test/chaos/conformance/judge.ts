/** What every engine must hold, read from the effects outside and from what the engine says of itself. */
import { expectedOutput, readEffects, stepNames, type Effect } from '../../support/effects.ts';
import type { RunRequest, Store } from './engine.ts';

export interface StartedRun {
  readonly runId: string;
  readonly request: RunRequest;
}

export interface Judgement {
  /** Sentences, each a broken promise; empty is a pass. */
  readonly violations: string[];
  readonly runs: number;
  readonly completed: number;
  readonly failed: number;
  /** Steps that were begun more than once: allowed while they were not finished. */
  readonly repeatedSteps: number;
  readonly takeovers: number;
}

/**
 * Each run has ended as it must, with the output that all its steps in a row make; no step was begun
 * after a later one had been, since that one could begin only when the engine had taken it for
 * finished; and the engine's own record is whole.
 */
export async function judge(
  store: Store,
  folder: string,
  runs: readonly StartedRun[],
  mustBe: (request: RunRequest) => 'completed' | 'failed' | 'either' = () => 'completed',
): Promise<Judgement> {
  const effects = Map.groupBy(await readEffects(folder), ({ runId }) => runId);
  const judgement = {
    violations: [] as string[],
    runs: runs.length,
    completed: 0,
    failed: 0,
    repeatedSteps: 0,
    takeovers: 0,
  };
  for (const { runId, request } of runs) {
    const view = await store.look(runId);
    const own = effects.get(runId) ?? [];
    const steps = stepNames(request.steps + (request.version === 2 ? 1 : 0));
    const say = (what: string): number =>
      judgement.violations.push(`run ${request.key} (${runId}): ${what}`);
    judgement.takeovers += view.takeovers ?? 0;
    for (const gap of view.gaps) say(gap);
    for (const what of repeatedAfterFinish(own, steps)) say(what);
    judgement.repeatedSteps += countRepeated(own);
    if (view.status === 'completed') {
      judgement.completed += 1;
      if (mustBe(request) === 'failed')
        say('it is completed, though one of its steps can not succeed');
      const expected = expectedOutput(request.key, steps);
      if (view.output !== expected) {
        say(`its output is ${JSON.stringify(view.output)}, it should be ${expected}`);
      }
      for (const step of steps) {
        if (!own.some((effect) => effect.step === step && effect.phase === 'done'))
          say(`${step} left no effect`);
      }
    } else if (view.status === 'failed') {
      judgement.failed += 1;
      if (mustBe(request) === 'completed') say(`it failed: ${view.error ?? 'without a reason'}`);
      else if (!/injected fault/.test(view.error ?? ''))
        say(`it failed and does not say why: ${view.error}`);
    } else {
      say('it has not ended');
    }
  }
  return judgement;
}

/** Steps that were begun although a later one had been begun before. */
export function repeatedAfterFinish(
  effects: readonly Effect[],
  steps: readonly string[],
): string[] {
  const found: string[] = [];
  let furthest = -1;
  for (const { step, phase, pid } of effects) {
    const index = steps.indexOf(step);
    if (index === -1) found.push(`${step} is no step of it`);
    if (phase !== 'start') continue;
    if (index < furthest) {
      found.push(`${step} was begun again by ${pid} after ${steps[furthest]} had been begun`);
    }
    furthest = Math.max(furthest, index);
  }
  return found;
}

/** Starts of a step that had been begun before and had not met a fault. */
function countRepeated(effects: readonly Effect[]): number {
  const last = new Map<string, Effect['phase']>();
  let repeated = 0;
  for (const { step, phase } of effects) {
    const before = last.get(step);
    if (phase === 'start' && before !== undefined && before !== 'fault') repeated += 1;
    last.set(step, phase);
  }
  return repeated;
}
