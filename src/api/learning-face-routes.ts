import { Type } from 'typebox';
import { agentCategories, type AgentCategory } from '../agents/agents.ts';
import { routeModes, taskTextLength } from '../learning/learning.ts';
import { agentNamed } from './agent-named.ts';
import { callerOf } from './callers.ts';
import { createDatabaseCheck } from './health.ts';
import type { Http } from './http.ts';
import {
  combinationAnswer,
  insightAnswer,
  performanceAnswer,
  recommendationAnswer,
  statusAnswer,
  taskTypeAnswer,
} from './learning-face-answers.ts';
import {
  defined,
  learningOf,
  raterOf,
  recommend,
  type LearningFaceParts,
} from './learning-parts.ts';
import { listQuery } from './learning-schemas.ts';
import { plainText } from './parameters.ts';
import { count, maybe, oneOf } from './schema-terms.ts';

const read = { action: 'learning.read' } as const;
/** Of each list of the dashboard: what fits on one. */
const shown = 20;

const share = Type.Number({ minimum: 0, maximum: 1 });
const words = Type.String({ minLength: 1, maxLength: taskTextLength });
const names = Type.Array(plainText, { maxItems: 500 });
const worth = Type.Number({ minimum: 0, maximum: 1_000 });
const mode = oneOf(routeModes);

const performanceSchema = Type.Object(
  {
    agent_id: plainText,
    task_type: plainText,
    task_description: words,
    success: Type.Boolean(),
    execution_time_ms: Type.Number({ minimum: 0 }),
    error_code: maybe(plainText),
    complexity: maybe(share),
    input_bytes: maybe(count),
    tokens: maybe(count),
    cost_usd: maybe(Type.Number({ minimum: 0, maximum: 1_000_000 })),
    completed_at: maybe(Type.String({ format: 'date-time' })),
    execution_id: maybe(Type.String({ format: 'uuid' })),
  },
  { additionalProperties: false },
);

const taskSchema = Type.Object(
  {
    task_description: words,
    task_type: maybe(plainText),
    complexity: maybe(share),
    input_bytes: maybe(count),
    constraints: maybe(
      Type.Object(
        {
          agents: maybe(Type.Array(plainText, { minItems: 1, maxItems: 500 })),
          exclude: maybe(names),
          category: maybe(oneOf<AgentCategory>(agentCategories)),
          capabilities: maybe(Type.Array(plainText, { maxItems: 50 })),
          mode: maybe(mode),
          per_usd: maybe(worth),
          per_minute: maybe(worth),
        },
        { additionalProperties: false },
      ),
    ),
    history: maybe(
      Type.Array(
        Type.Object({ agent: plainText, success: Type.Boolean() }, { additionalProperties: false }),
        { maxItems: 50, description: 'Who has worked at this very task before' },
      ),
    ),
  },
  { additionalProperties: false },
);

/** Learning at the addresses that its earlier clients know. */
export function learningFaceRoutes(app: Http, parts: LearningFaceParts): void {
  stateRoutes(app, parts);
  performanceRoutes(app, parts);
  taskRoute(app, parts);
  dashboardRoute(app, parts);
  steeringRoutes(app, parts);
}

function stateRoutes(app: Http, parts: LearningFaceParts): void {
  const { agents, clock, database, startedAt, version } = parts;
  const checkDatabase = createDatabaseCheck(database, clock);

  app.get('/health', { config: { open: true, always: true } }, async (_request, reply) => {
    const checked = await checkDatabase();
    const isReady = parts.isReady();
    const isWell = checked.status === 'ok' && isReady;
    return reply.code(isWell ? 200 : 503).send({
      status: isWell ? 'ok' : checked.status === 'ok' ? 'starting' : 'degraded',
      service: 'learning',
      database: checked.status,
      ...(checked.reason === undefined ? {} : { reason: `database: ${checked.reason}` }),
      version,
      uptime_seconds: Math.max(0, Math.round((clock.nowMs() - startedAt.getTime()) / 1_000)),
      timestamp: new Date(clock.nowMs()).toISOString(),
    });
  });

  app.get('/status', { config: read }, async (_request, reply) => {
    const [status, { status: answers }] = await Promise.all([
      learningOf(parts).status(),
      checkDatabase(),
    ]);
    return reply.send(statusAnswer(status, { database: answers, agents: agents.list().length }));
  });
}

