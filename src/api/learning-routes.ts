import { AppError } from '../base/base.ts';
import { assertAllowed } from '../identity/identity.ts';
import type { GivenFeedback, TakenFeedback } from '../learning/learning.ts';
import { agentNamed } from './agent-named.ts';
import { answers } from './answers.ts';
import { callerOf, namedInPath } from './callers.ts';
import type { Http } from './http.ts';
import { defined, learningOf, raterOf, recommend } from './learning-parts.ts';
import {
  performanceDetailSchema,
  agentPerformancePageSchema,
  combinationPageSchema,
  feedbackSchema,
  fittingSchema,
  insightPageSchema,
  learningStatusSchema,
  listQuery,
  logReportSchema,
  modeSchema,
  policyPageSchema,
  recommendationSchema,
  recommendSchema,
  reportedSchema,
  reportSchema,
  takenFeedbackSchema,
  taskTypePageSchema,
  type FeedbackRequest,
} from './learning-schemas.ts';
import { nameParam } from './parameters.ts';
import type { RouteParts } from './parts.ts';
import { runFor } from './run-access.ts';

const tags = ['learning'];
const read = { action: 'learning.read' } as const;

/** What came of attempts, which agent should do a task, and how that is decided. */
export function learningRoutes(app: Http, parts: RouteParts): void {
  statusRoute(app, parts);
  evaluationRoute(app, parts);
  agentPerformanceRoutes(app, parts);
  findingRoutes(app, parts);
  policyRoutes(app, parts);
  recommendRoute(app, parts);
  tellingRoutes(app, parts);
  steeringRoutes(app, parts);
}

function statusRoute(app: Http, parts: RouteParts): void {
  app.get(
    '/api/v1/learning/status',
    {
      config: read,
      schema: {
        tags,
        operationId: 'getLearningStatus',
        summary: 'What is recorded, how choices are made, and how well their confidence fits.',
        response: answers({ 200: learningStatusSchema }),
      },
    },
    () => learningOf(parts).status(),
  );
}

function evaluationRoute(app: Http, parts: RouteParts): void {
  app.get(
    '/api/v1/learning/evaluation',
    {
      config: read,
      schema: {
        tags,
        operationId: 'getLearningEvaluation',
        summary:
          'How the last choices fared: success, calibration, predicted and actual time, drift.',
        response: answers({ 200: logReportSchema }),
      },
    },
    () => learningOf(parts).evaluate(),
  );
}

function agentPerformanceRoutes(app: Http, parts: RouteParts): void {
  app.get(
    '/api/v1/learning/agents',
    {
      config: read,
      schema: {
        tags,
        operationId: 'listAgentPerformance',
        summary: 'What each agent’s attempts came to: success, time, cost, trend, alerts.',
        querystring: listQuery,
        response: answers({ 200: agentPerformancePageSchema }),
      },
    },
    (request) => learningOf(parts).agents(request.query),
  );

  app.get(
    '/api/v1/learning/agents/:name',
    {
      config: { ...read, resource: namedInPath },
      schema: {
        tags,
        operationId: 'getAgentPerformance',
        summary: 'The same of one agent, with what was found out about it.',
        params: nameParam,
        response: answers({ 200: performanceDetailSchema }),
      },
    },
    (request) => learningOf(parts).agent(request.params.name),
  );
}

function findingRoutes(app: Http, parts: RouteParts): void {
  app.get(
    '/api/v1/learning/task-types',
    {
      config: read,
      schema: {
        tags,
        operationId: 'listTaskTypes',
        summary: 'What tasks of each type came to, and who does them best.',
        querystring: listQuery,
        response: answers({ 200: taskTypePageSchema }),
      },
    },
    (request) => learningOf(parts).taskTypes(request.query),
  );

  app.get(
    '/api/v1/learning/combinations',
    {
      config: read,
      schema: {
        tags,
        operationId: 'listCombinations',
        summary: 'Agents that worked together, and how much better or worse than each by itself.',
        querystring: listQuery,
        response: answers({ 200: combinationPageSchema }),
      },
    },
    (request) => learningOf(parts).combinations(request.query),
  );

  app.get(
    '/api/v1/learning/insights',
    {
      config: read,
      schema: {
        tags,
        operationId: 'listInsights',
        summary: 'What was found out, with the numbers that it was found from.',
        querystring: listQuery,
        response: answers({ 200: insightPageSchema }),
      },
    },
    (request) => learningOf(parts).insights(request.query),
  );
}

function policyRoutes(app: Http, parts: RouteParts): void {
  app.get(
    '/api/v1/learning/policies',
    {
      config: read,
      schema: {
        tags,
        operationId: 'listPolicies',
        summary: 'What choices are and were made by, and why each was taken or not.',
        querystring: listQuery,
        response: answers({ 200: policyPageSchema }),
      },
    },
    (request) => learningOf(parts).policies(request.query),
  );
}

