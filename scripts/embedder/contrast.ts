/**
 * Words' vectors are moved until texts that belong together are alike and others are not: a softmax
 * over the one that belongs to a text and those that do not (InfoNCE; van den Oord et al., 2018).
 */
import { addOwn } from '../../src/learning/embedding/offline-model.ts';
import { embeddingLength } from '../../src/learning/types.ts';
import type { Corpus } from './corpus.ts';
import { seeded, shuffle } from './random.ts';
import { known, type Vocabulary } from './vocabulary.ts';

export interface ContrastSettings {
  readonly rounds: number;
  /** How much of each word's vector, at first, is what stands near it, and how much its own direction. */
  readonly context: number;
  readonly own: number;
  /** How far apart likenesses are before the softmax. */
  readonly temperature: number;
  readonly rate: number;
  /** How strongly a word is drawn back to where it began, at each of its steps. */
  readonly anchor: number;
  /** Share of a text's words that are left out, others each time. */
  readonly dropped: number;
  readonly relatedPerRound: number;
  readonly headedPerRound: number;
}

interface Example {
  readonly asked: readonly number[];
  /** Place of the one that belongs to it. */
  readonly right: number;
}

interface Embedded {
  readonly vector: Float64Array;
  readonly length: number;
  /** Each word with how often, damped. */
  readonly parts: ReadonlyMap<number, number>;
}

const batchSize = 64;

/** A vector a word, `embeddingLength` apart, longer where it says more. */
export function contrast(
  corpus: Corpus,
  vocabulary: Vocabulary,
  context: Float64Array,
  settings: ContrastSettings,
): Float64Array {
  const begun = beginning(vocabulary, context, settings);
  const trainer = new Trainer(begun, settings);
  const random = seeded(2);
  const cards = corpus.agents.map(({ card }) => known(vocabulary, card));
  const passages = corpus.agents.flatMap((agent, right) =>
    agent.passages.map((text): Example => ({ asked: known(vocabulary, text), right })),
  );
  const groups = corpus.related.map((group) => group.map((text) => known(vocabulary, text)));
  const headed = corpus.headed.map((pair) => pair.map((text) => known(vocabulary, text)));
  for (let round = 0; round < settings.rounds; round += 1) {
    for (const batch of batches(shuffle([...passages], random))) trainer.step(batch, cards, random);
    for (let count = 0; count < settings.relatedPerRound; count += 1) {
      trainer.pairs(shuffle([...groups], random).slice(0, batchSize), random);
    }
    for (const pairs of batches(shuffle([...headed], random)).slice(0, settings.headedPerRound)) {
      trainer.pairs(pairs, random);
    }
  }
  return trainer.vectors;
}

function beginning(
  { words, weights }: Vocabulary,
  context: Float64Array,
  settings: ContrastSettings,
): Float64Array {
  const vectors = new Float64Array(context.length);
  for (const [index, word] of words.entries()) {
    const own = new Float64Array(embeddingLength);
    addOwn(own, word, settings.own);
    for (let k = 0; k < embeddingLength; k += 1) {
      const at = index * embeddingLength + k;
      const value = (context[at] as number) * settings.context + (own[k] as number);
      vectors[at] = value * (weights[index] as number);
    }
  }
  return vectors;
}

function batches<T>(values: readonly T[]): T[][] {
  const count = Math.ceil(values.length / batchSize);
  return Array.from({ length: count }, (_, index) =>
    values.slice(index * batchSize, (index + 1) * batchSize),
  );
}

class Trainer {
  readonly vectors: Float64Array;
  private readonly begun: Float64Array;
  private readonly settings: ContrastSettings;
  private readonly gradients: Float64Array;
  /** Of each word, the mean squares of its gradients so far (Adagrad, one a row). */
  private readonly squares: Float64Array;
  private readonly touched = new Set<number>();