function performanceRoutes(app: Http, parts: LearningFaceParts): void {
  app.post(
    '/agent/performance',
    { config: { action: 'learning.write' }, schema: { body: performanceSchema } },
    async (request, reply) => {
      const told = request.body;
      const by = raterOf(callerOf(request));
      const { attemptId } = await learningOf(parts).report(
        {
          agent: agentNamed(parts.agents, told.agent_id).name,
          type: told.task_type,
          text: told.task_description,
          result: told.success ? 'succeeded' : 'failed',
          ms: told.execution_time_ms,
          ...defined('errorCode', told.error_code),
          ...defined('complexity', told.complexity),
          ...defined('inputBytes', told.input_bytes),
          ...defined('tokens', told.tokens),
          ...(told.cost_usd === undefined ? {} : { microUsd: Math.round(told.cost_usd * 1e6) }),
          ...defined('endedAt', told.completed_at),
          ...defined('attemptId', told.execution_id),
        },
        by,
      );
      return reply.code(202).send({ status: 'accepted', execution_id: attemptId });
    },
  );

  app.get(
    '/agent/:id/recommendations',
    {
      config: {
        ...read,
        resource: ({ params }) => (params as { readonly id?: string }).id,
      },
      schema: { params: Type.Object({ id: plainText }) },
    },
    async (request, reply) => {
      const found = await learningOf(parts).agent(request.params.id);
      return reply.send({
        agent_id: found.agent,
        recommendations: found.insights.map(insightAnswer),
        performance: performanceAnswer(found),
      });
    },
  );

  app.get(
    '/agents/performance',
    { config: read, schema: { querystring: listQuery } },
    async (request, reply) => {
      const { items, nextCursor } = await learningOf(parts).agents(request.query);
      return reply.send({
        agents: items.map(performanceAnswer),
        next_cursor: nextCursor ?? null,
      });
    },
  );
}

function taskRoute(app: Http, parts: LearningFaceParts): void {
  app.post(
    '/task/recommend',
    { config: read, schema: { body: taskSchema } },
    async (request, reply) => {
      const { body } = request;
      const { constraints = {}, history = [] } = body;
      const found = await recommend(
        callerOf(request),
        {
          description: body.task_description,
          ...defined('type', body.task_type),
          ...defined('complexity', body.complexity),
          ...defined('inputBytes', body.input_bytes),
          ...defined('candidates', constraints.agents),
          ...defined('exclude', constraints.exclude),
          ...defined('category', constraints.category),
          ...defined('capabilities', constraints.capabilities),
          ...defined('mode', constraints.mode),
          ...defined('perUsd', constraints.per_usd),
          ...defined('perMinute', constraints.per_minute),
          // Who failed is not asked again, and who succeeded will have its work gone on with.
          failed: history.filter(({ success }) => !success).map(({ agent }) => agent),
          partners: history.filter(({ success }) => success).map(({ agent }) => agent),
        },
        parts,
      );
      return reply.send(recommendationAnswer(found));
    },
  );
}

function dashboardRoute(app: Http, parts: LearningFaceParts): void {
  app.get('/analytics/dashboard', { config: read }, async (_request, reply) => {
    const learning = learningOf(parts);
    const page = { limit: shown };
    const [status, agents, types, combinations, insights] = await Promise.all([
      learning.status(),
      learning.agents(page),
      learning.taskTypes(page),
      learning.combinations(page),
      learning.insights(page),
    ]);
    return reply.send({
      generated_at: new Date(parts.clock.nowMs()).toISOString(),
      mode: status.mode,
      policy: status.policy,
      executions: status.executions,
      executions_not_read_yet: status.behind,
      agents: agents.items.map(performanceAnswer),
      alerts: agents.items.flatMap(({ agent, alerts }) =>
        alerts.map((alert) => ({ agent_id: agent, alert })),
      ),
      task_types: types.items.map(taskTypeAnswer),
      combinations: combinations.items.map(combinationAnswer),
      insights: insights.items.map(insightAnswer),
    });
  });
}

function steeringRoutes(app: Http, parts: LearningFaceParts): void {
  const config = { action: 'learning.execute' } as const;
  app.post(
    '/learning/mode',
    { config, schema: { body: Type.Object({ mode }, { additionalProperties: false }) } },
    async (request, reply) => {
      await learningOf(parts).setMode(request.body.mode);
      return reply.send({ mode: request.body.mode });
    },
  );

  app.post('/model/retrain', { config }, async (_request, reply) => {
    await learningOf(parts).retrain();
    return reply.code(202).send({ status: 'accepted' });
  });
}
