/** A worker with real agents and workspaces in a process of its own, to be killed: `node undo-worker.ts URL HOME`. */
import { createLog, systemClock } from '../../src/base/base.ts';
import { openCoordination } from '../../src/coordination/coordination.ts';
import { openDatabase } from '../../src/database/database.ts';
import { openWorkspaces } from '../../src/workspaces/workspaces.ts';
import { openUndoFleet } from './undo-fleet.ts';

const [url = '', home = ''] = process.argv.slice(2);
const log = createLog({ level: 'error' });
const database = await openDatabase({ url, home, poolSize: 4, log, clock: systemClock });
const part = await openCoordination({
  database,
  registry: await openUndoFleet(home, database),
  workspaces: openWorkspaces({ home, log, clock: systemClock }),
  workflowFolders: [],
  home,
  cwd: home,
  clock: systemClock,
  log,
  leaseMs: 1_500,
  concurrency: 4,
});
await part.startWorker();
process.stdout.write('ready\n');
