/** One call in ten fails in passing, and some always do: most runs succeed, and those that fail say why. */
import type { StartedRun } from './judge.ts';
import { conclude, startRun, type Scenario } from './scenario.ts';

const steps = 5;
const hopeless = 100;
/** What is left must be better than that. */
const leastShare = 0.95;

export const passingFaults: Scenario = {
  name: 'passing-faults',
  title: '10 % of calls fail in passing',
  notApplicable: () => undefined,
  async run(trial) {
    const total = trial.rounds ?? (trial.extent === 'full' ? 500 : 60);
    const doomed = Math.max(2, Math.floor(total / 50));
    await trial.store.startWorker({ concurrency: 64 });
    const runs: StartedRun[] = [];
    for (let number = 1; number <= total + doomed; number += 1) {
      const faultPercent = number > total ? hopeless : 10;
      runs.push(await startRun(trial, { key: `run ${number}`, steps, ms: 5, faultPercent }));
    }
    const finding = await conclude(trial, runs, { faultPercent: 10, doomed }, [], (request) =>
      request.faultPercent === hopeless ? 'failed' : 'either',
    );
    const share = finding.completed / total;
    if (share <= leastShare) {
      finding.violations.push(`${(100 * share).toFixed(1)} % of the runs succeeded`);
    }
    return {
      ...finding,
      did: { ...finding.did, succeededPercent: Number((100 * share).toFixed(2)) },
    };
  },
};
