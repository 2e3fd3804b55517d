/**
 * Eighty processes at the same time: a workflow of eighty tasks whose agent is a program, run by the
 * real registry. Each program says when it began, waits until eighty have, and says when it ended;
 * the most that lived at one moment are counted from what they wrote.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openRegistry } from '../../src/agents/agents.ts';
import { createLog, systemClock } from '../../src/base/base.ts';
import { openCoordination } from '../../src/coordination/coordination.ts';
import { migrate, openDatabase } from '../../src/database/database.ts';
import type { Results } from './coordination-results.ts';
import type { Place } from './coordination-server.ts';
import type { Measured } from './report.ts';

const wanted = 80;
const root = join(import.meta.dirname, '../..');
const log = createLog({ level: 'error' });
/** For one that is not among eighty: it ends all the same, and the count tells. */
const looks = 150;
const script = `folder=$1 mine=$2
date +%s%N >"$folder/$mine.time"
# Seen by the others with its time in it, not before.
mv "$folder/$mine.time" "$folder/$mine.began"
look=0
while [ $look -lt ${looks} ]; do
  set -- "$folder"/*.began
  [ $# -ge ${wanted} ] && break
  sleep 0.2
  look=$((look + 1))
done
date +%s%N >"$folder/$mine.ended"
echo $$
`;

export async function measureParallel(place: Place, results: Results): Promise<void> {
  let spread: number | undefined;
  await results.measure('server', 'processes_at_once', async () => {
    const met = await meet(place);
    spread = met.spreadMs;
    return met.most;
  });
  await results.measure('server', 'processes_started_within_ms', async () => spread);
}

interface Meeting {
  readonly most: number;
  /** From the first program's beginning to the last one's. */
  readonly spreadMs: number;
}

async function meet(place: Place): Promise<Meeting> {
  const own = await place.fresh('parallel');
  const folders = write(own.home);
  const clock = systemClock;
  const database = await openDatabase({ url: own.url, home: own.home, poolSize: 10, log, clock });
  try {
    await migrate(database, { folder: join(root, 'migrations'), log, clock });
    const registry = await openRegistry({
      folders: [{ path: folders.agents, shipped: false }],
      database,
      packageRoot: root,
      log,
      clock,
      watch: false,
    });
    const part = await openCoordination({
      database,
      registry,
      workflowFolders: [folders.workflows],
      home: own.home,
      cwd: own.home,
      clock,
      log,
      leaseMs: 3_000,
      concurrency: wanted,
    });
    try {
      await part.startWorker();
      const { id } = await part.runs.start({ workflow: 'meet', input: {} });
      const run = await part.runs.wait(id);
      if (run.status !== 'completed') throw new Error(`${run.status}: ${run.error?.message}`);
      // One process may not stand for two tasks.
      const processes = new Set(run.taskList.map(({ output }) => output));
      if (processes.size !== wanted) throw new Error(`${processes.size} processes for ${wanted}`);
      return count(folders.met);
    } finally {
      await part.stop(0);
      await registry.close();
    }
  } finally {
    await database.close();
    await own.drop();
  }
}

/** The most programs that lived at one moment, by their own times. */
function count(folder: string): Meeting {
  const times = (ending: string): bigint[] =>
    readdirSync(folder)
      .filter((name) => name.endsWith(ending))
      .map((name) => BigInt(readFileSync(join(folder, name), 'utf8').trim()));
  const began = times('.began');
  const ended = times('.ended');
  const alive = began.map(
    (at) => began.filter((other) => other <= at).length - ended.filter((end) => end < at).length,
  );
  const sorted = began.toSorted((a, b) => (a < b ? -1 : 1));
  const spreadNs = (sorted.at(-1) ?? 0n) - (sorted[0] ?? 0n);
  return { most: Math.max(0, ...alive), spreadMs: Number(spreadNs) / 1e6 };
}

function write(home: string): { agents: string; workflows: string; met: string } {
  const folders = {
    agents: join(home, 'agents'),
    workflows: join(home, 'workflows'),
    met: join(home, 'met'),
  };
  for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folders.agents, 'meet.md'),
    `---
name: meet
description: Waits until ${wanted} of its kind are there.
centuria:
  category: development
  runtime:
    kind: command
    program: /bin/sh
    arguments: [-c, ${JSON.stringify(script)}, meet, ${JSON.stringify(folders.met)}, '\${input.number}']
    stdout: json
  timeoutSeconds: 120
  retries: 0
---
`,
  );
  const tasks = Array.from(
    { length: wanted },
    (_, number) => `  t${number}: { agent: meet, input: { number: ${number} } }\n`,
  );
  writeFileSync(
    join(folders.workflows, 'meet.yaml'),
    `name: meet\nmode: parallel\nmaxParallel: ${wanted}\ntasks:\n${tasks.join('')}`,
  );
  return folders;
}

export function parallelFigures(results: Results): Measured[] {
  return [
    ...results.figures('server', 'processes_at_once', { unit: '', target: { atLeast: wanted } }),
    ...results.figures('server', 'processes_started_within_ms', { unit: 'ms' }),
  ];
}
