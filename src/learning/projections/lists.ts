/** Figures, combinations and insights as the faces list them. */
import { AppError } from '../../base/base.ts';
import type { Database } from '../../database/database.ts';
import type { Learning } from '../learning.ts';
import type {
  AgentPerformance,
  CombinationView,
  Insight,
  Listed,
  ListPage,
  TaskTypeView,
} from '../views.ts';
import * as queries from './list-queries.ts';

const mostItems = 500;
const usualItems = 50;
const mostInsightsOfAgent = 100;

export type Lists = Pick<Learning, 'agents' | 'agent' | 'taskTypes' | 'combinations' | 'insights'>;

/** Lists throw `invalid_input` for a limit that is not 1 to 500, and for a cursor that no page ended with. */
export function openLists(database: Database): Lists {
  return {
    async agents(page) {
      const { limit, after } = readPage(page, ['string']);
      const rows = await database.query(queries.listAgents(after?.[0] ?? null, limit + 1));
      return listed(rows, limit, performanceView, (row) => [row.agent]);
    },
    async agent(name) {
      const [row] = await database.query(queries.oneAgent(name));
      if (row === undefined) throw unknownAgent(name);
      const insights = await database.query(queries.listInsights(name, null, mostInsightsOfAgent));
      return { ...performanceView(row), insights: insights.map(insightView) };
    },
    async taskTypes(page) {
      const { limit, after } = readPage(page, ['string']);
      const rows = await database.query(queries.listTypes(after?.[0] ?? null, limit + 1));
      return listed(rows, limit, typeView, (row) => [row.task_type]);
    },
    async combinations(page) {
      const { limit, after } = readPage(page, ['integer', 'hash']);
      const [executions, hash] = after ?? [];
      const rows = await database.query(
        queries.listCombinations(
          executions === undefined ? null : Number(executions),
          hash ?? null,
          limit + 1,
        ),
      );
      return listed(rows, limit, combinationView, (row) => [String(row.executions), row.hash]);
    },
    async insights(page) {
      const { limit, after } = readPage(page, ['string']);
      const rows = await database.query(queries.listInsights(null, after?.[0] ?? null, limit + 1));
      return listed(rows, limit, insightView, (row) => [row.insight_key]);
    },
  };
}

function unknownAgent(name: string): AppError {
  return new AppError('agent_not_found', `nothing is known yet of an agent ${name}`, {
    details: { agent: name },
    remedy: 'What an agent did is known a few seconds after its first attempt has ended.',
  });
}

const shapes = { string: /^[^\0]{1,500}$/, integer: /^\d{1,15}$/, hash: /^[0-9a-f]{64}$/ } as const;

function readPage(
  { limit = usualItems, cursor }: ListPage = {},
  parts: readonly (keyof typeof shapes)[],
): { readonly limit: number; readonly after: readonly string[] | undefined } {
  if (!Number.isInteger(limit) || limit < 1 || limit > mostItems) {
    throw new AppError('invalid_input', `limit is ${limit}`, {
      details: { field: 'limit', least: 1, most: mostItems },
      remedy: `Use a whole number from 1 to ${mostItems}.`,
    });
  }
  if (cursor === undefined) return { limit, after: undefined };
  const after = Buffer.from(cursor.slice(0, 2_000), 'base64url').toString().split('\0');
  const fits = parts.every((part, index) => shapes[part].test(after[index] ?? ''));
  if (after.length === parts.length && fits) return { limit, after };
  throw new AppError('invalid_input', 'the cursor is broken', {
    details: { field: 'cursor' },
    remedy: 'Give back the nextCursor of a page of this list, or none.',
  });
}

/** A page of rows, of which one more was asked for than it holds. */
function listed<Row, Item>(
  rows: readonly Row[],
  limit: number,
  view: (row: Row) => Item,
  place: (row: Row) => readonly string[],
): Listed<Item> {
  const items = rows.slice(0, limit).map((row) => view(row));
  const last = rows[limit - 1];
  if (rows.length <= limit || last === undefined) return { items };
  return { items, nextCursor: Buffer.from(place(last).join('\0')).toString('base64url') };
}

type Optional<Fields> = { [Name in keyof Fields]?: NonNullable<Fields[Name]> };

/** Without what is unknown. */
function known<Fields extends object>(fields: Fields): Optional<Fields> {
  const pairs = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(pairs) as Optional<Fields>;
}

function performanceView(row: queries.PerformanceRow): AgentPerformance {
  return {
    agent: row.agent,
    executions: row.executions,
    succeeded: row.succeeded,
    failed: row.failed,
    cancelled: row.cancelled,
    feedbackPrincipals: row.feedback_principals,
    alerts: row.alerts,
    updatedAt: row.updated_at.toISOString(),
    ...known({
      successRate: row.success_rate,
      averageMs: row.avg_ms,
      p95Ms: row.p95_ms,
      averageMicroUsd: row.avg_micro_usd,
      averageTokens: row.avg_tokens,
      feedback: row.feedback,
      trend7d: row.trend_7d,
      trend30d: row.trend_30d,
      anomalyRate: row.anomaly_rate,
      anomaly: row.anomaly,
      lastAt: row.last_at?.toISOString(),
    }),
  };
}

function typeView(row: queries.TypeRow): TaskTypeView {
  const { best_agent: agent, best_rate: rate } = row;
  return {
    type: row.task_type,
    executions: row.executions,
    agents: row.agents,
    ...known({
      successRate: row.success_rate,
      averageMs: row.avg_ms,
      p95Ms: row.p95_ms,
      averageComplexity: row.avg_complexity,
      lastAt: row.last_at?.toISOString(),
      best: agent === null || rate === null ? null : { agent, rate },
    }),
  };
}

function combinationView(row: queries.CombinationListRow): CombinationView {
  return {
    hash: row.hash,
    mode: row.mode,
    agents: row.agents,
    executions: row.executions,
    successRate: row.succeeded / row.executions,
    expectedRate: row.expected / row.executions,
    synergy: row.synergy,
    confidence: row.confidence,
  };
}

function insightView(row: queries.InsightRow): Insight {
  return {
    key: row.insight_key,
    kind: row.kind,
    agents: row.agents,
    ...(row.task_type === null ? {} : { taskType: row.task_type }),
    statement: row.statement,
    evidence: row.evidence,
    confidence: row.confidence,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  };
}
