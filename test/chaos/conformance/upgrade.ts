/**
 * A rolling upgrade: runs of an old and a new definition live at once, workers are replaced one after
 * another, and a run that needs a newer worker is left alone until there is one.
 */
import { readEffects } from '../../support/effects.ts';
import type { StartedRun } from './judge.ts';
import {
  comes,
  conclude,
  onlyOneProcess,
  startRun,
  type Scenario,
  type Trial,
} from './scenario.ts';

const steps = 4;
const ms = 60;

export const rollingUpgrade: Scenario = {
  name: 'rolling-upgrade',
  title: 'a rolling upgrade with runs of two versions',
  notApplicable: (engine) => (engine.processes === 'one' ? onlyOneProcess : undefined),
  async run(trial) {
    const { store } = trial;
    const total = trial.rounds ?? (trial.extent === 'full' ? 200 : 20);
    const future = await startRun(trial, { key: 'of a newer version', steps, ms });
    const giveBack = await store.fromTheFuture(future.runId);
    const old = [await store.startWorker(), await store.startWorker()];
    const runs = [future, ...(await startMany(trial, total, 1))];
    await comes(async () => (await readEffects(trial.folder)).length >= total);
    // From here on the definition is another one; what has begun keeps the one it began with.
    const later = startMany(trial, total, 2);
    for (const worker of old) {
      await store.startWorker();
      await worker.stop();
      trial.say('a worker was replaced');
    }
    runs.push(...(await later));
    const others = runs.length - 1;
    await comes(async () => (await store.countOpen()) <= 1);
    const touched = (await readEffects(trial.folder)).some(({ runId }) => runId === future.runId);
    const early = touched ? 'workers began a run that only a newer version knows' : undefined;
    await giveBack();
    return await conclude(trial, runs, { replaced: old.length, others }, [early]);
  },
};

async function startMany(trial: Trial, total: number, version: 1 | 2): Promise<StartedRun[]> {
  const runs: StartedRun[] = [];
  for (let number = 1; number <= total; number += 1) {
    runs.push(await startRun(trial, { key: `version ${version}, ${number}`, steps, ms, version }));
  }
  return runs;
}
