import type { AgentDefinition, AgentRegistry } from '../agents/agents.ts';
import { AppError, suggest } from '../base/base.ts';

/** The agent of a path. Throws `agent_not_found` with the nearest name. */
export function agentNamed(agents: AgentRegistry, name: string): AgentDefinition {
  const agent = agents.get(name);
  if (agent !== undefined) return agent;
  const near = suggest(
    name,
    agents.list().map((one) => one.name),
  );
  throw new AppError('agent_not_found', `there is no agent ${name}`, {
    details: { agent: name },
    remedy: near === undefined ? 'GET /api/v1/agents lists them.' : `Did you mean ${near}?`,
  });
}
