import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import {
  AgentFailure,
  type AgentDefinition,
  type AgentRegistry,
  type Invocation,
} from '../agents/agents.ts';
import { AppError, errorRecord, type Clock } from '../base/base.ts';
import { answers } from './answers.ts';
import {
  attemptLineSchema,
  attemptParam,
  attemptSchema,
  type AttemptLine,
} from './attempt-schemas.ts';
import { assertMay, callerOf } from './callers.ts';
import type { Http } from './http.ts';
import { leftSignal } from './left.ts';
import type { RouteParts } from './parts.ts';
import { presentable } from './problem.ts';

/** What goes through the door in one piece: an input, or a result. */
const mostBytes = 64 * 1_048_576;
/** Empty lines this often tell a silent agent from a dead connection; clients give up after 300 s without any. */
const heartbeatMs = 15_000;
/** A caller that does not take its result for so long is cut, so that it gives its place back. */
const stalledMs = 30_000;

interface UnderWay {
  readonly caller: string;
  readonly stop: AbortController;
}

/** The door of workers: one attempt of a task, as a worker would run it in its own process. */
export function attemptRoutes(app: Http, parts: RouteParts): void {
  const underWay = new Map<string, UnderWay>();
  callRoute(app, parts, underWay);
  cancelRoute(app, underWay);
}

function callRoute(app: Http, parts: RouteParts, underWay: Map<string, UnderWay>): void {
  const { agents, invocations } = parts;
  app.post(
    '/api/v1/attempts',
    {
      bodyLimit: mostBytes,
      config: { action: 'agents.execute', some: true, whileStopping: true },
      schema: {
        tags: ['agents'],
        operationId: 'callAttempt',
        summary:
          'Runs one attempt of a task: lines of progress, then one with the result or the problem. Leaving cancels it.',
        body: attemptSchema,
        response: {
          ...answers({}),
          200: {
            description: 'A line of JSON each; empty ones say that the connection lives',
            content: { 'application/x-ndjson': { schema: attemptLineSchema } },
          },
        },
      },
    },
    async (request, reply) => {
      const { agent: name, hash, budget, partial, ...call } = request.body;
      assertMay(request, 'agents.execute', name);
      const agent = await definitionOf(agents, name, hash);
      const { attemptId } = call;
      if (underWay.has(attemptId)) {
        throw new AppError('conflict', `the attempt ${attemptId} is under way`);
      }
      const stop = new AbortController();
      await invocations.hold(async () => {
        underWay.set(attemptId, { caller: callerOf(request).id, stop });
        try {
          await answer(reply, parts, {
            ...call,
            agent,
            ...(budget === undefined ? {} : { budget }),
            ...(partial === undefined ? {} : { partial }),
            signal: stop.signal,
          });
        } finally {
          underWay.delete(attemptId);
        }
      });
      return reply;
    },
  );
}

function cancelRoute(app: Http, underWay: ReadonlyMap<string, UnderWay>): void {
  app.delete(
    '/api/v1/attempts/:id',
    {
      config: { action: 'agents.execute', some: true, whileStopping: true },
      schema: {
        tags: ['agents'],
        operationId: 'cancelAttempt',
        summary: 'Stops an attempt of the caller; its answer ends when the agent has.',
        params: attemptParam,
        response: { ...answers({}), 204: { description: 'Asked to stop' } },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const attempt = underWay.get(id);
      // Whose attempts there are is not for others to know.
      if (attempt === undefined || attempt.caller !== callerOf(request).id) {
        throw new AppError('not_found', 'no attempt of this id is under way', {
          details: { attempt: id },
        });
      }
      attempt.stop.abort(new AppError('cancelled', 'the caller stopped the attempt'));
      return reply.code(204).send();
    },
  );
}

/** A right is for a name, so the hash must be of an agent that bears it. */
async function definitionOf(
  agents: AgentRegistry,
  name: string,
  hash: string,
): Promise<AgentDefinition> {
  const agent = await agents.byHash(hash);
  if (agent?.name === name) return agent;
  throw new AppError(
    'agent_not_found',
    `no agent ${name} has the definition ${hash.slice(0, 12)}`,
    {
      details: { agent: name, hash },
    },
  );
}

/** Once the head has gone out the agent may have begun; before, a refusal is a problem document. */
async function answer(
  reply: FastifyReply,
  { agents, clock, log }: RouteParts,
  invocation: Invocation,
): Promise<void> {
  const response = reply.raw;
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) response.setHeader(name, value);
  }
  response.setHeader('content-type', 'application/x-ndjson; charset=utf-8');
  reply.hijack();
  response.on('error', (error) => log.debug({ err: error }, 'an attempt was not answered'));
  const signal = AbortSignal.any([leftSignal(response), invocation.signal]);
  response.writeHead(200).flushHeaders();
  // What a slow reader does not take is not kept for it: progress is a view, the result is the fact.
  const tell = (line: string): void => {
    if (!response.writableNeedDrain && !response.writableEnded) response.write(line);
  };
  const heartbeat = setInterval(() => tell('\n'), heartbeatMs);
  heartbeat.unref();
  try {
    const { output, usage } = await agents.invoke({
      ...invocation,
      signal,
      onProgress: (progress) => tell(lineOf({ progress })),
    });
    response.end(bounded({ result: { output: output ?? null, usage } }, invocation));
  } catch (thrown) {
    const error = presentable(thrown);
    if (error.code === 'internal') log.error({ err: thrown }, 'an attempt met a defect');
    const { usage, partial } = thrown instanceof AgentFailure ? thrown : {};
    const facts = { ...(usage && { usage }), ...(partial === undefined ? {} : { partial }) };
    response.end(bounded({ problem: errorRecord(error), ...facts }, invocation));
  } finally {
    clearInterval(heartbeat);
  }
  await taken(response, clock);
}

function lineOf(line: AttemptLine): string {
  return `${JSON.stringify(line)}\n`;
}

function bounded(last: Exclude<AttemptLine, { progress: string }>, { agent }: Invocation): string {
  const line = lineOf(last);
  const bytes = Buffer.byteLength(line);
  if (bytes <= mostBytes) return line;
  const { usage } = 'result' in last ? last.result : last;
  const message = `agent ${agent.name} gave ${bytes} bytes, more than the ${mostBytes} of a call over HTTP`;
  const problem = errorRecord(new AppError('agent_output_too_large', message));
  return lineOf({ problem, ...(usage && { usage }) });
}

/** Waits until the caller has all of it. */
async function taken(response: ServerResponse, clock: Clock): Promise<void> {
  if (response.writableFinished || response.destroyed) return;
  const over = new AbortController();
  response.once('finish', () => over.abort());
  response.once('close', () => over.abort());
  await clock.sleep(stalledMs, over.signal).then(
    () => response.destroy(),
    () => undefined,
  );
}
