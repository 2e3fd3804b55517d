import { basename } from 'node:path';
import type { AgentDefinition, AgentRegistry } from '../agents/agents.ts';
import { AppError, suggest } from '../base/base.ts';

/** The agent of a path. Throws `agent_not_found` with the nearest name. */
export function agentNamed(agents: AgentRegistry, name: string): AgentDefinition {
  const agent = agents.get(name);
  if (agent !== undefined) return agent;
  const own = agents
    .problems()
    .find(({ file, severity }) => severity === 'error' && basename(file, '.md') === name);
  if (own !== undefined) {
    const { file, line, message, suggestion } = own;
    throw new AppError('agent_not_found', `agent ${name} is not loaded: ${message}`, {
      details: { agent: name, file, line },
      remedy: `Correct ${file}:${line}${suggestion === undefined ? '.' : `: ${suggestion}`}`,
    });
  }
  const near = suggest(
    name,
    agents.list().map((one) => one.name),
  );
  throw new AppError('agent_not_found', `there is no agent ${name}`, {
    details: { agent: name },
    remedy:
      near === undefined
        ? '`centuria agent list` (GET /api/v1/agents) shows them.'
        : `Did you mean ${near}?`,
  });
}
