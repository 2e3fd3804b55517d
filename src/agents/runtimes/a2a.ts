import type { AgentCard } from '@a2a-js/sdk';
import { expand, toAppError } from '../../base/base.ts';
import type { AgentDefinition, Invocation, InvocationResult } from '../agents.ts';
import { AgentFailure } from '../failure.ts';
import type { Runtime, RuntimeTools } from '../runtime.ts';
import { cancelTask, pollTask, sendMessage, streamMessage } from './a2a-calls.ts';
import { fetchCard, openPeer, type CardContext } from './a2a-card.ts';
import { createKnownCards } from './a2a-cards.ts';
import { requestOf } from './a2a-message.ts';
import type { A2aRuntimeSpec } from './a2a-spec.ts';
import { followTask, type RemoteTask } from './a2a-task.ts';
import { startDeadline } from './deadline.ts';
import { checkHost, expandHeaders, literalOrigin, reachOf } from './dial.ts';
import { statusError } from './http-status.ts';
import { invocationScope } from './invocation-scope.ts';
import { createProgress } from './progress.ts';
import { readSecrets, type Secrets } from './secrets.ts';

export type A2aTools = Pick<
  RuntimeTools,
  'packageRoot' | 'environment' | 'clock' | 'log' | 'outbound'
>;

/** A card is a page; one of megabytes is an attack. */
const maxCardBytes = 1_048_576;
/**
 * Sends tasks to remote agents by A2A 1.0 and follows them to their end: by their stream where they have
 * one, by asking otherwise and after a stream was cut. A task that is given up is cancelled there, too.
 */
export function createA2aRuntime(tools: A2aTools): Runtime {
  const { clock, environment, outbound } = tools;
  const cards = createKnownCards(clock);

  async function run(invocation: Invocation): Promise<InvocationResult> {
    const { agent } = invocation;
    const startedMs = clock.monotonicMs();
    const wallMs = () => Math.round(clock.monotonicMs() - startedMs);
    const secrets = await readSecrets(agent, environment);
    const deadline = startDeadline(invocation, clock);
    const progress =
      invocation.onProgress &&
      createProgress(clock, (line) => invocation.onProgress?.(secrets.redact(line)));
    const task = followTask(agent.name, (line) => progress?.write(`${line}\n`));
    try {
      deadline.signal.throwIfAborted();
      await work(invocation, secrets, task, deadline.signal);
      const output = secrets.redactValue(task.output());
      const outputBytes = Buffer.byteLength(JSON.stringify(output ?? null));
      return { output, usage: { wallMs: wallMs(), outputBytes } };
    } catch (thrown) {
      const why = deadline.signal.aborted ? deadline.signal.reason : thrown;
      const partial = task.partial();
      const facts = partial === '' ? {} : { partial };
      const failure = new AgentFailure(toAppError(why), { usage: { wallMs: wallMs() }, ...facts });
      throw secrets.redactError(failure);
    } finally {
      progress?.end();
      deadline.end();
    }
  }

  /** Goes by the card that is known; where that leads nowhere and the peer has another now, by that. */
  async function work(
    invocation: Invocation,
    secrets: Secrets,
    task: RemoteTask,
    signal: AbortSignal,
  ): Promise<void> {
    const { agent } = invocation;
    const spec = specOf(agent);
    const scope = invocationScope(invocation, { secret: secrets.values });
    const headers = expandHeaders(spec.headers, scope);
    const known = await cards.get(agent, headers, () => {
      const fetch = fetchOf(agent, headers, maxCardBytes);
      return fetchCard(spec.url, { agent: agent.name, clock, signal, fetch });
    });
    const message = expand(spec.message ?? '${input}', scope);
    const follow = (card: AgentCard) =>
      followCard(card, { invocation, headers, message, task, signal });
    try {
      await follow(known.card);
      known.keep();
    } catch (thrown) {
      const mayBeOld = task.id() === undefined && !task.isEnded() && !signal.aborted;
      const newer = await known.forget(mayBeOld);
      if (newer === undefined) throw thrown;
      await follow(newer);
    }
  }

  /** Sends the message and waits until the task is over, one way or the other. */
  async function followCard(
    card: AgentCard,
    { invocation, headers, message, task, signal }: Sending,
  ): Promise<void> {
    const { agent } = invocation;
    const { name } = agent;
    const spec = specOf(agent);
    const own = literalOrigin(spec.url)?.origin;
    const key = encodeURI(invocation.idempotencyKey.toWellFormed());
    const fetch = checked(fetchOf(agent, { ...headers, 'idempotency-key': key }), name);
    const context: CardContext = { agent: name, clock, signal, fetch };
    const peer = await openPeer(card, context, async (url) => {
      if (url.origin !== own) await outbound.probe(url, reachOf(agent, spec, listedOnly), signal);
    });
    const request = requestOf(invocation, message, card);
    try {
      const streams = card.capabilities?.streaming === true;
      await (streams ? streamMessage : sendMessage)(peer, request, task);
      await pollTask(peer, task);
      task.output();
    } catch (thrown) {
      if (!task.isEnded()) await cancelTask(peer, task, tools.log);
      throw thrown;
    }
  }

  /** A fetch with the definition's headers, to listed hosts alone: cards come from peers. */
  function fetchOf(
    agent: AgentDefinition,
    headers: Readonly<Record<string, string>>,
    maxBytes?: number,
  ): typeof globalThis.fetch {
    const reach = reachOf(agent, specOf(agent), listedOnly);
    const fetch = outbound.for(maxBytes === undefined ? reach : { ...reach, maxBytes });
    return async (input, init) => {
      const all = new Headers({ 'user-agent': 'centuria', ...headers });
      new Headers(init?.headers).forEach((value, name) => all.set(name, value));
      return fetch(input, { ...init, headers: all });
    };
  }

  /** Refusals with what they say and when to come back, of which the library tells less. */
  function checked(fetch: typeof globalThis.fetch, agent: string): typeof globalThis.fetch {
    return async (input, init) => {
      const response = await fetch(input, init);
      if (response.ok) return response;
      throw await statusError(response, new URL(response.url).origin, agent, clock);
    };
  }

  return {
    run,
    check: (definition, signal) => checkHost(definition, specOf(definition), tools, signal),
  };
}

interface Sending {
  readonly invocation: Invocation;
  readonly headers: Readonly<Record<string, string>>;
  readonly message: unknown;
  readonly task: RemoteTask;
  readonly signal: AbortSignal;
}

const listedOnly = { listedOnly: true, maxSilenceMs: 0 } as const;

/** The parser has held it against the schema: a definition exists only when it fits. */
function specOf(definition: AgentDefinition): A2aRuntimeSpec {
  return definition.runtime as unknown as A2aRuntimeSpec;
}
