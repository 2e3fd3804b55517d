/** What choices are made by besides what was learned of each agent: a policy's numbers. */
import type { Prior } from './bayes.ts';

/** The summary features, in their order. */
export const summaryFeatures = [
  'always',
  'the agent’s own rate',
  'its rate with this type of task',
  'its rate with almost the same tasks',
  'its rate with tasks like it',
  'what its definition says',
  'the length of the text',
  'the numbers in the text',
  'the size of the input',
  'the complexity',
  'the number of files',
] as const;

export interface PolicyParameters {
  readonly name: string;
  /** Outcomes that a rate is drawn towards the next more general one as if it had so many. */
  readonly strength: { readonly agent: number; readonly type: number; readonly near: number };
  /** How fast a neighbour counts less: by e for each so much less cosine than 1, or than the nearest one. */
  readonly reach: { readonly same: number; readonly like: number };
  /** Share of what is not known of this very text that choices try out: most texts come only once. */
  readonly curiosity: number;
  readonly prior: Prior;
  /** From the log-odds that the beliefs give to those that were seen to hold (Platt 1999). */
  readonly calibration: { readonly slope: number; readonly offset: number };
  /** What a dollar and a minute count against success unless a request says. */
  readonly worth: { readonly perUsd: number; readonly perMinute: number };
}

/**
 * The first policy of every installation. Rates count as they stand, what tasks have in common adds to
 * them, and all else is learned from nothing. A dollar counts as much as 10 % of success, a minute as 1 %.
 */
export const firstPolicy: PolicyParameters = {
  name: 'first',
  strength: { agent: 4, type: 4, near: 4 },
  reach: { same: 0.08, like: 0.12 },
  curiosity: 0.3,
  prior: {
    //      always own  type same like  says text numbers size complexity files
    mean: [0, 1, 1, 1, 0.5, 2, 0, 0, 0, 0, 0],
    variance: [0.1, 0.04, 0.1, 0.1, 0.25, 1, 0.1, 0.1, 0.1, 0.1, 0.1],
    // By the log loss of predictions ahead of each outcome: 0.5 and above took chance for knowledge.
    textVariance: 0.1,
  },
  calibration: { slope: 1, offset: 0 },
  worth: { perUsd: 0.1, perMinute: 0.01 },
};
