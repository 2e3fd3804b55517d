/**
 * Centuria's worker as a process of the conformance suite. With a server it drives runs and nothing
 * else; with the embedded database it is also the only process that can start and look at them, and
 * answers for that.
 */
import type { Database, Queryable } from '../../src/database/database.ts';
import type { RunRequest } from '../chaos/conformance/engine.ts';
import { asAgentFailure, openStore, type OpenedStore } from './conformance-store.ts';
import { PassingFault, takeStep, type StepInput } from './effects.ts';
import type { Answer, Question } from './worker-child.ts';

export interface WorkerProcessOptions {
  readonly url: string;
  readonly folder: string;
  readonly concurrency: number;
  readonly leaseMs: number;
}

const given = JSON.parse(process.argv[2] ?? '{}') as WorkerProcessOptions;
const { url, folder } = given;

/** Ends this process at its k-th statement, as a cut of the power would. */
const trap = { statement: 0, moment: 'before' as 'before' | 'answered', count: 0 };

function atStatement(moment: 'before' | 'answered'): void {
  if (moment === 'before') trap.count += 1;
  if (trap.statement === trap.count && trap.moment === moment && trap.statement > 0) {
    process.kill(process.pid, 'SIGKILL');
    // The signal is on its way; nothing may happen until it is here.
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
  }
}

/** The database, with every statement passing the trap. */
function trapped(database: Database): Database {
  const query: Queryable['query'] = async (statement, options) => {
    atStatement('before');
    const rows = await database.query(statement, options);
    atStatement('answered');
    return rows;
  };
  return new Proxy(database, {
    get(target, property) {
      if (property === 'query') return query;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const store = await openStore({
  ...given,
  // With a server the suite has done so, once.
  migrates: url === '',
  wrap: trapped,
  step: async ({ input, idempotencyKey, signal }) => {
    const runId = idempotencyKey.split('/')[0] ?? '';
    try {
      return await takeStep(folder, runId, input as StepInput, { random: Math.random, signal });
    } catch (error) {
      throw error instanceof PassingFault ? asAgentFailure(error) : error;
    }
  },
});

process.on('message', (message: unknown) => {
  if (typeof message === 'object' && message !== null && 'ask' in message) {
    void answer(store, message as Question);
  }
});
// The suite's end, however it came, is the worker's.
process.on('disconnect', () => process.exit(1));
process.on('SIGTERM', async () => {
  await store.part.stop(5_000);
  await store.database.close();
  process.exit(0);
});
await store.part.startWorker();
process.send?.('ready');

async function answer(opened: OpenedStore, { id, ask, with: what }: Question): Promise<void> {
  let reply: Answer;
  try {
    reply = { id, value: await carryOut(opened, ask, what) };
  } catch (error) {
    reply = { id, error: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(reply);
}

async function carryOut(opened: OpenedStore, ask: string, what: unknown): Promise<unknown> {
  if (ask === 'start') return await opened.start(what as RunRequest);
  if (ask === 'countOpen') return await opened.countOpen();
  if (ask === 'look') return await opened.look(what as string);
  if (ask === 'killItselfAt') {
    const { statement, moment } = what as { statement: number; moment: 'before' | 'answered' };
    Object.assign(trap, { statement, moment, count: 0 });
    return null;
  }
  throw new Error(`nobody knows how to ${ask}`);
}
