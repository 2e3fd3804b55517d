import { AppError, expand, newId, toAppError } from '../../base/base.ts';
import type { AgentDefinition, Invocation, InvocationResult } from '../agents.ts';
import { AgentFailure } from '../failure.ts';
import { openPins } from '../mcp-pins.ts';
import { findProgram } from '../programs.ts';
import type { CheckResult, Runtime, RuntimeTools } from '../runtime.ts';
import type { Children } from './children.ts';
import { startDeadline } from './deadline.ts';
import { invocationScope } from './invocation-scope.ts';
import { callTool, listTools, outputOf } from './mcp-call.ts';
import { isFixed, placeOf, runtimeServer, type McpPlace } from './mcp-server.ts';
import type { McpSession, SessionCall } from './mcp-session.ts';
import { openSessions, type Borrowed } from './mcp-sessions.ts';
import type { McpRuntimeSpec } from './mcp-spec.ts';
import type { Mcp } from './mcp-tools.ts';
import { missingRequirement } from './requirements.ts';
import { readSecrets } from './secrets.ts';

/** A server that was looked at is not asked again for so long: to ask may be to start it. */
const lookedMs = 300_000;
const mostLooked = 1_000;

/** What the runtime and whoever else uses MCP servers are made with. */
export type McpTools = Pick<
  RuntimeTools,
  'clock' | 'environment' | 'database' | 'outbound' | 'packageRoot'
>;

export function openMcp(tools: McpTools, children: Children): Mcp {
  const { clock, outbound, database } = tools;
  return {
    sessions: openSessions({ clock, outbound, children }),
    pins: openPins(database),
    environment: tools.environment,
  };
}

/**
 * Runs tools of MCP servers: over standard input and output of a program, with the limits of the runtime
 * `command`, or over streamable HTTP. What a server says of the tool is held to what it said before.
 */
