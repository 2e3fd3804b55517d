import { AppError, toAppError } from '../../base/base.ts';
import { outboundFailure } from '../../outbound/outbound.ts';
import type { AgentDefinition, Invocation, InvocationResult } from '../agents.ts';
import type { CheckResult, Runtime, RuntimeTools } from '../runtime.ts';
import { abortError, startDeadline } from './deadline.ts';
import { chooseModel, hostOf, type ModelChoice } from './model-choice.ts';
import { openServers, serverProblem, type McpAccess } from './model-servers.ts';
import { createProgress } from './progress.ts';
import { failingCheck, missingRequirement } from './requirements.ts';
import { missingVariable, readSecrets, secretsOf, type Secrets } from './secrets.ts';

export type ModelTools = Pick<
  RuntimeTools,
  'packageRoot' | 'environment' | 'clock' | 'outbound' | 'models'
>;

/** Of one answer: the longest that a model gives, a few dozen bytes of events around each token. */
const maxAnswerBytes = 64 * 1_048_576;

/**
 * Asks models: Anthropic's, and whatever speaks OpenAI's chat completions, here or elsewhere. The
 * definition's prompt is the system prompt. Money, tokens and time are counted and limited; nothing
 * is tried twice here.
 */
export function createModelRuntime(tools: ModelTools, mcp: McpAccess): Runtime {
  async function check(definition: AgentDefinition, signal: AbortSignal): Promise<CheckResult> {
    const missing =
      (await missingRequirement(definition, tools)) ?? (await serverProblem(definition, mcp));
    if (missing !== undefined) return unavailable(missing);
    const choice = chooseModel(definition, tools.models);
    if ('problem' in choice) return unavailable(choice.problem);
    if (choice.key?.required === true) {
      const { name } = choice.key;
      const problem = await missingVariable(name, tools.environment);
      if (problem !== undefined) return unavailable(`no key: set ${name} (${problem})`);
    }
    const unpaid = unpriced(definition.budget ?? {}, choice);
    if (unpaid !== undefined) return unavailable(unpaid);
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
    const { agent, signal } = invocation;
    if (signal.aborted) throw abortError(signal, agent.name);
    const choice = chosen(invocation);
    const secrets = await keyOf(agent, choice);
    const key = choice.key === undefined ? undefined : secrets.values[choice.key.name];
    const deadline = startDeadline(invocation, tools.clock);
    const emit = invocation.onProgress ?? (() => undefined);
    const progress = createProgress(tools.clock, (line) => emit(secrets.redact(line)));
    try {
      // Loaded when it is used: the libraries behind it take a third of a second.
      const { runModel } = await import('./model-run.ts');
      const { signal: ending } = deadline;
      const servers = await openServers({ ...invocation, signal: ending }, mcp, progress);
      try {
        const result = await runModel({
          invocation,
          choice,
          key,
          clock: tools.clock,
          progress,
          servers: servers.tools,
          fetch: fetchFor(agent, choice),
          signal: ending,
        });
        return { ...result, output: secrets.redactValue(result.output) };
      } finally {
        await servers.close();
      }
    } catch (thrown) {
      throw secrets.redactError(toAppError(thrown));
    } finally {
      deadline.end();
      progress.end();
    }
  }

  function fetchFor({ name }: AgentDefinition, choice: ModelChoice): typeof globalThis.fetch {
    const allow = choice.isOwnUrl ? [] : [hostOf(choice)];
    return tools.outbound.for({ who: `agent ${name}`, allow, maxBytes: maxAnswerBytes });
  }

  function chosen({ agent, budget }: Invocation): ModelChoice {
    const choice = chooseModel(agent, tools.models);
    const reason = 'problem' in choice ? choice.problem : unpriced(budget ?? {}, choice);
    if (reason === undefined && !('problem' in choice)) return choice;
    throw new AppError('agent_unavailable', `agent ${agent.name}: ${reason}`, {
      details: { agent: agent.name, reason },
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
    check: failingCheck(check),
  };
}

/**
 * Why its budget can't be held: it is one of money alone, and nobody knows what a token costs. Where
 * it limits tokens, too, those are held, and what was set aside of the money counts as used.
 */
function unpriced(
  budget: { readonly usd?: unknown; readonly microUsd?: unknown; readonly tokens?: unknown },
  { model, price }: ModelChoice,
): string | undefined {
  const isMoney = budget.usd !== undefined || budget.microUsd !== undefined;
  if (!isMoney || budget.tokens !== undefined || price !== undefined) return undefined;
  return `nobody has said what ${model} costs, so that a budget of money alone can not be held: give price in its runtime, 0 for a model of your own, or a budget of tokens`;
}

function unavailable(reason: string): CheckResult {
  return { ok: false, state: 'unavailable', reason };
}