  constructor(begun: Float64Array, settings: ContrastSettings) {
    this.begun = begun;
    this.vectors = begun.slice();
    this.settings = settings;
    this.gradients = new Float64Array(begun.length);
    this.squares = new Float64Array(begun.length / embeddingLength);
  }

  /** Two members of each group, a few of the others' as what does not belong. */
  pairs(groups: readonly (readonly (readonly number[])[])[], random: () => number): void {
    const answers: (readonly number[])[] = [];
    const examples: Example[] = [];
    for (const group of groups) {
      const first = Math.floor(random() * group.length);
      const second = (first + 1 + Math.floor(random() * (group.length - 1))) % group.length;
      const [asked, answer] = [group[first], group[second]];
      if (asked === undefined || answer === undefined || answer.length === 0) continue;
      examples.push({ asked, right: answers.length });
      answers.push(answer);
    }
    this.step(examples, answers, random);
  }

  step(
    examples: readonly Example[],
    answers: readonly (readonly number[])[],
    random: () => number,
  ): void {
    const { temperature, dropped } = this.settings;
    const embedded = answers.map((words) => this.embed(words));
    const slopes = answers.map(() => new Float64Array(embeddingLength));
    for (const { asked, right } of examples) {
      const kept = asked.length > 3 ? asked.filter(() => random() >= dropped) : asked;
      const text = this.embed(kept);
      const slope = new Float64Array(embeddingLength);
      const chances = softmax(embedded.map((one) => dot(text.vector, one.vector) / temperature));
      for (const [index, chance] of chances.entries()) {
        const factor = (chance - (index === right ? 1 : 0)) / temperature / examples.length;
        addTo(slope, (embedded[index] as Embedded).vector, factor);
        addTo(slopes[index] as Float64Array, text.vector, factor);
      }
      this.back(text, slope);
    }
    for (const [index, one] of embedded.entries()) this.back(one, slopes[index] as Float64Array);
    this.move();
  }

  private embed(words: readonly number[]): Embedded {
    const parts = new Map<number, number>();
    for (const word of words) parts.set(word, (parts.get(word) ?? 0) + 1);
    const vector = new Float64Array(embeddingLength);
    for (const [word, count] of parts) {
      parts.set(word, Math.sqrt(count));
      const start = word * embeddingLength;
      addTo(vector, this.vectors.subarray(start, start + embeddingLength), Math.sqrt(count));
    }
    const length = Math.sqrt(dot(vector, vector)) || 1;
    for (let k = 0; k < embeddingLength; k += 1) vector[k] = (vector[k] as number) / length;
    return { vector, length, parts };
  }

  /** From the slope of a text's vector to those of its words: what changes its length does not count. */
  private back({ vector, length, parts }: Embedded, slope: Float64Array): void {
    addTo(slope, vector, -dot(slope, vector));
    for (const [word, times] of parts) {
      this.touched.add(word);
      const start = word * embeddingLength;
      addTo(this.gradients.subarray(start, start + embeddingLength), slope, times / length);
    }
  }

  private move(): void {
    const { rate, anchor } = this.settings;
    for (const word of this.touched) {
      const start = word * embeddingLength;
      const gradient = this.gradients.subarray(start, start + embeddingLength);
      this.squares[word] =
        (this.squares[word] as number) + dot(gradient, gradient) / embeddingLength;
      const step = rate / Math.sqrt((this.squares[word] as number) + 1e-12);
      for (let k = 0; k < embeddingLength; k += 1) {
        const at = start + k;
        const now = (this.vectors[at] as number) - step * (gradient[k] as number);
        this.vectors[at] = now + anchor * ((this.begun[at] as number) - now);
      }
      gradient.fill(0);
    }
    this.touched.clear();
  }
}

function softmax(values: readonly number[]): number[] {
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k += 1) sum += (a[k] as number) * (b[k] as number);
  return sum;
}

function addTo(sum: Float64Array, vector: Float64Array, times: number): void {
  for (let k = 0; k < sum.length; k += 1) {
    sum[k] = (sum[k] as number) + (vector[k] as number) * times;
  }
}
