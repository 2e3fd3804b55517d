/** The run that an address names, for callers who may ask that of it. */
import type { FastifyRequest } from 'fastify';
import { AppError, isId } from '../base/base.ts';
import type { RunDetail } from '../coordination/coordination.ts';
import { authorize, type Action, type Caller, type Identity } from '../identity/identity.ts';
import { assertMay, callerOf, renew } from './callers.ts';
import type { RouteParts } from './parts.ts';

interface AskedForRun {
  caller: Caller | undefined;
  readonly params: { readonly id: string };
}

/** The run, when the caller may do `action` on its workflow. Throws `run_not_found`, `denied`. */
export async function runFor(
  request: AskedForRun,
  parts: Pick<RouteParts, 'coordination' | 'identity'>,
  action: Action,
): Promise<RunDetail> {
  const run = await parts.coordination.get(runId(request.params.id));
  await renew(request, parts);
  assertMay(request, action, run.workflow);
  return run;
}

/** Who asks, as the log of a run names him. */
export function asker(request: Pick<FastifyRequest, 'caller'>): string {
  return callerOf(request).access.username;
}

/** Whether the caller may call an agent: what the agents of his run may call, too. */
export function mayCall(
  request: Pick<FastifyRequest, 'caller'>,
  parts: { readonly identity: Pick<Identity, 'callers'> },
): (agent: string) => Promise<boolean> {
  return async (agent) => authorize(await renew(request, parts), 'agents.execute', agent).allowed;
}

/** The id of a run in lower case; what can not be one names no run. */
export function runId(given: string): string {
  if (isId(given)) return given.toLowerCase();
  throw new AppError('run_not_found', `there is no run ${JSON.stringify(given)}`, {
    details: { run: given },
    remedy: 'GET /api/v1/runs lists them; an id looks like 01930d5c-7b6e-7c3a-9f52-3b1f0c6d8e42.',
  });
}
