/**
 * A process of its own for one engine: `coordination-engine.ts NAME ROLE URL HOME`, driven over IPC.
 * Every engine does the same: chains of steps, a step durable before the next one begins.
 */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Calls, Engine, EngineOptions, Request } from './coordination-parts.ts';

const crowdLimitMs = 120_000;
/** Of all chains under way, what is counted at least. */
const leastRounds = 4;

async function open(name: string, options: EngineOptions): Promise<Engine> {
  switch (name) {
    case 'server':
    case 'embedded':
      return (await import('./coordination-centuria.ts')).openCenturia(options);
    case 'dbos':
    case 'dbos-50ms':
      return (await import('./coordination-dbos.ts')).openDbos(
        options,
        name === 'dbos' ? 1_000 : 50,
      );
    case 'graphile-worker':
      return (await import('./coordination-graphile.ts')).openGraphile(options);
    case 'pg-boss':
      return (await import('./coordination-pgboss.ts')).openPgBoss(options);
    default:
      throw new Error(`there is no engine ${name}`);
  }
}

async function serve(): Promise<void> {
  const [name = '', role = '', url = '', home = ''] = process.argv.slice(2);
  let steps = 0;
  let held = 0;
  let ending = false;
  const engine = await open(name, {
    role: role === 'starter' ? 'starter' : 'worker',
    url,
    home,
    atOnce: 64,
    poolSize: 10,
    onStep: () => (steps += 1),
    isEnding: () => ending,
    onHeld: () => {
      held += 1;
      if (held === 1) process.send?.({ event: 'held' });
    },
  });
  const counters: Counters = {
    steps: () => steps,
    end: (isEnding) => {
      ending = isEnding;
    },
  };
  const answers: {
    [Name in keyof Calls]: (ask: Calls[Name]['ask']) => Promise<Calls[Name]['answer']>;
  } = {
    crowd: (ask) => profiled(ask.profile, () => crowd(engine, counters, ask)),
    warmUp: (ask) => warmUp(engine, ask),
    serial: (ask) => serial(engine, ask),
    pickup: (ask) => pickup(engine, ask),
    batched: async ({ jobs }) => {
      if (engine.batched === undefined) throw new Error(`${name} has no batches`);
      return engine.batched(jobs);
    },
    hold: async ({ count }) => {
      await engine.hold(count);
      return undefined;
    },
    park: async ({ count }) => {
      if (engine.park === undefined) throw new Error(`${name} has no runs that wait`);
      await engine.park(count);
      return undefined;
    },
    held: async () => held,
    stop: async () => {
      await engine.close();
      return undefined;
    },
  };
  process.on('message', ({ call, ...ask }: Request) => {
    const answer = answers[call] as (given: object) => Promise<unknown>;
    answer(ask).then(
      (value) => process.send?.({ value }, () => (call === 'stop' ? process.exit(0) : undefined)),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
  process.send?.({ event: 'ready' });
}

interface Counters {
  /** Steps entered so far. */
  steps(): number;
  /** Whether chains are to end at their next step. */
  end(isEnding: boolean): void;
}

/** Steps a second while `inFlight` chains are under way all the time; of chains without steps, chains. */
async function crowd(
  engine: Engine,
  counters: Counters,
  { chain, inFlight, forMs }: Calls['crowd']['ask'],
): Promise<number> {
  let chains = 0;
  const ending = new AbortController();
  const one = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      await engine.run(chain);
      chains += 1;
    }
  };
  const count = (): number => (chain.steps === 0 ? chains : counters.steps());
  const all = Promise.all(Array.from({ length: inFlight }, one));
  const measured = (async () => {
    const limitMs = performance.now() + crowdLimitMs;
    const until = async (isThere: () => boolean): Promise<void> => {
      while (!isThere()) {
        if (performance.now() > limitMs) throw new Error(`${count()} in ${crowdLimitMs / 1_000} s`);
        await sleep(1);
      }
    };
    // Nothing is counted while the first chains come under way together.
    await until(() => count() >= inFlight);
    const [before, beganMs] = [count(), performance.now()];
    await sleep(forMs);
    // On a machine so busy that little was done, the span becomes longer instead of the figure chance.
    await until(() => count() - before >= leastRounds * inFlight);
    return ((count() - before) * 1_000) / (performance.now() - beganMs);
  })();
  try {
    // A chain that fails ends the measurement at once.
    return await Promise.race([measured, all.then(() => measured)]);
  } finally {
    ending.abort();
    counters.end(true);
    await all;
    counters.end(false);
  }
}

async function warmUp(
  engine: Engine,
  { chain, inFlight, runs }: Calls['warmUp']['ask'],
): Promise<undefined> {
  let next = 0;
  const one = async (): Promise<void> => {
    while ((next += 1) <= runs) await engine.run(chain);
  };
  await Promise.all(Array.from({ length: inFlight }, one));
  return undefined;
}

async function serial(engine: Engine, { chain, runs }: Calls['serial']['ask']): Promise<number[]> {
  const times: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const beganMs = performance.now();
    await engine.run(chain);
    times.push((performance.now() - beganMs) / chain.steps);
  }
  return times;
}

async function pickup(
  engine: Engine,
  { runs, withinMs }: Calls['pickup']['ask'],
): Promise<number[]> {
  const times: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    await sleep(Math.random() * withinMs);
    times.push(await engine.pickup());
  }
  return times;
}

/** Runs it under the CPU profiler of this process where a path is given. */
async function profiled<T>(path: string | undefined, work: () => Promise<T>): Promise<T> {
  if (path === undefined) return work();
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: 500 });
  await session.post('Profiler.start');
  try {
    return await work();
  } finally {
    const { profile } = await session.post('Profiler.stop');
    writeFileSync(path, JSON.stringify(profile));
    session.disconnect();
  }
}

if (process.send !== undefined) {
  // A parent that died has nobody to stop this process.
  process.on('disconnect', () => process.exit(1));
  serve().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : error}\n`);
    process.exit(1);
  });
}
