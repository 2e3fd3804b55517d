/**
 * A worker is frozen past its lease, another takes its runs, and it wakes: in the middle of a step, or
 * with a statement on its way that reaches the server only after the takeover.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { readEffects } from '../../support/effects.ts';
import { openStatementRelay } from '../../support/statement-relay.ts';
import type { StartedRun } from './judge.ts';
import {
  allEnded,
  comes,
  conclude,
  onlyOneProcess,
  startRun,
  successor,
  type Finding,
  type Scenario,
  type Trial,
} from './scenario.ts';

const steps = 6;
const ms = 120;

export const frozenWorker: Scenario = {
  name: 'frozen-worker',
  title: 'a frozen worker that wakes writes nothing',
  notApplicable: (engine) => (engine.processes === 'one' ? onlyOneProcess : undefined),
  async run(trial) {
    const rounds = trial.rounds ?? (trial.extent === 'full' ? 10 : 1);
    const runs: StartedRun[] = [];
    const seen: string[] = [];
    let late = 0;
    for (let round = 1; round <= rounds; round += 1) {
      for (const how of ['in a step', 'in a statement'] as const) {
        const one = await freezeOnce(trial, `${how} ${round}`, how);
        runs.push(one.run);
        seen.push(...one.seen);
        late += one.late;
        trial.say(`frozen ${how}, ${round} of ${rounds}`);
      }
    }
    return await conclude(trial, runs, { freezes: 2 * rounds, statementsThatCameLate: late }, seen);
  },
} satisfies Scenario & { run: (trial: Trial) => Promise<Finding> };

/**
 * One statement of a worker is held on its way for longer than a lease while its others pass. When it
 * is the one that renews the lease, the worker is alive and counts as dead: whoever takes its runs
 * then, be it the worker itself, must shut out what is still under way under the older lease.
 */
export const lateRenewal: Scenario = {
  name: 'late-renewal',
  title: 'a lease that is renewed late, alone',
  notApplicable: (engine) =>
    engine.processes === 'one' ? 'it has no connection that could stall' : undefined,
  async run(trial) {
    const holds = trial.rounds ?? (trial.extent === 'full' ? 20 : 2);
    const leaseMs = 600;
    const relay = await openStatementRelay(trial.server.port);
    try {
      await trial.store.startWorker({ leaseMs, port: relay.port });
      const runs: StartedRun[] = [];
      let held = 0;
      for (let hold = 1; hold <= holds; hold += 1) {
        for (let number = 1; number <= 16; number += 1) {
          runs.push(await startRun(trial, { key: `run ${hold}.${number}`, steps: 2, ms: 2_500 }));
        }
        // Once all are begun, most of what a worker sends is its lease.
        await delay(500);
        const passed = Promise.withResolvers<undefined>();
        relay.set({
          at: 1 + Math.floor(trial.random() * 4),
          moment: 'before',
          async act() {
            held += 1;
            // The lease, and then the second after which at the latest a worker looks for orphans.
            await delay(leaseMs + 1_600);
            passed.resolve(undefined);
            return 'pass' as const;
          },
        });
        await passed.promise;
        await allEnded(trial);
        trial.say(`held a statement, ${hold} of ${holds}`);
      }
      return await conclude(trial, runs, { held }, []);
    } finally {
      await relay.close();
    }
  },
};

interface Frozen {
  readonly run: StartedRun;
  readonly seen: string[];
  /** Statements that reached the server after the takeover. */
  readonly late: number;
}

async function freezeOnce(
  trial: Trial,
  key: string,
  how: 'in a step' | 'in a statement',
): Promise<Frozen> {
  const relay = await openStatementRelay(trial.server.port);
  const seen: string[] = [];
  try {
    const victim = await trial.store.startWorker({ port: relay.port });
    const run = await startRun(trial, { key, steps, ms });
    const step = 2 + Math.floor(trial.random() * 3);
    const held = Promise.withResolvers<'pass'>();
    let late = 0;
    await comes(async () => (await startsOf(trial, run)).length >= step);
    if (how === 'in a statement') {
      // What it sends next, be it the end of a step or its lease, waits until others have the run.
      relay.set({
        at: 1,
        moment: 'before',
        act() {
          victim.freeze();
          late = 1;
          return held.promise;
        },
      });
      await comes(async () => late === 1);
    } else {
      victim.freeze();
    }
    const other = await successor(trial, victim);
    const takenOver = await comes(async () =>
      (await startsOf(trial, run)).some(({ pid }) => pid === other.pid),
    );
    if (!takenOver) seen.push(`${key}: no other worker took the run of the frozen one`);
    const before = (await readEffects(trial.folder)).length;
    held.resolve('pass');
    victim.thaw();
    await comes(async () => (await trial.store.countOpen()) === 0);
    // It may end in order, so that whatever it still wants to write has been sent.
    await victim.stop();
    const begun = (await startsOf(trial, run)).filter(
      ({ pid, at }) => pid === victim.pid && at >= before,
    );
    for (const { step: name } of begun) seen.push(`${key}: it began ${name} after it woke`);
    await other.stop();
    return { run, seen, late };
  } finally {
    await relay.close();
  }
}

async function startsOf(trial: Trial, { runId }: StartedRun) {
  const effects = await readEffects(trial.folder);
  return effects.filter((effect) => effect.runId === runId && effect.phase === 'start');
}
