/** The clocks of workers jump an hour ahead and back while runs are under way and steps wait for another try. */
import { setTimeout as delay } from 'node:timers/promises';
import { readEffects } from '../../support/effects.ts';
import type { StartedRun } from './judge.ts';
import { comes, conclude, startRun, type Scenario } from './scenario.ts';

const hourMs = 3_600_000;
const steps = 6;

export const movedClock: Scenario = {
  name: 'moved-clock',
  title: 'a clock moved by an hour, ahead and back',
  notApplicable: () => undefined,
  async run(trial) {
    const { store, engine, extent } = trial;
    const total = trial.rounds ?? (extent === 'full' ? 100 : 20);
    // Far beyond what a busy machine is silent for: whoever takes a run over here has read a wrong clock.
    const leaseMs = 20_000;
    const workers = [await store.startWorker({ leaseMs })];
    if (engine.processes === 'many') {
      workers.push(await store.startWorker({ leaseMs, clockMovedMs: -hourMs }));
    }
    const runs: StartedRun[] = [];
    for (let number = 1; number <= total; number += 1) {
      runs.push(await startRun(trial, { key: `run ${number}`, steps, ms: 30, faultPercent: 10 }));
    }
    await comes(async () => (await readEffects(trial.folder)).length > total);
    let jumps = 0;
    for (const movedMs of [hourMs, 0, -hourMs, hourMs, 0]) {
      for (const worker of workers) worker.moveClock(movedMs);
      jumps += workers.length;
      trial.say(`clocks are ${movedMs / hourMs} h off`);
      await delay(400);
    }
    const finding = await conclude(trial, runs, { workers: workers.length, jumps }, [
      workers.some(({ hasExited }) => hasExited) ? 'a worker ended' : undefined,
    ]);
    if (finding.takeovers > 0) {
      finding.violations.push(`${finding.takeovers} runs were taken from workers that were alive`);
    }
    return finding;
  },
};
