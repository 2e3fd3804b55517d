/** Ours, with agents that are empty functions of the process, so that the log is what is measured. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError, createLog, settings, systemClock } from '../../src/base/base.ts';
import { openCoordination, type CoordinationPart } from '../../src/coordination/coordination.ts';
import { migrate, openDatabase } from '../../src/database/database.ts';
import { inProcessAgents } from '../../test/support/in-process-agents.ts';
import { outputOf, type Chain, type Engine, type EngineOptions } from './coordination-parts.ts';

const migrations = join(import.meta.dirname, '../../migrations');
const log = createLog({ level: 'error' });
const lengths = [1, 10, 100];
/** Starts under way together while runs to be held are stored. */
const startsAtOnce = 500;

export async function openCenturia(options: EngineOptions): Promise<Engine> {
  const { home, url, poolSize, atOnce, role } = options;
  const clock = systemClock;
  const database = await openDatabase({ url, home, poolSize, log, clock });
  await migrate(database, { folder: migrations, log, clock });
  let entered: ((atMs: number) => void) | undefined;
  const registry = inProcessAgents({
    step: ({ input }) => {
      if (options.isEnding()) throw new AppError('invalid_input', 'nobody counts any more');
      options.onStep();
      entered?.(performance.now());
      return outputOf((input as { bytes: number }).bytes);
    },
    hold: ({ signal }) => {
      options.onHeld();
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      });
    },
  });
  const part = await openCoordination({
    database,
    registry,
    workflowFolders: [writeWorkflows(home)],
    home,
    cwd: home,
    clock,
    log,
    leaseMs: settings.workerLeaseMs.default,
    concurrency: atOnce,
  });
  if (role === 'worker') await part.startWorker();
  return {
    run: (chain) => run(part, chain, options.isEnding),
    async pickup() {
      const at = new Promise<number>((resolve) => (entered = resolve));
      const { id } = await part.runs.start({ workflow: 'chain-1', input: { bytes: 1 } });
      const startedMs = performance.now();
      const pickedUpMs = await at;
      await part.runs.wait(id);
      return pickedUpMs - startedMs;
    },
    hold: (count) => startMany(part, 'hold', count),
    park: (count) => startMany(part, 'parked', count),
    async close() {
      await part.stop(0);
      await database.close();
    },
  };
}

async function startMany(part: CoordinationPart, workflow: string, count: number): Promise<void> {
  for (let begun = 0; begun < count; begun += startsAtOnce) {
    const most = Math.min(startsAtOnce, count - begun);
    await Promise.all(Array.from({ length: most }, () => part.runs.start({ workflow, input: {} })));
  }
}

async function run(
  part: CoordinationPart,
  { steps, bytes }: Chain,
  isEnding: () => boolean,
): Promise<void> {
  const { id } = await part.runs.start({ workflow: `chain-${steps}`, input: { bytes } });
  const { status, error } = await part.runs.wait(id);
  if (status !== 'completed' && !isEnding())
    throw new Error(`run ${id} is ${status}: ${error?.message}`);
}

/** A run gives back its last step's output, as a function would. */
function writeWorkflows(home: string): string {
  const folder = join(home, 'workflows');
  mkdirSync(folder, { recursive: true });
  for (const length of lengths) {
    const tasks = Array.from(
      { length },
      (_, index) => `  t${index}: { agent: step, input: { bytes: '\${inputs.bytes}' } }\n`,
    );
    writeFileSync(
      join(folder, `chain-${length}.yaml`),
      `name: chain-${length}
mode: sequential
inputs:
  bytes: { type: integer, description: Of each output, required: true }
tasks:
${tasks.join('')}output: '\${tasks.t${length - 1}.output}'
`,
    );
  }
  writeFileSync(
    join(folder, 'hold.yaml'),
    'name: hold\nmode: sequential\ntimeoutSeconds: 3600\ntasks:\n  held: { agent: hold }\n',
  );
  writeFileSync(
    join(folder, 'parked.yaml'),
    'name: parked\nmode: sequential\ntasks:\n  parked: { wait: { signal: go } }\n',
  );
  return folder;
}
