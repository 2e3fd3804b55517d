/** A connection is cut around a COMMIT: after it has reached the server, or before its answer is back. */
import { openStatementRelay } from '../../support/statement-relay.ts';
import { readEffects } from '../../support/effects.ts';
import type { StartedRun } from './judge.ts';
import { allEnded, comes, conclude, startRun, type Scenario, type Trial } from './scenario.ts';

const steps = 3;
const ms = 5;

export const lostCommit: Scenario = {
  name: 'lost-commit',
  title: 'a connection lost around COMMIT',
  notApplicable: (engine) =>
    engine.processes === 'one' ? 'it has no connection that could be lost' : undefined,
  async run(trial) {
    const relay = await openStatementRelay(trial.server.port);
    const runs: StartedRun[] = [];
    try {
      const worker = await trial.store.startWorker({ port: relay.port });
      const before = relay.count;
      runs.push(await startRun(trial, { key: 'unharmed', steps, ms }));
      await allEnded(trial);
      const statements = relay.count - before;
      const rounds = trial.rounds ?? (trial.extent === 'full' ? 60 : 2);
      let cuts = 0;
      for (let round = 0; round < rounds; round += 1) {
        const at = 1 + Math.floor((round * statements) / rounds);
        const moment = round % 2 === 0 ? 'answered' : 'sent';
        relay.set({ at, moment, act: () => 'cut' });
        runs.push(await startRun(trial, { key: `cut ${moment} ${at} (${round})`, steps, ms }));
        await comes(async () => (await trial.store.countOpen()) === 0);
        if (relay.clear()) cuts += 1;
      }
      trial.say(`cut the worker's connections ${cuts} times`);
      const lostStarts = await cutStarts(trial, runs);
      const seen = [
        worker.hasExited ? 'the worker did not survive the loss of a connection' : undefined,
        cuts * 2 < rounds ? `only ${cuts} of ${rounds} cuts came about` : undefined,
      ];
      const finding = await conclude(trial, runs, { statements, cuts, lostStarts }, seen);
      const begun = new Set((await readEffects(trial.folder)).map(({ runId }) => runId));
      if (begun.size !== runs.length) {
        finding.violations.push(`${runs.length} runs were wanted, ${begun.size} have begun steps`);
      }
      return finding;
    } finally {
      await relay.close();
    }
  },
};

/** The caller's connection is cut while it starts a run; it asks again with the same key. */
async function cutStarts(trial: Trial, runs: StartedRun[]): Promise<number> {
  const relay = await openStatementRelay(trial.server.port);
  const store = await trial.server.openThrough(relay.port);
  let cuts = 0;
  try {
    const most = trial.extent === 'full' ? 12 : 2;
    for (let at = 1; at <= most; at += 1) {
      relay.set({
        at: 1 + Math.floor(at / 2),
        moment: at % 2 === 0 ? 'answered' : 'sent',
        act: () => 'cut',
      });
      runs.push(await startRun({ ...trial, store }, { key: `start cut ${at}`, steps, ms }));
      if (relay.clear()) cuts += 1;
    }
    return cuts;
  } finally {
    await store.close();
    await relay.close();
  }
}
