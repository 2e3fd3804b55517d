/** Who could do a task now, and who not and why: what a recommendation chooses among. */
import type { AgentCategory, AgentDefinition } from '../agents/agents.ts';
import { AppError, redact } from '../base/base.ts';
import { breakerKey } from '../coordination/coordination.ts';
import { authorize, type Caller } from '../identity/identity.ts';
import type { Candidate } from '../learning/learning.ts';
import { agentNamed } from './agent-named.ts';
import type { LeftOut } from './learning-schemas.ts';
import type { RouteParts } from './parts.ts';

export interface Wanted {
  /** Only these; every agent unless given. */
  readonly candidates?: readonly string[];
  readonly exclude?: readonly string[];
  readonly category?: AgentCategory;
  /** All of them. */
  readonly capabilities?: readonly string[];
  /** Agents that failed at this very task. */
  readonly failed?: readonly string[];
}

export interface Candidates {
  readonly candidates: readonly Candidate[];
  /** Agents that fit and are no candidates nevertheless. */
  readonly leftOut: readonly LeftOut[];
}

/** More of them are not listed: a fleet has eighty. */
const mostOpen = 500;

/**
 * The agents that fit, that the caller may call, and that can be called now. What he may neither call nor
 * see is not named unless he named it. Throws `agent_not_found` for a name that nobody bears, and
 * `agent_unavailable` with every reason when nobody is left.
 */
export async function candidatesFor(
  caller: Caller,
  wanted: Wanted,
  { agents, breakers }: Pick<RouteParts, 'agents' | 'breakers'>,
): Promise<Candidates> {
  const leftOut: LeftOut[] = [];
  const candidates: Candidate[] = [];
  const open = new Map(
    (await breakers.list({ state: 'open', limit: mostOpen })).items.map((one) => [one.key, one]),
  );
  const out = (agent: string, reason: string) => void leftOut.push({ agent, reason });
  const mayCall = (name: string) => authorize(caller, 'agents.execute', name).allowed;
  for (const name of namesOf(wanted, agents)) {
    if (!mayCall(name)) {
      const isKnown = wanted.candidates !== undefined;
      if (isKnown || authorize(caller, 'agents.read', name).allowed)
        out(name, 'you may not call it');
      continue;
    }
    const agent = agentNamed(agents, name);
    if (!fits(agent, wanted)) continue;
    const why = whyNot(agent, wanted, { agents, open });
    if (why === undefined) candidates.push(candidateOf(agent));
    else out(name, why);
  }
  if (candidates.length > 0) return { candidates, leftOut };
  throw nobodyLeft(leftOut);
}

function namesOf({ candidates }: Wanted, agents: RouteParts['agents']): readonly string[] {
  return candidates === undefined
    ? agents.list().map(({ name }) => name)
    : [...new Set(candidates)];
}

function fits(agent: AgentDefinition, { category, capabilities = [] }: Wanted): boolean {
  if (category !== undefined && agent.category !== category) return false;
  return capabilities.every((capability) => agent.capabilities.includes(capability));
}

function whyNot(
  agent: AgentDefinition,
  { exclude = [], failed = [] }: Wanted,
  now: {
    readonly agents: RouteParts['agents'];
    readonly open: ReadonlyMap<string, { readonly openUntil?: string }>;
  },
): string | undefined {
  if (exclude.includes(agent.name)) return 'the request leaves it out';
  if (failed.includes(agent.name)) return 'it failed at this task before';
  const status = now.agents.status(agent.name);
  if (status !== undefined && cannotWork.has(status.state)) {
    return redact(status.reason ?? `it is ${status.state.replaceAll('_', ' ')}`);
  }
  for (const key of breakersOf(agent)) {
    const breaker = now.open.get(key);
    if (breaker === undefined) continue;
    const until = breaker.openUntil === undefined ? '' : ` until ${breaker.openUntil}`;
    return `the circuit breaker ${key} is open${until}`;
  }
  return undefined;
}

const cannotWork = new Set(['unavailable', 'failed', 'shutting_down']);

/** What fails for one agent fails for all who need the same model. */
function breakersOf({ name, runtime }: AgentDefinition): string[] {
  const model = runtime?.['model'];
  return [
    breakerKey('agent', name),
    ...(typeof model === 'string' ? [breakerKey('model', model)] : []),
  ];
}

export function candidateOf(agent: AgentDefinition): Candidate {
  const usd = agent.budget?.usd;
  return {
    name: agent.name,
    hash: agent.hash,
    description: agent.description,
    category: agent.category,
    capabilities: agent.capabilities,
    timeoutMs: agent.timeoutMs,
    ...(usd === undefined ? {} : { budgetMicroUsd: Math.round(usd * 1_000_000) }),
  };
}

function nobodyLeft(leftOut: readonly LeftOut[]): AppError {
  const shown = leftOut.slice(0, 5).map(({ agent, reason }) => `${agent}: ${reason}`);
  const more = leftOut.length > shown.length ? `; and ${leftOut.length - shown.length} more` : '';
  const message =
    leftOut.length === 0
      ? 'no agent that you may call fits what was asked'
      : `nobody can do it now: ${shown.join('; ')}${more}`;
  return new AppError('agent_unavailable', message, {
    details: { leftOut },
    remedy:
      leftOut.length === 0
        ? 'Ask for less: without category, capabilities or candidates.'
        : '`centuria agent list` shows what each agent lacks, `centuria breaker list` what is left alone for a while.',
  });
}
