/** Runs of one agent alone: what is asked of an agent itself outlives who asked, like any other run. */
import type { AgentDefinition } from '../agents/agents.ts';
import type { WorkflowDefinition } from './definition.ts';

/** Of a workflow that nobody wrote; no file can have it, since names in files have no colon. */
export const agentWorkflowPrefix = 'agent:';

/** Time for waiting and for pauses between attempts, beside what the attempts themselves may take. */
const aroundAttemptMs = 60_000;

/** The workflow of one task: the agent, with the run's only input. The same for all its runs. */
export function agentWorkflow(
  agent: AgentDefinition,
  limits: Pick<WorkflowDefinition, 'budgets'> = {},
): WorkflowDefinition {
  const { budgets = [] } = limits;
  return {
    name: agentWorkflowPrefix + agent.name,
    description: '',
    inputs: { input: { type: 'json', description: 'What the agent is given', required: true } },
    timeoutMs: (agent.retries + 1) * (agent.timeoutMs + aroundAttemptMs),
    mode: 'parallel',
    maxParallel: 1,
    tasks: [
      {
        id: agent.name,
        description: '',
        needs: [],
        after: [],
        priority: 50,
        onFailure: 'stop',
        agent: agent.name,
        input: '${inputs.input}',
      },
    ],
    output: `\${tasks.${agent.name}.output}`,
    ...(budgets.length === 0 ? {} : { budgets, onBudget: 'fail' }),
  };
}
