/**
 * The questions as a log has them: of each, only the outcome of the one agent that was chosen is known.
 * What estimates say of policies from such a log, beside the truth, which is known here.
 */
import { crossFit } from './cross-fit.ts';
import { valuePolicy, type Estimator, type OpeRow, type PolicyValue } from './ope.ts';
import { seedNumbers, type KnownQuestion, type RoutingSplit } from './routing-split.ts';
import {
  logisticRegression,
  type RoutingExample,
  type RoutingLearner,
} from './routing-learners.ts';
import { mean, quantile, randomFrom, type Random } from './statistics.ts';

const estimators = ['ips', 'snips', 'dr'] as const satisfies readonly Estimator[];

export interface BanditFigures {
  readonly policy: string;
  /** Of the first seed. */
  readonly truth: number;
  readonly estimates: readonly {
    readonly estimator: Estimator;
    /** Of the first seed. */
    readonly value: PolicyValue;
    /** Mean absolute distance from the truth over the seeds. */
    readonly error: number;
    /** Seeds whose interval holds the truth. */
    readonly held: number;
  }[];
}

type Policy = (question: KnownQuestion) => ReadonlyMap<string, number>;

export interface BanditOptions {
  readonly seeds: number;
  readonly resamples: number;
  step(text: string): void;
}

/**
 * In both halves every agent is chosen equally often by chance. Learners are fitted on the log of the
 * training half; each gives a policy that sends half of the questions to the strong agent.
 */
export function measureBandit(
  learners: readonly RoutingLearner[],
  split: RoutingSplit,
  { seeds, resamples, step }: BanditOptions,
): BanditFigures[] {
  const measured = seedNumbers(seeds).map((seed) => {
    step(`seed ${seed} of ${seeds}: policies from a log`);
    return measureSeed(learners, split, { seed, resamples });
  });
  const [first = []] = measured;
  return first.map(({ policy, truth, values }, index) => ({
    policy,
    truth,
    estimates: values.map((value, at) => {
      const all = measured.flatMap((one) => {
        const { values: others = [], truth: true_ = Number.NaN } = one[index] ?? {};
        return others[at] === undefined ? [] : [{ value: others[at], truth: true_ }];
      });
      return {
        estimator: value.estimator,
        value,
        error: mean(all.map((one) => Math.abs(one.value.value - one.truth))),
        held: all.filter(
          ({ value: { interval }, truth: known }) =>
            interval.low <= known && known <= interval.high,
        ).length,
      };
    }),
  }));
}

interface ValuedPolicy {
  readonly policy: string;
  readonly truth: number;
  readonly values: readonly PolicyValue[];
}

function measureSeed(
  learners: readonly RoutingLearner[],
  split: RoutingSplit,
  { seed, resamples }: { readonly seed: number; readonly resamples: number },
): ValuedPolicy[] {
  const { agents, heldOut } = split;
  const random = randomFrom(1000 + seed);
  const past = split.training.map((question) => logOne(question, random));
  const log = heldOut.map((question) => logOne(question, random));
  const predicted = crossFit(
    log,
    ({ text }) => text,
    (rows) => logisticRegression.fit(rows, agents, randomFrom(seed)),
  ).map(({ success }) => new Map(agents.map((agent, index) => [agent, success[index] ?? 0])));
  return policiesOf(learners, split, past, seed).map(([name, policyOf]) => {
    const policies = heldOut.map(policyOf);
    const none = new Map<string, number>();
    const rows = log.map(({ chosen, succeeded }, index): OpeRow => ({
      agent: agents[chosen] ?? '',
      propensity: 1 / agents.length,
      reward: Number(succeeded[chosen]),
      predicted: predicted[index] ?? none,
      policy: policies[index] ?? none,
    }));
    const worths = heldOut.map((question, index) =>
      worthOf(agents, question, policies[index] ?? none),
    );
    return {
      policy: name,
      truth: mean(worths),
      values: estimators.map((estimator) =>
        // The bootstrap of the first seed is what the report shows.
        valuePolicy(rows, estimator, {
          random: randomFrom(seed),
          resamples: seed === 1 ? resamples : 0,
        }),
      ),
    };
  });
}

function policiesOf(
  learners: readonly RoutingLearner[],
  split: RoutingSplit,
  past: readonly RoutingExample[],
  seed: number,
): [string, Policy][] {
  const { agents, training, weak, strong } = split;
  const even = new Map(agents.map((agent) => [agent, 1 / agents.length]));
  const learned = learners.map((learner): [string, Policy] => {
    const predict = learner.fit(past, agents, randomFrom(seed));
    const scoreOf = (task: RoutingExample): number => {
      const { success } = predict(task);
      return (success[strong] ?? 0) - (success[weak] ?? 0);
    };
    const middle = quantile(training.map(scoreOf), 0.5);
    const policy: Policy = (question) =>
      new Map([[agents[scoreOf(question) > middle ? strong : weak] ?? '', 1]]);
    return [`${learner.name}, half to ${agents[strong]}`, policy];
  });
  return [
    ...agents.map((agent): [string, Policy] => [`always ${agent}`, () => new Map([[agent, 1]])]),
    ['random', () => even],
    ...learned,
  ];
}

/** One agent is drawn; what the others would have come to is not known any more. */
function logOne(
  question: KnownQuestion,
  random: Random,
): RoutingExample & { readonly chosen: number } {
  const chosen = Math.floor(random() * question.succeeded.length);
  return {
    ...question,
    chosen,
    succeeded: question.succeeded.map((value, agent) => (agent === chosen ? value : undefined)),
  };
}

const worthOf = (
  agents: readonly string[],
  { succeeded }: KnownQuestion,
  policy: ReadonlyMap<string, number>,
): number =>
  agents.reduce(
    (sum, agent, index) => sum + (policy.get(agent) ?? 0) * Number(succeeded[index]),
    0,
  );
