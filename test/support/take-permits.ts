/**
 * Asks a circuit breaker in a process of its own: `take-permits.ts URL KEY TIMES`. Begins when a line
 * comes on standard input, prints how many calls were let through, and holds their places.
 */
import { once } from 'node:events';
import { createLog, newId, systemClock } from '../../src/base/base.ts';
import { openBreakers } from '../../src/coordination/coordination.ts';
import { openDatabase } from '../../src/database/database.ts';

const [url = '', key = '', times = ''] = process.argv.slice(2);
const log = createLog({ level: 'silent' });
const database = await openDatabase({ url, home: '', poolSize: 4, log, clock: systemClock });
const breakers = await openBreakers({ database, clock: systemClock, log });
process.stdout.write('ready\n');
await once(process.stdin, 'data');
const asked = Array.from({ length: Number(times) }, () => breakers.admit([key], newId()));
const granted = (await Promise.all(asked)).filter(({ admitted }) => admitted).length;
process.stdout.write(`${granted}\n`);
await once(process.stdin, 'data');
await breakers.close();
await database.close();
process.exit(0);
