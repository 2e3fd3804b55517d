import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError, toAppError } from '../../base/base.ts';
import type { AgentDefinition, Invocation, InvocationResult } from '../agents.ts';
import type { Admission } from '../call-door.ts';
import { AgentFailure } from '../failure.ts';
import { attemptVariable } from '../processes.ts';
import type { CheckResult, Runtime, RuntimeTools } from '../runtime.ts';
import type { ChildEnd } from './child.ts';
import { neededProgram, type Children } from './children.ts';
import { prepareSession, type ClaudeCodeSession } from './claude-code-arguments.ts';
import { apiError, overBudget, sessionError } from './claude-code-errors.ts';
import { openLogin } from './claude-code-login.ts';
import { claudeCodeSpecOf } from './claude-code-spec.ts';
import { ClaudeStream, type ClaudeRetry } from './claude-code-stream.ts';
import { endError, type CommandContext } from './command-errors.ts';
import { abortError } from './deadline.ts';
import { answerFormat } from './model-answer.ts';
import { directoryOf, taskMessage } from './model-task.ts';
import { createProgress } from './progress.ts';
import { failingCheck, missingRequirement } from './requirements.ts';
import { readSecrets, secretsOf, type Secrets } from './secrets.ts';

export type ClaudeCodeTools = Pick<
  RuntimeTools,
  'packageRoot' | 'environment' | 'clock' | 'callDoor' | 'models'
>;

/** Claude Code itself takes about 400 MB; what it starts comes on top. */
const defaultMemoryMb = 4_096;
const defaultOutputMb = 64;
const bytesPerMb = 1_048_576;
const partialLength = 65_536;

/** Its usual ones need no listing: which of them there is, or a login instead, is a matter of the machine. */
const credentials = [
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'CLAUDE_CODE_OAUTH_TOKEN',
] as const;

/** Nothing but the task goes out, nothing of other sessions comes in, and it stays the version that it is. */
const switches = {
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  CLAUDE_CODE_DISABLE_AUTO_MEMORY: '1',
  DISABLE_AUTOUPDATER: '1',
  // Its first turn waits for its servers, and has all their tools: it may have none to look for them with.
  MCP_CONNECTION_NONBLOCKING: '0',
  ENABLE_TOOL_SEARCH: 'false',
} as const;

/**
 * Runs Claude Code in print mode with the definition as its agent. Each attempt is a session of its own
 * that is not kept, in a process group with the limits of the runtime `command`.
 */
export function createClaudeCodeRuntime(tools: ClaudeCodeTools, children: Children): Runtime {
  const login = openLogin(tools.clock, children);

  async function check(definition: AgentDefinition, signal: AbortSignal): Promise<CheckResult> {
    const missing = (await login.missing()) ?? (await missingRequirement(definition, tools));
    if (missing !== undefined) return { ok: false, state: 'unavailable', reason: missing };
    const given = await environmentOf(definition);
    return login.check(definition.name, given.environment, signal);
  }

  async function run(invocation: Invocation): Promise<InvocationResult> {
    const { agent, signal, delegate } = invocation;
    if (signal.aborted) throw abortError(signal, agent.name);
    const directory = await directoryOf(invocation);
    const { environment, secrets } = await environmentOf(agent);
    const admission = delegate && (await tools.callDoor.admit(delegate));
    const scratch = await mkdtemp(join(tmpdir(), 'centuria-claude-'));
    const all = secretsOf({ ...secrets.values, ...tokenOf(admission) });
    try {
      const session = await prepareSession({
        invocation,
        scratch,
        directory,
        admission,
        models: tools.models,
      });
      const result = await converse(invocation, session, all, {
        // Agents that it calls may take as long as it may itself.
        MCP_TOOL_TIMEOUT: String(invocation.timeoutMs),
        ...environment,
        ...admission?.environment,
      });
      return { ...result, output: all.redactValue(result.output) };
    } catch (thrown) {
      throw all.redactError(toAppError(thrown));
    } finally {
      admission?.end();
      await rm(scratch, { recursive: true, force: true });
    }
  }

  async function converse(
    invocation: Invocation,
    session: ClaudeCodeSession,
    secrets: Secrets,
    environment: Readonly<Record<string, string>>,
  ): Promise<InvocationResult> {
    const { agent, budget, attemptId } = invocation;
    const program = await neededProgram('claude', agent.name, children.places);
    const context = contextOf(invocation);
    const stop = new AbortController();
    const emit = invocation.onProgress ?? (() => undefined);
    const progress = createProgress(tools.clock, (line) => emit(secrets.redact(line)));
    let counted: number | undefined;
    let before: number | undefined;
    const stream = new ClaudeStream(
      {
        onProgress: (line) => progress.write(`${line}\n`),
        onRetry(retry) {
          const error = stream.hasAnswered ? undefined : earlyError(agent.name, retry, before);
          before = retry.status;
          if (error !== undefined) stop.abort(error);
        },
        onTokens(tokens) {
          counted = tokens;
          if (tokens <= (budget?.tokens ?? Infinity)) return;
          stop.abort(overBudget(agent.name, `it has used ${tokens} tokens`));
        },
      },
      session.directory,
    );
    const end = await children.run(
      program,
      {
        arguments: session.arguments,
        directory: session.directory,
        environment: { ...children.environmentOf([], invocation), ...environment },
        input: taskMessage(invocation),
        talk: {
          onStart: () => undefined,
          onOutput: collector(stream, context.outputMb * bytesPerMb),
        },
        mark: { variable: attemptVariable, value: attemptId },
        timeoutMs: context.timeoutMs,
        memoryBytes: context.memoryMb * bytesPerMb,
        outputBytes: context.outputMb * bytesPerMb,
        signal: AbortSignal.any([invocation.signal, stop.signal]),
      },
      agent.name,
    );
    stream.end();
    progress.end();
    const usage = { ...end.usage, ...(stream.result?.usage ?? countedUsage(stop, counted)) };
    const error =
      stopError(end, context, invocation, stop) ?? sessionError(agent.name, stream, end);
    if (error === undefined) {
      return { output: outputOf(agent, session, stream), usage };
    }
    const partial = stream.text === '' ? {} : { partial: stream.text.slice(0, partialLength) };
    throw new AgentFailure(error, { usage, ...partial });
  }

  /** What Claude Code gets beside what every program does: who pays, what the definition needs, and where the API is. */
  async function environmentOf(
    agent: AgentDefinition,
  ): Promise<{ environment: Record<string, string>; secrets: Secrets }> {
    const paid = credentials.filter((name) =>
      [name, `${name}_FILE`].some((given) => (tools.environment[given] ?? '') !== ''),
    );
    const names = [...new Set([...agent.requires.environment, ...paid])];
    const listed = { ...agent, requires: { ...agent.requires, environment: names } };
    const { values } = await readSecrets(listed, tools.environment, names);
    const { provider, baseUrl } = tools.models;
    // The setting ends with the version of the API, which Claude Code adds by itself.
    const url = provider === 'anthropic' ? baseUrl.replace(/\/+$/, '').replace(/\/v1$/, '') : '';
    const environment = {
      ...switches,
      ...(url === '' ? {} : { ANTHROPIC_BASE_URL: url }),
      ...values,
    };
    return { environment, secrets: secretsOf(secretValues(values)) };
  }

  return {
    run,
    check: failingCheck(check),
    close: () => login.close(),
  };
}

