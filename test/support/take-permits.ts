/**
 * Asks circuit breakers in a process of its own: `take-permits.ts URL KEYS TIMES`. Begins when a line
 * comes on standard input, asks for one key after another, that many calls at once, and prints how many
 * were let through of each. Holds their places until the next line.
 */
import { once } from 'node:events';
import { createLog, newId, systemClock } from '../../src/base/base.ts';
import { openBreakers } from '../../src/coordination/coordination.ts';
import { openDatabase } from '../../src/database/database.ts';

const [url = '', keys = '', times = ''] = process.argv.slice(2);
const log = createLog({ level: 'silent' });
const database = await openDatabase({ url, home: '', poolSize: 4, log, clock: systemClock });
const breakers = await openBreakers({ database, clock: systemClock, log });
process.stdout.write('ready\n');
await once(process.stdin, 'data');
const granted: number[] = [];
for (const key of keys.split(',')) {
  const asked = Array.from({ length: Number(times) }, () => breakers.admit([key], newId()));
  granted.push((await Promise.all(asked)).filter(({ admitted }) => admitted).length);
}
process.stdout.write(`${granted.join(',')}\n`);
await once(process.stdin, 'data');
await breakers.close();
await database.close();
process.exit(0);
