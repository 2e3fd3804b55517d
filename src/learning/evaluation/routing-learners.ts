/** What is measured when choices are measured: anything that learns from outcomes to predict success. */
import { fitLogistic } from './logistic-regression.ts';
import type { Random } from './statistics.ts';

export interface RoutingTask {
  readonly text: string;
  readonly vector: Float32Array;
}

/** A task with what came of it, by agent; undefined where nobody tried. */
export interface RoutingExample extends RoutingTask {
  readonly succeeded: readonly (boolean | undefined)[];
}

export interface Predicted {
  /** Probability of success, by agent. */
  readonly success: readonly number[];
  /** Lower bounds of 95 %, of a learner that states them. */
  readonly low?: readonly number[];
}

export interface RoutingLearner {
  readonly name: string;
  /** For the report: how it works, in a sentence. */
  readonly about: string;
  /** `random` decides the order of learning, where that matters. */
  fit(
    examples: readonly RoutingExample[],
    agents: readonly string[],
    random: Random,
  ): (task: RoutingTask) => Predicted;
}

/** Numbers of neighbours that k-NN chooses from, by what predicts the examples best without themselves. */
const neighbourCounts = [10, 20, 40, 80, 160] as const;
/** More rows would make the choice of k slower and hardly better. */
const mostTrials = 200;

/** Success among the k nearest by cosine, with one more that is as the average. */
export const nearestNeighbours: RoutingLearner = {
  name: 'k-NN',
  about:
    'the share of successes among the k nearest questions by cosine; k of 10 to 160 by leaving one out',
  fit(examples, agents) {
    const averages = agents.map((_, agent) => averageOf(knownOf(examples, agent)));
    const shareOf = (ranked: readonly RoutingExample[], agent: number, k: number): number => {
      let near = 0;
      let sum = averages[agent] ?? 0.5;
      for (const { succeeded } of ranked) {
        if (near === k) break;
        if (succeeded[agent] === undefined) continue;
        near += 1;
        sum += Number(succeeded[agent]);
      }
      return sum / (near + 1);
    };
    const trials = examples.slice(0, mostTrials).map((one) => ({
      succeeded: one.succeeded,
      ranked: ranking(examples, one).filter((other) => other !== one),
    }));
    const best = agents.map((_, agent) => {
      const errorOf = (k: number): number =>
        trials.reduce((sum, { succeeded, ranked }) => {
          const came = succeeded[agent];
          return came === undefined ? sum : sum + (Number(came) - shareOf(ranked, agent, k)) ** 2;
        }, 0);
      const errors = neighbourCounts.map((k) => ({ k, error: errorOf(k) }));
      return errors.reduce((least, each) => (each.error < least.error ? each : least)).k;
    });
    return (task) => {
      const ranked = ranking(examples, task);
      return { success: best.map((k, agent) => shareOf(ranked, agent, k)) };
    };
  },
};

/** Strengths of the prior that weights are near 0, tried on a fifth of the examples. */
const ridges = [30, 300, 3000] as const;
const isTrial = (_one: unknown, index: number): boolean => index % 5 === 4;

/** Logistic regression on the embedding and the length, with a prior that keeps weights small. */
export const logisticRegression: RoutingLearner = {
  name: 'logistic regression',
  about:
    'on the 256 numbers of the embedding and the logarithms of characters, words and figures; the ridge by a fifth of the examples',
  fit(examples, agents) {
    const models = agents.map((_, agent) => {
      const known = knownOf(examples, agent).map((one) => ({ ...one, row: featuresOf(one) }));
      const fitTo = (some: typeof known, ridge: number): ((row: readonly number[]) => number) =>
        fitLogistic(
          some.map(({ row }) => row),
          some.map(({ y }) => y),
          ridge,
        );
      const trials = known.filter(isTrial);
      const others = known.filter((one, index) => !isTrial(one, index));
      const losses = ridges.map((ridge) => {
        const model = fitTo(others, ridge);
        const loss = trials.reduce((sum, { row, y }) => {
          const success = model(row);
          return sum - Math.log(y === 1 ? success : 1 - success);
        }, 0);
        return { ridge, loss };
      });
      const best = losses.reduce((a, b) => (b.loss < a.loss ? b : a));
      return fitTo(known, best.ridge);
    });
    return (task) => {
      const row = featuresOf(task);
      return { success: models.map((model) => model(row)) };
    };
  },
};

interface Known extends RoutingTask {
  /** 1 for success, 0 for none. */
  readonly y: number;
}

function knownOf(examples: readonly RoutingExample[], agent: number): Known[] {
  return examples.flatMap(({ text, vector, succeeded }) =>
    succeeded[agent] === undefined ? [] : [{ text, vector, y: succeeded[agent] ? 1 : 0 }],
  );
}

/** Half, of nothing. */
const averageOf = (known: readonly Known[]): number =>
  (known.reduce((sum, one) => sum + one.y, 0) + 1) / (known.length + 2);

/** The most alike first. */
function ranking(examples: readonly RoutingExample[], { vector }: RoutingTask): RoutingExample[] {
  return examples
    .map((one) => ({ one, similarity: cosine(one.vector, vector) }))
    .toSorted((a, b) => b.similarity - a.similarity)
    .map(({ one }) => one);
}

/** Of unit vectors. */
function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function featuresOf({ text, vector }: RoutingTask): number[] {
  const words = text.split(/\s+/).length;
  const figures = (text.match(/\d+/g) ?? []).length;
  return [...vector, Math.log1p(text.length), Math.log1p(words), Math.log1p(figures)];
}
