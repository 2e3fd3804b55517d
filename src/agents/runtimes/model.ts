import { AppError, toAppError } from '../../base/base.ts';
import { outboundFailure } from '../../outbound/outbound.ts';
import type { AgentDefinition, Invocation, InvocationResult } from '../agents.ts';
import type { CheckResult, Runtime, RuntimeTools } from '../runtime.ts';
import { chooseModel, hostOf, type ModelChoice } from './model-choice.ts';
import { createProgress } from './progress.ts';
import { missingRequirement } from './requirements.ts';
import { missingVariable, readSecrets, secretsOf, type Secrets } from './secrets.ts';

/** Of one answer: the longest that a model gives, a few dozen bytes of events around each token. */
const maxAnswerBytes = 64 * 1_048_576;

/**
 * Asks models: Anthropic's, and whatever speaks OpenAI's chat completions, here or elsewhere. The
 * definition's prompt is the system prompt. Money, tokens and time are counted and limited; nothing
 * is tried twice here.
 */
export function createModelRuntime(tools: RuntimeTools): Runtime {
  async function check(definition: AgentDefinition, signal: AbortSignal): Promise<CheckResult> {
    const missing = (await missingRequirement(definition, tools)) ?? unsupported(definition);
    if (missing !== undefined) return unavailable(missing);
    const choice = chooseModel(definition, tools.models);
    if ('problem' in choice) return unavailable(choice.problem);
    if (choice.key?.required === true) {
      const { name } = choice.key;
      const problem = await missingVariable(name, tools.environment);
      if (problem !== undefined) return unavailable(`no key: set ${name} (${problem})`);
    }
    const silent = choice.isOwnUrl ? undefined : await silence(definition, choice, signal);
    return silent === undefined ? { ok: true } : unavailable(silent);
  }

  /** Why nobody answers at an address that somebody gave. Asks for nothing that costs, and sends no key. */
  async function silence(
    { name }: AgentDefinition,
    choice: ModelChoice,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const fetch = tools.outbound.for({ who: `agent ${name}`, allow: [hostOf(choice)] });
    try {
      const response = await fetch(choice.baseUrl, { method: 'HEAD', redirect: 'manual', signal });
      await response.body?.cancel();
      return undefined;
    } catch (thrown) {
      return outboundFailure(thrown, new URL(choice.baseUrl)).message;
    }
  }

  async function run(invocation: Invocation): Promise<InvocationResult> {
    const { agent, signal, timeoutMs } = invocation;
    if (signal.aborted) throw cancellation(signal, agent);
    const choice = chosen(agent);
    const secrets = await keyOf(agent, choice);
    const key = choice.key === undefined ? undefined : secrets.values[choice.key.name];
    const time = new AbortController();
    const stopClock = tools.clock.after(timeoutMs, () => time.abort(tooLong(agent, timeoutMs)));
    const cancelled = new AbortController();
    const cancel = (): void => cancelled.abort(cancellation(signal, agent));
    signal.addEventListener('abort', cancel, { once: true });
    // While the key was read it may have happened.
    if (signal.aborted) cancel();
    const emit = invocation.onProgress ?? (() => undefined);
    const progress = createProgress(tools.clock, (line) => emit(secrets.redact(line)));
    try {
      assertAffordable(invocation, choice);
      // Loaded when it is used: the libraries behind it take a third of a second.
      const { runModel } = await import('./model-run.ts');
      const result = await runModel({
        invocation,
        choice,
        key,
        clock: tools.clock,
        progress,
        fetch: tools.outbound.for({
          who: `agent ${agent.name}`,
          allow: choice.isOwnUrl ? [] : [hostOf(choice)],
          maxBytes: maxAnswerBytes,
        }),
        signal: AbortSignal.any([time.signal, cancelled.signal]),
      });
      return { ...result, output: secrets.redactValue(result.output) };
    } catch (thrown) {
      throw secrets.redactError(toAppError(thrown));
    } finally {
      stopClock();
      signal.removeEventListener('abort', cancel);
      progress.end();
    }
  }

  function chosen(agent: AgentDefinition): ModelChoice {
    const choice = chooseModel(agent, tools.models);
    if (!('problem' in choice)) return choice;
    throw new AppError('agent_unavailable', `agent ${agent.name}: ${choice.problem}`, {
      details: { agent: agent.name, reason: choice.problem },
    });
  }

  async function keyOf(agent: AgentDefinition, { key }: ModelChoice): Promise<Secrets> {
    if (key === undefined) return secretsOf({});
    const isThere = (await missingVariable(key.name, tools.environment)) === undefined;
    if (!isThere && !key.required) return secretsOf({});
    // A key is named by its runtime, or is the provider's usual one: it needs no further listing.
    const environment = [...agent.requires.environment, key.name];
    const listed = { ...agent, requires: { ...agent.requires, environment } };
    return readSecrets(listed, tools.environment, [key.name]);
  }

  return {
    run,
    async check(definition, signal) {
      try {
        return await check(definition, signal);
      } catch (thrown) {
        return { ok: false, state: 'failed', reason: toAppError(thrown).message };
      }
    },
  };
}

/** A budget of money can't be held where nobody knows what a token costs. */
function assertAffordable({ agent, budget }: Invocation, choice: ModelChoice): void {
  if (budget?.microUsd === undefined || choice.price !== undefined) return;
  throw new AppError(
    'agent_unavailable',
    `agent ${agent.name}: nobody has said what ${choice.model} costs, so that a budget of money can not be held`,
    {
      details: { agent: agent.name, model: choice.model },
      remedy: 'Give price in its runtime: 0 for a model of your own.',
    },
  );
}

function unsupported({ frontmatter }: AgentDefinition): string | undefined {
  const servers = frontmatter['mcpServers'];
  const none = servers === undefined || Object.keys(servers as object).length === 0;
  return none ? undefined : 'its mcpServers can not be offered to a model in this version';
}

function unavailable(reason: string): CheckResult {
  return { ok: false, state: 'unavailable', reason };
}

function tooLong({ name }: AgentDefinition, timeoutMs: number): AppError {
  return new AppError('timeout', `agent ${name} took longer than ${timeoutMs} ms`, {
    details: { agent: name },
    remedy: 'Raise timeoutSeconds, or give it less to do.',
  });
}

function cancellation(signal: AbortSignal, { name }: AgentDefinition): AppError {
  if (signal.reason instanceof AppError) return signal.reason;
  return new AppError('cancelled', `agent ${name} was cancelled`);
}
