/** The two halves of the questions, with their vectors: what every part of the measurement works on. */
import { AppError } from '../../base/base.ts';
import type { Embedder } from '../learning.ts';
import { isHeldOut, type RoutingData } from './routing-data.ts';
import type { RoutingExample } from './routing-learners.ts';
import { mean } from './statistics.ts';

/** A question with its vector and what came of it by all agents. */
export interface KnownQuestion extends RoutingExample {
  readonly succeeded: readonly boolean[];
}

export interface RoutingSplit {
  readonly agents: readonly string[];
  readonly training: readonly KnownQuestion[];
  readonly heldOut: readonly KnownQuestion[];
  /** Places in `agents` of those that are right least and most often on the training half. */
  readonly weak: number;
  readonly strong: number;
}

const leastQuestions = 50;

/**
 * Throws `invalid_input` for data too small to be halved, or without a gap between weak and strong.
 */
export async function splitQuestions(
  data: RoutingData,
  embedder: Embedder,
  signal: AbortSignal | undefined,
): Promise<RoutingSplit> {
  const vectors: Float32Array[] = [];
  for (let from = 0; from < data.rows.length; from += 128) {
    const prompts = data.rows.slice(from, from + 128).map(({ prompt }) => prompt);
    vectors.push(...(await embedder.embed(prompts, signal)));
  }
  const questions = data.rows.map(({ prompt, correct }, index) => ({
    text: prompt,
    vector: vectors[index] ?? new Float32Array(),
    succeeded: correct,
  }));
  const { training = [], heldOut = [] } = Object.groupBy(questions, ({ text }) =>
    isHeldOut(text) ? 'heldOut' : 'training',
  );
  if (Math.min(training.length, heldOut.length) < leastQuestions) {
    throw new AppError(
      'invalid_input',
      `${data.file} gives ${training.length} questions to learn from and ${heldOut.length} to measure on; each half needs ${leastQuestions}`,
    );
  }
  const rates = data.agents.map((_, agent) => rateOf(training, agent));
  const weak = rates.indexOf(Math.min(...rates));
  const strong = rates.indexOf(Math.max(...rates));
  if (rateOf(heldOut, strong) <= rateOf(heldOut, weak)) {
    const [first, second] = [data.agents[strong], data.agents[weak]];
    throw new AppError(
      'invalid_input',
      `${first} is right no more often than ${second} on the held-out half: there is no gap to close`,
    );
  }
  return { agents: data.agents, training, heldOut, weak, strong };
}

export const seedNumbers = (seeds: number): number[] =>
  Array.from({ length: seeds }, (_, index) => index + 1);

const rateOf = (questions: readonly KnownQuestion[], agent: number): number =>
  mean(questions.map(({ succeeded }) => Number(succeeded[agent])));
