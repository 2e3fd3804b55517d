/**
 * Uses budgets in a process of its own: `use-budget.ts URL NAMES TOKENS CALLS`. Begins when a line
 * comes on standard input: makes that many calls at once, each of which reserves and uses TOKENS of all
 * the budgets, and prints how many were let through.
 */
import { once } from 'node:events';
import { createLog, newId, systemClock } from '../../src/base/base.ts';
import { openBudgets } from '../../src/coordination/coordination.ts';
import { openDatabase } from '../../src/database/database.ts';

const [url = '', names = '', amount = '', calls = ''] = process.argv.slice(2);
const tokens = Number(amount);
const log = createLog({ level: 'silent' });
const database = await openDatabase({ url, home: '', poolSize: 4, log, clock: systemClock });
const budgets = openBudgets({ database, clock: systemClock, log });
process.stdout.write('ready\n');
await once(process.stdin, 'data');
const granted = await Promise.all(Array.from({ length: Number(calls) }, call));
process.stdout.write(`${granted.filter(Boolean).length}\n`);
await budgets.close();
await database.close();
process.exit(0);

async function call(): Promise<boolean> {
  const attemptId = newId();
  const { reserved } = await budgets.reserve({
    names: names.split(','),
    attemptId,
    runId: newId(),
    agent: 'racer',
    estimate: { microUsd: 0, tokens, ms: 0 },
    expiresInMs: 60_000,
  });
  if (reserved) await budgets.settle(attemptId, { microUsd: 0, tokens, ms: 0 });
  return reserved;
}