/** Variables are listed for many reasons; only of those that are secrets by their name the value is hidden. */
function secretValues(values: Readonly<Record<string, string>>): Record<string, string> {
  const isSecret = /KEY|TOKEN|SECRET|PASS|AUTH|CREDENTIAL|HEADER/i;
  return Object.fromEntries(Object.entries(values).filter(([name]) => isSecret.test(name)));
}

function tokenOf(admission: Admission | undefined): Record<string, string> {
  return admission === undefined ? {} : { CENTURIA_ATTEMPT_CALLS_TOKEN: admission.token };
}

function contextOf({ agent, timeoutMs }: Invocation): CommandContext {
  const { limits } = claudeCodeSpecOf(agent);
  return {
    agent: agent.name,
    timeoutMs,
    memoryMb: limits?.memoryMb ?? defaultMemoryMb,
    outputMb: limits?.outputMb ?? defaultOutputMb,
    goodExit: 0,
  };
}

/**
 * Before the first answer nothing is lost by giving up: the run waits, and no process does. Later Claude
 * Code waits by itself, since its session can not be had again. A login may be refreshed once.
 */
function earlyError(
  agent: string,
  retry: ClaudeRetry,
  before: number | undefined,
): AppError | undefined {
  const { status } = retry;
  if (status === 429 || status === 503 || status === 529) return apiError(agent, retry);
  const isRefused = status === 401 || status === 403;
  return isRefused && before === status ? apiError(agent, retry) : undefined;
}

function collector(stream: ClaudeStream, most: number): (chunk: Buffer) => boolean {
  let bytes = 0;
  return (chunk) => {
    bytes += chunk.length;
    if (bytes <= most) stream.write(chunk);
    return bytes <= most;
  };
}

/** Where we ended it over its tokens, they were counted; otherwise an answer under way was not. */
function countedUsage(stop: AbortController, tokens: number | undefined): { tokens?: number } {
  const { reason } = stop.signal as { reason?: { code?: unknown } };
  return reason?.code === 'budget_exceeded' && tokens !== undefined ? { tokens } : {};
}

/** Why it was ended, if it did not end by itself. */
function stopError(
  end: ChildEnd,
  context: CommandContext,
  invocation: Invocation,
  stop: AbortController,
): AppError | undefined {
  if (end.stopped === undefined && end.signal === null) return undefined;
  if (end.stopped !== 'cancelled') return endError(end, context);
  // Who cancels says why; that is worth more than our own word for it.
  const own = stop.signal.aborted && !invocation.signal.aborted;
  return abortError(own ? stop.signal : invocation.signal, context.agent);
}

function outputOf(
  agent: AgentDefinition,
  { isStructured }: ClaudeCodeSession,
  { result }: ClaudeStream,
): unknown {
  if (isStructured && result?.structured !== undefined) return result.structured;
  const read = answerFormat(agent).read(result?.text ?? '');
  if ('value' in read) return read.value;
  throw new AppError('agent_output_invalid', `agent ${agent.name}: its answer: ${read.problem}`, {
    details: { agent: agent.name },
  });
}
