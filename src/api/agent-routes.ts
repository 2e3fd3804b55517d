import type { AgentDefinition, AgentRegistry, AgentStatus } from '../agents/agents.ts';
import { AppError, newId, type Clock } from '../base/base.ts';
import { agentNamed } from './agent-named.ts';
import { answers } from './answers.ts';
import { sendTagged } from './etag.ts';
import { mayRead, namedInPath } from './callers.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Http } from './http.ts';
import type { RouteParts } from './parts.ts';
import { leftSignal } from './left.ts';
import { asker, mayCall } from './run-access.ts';
import { runSummarySchema } from './run-schemas.ts';
import {
  agentDetailSchema,
  agentListSchema,
  agentProblemsSchema,
  invocationResultSchema,
  invokeSchema,
  startAgentRunSchema,
  type InvocationAnswer,
  type InvokeRequest,
} from './schemas.ts';
import { idempotencyHeader, nameParam } from './parameters.ts';

/** Agents: their definitions, states and problems, and calling one by hand. */
export function agentRoutes(app: Http, parts: RouteParts): void {
  const { agents, clock } = parts;

  app.get(
    '/api/v1/agents',
    {
      config: { action: 'agents.read', some: true },
      schema: {
        tags: ['agents'],
        operationId: 'listAgents',
        summary: 'Every agent with its state and the reason for it.',
        response: answers({ 200: agentListSchema }),
      },
    },
    async (request, reply) => {
      const items = agents
        .list()
        .filter(({ name }) => mayRead(request, 'agents.read', name))
        .map((agent) => agentRow(agents, agent, clock));
      return sendTagged(request, reply, { items, count: items.length });
    },
  );

  app.get(
    '/api/v1/agents/problems',
    {
      config: { action: 'agents.read' },
      schema: {
        tags: ['agents'],
        operationId: 'listAgentProblems',
        summary: 'What is wrong with the files of the agent folders now.',
        response: answers({ 200: agentProblemsSchema }),
      },
    },
    async () => {
      const items = [...agents.problems()];
      return { items, count: items.length };
    },
  );

  app.get(
    '/api/v1/agents/:name',
    {
      config: { action: 'agents.read', resource: namedInPath },
      schema: {
        tags: ['agents'],
        operationId: 'getAgent',
        summary: 'The definition of an agent, its state, and complaints about its file.',
        params: nameParam,
        response: answers({ 200: agentDetailSchema }),
      },
    },
    async (request, reply) => {
      const definition = agentNamed(agents, request.params.name);
      return sendTagged(request, reply, {
        definition,
        status: statusOf(agents, definition.name, clock),
        problems: agents.problems().filter(({ file }) => file === definition.file),
      });
    },
  );

  invokeRoute(app, parts);
  runRoute(app, parts);
}

function runRoute(app: Http, parts: RouteParts): void {
  const { agents, coordination } = parts;
  app.post(
    '/api/v1/agents/:name/runs',
    {
      config: { action: 'agents.execute', resource: namedInPath },
      schema: {
        tags: ['agents'],
        operationId: 'startAgentRun',
        summary: 'Starts a run of one agent, which goes on when whoever asked for it has left.',
        params: nameParam,
        headers: idempotencyHeader,
        body: startAgentRunSchema,
        response: answers({ 201: runSummarySchema }),
      },
    },
    async (request, reply) => {
      const { input, priority } = request.body;
      const idempotencyKey = request.headers['idempotency-key'];
      const run = await coordination.startAgent({
        name: agentNamed(agents, request.params.name).name,
        input: input ?? null,
        ...(priority === undefined ? {} : { priority }),
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
        startedBy: asker(request),
        mayCall: mayCall(request, parts),
      });
      return reply.code(201).header('location', `/api/v1/runs/${run.id}`).send(run);
    },
  );
}

function invokeRoute(app: Http, parts: RouteParts): void {
  const { agents, clock, invocations } = parts;
  app.post(
    '/api/v1/agents/:name/invoke',
    {
      config: { action: 'agents.execute', resource: namedInPath },
      schema: {
        tags: ['agents'],
        operationId: 'invokeAgent',
        summary: 'Runs an agent once and waits for its result; leaving cancels it.',
        params: nameParam,
        headers: idempotencyHeader,
        body: invokeSchema,
        response: answers({ 200: invocationResultSchema }),
      },
    },
    async (request, reply): Promise<InvocationAnswer> => {
      const agent = agentNamed(agents, request.params.name);
      const { input, timeoutSeconds } = request.body;
      // What it calls are runs, and those hang below one.
      if (agent.invokes.length > 0) {
        return invocations.hold(() => invokeAsRun(request, reply, parts, agent));
      }
      const attemptId = newId(clock);
      const { output, usage } = await invocations.hold(() =>
        agents.invoke({
          agent,
          input,
          attemptId,
          idempotencyKey: request.headers['idempotency-key'] ?? attemptId,
          timeoutMs: timeoutSeconds === undefined ? agent.timeoutMs : timeoutSeconds * 1_000,
          signal: leftSignal(reply.raw),
        }),
      );
      return { agent: agent.name, attemptId, output: output ?? null, usage };
    },
  );
}

/** A run of the agent, waited for; it is cancelled when whoever asked leaves or the time is up. */
async function invokeAsRun(
  request: FastifyRequest<{ Body: InvokeRequest; Headers: { 'idempotency-key'?: string } }>,
  reply: FastifyReply,
  parts: RouteParts,
  { name }: AgentDefinition,
): Promise<InvocationAnswer> {
  const { coordination } = parts;
  const { input, timeoutSeconds } = request.body;
  const idempotencyKey = request.headers['idempotency-key'];
  const { id } = await coordination.startAgent({
    name,
    input: input ?? null,
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    startedBy: asker(request),
    mayCall: mayCall(request, parts),
  });
  const left = leftSignal(reply.raw);
  const signal =
    timeoutSeconds === undefined
      ? left
      : AbortSignal.any([left, AbortSignal.timeout(timeoutSeconds * 1_000)]);
  const whyNot = (): unknown =>
    left.aborted
      ? left.reason
      : new AppError('timeout', `agent ${name} took longer than ${timeoutSeconds} s`, {
          details: { agent: name, runId: id },
        });
  const run = await coordination.wait(id, signal).catch(async (error: unknown) => {
    await coordination.cancel(id, { reason: 'whoever called it has left', by: asker(request) });
    throw signal.aborted ? whyNot() : error;
  });
  if (run.status === 'completed') {
    return { agent: name, attemptId: id, output: run.output ?? null, usage: run.spent };
  }
  const { code, message, details, retryable } = run.error ?? {
    code: 'cancelled' as const,
    message: `run ${id} was cancelled`,
    retryable: false,
  };
  throw new AppError(code, message, { details: { ...details, runId: id }, retryable });
}

function agentRow(agents: AgentRegistry, agent: AgentDefinition, clock: Clock) {
  return {
    name: agent.name,
    description: agent.description,
    category: agent.category,
    capabilities: agent.capabilities,
    ...(agent.runtime === undefined ? {} : { runtime: agent.runtime.kind }),
    hash: agent.hash,
    status: statusOf(agents, agent.name, clock),
  };
}

/** An agent that was loaded a moment ago may not have been checked yet. */
function statusOf(agents: AgentRegistry, name: string, clock: Clock): AgentStatus {
  return (
    agents.status(name) ?? {
      name,
      state: 'initializing',
      checkedAt: new Date(clock.nowMs()).toISOString(),
    }
  );
}
