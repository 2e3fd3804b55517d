/** The router's own model as something that can be measured beside plain baselines. */
import { RouterModel } from '../router/model.ts';
import { firstPolicy, type PolicyParameters } from '../router/policy.ts';
import { neighboursAsked } from '../router/router.ts';
import type { Candidate, Evidence, Neighbour } from '../types.ts';
import type { RoutingExample, RoutingLearner, RoutingTask } from './routing-learners.ts';
import { shuffled } from './statistics.ts';

const type = 'question';

/**
 * Learns one outcome after the other, each with the neighbours that stand before it, as the router does
 * from runs. It is told nothing of the agents but what came of their attempts.
 */
export function routerLearner(policy: PolicyParameters = firstPolicy): RoutingLearner {
  return {
    name: 'router',
    about: `the router's model with its policy ${policy.name}, learning one outcome after the other`,
    fit(examples, agents, random) {
      const model = new RouterModel(policy);
      const memory: RoutingExample[] = [];
      for (const example of shuffled(examples, random)) {
        const near = neighboursOf(memory, example, agents);
        for (const [index, agent] of agents.entries()) {
          const succeeded = example.succeeded[index];
          if (succeeded === undefined) continue;
          model.learn({
            facts: { type, text: example.text },
            vector: example.vector,
            near,
            agent,
            result: succeeded ? 'succeeded' : 'failed',
          });
        }
        memory.push(example);
      }
      const candidates = agents.map(candidateOf);
      return (task) => {
        const near = neighboursOf(memory, task, agents);
        const facts = { type, text: task.text };
        const prospects = model.prospects(facts, task.vector, near, candidates, {
          mode: 'exploitation',
        });
        const byAgent = new Map(prospects.map(({ agent, success }) => [agent, success]));
        return {
          success: agents.map((agent) => byAgent.get(agent)?.mean ?? Number.NaN),
          // The lower end of an interval of 90 % is a bound of 95 %.
          low: agents.map((agent) => byAgent.get(agent)?.low ?? Number.NaN),
        };
      };
    },
  };
}

function neighboursOf(
  memory: readonly RoutingExample[],
  task: RoutingTask,
  agents: readonly string[],
): Neighbour[] {
  const similarities = Float64Array.from(memory, ({ vector }) => cosine(vector, task.vector));
  const least = similarities.toSorted().at(-neighboursAsked) ?? -Infinity;
  return memory
    .flatMap((example, index) => {
      const similarity = similarities[index] ?? -Infinity;
      return similarity >= least ? [{ example, similarity, index }] : [];
    })
    .toSorted((a, b) => b.similarity - a.similarity)
    .slice(0, neighboursAsked)
    .map(({ example, similarity, index }) => ({
      taskHash: String(index),
      type,
      text: example.text,
      similarity,
      evidence: agents.flatMap((agent, at) => evidenceOf(agent, example.succeeded[at])),
    }));
}

function evidenceOf(agent: string, succeeded: boolean | undefined): Evidence[] {
  if (succeeded === undefined) return [];
  const sums = { logMs: 0, logMsSquares: 0, paid: 0, microUsd: 0 };
  return [{ agent, tried: 1, succeeded: Number(succeeded), ...sums }];
}

function candidateOf(name: string): Candidate {
  const nothing = { description: '', category: '', capabilities: [] };
  return { name, hash: name, ...nothing, timeoutMs: 60_000 };
}

/** Of unit vectors. */
function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}
