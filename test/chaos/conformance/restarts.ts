/** PostgreSQL is stopped and started again, at once or in order, while thousands of runs are under way. */
import { setTimeout as delay } from 'node:timers/promises';
import { readEffects } from '../../support/effects.ts';
import type { Worker } from './engine.ts';
import type { StartedRun } from './judge.ts';
import { comes, conclude, startRun, successor, type Scenario, type Trial } from './scenario.ts';

const steps = 5;

export const serverRestarts: Scenario = {
  name: 'server-restarts',
  title: 'PostgreSQL restarted under load',
  notApplicable: (engine) =>
    engine.processes === 'one'
      ? 'it has no server: it dies with its process, as in row 1'
      : undefined,
  async run(trial) {
    const full = trial.extent === 'full';
    const total = trial.rounds ?? (full ? 5_000 : 200);
    const workers = [await trial.store.startWorker(), await trial.store.startWorker()];
    const starting = startAll(trial, total, full ? 40 : 20);
    const waited = { done: false };
    const restarts = restartWhile(trial, full, () => waited.done);
    const watching = replaceTheDead(trial, workers, () => waited.done);
    const runs = await starting;
    await comes(async () => (await trial.store.countOpen().catch(() => 1)) === 0, 900_000);
    waited.done = true;
    const did = { runs: total, restarts: await restarts, workersThatEnded: await watching };
    const none = did.restarts === 0 ? ['the server was never restarted under load'] : [];
    return await conclude(trial, runs, did, none);
  },
};

/** Starts all runs, some at the same time; a start that meets a stopped server is tried again. */
async function startAll(trial: Trial, total: number, ms: number): Promise<StartedRun[]> {
  const runs: StartedRun[] = [];
  let next = 0;
  const starter = async (): Promise<void> => {
    while (next < total) {
      next += 1;
      runs.push(await startRun(trial, { key: `run ${next}`, steps, ms }));
    }
  };
  await Promise.all(Array.from({ length: 16 }, starter));
  return runs;
}

/** Every 5 to 10 s until all is done; in the short form once, as soon as steps are under way. */
async function restartWhile(trial: Trial, full: boolean, isDone: () => boolean): Promise<number> {
  let restarts = 0;
  await comes(async () => (await readEffects(trial.folder)).length >= 100);
  while (!isDone()) {
    if (full) {
      const pauseMs = 5_000 + trial.random() * 5_000;
      for (let slept = 0; slept < pauseMs && !isDone(); slept += 100) await delay(100);
      if (isDone()) break;
    }
    await trial.server.restart(restarts % 2 === 0 ? 'immediate' : 'fast');
    restarts += 1;
    trial.say(`restarted the server for the ${restarts}. time`);
    if (!full) break;
  }
  return restarts;
}

/** As a supervisor does: a worker that ends by itself is started again. Gives how often that was. */
async function replaceTheDead(
  trial: Trial,
  workers: Worker[],
  isDone: () => boolean,
): Promise<number> {
  let ended = 0;
  while (!isDone()) {
    for (const [index, worker] of workers.entries()) {
      if (!worker.hasExited) continue;
      ended += 1;
      // Without a server it can not start either: until there is one it is tried again.
      const next = await successor(trial, worker).catch(() => undefined);
      if (next !== undefined) workers[index] = next;
    }
    await delay(100);
  }
  return ended;
}
