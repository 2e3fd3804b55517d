/**
 * A worker in a process of its own, to be killed or frozen: `node worker-process.ts URL HOME [AGENT]`.
 * Its agents, `step`, `left` and `right`, append `<task key> <pid>` to `<home>/ran.log`, wait `ms`, and
 * append `done`. Where it has to choose it takes AGENT.
 */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createLog, systemClock } from '../../src/base/base.ts';
import { openCoordination } from '../../src/coordination/coordination.ts';
import { openDatabase } from '../../src/database/database.ts';
import { inProcessAgents, type AgentFunction } from './in-process-agents.ts';
import { successRouter } from './success-router.ts';

const [url = '', home = '', preferred = ''] = process.argv.slice(2);
const log = createLog({ level: 'warn' });
const database = await openDatabase({ url, home, poolSize: 4, log, clock: systemClock });
const ran = (line: string): void => appendFileSync(join(home, 'ran.log'), `${line}\n`);

const step: AgentFunction = async ({ input, idempotencyKey, signal }) => {
  const { ms } = input as { ms: number };
  ran(`${idempotencyKey} start ${process.pid}`);
  await delay(ms, undefined, { signal });
  ran(`${idempotencyKey} done ${process.pid}`);
  return process.pid;
};
const router = successRouter();
router.tell(preferred, 1);

const part = await openCoordination({
  database,
  registry: inProcessAgents({ step, left: step, right: step }),
  router,
  workflowFolders: [],
  home,
  cwd: home,
  clock: systemClock,
  log,
  leaseMs: 1_500,
  concurrency: 16,
});
await part.startWorker();
process.stdout.write('ready\n');
process.on('SIGTERM', async () => {
  await part.stop(0);
  await database.close();
  process.exit(0);
});
