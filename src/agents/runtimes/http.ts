import { toAppError } from '../../base/base.ts';
import { outboundFailure } from '../../outbound/outbound.ts';
import type { AgentDefinition, Invocation, InvocationResult } from '../agents.ts';
import { AgentFailure } from '../failure.ts';
import type { Runtime, RuntimeTools } from '../runtime.ts';
import { startDeadline } from './deadline.ts';
import { checkHost, reachOf } from './dial.ts';
import { readAnswer, type Received } from './http-answer.ts';
import { buildRequest } from './http-request.ts';
import type { HttpRuntimeSpec } from './http-spec.ts';
import { statusError } from './http-status.ts';
import { readSecrets, type Secrets } from './secrets.ts';

export type HttpTools = Pick<RuntimeTools, 'packageRoot' | 'environment' | 'clock' | 'outbound'>;

/**
 * Asks an HTTP service: one request from the definition's templates, one answer. Whatever is not a whole
 * answer with a good status is an error, and an attempt's time ends the request.
 */
export function createHttpRuntime(tools: HttpTools): Runtime {
  const { clock, environment, outbound } = tools;

  async function run(invocation: Invocation): Promise<InvocationResult> {
    const { agent } = invocation;
    const startedMs = clock.monotonicMs();
    const received: Received = { bytes: 0, partial: '' };
    const used = () => ({
      wallMs: Math.round(clock.monotonicMs() - startedMs),
      outputBytes: received.bytes,
    });
    const secrets = await readSecrets(agent, environment);
    const deadline = startDeadline(invocation, clock);
    try {
      deadline.signal.throwIfAborted();
      const { output, spent } = await ask(invocation, secrets, received, deadline.signal);
      return { output: secrets.redactValue(output), usage: { ...used(), ...spent } };
    } catch (thrown) {
      const why = deadline.signal.aborted ? deadline.signal.reason : thrown;
      const facts = received.partial === '' ? {} : { partial: received.partial };
      throw secrets.redactError(new AgentFailure(toAppError(why), { usage: used(), ...facts }));
    } finally {
      deadline.end();
    }
  }

  async function ask(
    invocation: Invocation,
    secrets: Secrets,
    received: Received,
    signal: AbortSignal,
  ) {
    const { agent, onProgress } = invocation;
    const spec = specOf(agent);
    const { url, ...request } = buildRequest(spec, invocation, secrets);
    // The call's own time is the limit of its silence, which may be an hour.
    const fetch = outbound.for(reachOf(agent, spec, { maxSilenceMs: 0 }));
    let response: Response | undefined;
    try {
      response = await fetch(url, { ...request, signal });
      if (!(spec.status?.includes(response.status) ?? response.ok)) {
        throw await statusError(response, url.origin, agent.name, clock);
      }
      return await readAnswer(response, spec, {
        agent: agent.name,
        clock,
        received,
        onProgress: onProgress && ((text) => onProgress(secrets.redact(text))),
      });
    } catch (thrown) {
      throw outboundFailure(thrown, url);
    } finally {
      // What nobody reads would hold its connection.
      if (response?.body?.locked === false) void response.body.cancel().catch(() => undefined);
    }
  }

  return {
    run,
    check: (definition, signal) => checkHost(definition, specOf(definition), tools, signal),
  };
}

/** The parser has held it against the schema: a definition exists only when it fits. */
function specOf(definition: AgentDefinition): HttpRuntimeSpec {
  return definition.runtime as unknown as HttpRuntimeSpec;
}
