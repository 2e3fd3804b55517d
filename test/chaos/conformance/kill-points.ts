/** A worker is killed with -9 at every statement of a run, before it, while it is under way and after it. */
import {
  moments,
  openStatementRelay,
  type Moment,
  type StatementRelay,
} from '../../support/statement-relay.ts';
import type { Worker } from './engine.ts';
import type { StartedRun } from './judge.ts';
import {
  allEnded,
  comes,
  conclude,
  startRun,
  successor,
  type Finding,
  type Scenario,
  type Trial,
} from './scenario.ts';

const steps = 3;
const ms = 5;
/** Each kill is followed by a takeover, which waits for it. */
const leaseMs = 800;

export const killPoints: Scenario = {
  name: 'kill-points',
  title: 'kill -9 at every statement boundary',
  notApplicable: () => undefined,
  run: (trial) => (trial.engine.processes === 'one' ? killInside(trial) : killOutside(trial)),
};

interface KillPoint {
  readonly at: number;
  readonly moment: Moment;
}

/** All points of a run of so many statements; a sample of them, evenly taken, where there are too many. */
function pointsOf(statements: number, kinds: readonly Moment[], most: number): KillPoint[] {
  const all = Array.from({ length: statements }, (_, index) =>
    kinds.map((moment) => ({ at: index + 1, moment })),
  ).flat();
  if (all.length <= most) return all;
  // A step that shares no factor with the kinds, so that each of them is met.
  return Array.from({ length: most }, (_, index) => {
    const point = all[Math.floor(((index + 0.5) * all.length) / most)];
    if (point === undefined) throw new Error('a sample lies outside its points');
    return point;
  });
}

async function killOutside(trial: Trial): Promise<Finding> {
  const { store, server, extent } = trial;
  const relays: StatementRelay[] = [];
  const relay = async (): Promise<StatementRelay> => {
    const opened = await openStatementRelay(server.port);
    relays.push(opened);
    return opened;
  };
  const runs: StartedRun[] = [];
  try {
    let way = await relay();
    let victim = await store.startWorker({ port: way.port, leaseMs });
    // The first run of a worker takes a few more: it looks for what it keeps from then on.
    runs.push(await startRun(trial, { key: 'first', steps, ms }));
    await allEnded(trial);
    const before = way.count;
    runs.push(await startRun(trial, { key: 'unharmed', steps, ms }));
    const unharmed = await allEnded(trial);
    const statements = way.count - before;
    const most = trial.rounds ?? (extent === 'full' ? 90 : 2);
    const points = pointsOf(statements, moments, most);
    let kills = 0;
    for (const [index, { at, moment }] of points.entries()) {
      const current = victim;
      way.set({
        at,
        moment,
        act: async () => {
          await current.kill();
          return 'cut' as const;
        },
      });
      runs.push(await startRun(trial, { key: `killed ${moment} ${at} (${index})`, steps, ms }));
      await comes(async () => current.hasExited || (await store.countOpen()) === 0);
      // A run took fewer statements than the first: the worker is still alive, and goes on.
      if (!way.clear()) continue;
      await current.exited;
      kills += 1;
      trial.say(
        `killed ${moment} statement ${at} of ${statements}, ${index + 1} of ${points.length}`,
      );
      way = await relay();
      victim = await successor(trial, current, { port: way.port, leaseMs });
      if ((await allEnded(trial)) !== undefined) break;
    }
    const did = { statements, points: points.length, kills };
    return await conclude(trial, runs, did, [unharmed, tooFew(kills, points.length)]);
  } finally {
    for (const each of relays) await each.close();
  }
}

/** Where the database is inside, the process kills itself at the statement, and is started again. */
async function killInside(trial: Trial): Promise<Finding> {
  const { store, extent } = trial;
  const runs: StartedRun[] = [];
  let victim = await store.startWorker();
  // The run's creation, its claim with its events, and then one statement a turn.
  const statements = 2 + steps;
  const points = pointsOf(
    statements,
    ['before', 'answered'],
    trial.rounds ?? (extent === 'full' ? 44 : 2),
  );
  let kills = 0;
  for (const [index, { at, moment }] of points.entries()) {
    const current: Worker = victim;
    await current.killItselfAt?.(at, moment === 'before' ? 'before' : 'answered');
    const request = { key: `killed ${moment} ${at} (${index})`, steps, ms };
    // The process may die over the start: the next one is asked for it with the same key.
    const starting = startRun(trial, request);
    const died = await comes(async () => {
      if (current.hasExited) return true;
      return (await store.countOpen().catch(() => 1)) === 0 && (await settled(starting));
    });
    if (died && current.hasExited) {
      kills += 1;
      trial.say(`killed ${moment} statement ${at}, ${index + 1} of ${points.length}`);
      victim = await successor(trial, current);
    } else {
      await current.killItselfAt?.(0, 'before');
    }
    runs.push(await starting);
    if ((await allEnded(trial)) !== undefined) break;
  }
  const did = { points: points.length, kills };
  return await conclude(trial, runs, did, [tooFew(kills, points.length)]);
}

async function settled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  return (await Promise.race([promise, Promise.resolve(pending)])) !== pending;
}

/** A suite whose kills do not come about proves nothing. */
function tooFew(kills: number, points: number): string | undefined {
  return kills * 2 >= points ? undefined : `only ${kills} of ${points} kills came about`;
}
