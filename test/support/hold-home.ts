/**
 * A process of its own that opens the embedded database of a data folder: `hold-home.ts HOME
 * [FOLDER]`. It migrates it with the folder if one is given, prints one line of JSON with what came
 * of it, and holds the database until it is stopped.
 */
import { createLog, errorRecord, systemClock } from '../../src/base/base.ts';
import { migrate, openDatabase } from '../../src/database/database.ts';

const [, , home = '', folder] = process.argv;
const log = createLog({ level: 'silent' });
try {
  const db = await openDatabase({ home, poolSize: 1, log, clock: systemClock });
  if (folder !== undefined) {
    console.log(JSON.stringify({ migrating: true }));
    await migrate(db, { folder, log, clock: systemClock });
  }
  // Before it is said: whoever reads that may stop it at once.
  process.once('SIGTERM', () => void db.close().then(() => process.exit(0)));
  console.log(JSON.stringify({ open: true }));
  setInterval(() => undefined, 60_000);
} catch (error) {
  console.log(JSON.stringify(errorRecord(error)));
  process.exitCode = 1;
}
