/**
 * Chooses whoever has succeeded most often for its tries, as it was told: a whole router without a model,
 * a database or chance, so that a test knows whom it will choose.
 */
import type {
  Estimate,
  Learning,
  Prospect,
  RouteDecision,
  RouteRequest,
} from '../../src/learning/learning.ts';

export interface SuccessRouter extends Pick<Learning, 'choose'> {
  /** What it was asked, in order. */
  readonly asked: readonly RouteRequest[];
  tell(agent: string, succeeded: number, tried?: number): void;
}

export function successRouter(): SuccessRouter {
  const told = new Map<string, { succeeded: number; tried: number }>();
  const asked: RouteRequest[] = [];
  const prospectOf = (agent: string): Prospect => {
    const { succeeded, tried } = told.get(agent) ?? { succeeded: 0, tried: 0 };
    const success = rateOf(succeeded, tried);
    return { agent, score: success.mean, success, evidence: tried, expected: {}, propensity: 0 };
  };
  return {
    asked,
    tell(agent, succeeded, tried = succeeded) {
      told.set(agent, { succeeded, tried });
    },
    async choose(request): Promise<RouteDecision> {
      asked.push(request);
      const prospects = request.candidates
        .map(({ name }) => prospectOf(name))
        .toSorted((a, b) => b.score - a.score || a.agent.localeCompare(b.agent));
      const [best, ...others] = prospects;
      if (best === undefined) throw new Error('nobody to choose from');
      return {
        agent: best.agent,
        policy: 'most-successes',
        mode: request.mode ?? 'exploitation',
        propensity: 1,
        success: best.success,
        confidence: best.success.low,
        basis: best.evidence > 0 ? 'outcomes' : 'nothing',
        expected: best.expected,
        candidates: request.candidates.map(({ name }) => name),
        prospects: [{ ...best, propensity: 1 }, ...others],
      };
    },
  };
}

/** Mean and 90 % of a Beta distribution that began even, by its first two moments. */
function rateOf(succeeded: number, tried: number): Estimate {
  const [a, b] = [succeeded + 1, tried - succeeded + 1];
  const mean = a / (a + b);
  const reach = 1.645 * Math.sqrt((mean * (1 - mean)) / (a + b + 1));
  return { mean, low: Math.max(0, mean - reach), high: Math.min(1, mean + reach) };
}