export function createMcpRuntime(tools: McpTools, mcp: Mcp, children: Children): Runtime {
  const { clock } = tools;
  /** When a definition's server was last found to be well, by the definition's hash. */
  const looked = new Map<string, number>();

  async function run(invocation: Invocation): Promise<InvocationResult> {
    const { agent } = invocation;
    const startedMs = clock.monotonicMs();
    const secrets = await readSecrets(agent, tools.environment);
    const deadline = startDeadline(invocation, clock);
    const { onProgress } = invocation;
    const call: SessionCall = {
      ...invocation,
      signal: deadline.signal,
      onProgress: onProgress && ((text) => onProgress(secrets.redact(text))),
    };
    const scope = invocationScope(invocation, { secret: secrets.values });
    let bytes: { outputBytes?: number } = {};
    const usage = () => ({ wallMs: Math.round(clock.monotonicMs() - startedMs), ...bytes });
    try {
      const place = placeOf(runtimeServer(agent), scope);
      const output = await lend(call, place, async (session) => {
        try {
          return secrets.redactValue(await answer(session, invocation, call));
        } finally {
          const outputBytes = session.bytes();
          if (outputBytes !== undefined) bytes = { outputBytes };
        }
      });
      return { output, usage: usage() };
    } catch (thrown) {
      const error = secrets.redactError(toAppError(thrown));
      throw new AgentFailure(error, { usage: usage() });
    } finally {
      deadline.end();
    }
  }

  /** One call with a session; afterwards it is kept for the next, unless it is in doubt. */
  async function lend<Result>(
    call: SessionCall,
    place: McpPlace,
    work: (session: McpSession) => Promise<Result>,
  ): Promise<Result> {
    if (call.signal.aborted) throw toAppError(call.signal.reason);
    const borrowed = await mcp.sessions.borrow(runtimeServer(call.agent), place, call);
    try {
      const result = await work(borrowed.session);
      borrowed.giveBack();
      return result;
    } catch (thrown) {
      const error = await borrowed.session.failure(thrown, call);
      await returnAfter(borrowed, thrown, call);
      throw error;
    }
  }

  /** The agent's tool as the server lists it now. Throws `agent_unavailable` for one in quarantine. */
  async function toolOf(session: McpSession, call: SessionCall) {
    const { agent } = call;
    const spec = specOf(agent);
    const server = runtimeServer(agent);
    const listed = (await listTools(session, call)).find(({ name }) => name === spec.tool);
    if (listed === undefined) {
      throw unavailable(agent, `the MCP server has no tool ${JSON.stringify(spec.tool)}`);
    }
    const [verdict] = await mcp.pins.judge(server, [listed], { otherTools: [] });
    if (verdict === undefined) throw new AppError('internal', 'a tool was not judged');
    if (verdict.quarantined === undefined) return verdict.tool;
    throw unavailable(
      agent,
      quarantineReason(agent, `its tool ${spec.tool} ${verdict.quarantined}`),
    );
  }

  async function answer(session: McpSession, invocation: Invocation, call: SessionCall) {
    const { agent } = invocation;
    const spec = specOf(agent);
    const tool = await toolOf(session, call);
    const given = expand(spec.arguments ?? '${input}', invocationScope(invocation));
    const result = await callTool(session, tool, given, call);
    return outputOf(result, spec.answer, `agent ${agent.name}: the tool ${spec.tool}`);
  }

  async function check(definition: AgentDefinition, signal: AbortSignal): Promise<CheckResult> {
    const missing = await missingOf(definition);
    if (missing !== undefined) return { ok: false, state: 'unavailable', reason: missing };
    const server = runtimeServer(definition);
    const bad = await mcp.pins.quarantine([server], specOf(definition).tool);
    if (bad !== undefined) {
      return { ok: false, state: 'unavailable', reason: quarantineReason(definition, bad) };
    }
    const seenMs = looked.get(definition.hash);
    const isFresh = seenMs !== undefined && clock.monotonicMs() - seenMs < lookedMs;
    if (isFresh || !isFixed(server)) return { ok: true };
    const attemptId = newId(clock);
    const call = { agent: definition, attemptId, idempotencyKey: attemptId, signal };
    const secrets = await readSecrets(definition, tools.environment);
    await lend(call, placeOf(server, { secret: secrets.values }), (session) =>
      toolOf(session, call),
    );
    // Of definitions that were edited long ago nobody asks again.
    if (looked.size >= mostLooked) looked.clear();
    looked.set(definition.hash, clock.monotonicMs());
    return { ok: true };
  }

  async function missingOf(definition: AgentDefinition): Promise<string | undefined> {
    const { command } = runtimeServer(definition).fields;
    if (command !== undefined && (await findProgram(command, children.places)) === undefined) {
      return `the program ${command} was not found: install it, or add its folder to PATH`;
    }
    return missingRequirement(definition, tools);
  }

  return {
    run,
    close: () => mcp.sessions.close(),
    async check(definition, signal) {
      try {
        return await check(definition, signal);
      } catch (thrown) {
        looked.delete(definition.hash);
        const error = toAppError(thrown);
        const isHere = !['agent_unavailable', 'outbound_refused'].includes(error.code);
        return { ok: false, state: isHere ? 'failed' : 'unavailable', reason: error.message };
      }
    },
  };
}

/** What the tool or the server said of the call leaves the connection as good as it was; the rest does not. */
async function returnAfter(borrowed: Borrowed, thrown: unknown, call: SessionCall): Promise<void> {
  const isSaid = thrown instanceof AppError && !call.signal.aborted;
  if (isSaid) borrowed.giveBack();
  else await borrowed.discard();
}

/** The parser has held it against the schema: a definition exists only when it fits. */
function specOf(agent: AgentDefinition): McpRuntimeSpec {
  return agent.runtime as unknown as McpRuntimeSpec;
}

function quarantineReason({ name }: AgentDefinition, why: string): string {
  return `quarantined: ${why}; \`centuria agent tools ${name}\` shows it`;
}

function unavailable(agent: AgentDefinition, why: string): AppError {
  return new AppError('agent_unavailable', `agent ${agent.name}: ${why}`, {
    details: { agent: agent.name, reason: why },
  });
}
