/** Makes figures and insights of the sums: when there are new ones, and all of them each hour. */
import type { Clock, Log } from '../../base/base.ts';
import type { Database, Queryable } from '../../database/database.ts';
import { agentFigures, typeFigures } from './figures.ts';
import * as figures from './figure-queries.ts';
import * as insights from './insight-queries.ts';
import { findInsights, leastForInsight } from './insights.ts';
import { tryLock } from './queries.ts';

/** Agents and types a turn, as short transactions. */
const mostAtOnce = 100;
/** Agents of a type among which its best one is looked for: the most used. */
const mostAgentsOfType = 200;
const mostCombinations = 2_000;
const mostAgentTypes = 10_000;
const mostAgents = 5_000;
/** Nobody reads more. */
const mostInsights = 500;

export interface RenewalParts {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Renews what is due by the database's clock, whichever process asks; one at a time. With `force`
 * whatever is stale, and insights, at once.
 */
export async function renew(parts: RenewalParts, options: { force: boolean }): Promise<void> {
  const { database } = parts;
  const [due] = await database.query(figures.whatIsDue());
  if (due === undefined) return;
  if (!options.force && !due.figures) return;
  let changed = false;
  for (let more = true; more;) {
    const renewed = await locked(database, async (transaction) => {
      if (due.survey && !changed) await transaction.query(figures.markAllStale());
      await transaction.query(figures.markRatedStale());
      return renewStale(transaction);
    });
    // Somebody else is at it, and does all that is stale.
    if (renewed === 'busy') {
      if (!options.force) return;
      await parts.clock.sleep(1);
      continue;
    }
    changed ||= renewed > 0;
    more = renewed === mostAtOnce;
  }
  if (options.force || (due.insights && (changed || due.behind))) await renewInsights(database);
}

function locked<T>(
  database: Database,
  work: (transaction: Queryable) => Promise<T>,
): Promise<T | 'busy'> {
  return database.transaction(async (transaction) => {
    const [lock] = await transaction.query(tryLock());
    return lock?.taken === true ? work(transaction) : 'busy';
  });
}

/** The number of agents or of types, whichever is more. */
async function renewStale(transaction: Queryable): Promise<number> {
  const agents = await transaction.query(figures.staleAgents(mostAtOnce));
  const types = await transaction.query(figures.staleTypes(mostAtOnce));
  if (agents.length + types.length === 0) return 0;
  if (agents.length > 0) {
    const sums = await transaction.query(figures.agentSums(agents.map(({ agent }) => agent)));
    await transaction.query(figures.writeAgentFigures(sums.map(agentFigures)));
  }
  if (types.length > 0) {
    const names = types.map((row) => row.task_type);
    const sums = await transaction.query(figures.typeSums(names, mostAgentsOfType));
    await transaction.query(figures.writeTypeFigures(sums.map(typeFigures)));
  }
  await transaction.query(figures.markRenewed());
  return Math.max(agents.length, types.length);
}

async function renewInsights(database: Database): Promise<void> {
  await locked(database, async (transaction) => {
    const found = findInsights(
      {
        agentTypes: await transaction.query(insights.agentTypes(leastForInsight, mostAgentTypes)),
        weeks: await transaction.query(insights.agentWeeks(mostAgents)),
        combinations: await transaction.query(
          insights.usedCombinations(leastForInsight, mostCombinations),
        ),
      },
      mostInsights,
    );
    if (found.length > 0) await transaction.query(insights.writeInsights(found));
    await transaction.query(insights.endInsights(found.map(({ key }) => key)));
    await transaction.query(figures.markSearched());
  });
}