function recommendRoute(app: Http, parts: RouteParts): void {
  app.post(
    '/api/v1/learning/recommend',
    {
      config: read,
      schema: {
        tags,
        operationId: 'recommendAgent',
        summary: 'Which agent should do a task, why, and how sure; nothing is started.',
        description:
          'Only agents that the caller may call and that can work now are candidates; the others are named with the reason. Where there is no evidence, `basis` says so and the confidence is low.',
        body: recommendSchema,
        response: answers({ 200: recommendationSchema }),
      },
    },
    (request) => recommend(callerOf(request), request.body, parts),
  );
}

function tellingRoutes(app: Http, parts: RouteParts): void {
  app.post(
    '/api/v1/learning/feedback',
    {
      config: { action: 'learning.write' },
      schema: {
        tags,
        operationId: 'giveFeedback',
        summary:
          'Rates what an agent gave, 1 to 10; a later rating takes the place of an earlier one.',
        description:
          'For a task of a run that the caller may see. Ratings of an agent move a choice from three principals on, and never much.',
        body: feedbackSchema,
        response: answers({ 200: takenFeedbackSchema }),
      },
    },
    (request) => takeFeedback(request, parts),
  );

  app.post(
    '/api/v1/learning/outcomes',
    {
      config: { action: 'learning.write' },
      schema: {
        tags,
        operationId: 'reportOutcome',
        summary: 'Tells what came of a task that no run of this database did.',
        description:
          'Of an agent that is loaded here. All reports of one principal about one agent count as ten outcomes at the most.',
        body: reportSchema,
        response: answers({ 201: reportedSchema }),
      },
    },
    async (request, reply) => {
      const { description, ...told } = request.body;
      agentNamed(parts.agents, told.agent);
      const by = raterOf(callerOf(request));
      const reported = await learningOf(parts).report({ ...told, text: description }, by);
      return reply.code(201).send(reported);
    },
  );
}

type FeedbackCall = Parameters<typeof callerOf>[0] & { readonly body: FeedbackRequest };

async function takeFeedback(request: FeedbackCall, parts: RouteParts): Promise<TakenFeedback> {
  const { score, comment } = request.body;
  const by = raterOf(callerOf(request));
  const of = await ratedBy(request, parts);
  return learningOf(parts).feedback({ of, score, by, ...defined('comment', comment) });
}

/** What is rated, when the caller may see it. Throws `invalid_input`, `run_not_found`, `denied`. */
async function ratedBy(request: FeedbackCall, parts: RouteParts): Promise<GivenFeedback['of']> {
  const { run, task, attempt } = request.body;
  const caller = callerOf(request);
  if (attempt !== undefined && run === undefined && task === undefined) {
    // Of an attempt alone nobody says which workflow it was of: whoever sees every run may see it.
    assertAllowed(caller, 'runs.read');
    return { attemptId: attempt.toLowerCase() };
  }
  if (run === undefined || attempt !== undefined) {
    const message = 'either run, with task where it has several, or attempt';
    throw new AppError('invalid_input', `what is rated is needed: ${message}`, {
      details: { errors: [{ in: 'body', field: 'run', message }] },
    });
  }
  const { id } = await runFor({ caller, params: { id: run } }, parts, 'runs.read');
  return { runId: id, ...defined('task', task) };
}

function steeringRoutes(app: Http, parts: RouteParts): void {
  app.get(
    '/api/v1/learning/mode',
    {
      config: read,
      schema: {
        tags,
        operationId: 'getLearningMode',
        summary: 'How much choices try out, for the whole fleet.',
        response: answers({ 200: modeSchema }),
      },
    },
    async () => ({ mode: await learningOf(parts).mode() }),
  );

  app.put(
    '/api/v1/learning/mode',
    {
      config: { action: 'learning.execute' },
      schema: {
        tags,
        operationId: 'setLearningMode',
        summary: 'Sets how much choices try out: exploitation, balanced or exploration.',
        body: modeSchema,
        response: answers({ 200: modeSchema }),
      },
    },
    async (request, reply) => {
      await learningOf(parts).setMode(request.body.mode);
      return reply.send(request.body);
    },
  );

  app.post(
    '/api/v1/learning/retrain',
    {
      config: { action: 'learning.execute' },
      schema: {
        tags,
        operationId: 'retrainLearning',
        summary: 'Begins to fit the choice anew; it is taken only if it is surely better.',
        response: answers({ 202: fittingSchema }),
      },
    },
    async (_request, reply) => {
      await learningOf(parts).retrain();
      return reply.code(202).send({ fitting: true as const });
    },
  );
}
