/**
 * A learner in a process of its own, to be killed: `node learner-process.ts URL HOME`. Says `ready` when
 * it has applied a batch, and goes on.
 */
import { createLog, systemClock } from '../../src/base/base.ts';
import { openDatabase } from '../../src/database/database.ts';
import { behind, openLearner } from '../../src/learning/projections/projections.ts';

const [url = '', home = ''] = process.argv.slice(2);
const log = createLog({ level: 'warn' });
const database = await openDatabase({ url, home, poolSize: 4, log, clock: systemClock });
const before = await behind(database);
openLearner({ database, clock: systemClock, log });
while ((await behind(database)) === before) await systemClock.sleep(1);
process.stdout.write('ready\n');
