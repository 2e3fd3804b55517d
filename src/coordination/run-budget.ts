/** The budget of one run: what it has left, and what its next attempts set aside. */
import type { AgentDefinition } from '../agents/agents.ts';
import type { AgentTask, Amounts, WorkflowDefinition } from './definition.ts';
import type { EventBody } from './events.ts';
import type { RunState } from './state.ts';

export interface RunBudget {
  /** What the attempt sets aside: undefined without a budget, `too-much` when it does not fit any more. */
  reserve(task: AgentTask): Amounts | undefined | 'too-much';
  /** The facts that follow when nothing fits and nothing is under way. */
  exhausted(task: AgentTask | undefined): EventBody[];
}

const kinds = ['microUsd', 'tokens', 'ms'] as const;
const questionId = 'budget';

/** The budget with what was added since, or undefined. */
export function limitsOf(
  { budget }: WorkflowDefinition,
  { added, allowance }: RunState,
): Amounts | undefined {
  if (budget === undefined && allowance === undefined) return undefined;
  return Object.fromEntries(
    kinds.flatMap((kind) => {
      const limit = Math.min(budget?.[kind] ?? Infinity, allowance?.[kind] ?? Infinity);
      return limit === Infinity ? [] : [[kind, limit + added[kind]]];
    }),
  );
}

/**
 * What the attempts of one turn may set aside. Nothing is given beyond the limit: what was spent,
 * what is set aside for attempts under way, and the new attempt's own budget stay within it. What a
 * task does not say its agent does, and the time is what the attempt may take; of what neither says
 * nothing is set aside, and it starts as long as anything is left.
 */
export function budgetOf(
  definition: WorkflowDefinition,
  state: RunState,
  agents: ReadonlyMap<string, AgentDefinition>,
): RunBudget {
  const limits = limitsOf(definition, state);
  if (limits === undefined) return { reserve: () => undefined, exhausted: () => [] };
  const left = new Map<(typeof kinds)[number], number>();
  for (const kind of kinds) {
    const limit = limits[kind];
    if (limit === undefined) continue;
    let held = 0;
    for (const reserved of state.running.values()) held += reserved[kind] ?? 0;
    left.set(kind, limit - Math.ceil(state.spent[kind]) - held);
  }
  // Before an agent is chosen, enough is set aside for each of those that may be.
  const mostOf = (task: AgentTask, kind: (typeof kinds)[number]): number | undefined => {
    const names = task.agent === undefined ? (state.routes[task.id] ?? []) : [task.agent];
    const each = names.flatMap((name) => estimateOf(task, agents.get(name))[kind] ?? []);
    return each.length === 0 ? undefined : Math.max(...each);
  };
  const wantedBy = (task: AgentTask, kind: (typeof kinds)[number]): number => {
    const wanted = mostOf(task, kind);
    const most = state.allowance?.[kind];
    // Whoever is called gets by with what its caller has left.
    return most === undefined ? (wanted ?? 0) : Math.min(wanted ?? most, left.get(kind) ?? most);
  };
  const lacks = (task: AgentTask, kind: (typeof kinds)[number]): number => {
    const rest = left.get(kind);
    // Nothing left is too little even for who says that it needs nothing.
    return rest === undefined ? 0 : Math.max(0, Math.max(1, wantedBy(task, kind)) - rest);
  };
  return {
    reserve(task) {
      if (kinds.some((kind) => lacks(task, kind) > 0)) return 'too-much';
      const reserved: { [Kind in (typeof kinds)[number]]?: number } = {};
      for (const [kind, rest] of left) {
        const wanted = wantedBy(task, kind);
        if (wanted === 0) continue;
        reserved[kind] = wanted;
        left.set(kind, rest - wanted);
      }
      return reserved;
    },
    exhausted(task) {
      if (task === undefined || state.questions.has(questionId)) return [];
      const lacking = Object.fromEntries(
        kinds.flatMap((kind) => (lacks(task, kind) > 0 ? [[kind, lacks(task, kind)]] : [])),
      );
      const prompt = `the budget of the run is used up: task ${task.id} needs ${describeAmounts(lacking)} more`;
      if (definition.onBudget === 'fail') {
        const error = { code: 'budget_exceeded', message: prompt, retryable: false } as const;
        return [{ type: 'run.stopping', error }];
      }
      const question = { id: questionId, kind: 'budget', task: task.id, prompt, lacking } as const;
      return [{ type: 'question.asked', question }];
    },
  };
}

/** What one call may use: as the task says, or its agent, and for as long as it may take. */
export function estimateOf(task: AgentTask, agent: AgentDefinition | undefined): Amounts {
  const ms = task.timeoutMs ?? agent?.timeoutMs;
  return {
    ...(ms === undefined ? {} : { ms }),
    ...(agent === undefined ? {} : amountsOf(agent)),
    ...task.budget,
  };
}

/** What was set aside for a call; of a chosen agent not more than its own, since that was for any of them. */
export function budgetOfCall(
  task: AgentTask,
  agent: AgentDefinition,
  reserved: Amounts | undefined,
): Amounts {
  const own = estimateOf(task, agent);
  return task.route === undefined ? { ...own, ...reserved } : { ...reserved, ...own };
}

/** An agent's own budget in our units. */
function amountsOf({ budget }: AgentDefinition): Amounts {
  const { usd, tokens } = budget ?? {};
  return {
    ...(usd === undefined ? {} : { microUsd: Math.round(usd * 1e6) }),
    ...(tokens === undefined ? {} : { tokens }),
  };
}

/** `$0.50, 1,000 tokens, 30 s`. */
export function describeAmounts({ microUsd, tokens, ms }: Amounts): string {
  return [
    microUsd === undefined ? [] : [`$${(microUsd / 1e6).toFixed(2)}`],
    tokens === undefined ? [] : [`${tokens.toLocaleString('en')} tokens`],
    ms === undefined ? [] : [`${(ms / 1_000).toLocaleString('en')} s`],
  ]
    .flat()
    .join(', ');
}
