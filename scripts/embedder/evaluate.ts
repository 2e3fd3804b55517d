/** How well texts find what belongs to them, in figures: for embedders, and for BM25 beside them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { wordsOf } from '../../src/learning/embedding/words.ts';
import type { Corpus } from './corpus.ts';

/** Likeness of a text to each of those that it was made with. */
export type Likeness = (text: string) => readonly number[];
export type Measure = (texts: readonly string[]) => Likeness;

export interface Question {
  readonly text: string;
  readonly right: ReadonlySet<string>;
}

export interface Questions {
  readonly tuning: readonly Question[];
  readonly heldOut: readonly Question[];
  readonly pairs: readonly (readonly [string, string, string])[];
}

export interface Figures {
  readonly recallAt1: number;
  readonly recallAt5: number;
  readonly meanReciprocalRank: number;
}

export function readQuestions(): Questions {
  const path = join(import.meta.dirname, '../../test/fixtures/embedding-queries.yaml');
  const read = parse(readFileSync(path, 'utf8')) as {
    readonly tuning: readonly (readonly [string, ...string[]])[];
    readonly heldOut: readonly (readonly [string, ...string[]])[];
    readonly pairs: Questions['pairs'];
  };
  const questions = (list: typeof read.tuning): Question[] =>
    list.map(([text, ...right]) => ({ text, right: new Set(right) }));
  return { tuning: questions(read.tuning), heldOut: questions(read.heldOut), pairs: read.pairs };
}

/** Whether the first right agent is the first of all, among five, and one over its place on average. */
export function retrieval(corpus: Corpus, measure: Measure, asked: readonly Question[]): Figures {
  const likeness = measure(corpus.agents.map(({ card }) => card));
  const places = asked.map(({ text, right }) => {
    const scores = likeness(text);
    const best = Math.max(
      ...corpus.agents.flatMap(({ name }, index) => (right.has(name) ? (scores[index] ?? 0) : [])),
    );
    // Of equal ones the right one counts as the last.
    return corpus.agents.filter(
      ({ name }, index) => !right.has(name) && (scores[index] ?? 0) >= best,
    ).length;
  });
  const share = (count: number): number => count / places.length;
  return {
    recallAt1: share(places.filter((place) => place < 1).length),
    recallAt5: share(places.filter((place) => place < 5).length),
    meanReciprocalRank: share(places.reduce((sum, place) => sum + 1 / (place + 1), 0)),
  };
}

/** Share of the triples of which the paraphrase is more alike than the other text; a tie is half of one. */
export function paraphrases(measure: Measure, pairs: Questions['pairs']): number {
  const points = pairs.map(([text, same, other]) => {
    const [yes = 0, no = 0] = measure([same, other])(text);
    return yes === no ? 0.5 : Number(yes > no);
  });
  return points.reduce((sum, point) => sum + point, 0) / pairs.length;
}

export function cosine(embed: (text: string) => Float32Array): Measure {
  return (texts) => {
    const vectors = texts.map(embed);
    return (text) => {
      const asked = embed(text);
      return vectors.map((vector) => vector.reduce((sum, x, k) => sum + x * (asked[k] ?? 0), 0));
    };
  };
}

const saturation = 1.2;
const lengthWeight = 0.75;

/** Okapi BM25 over the same words (Robertson and Zaragoza, 2009, §3.5), with its usual constants. */
export const bm25: Measure = (texts) => {
  const documents = texts.map((text) => {
    const counts = new Map<number, number>();
    for (const { hash } of wordsOf(text)) counts.set(hash, (counts.get(hash) ?? 0) + 1);
    return { counts, length: [...counts.values()].reduce((a, b) => a + b, 0) };
  });
  const mean = documents.reduce((sum, { length }) => sum + length, 0) / documents.length;
  const rarity = (hash: number): number => {
    const having = documents.filter(({ counts }) => counts.has(hash)).length;
    return Math.log(1 + (documents.length - having + 0.5) / (having + 0.5));
  };
  return (text) => {
    const asked = new Set(wordsOf(text).map(({ hash }) => hash));
    const rarities = [...asked].map((hash) => [hash, rarity(hash)] as const);
    return documents.map(({ counts, length }) => {
      const norm = saturation * (1 - lengthWeight + (lengthWeight * length) / mean);
      return rarities.reduce((sum, [hash, rare]) => {
        const count = counts.get(hash) ?? 0;
        return sum + (rare * count * (saturation + 1)) / (count + norm);
      }, 0);
    });
  };
};
