/**
 * Takes from a limit in a process of its own: `take-limits.ts STORE URL POLICY ID TIMES`, where
 * POLICY is JSON. Begins when a line comes on standard input, and prints how many takes passed, and of
 * how many the answer is not known.
 */
import { once } from 'node:events';
import { createLog, systemClock } from '../../src/base/base.ts';
import { openDatabase } from '../../src/database/database.ts';
import type { LimitPolicy } from '../../src/identity/limit-window.ts';
import { createRedisLimiter } from '../../src/identity/limits-redis.ts';
import { createSqlLimiter } from '../../src/identity/limits-sql.ts';
import type { RateLimiter } from '../../src/identity/limits.ts';
import { createRedis } from '../../src/identity/redis.ts';

const [, , store, url = '', policyText = '', id = '', times = ''] = process.argv;
const policy = JSON.parse(policyText) as LimitPolicy;
const { limiter, close } = store === 'redis' ? await onRedis() : await onServer();
process.stdout.write('ready\n');
await once(process.stdin, 'data');
const takes = Array.from({ length: Number(times) }, () => limiter.take(policy, id));
const ended = await Promise.allSettled(takes);
const passed = ended.filter((take) => take.status === 'fulfilled' && take.value.allowed).length;
// On a machine that is very busy an answer may come too late: nobody knows then what it was.
const unknown = ended.filter(({ status }) => status === 'rejected').length;
process.stdout.write(`${passed} ${unknown}\n`);
await close();
process.exit(0);

interface Opened {
  readonly limiter: RateLimiter;
  close(): Promise<void>;
}

async function onRedis(): Promise<Opened> {
  const redis = createRedis({ url, log: createLog({ level: 'silent' }), clock: systemClock });
  while (redis.state.state !== 'ready') await systemClock.sleep(10);
  return { limiter: createRedisLimiter({ redis }), close: async () => redis.close() };
}

async function onServer(): Promise<Opened> {
  const log = createLog({ level: 'silent' });
  const database = await openDatabase({ url, home: '', poolSize: 4, log, clock: systemClock });
  return { limiter: createSqlLimiter({ database }), close: async () => await database.close() };
}
