/** The words that get a vector of their own, how much each says, and where it stands beside which. */
import { embeddingLength } from '../../src/learning/types.ts';
import { isNumber, wordsOf, type Word } from '../../src/learning/embedding/words.ts';
import type { Corpus } from './corpus.ts';
import { largestEigen, type Sparse } from './eigen.ts';

export interface Vocabulary {
  readonly words: readonly Word[];
  /** From a word's hash to its number. */
  readonly index: ReadonlyMap<number, number>;
  /** 0 to 1: of a word in every paragraph nothing, of the rarest all. */
  readonly weights: Float64Array;
}

const leastCount = 2;
const windowWords = 8;
/** Of the context's counts: rare words are else the nearest of all (Levy, Goldberg and Dagan, 2015, §3.1). */
const smoothing = 0.75;

export function buildVocabulary(corpus: Corpus): Vocabulary {
  const paragraphs = [...corpus.paragraphs, ...corpus.related.flat()].map((text) => wordsOf(text));
  // What is said once of an agent can be all that tells it from the others.
  const telling = [...corpus.related.flat(), ...corpus.agents.flatMap((one) => one.passages)];
  const named = new Set(telling.flatMap((text) => wordsOf(text).map(({ hash }) => hash)));
  const seen = new Map<number, { word: Word; paragraphs: number; count: number }>();
  for (const words of paragraphs) {
    const here = new Set<number>();
    for (const word of words) {
      if (isNumber(word)) continue;
      const entry = seen.get(word.hash) ?? { word, paragraphs: 0, count: 0 };
      seen.set(word.hash, entry);
      entry.count += 1;
      if (!here.has(word.hash)) entry.paragraphs += 1;
      here.add(word.hash);
    }
  }
  const kept = [...seen.values()].filter(
    ({ word, count }) => count >= leastCount || named.has(word.hash),
  );
  const order = kept.toSorted((a, b) => b.count - a.count || (a.word.text < b.word.text ? -1 : 1));
  const most = Math.log(paragraphs.length / leastCount);
  return {
    words: order.map(({ word }) => word),
    index: new Map(order.map(({ word }, index) => [word.hash, index])),
    weights: Float64Array.from(order, ({ paragraphs: count }) =>
      Math.min(1, Math.max(0.02, Math.log(paragraphs.length / count) / most)),
    ),
  };
}

/** The numbers of a text's words that are in the vocabulary. */
export function known(vocabulary: Vocabulary, text: string): number[] {
  return wordsOf(text).flatMap(({ hash }) => vocabulary.index.get(hash) ?? []);
}

/** A vector a word, `embeddingLength` apart, from the words that stand near it: PPMI and its eigenvectors. */
export function contextVectors(corpus: Corpus, vocabulary: Vocabulary): Float64Array {
  const size = vocabulary.words.length;
  const { vectors, values } = largestEigen(
    positiveInformation(corpus, vocabulary),
    embeddingLength,
  );
  for (let row = 0; row < size; row += 1) {
    let squares = 0;
    for (let k = 0; k < embeddingLength; k += 1) {
      const at = row * embeddingLength + k;
      // Half of each value: the whole one lets the few largest say everything (Levy et al., §3.3).
      const value = (vectors[at] as number) * Math.sqrt(Math.abs(values[k] as number));
      vectors[at] = value;
      squares += value * value;
    }
    const length = Math.sqrt(squares) || 1;
    for (let k = 0; k < embeddingLength; k += 1) {
      const at = row * embeddingLength + k;
      vectors[at] = (vectors[at] as number) / length;
    }
  }
  return vectors;
}

/** How much more often than by chance two words stand near each other; nothing where less often. */
function positiveInformation(corpus: Corpus, vocabulary: Vocabulary): Sparse {
  const size = vocabulary.words.length;
  const counts = Array.from({ length: size }, () => new Map<number, number>());
  const add = (row: number, column: number, value: number): void => {
    const cells = counts[row] as Map<number, number>;
    cells.set(column, (cells.get(column) ?? 0) + value);
  };
  for (const paragraph of corpus.paragraphs) {
    const words = known(vocabulary, paragraph);
    for (const [at, word] of words.entries()) {
      for (let next = at + 1; next < Math.min(words.length, at + 1 + windowWords); next += 1) {
        const value = 1 / (next - at);
        add(word, words[next] as number, value);
        add(words[next] as number, word, value);
      }
    }
  }
  const totals = counts.map((cells) => [...cells.values()].reduce((a, b) => a + b, 0));
  const all = totals.reduce((a, b) => a + b, 0);
  const smooth = totals.map((total) => total ** smoothing);
  const allSmooth = smooth.reduce((a, b) => a + b, 0);
  const starts = [0];
  const columns: number[] = [];
  const values: number[] = [];
  for (const [row, cells] of counts.entries()) {
    for (const [column, count] of cells) {
      const own = (totals[row] as number) / all;
      const other = (totals[column] as number) / all;
      const smoothOwn = (smooth[row] as number) / allSmooth;
      const smoothOther = (smooth[column] as number) / allSmooth;
      // Of both directions the mean, so that the matrix stays symmetric.
      const chance = Math.sqrt(own * smoothOther * other * smoothOwn);
      const information = Math.log(count / all / chance);
      if (information <= 0) continue;
      columns.push(column);
      values.push(information);
    }
    starts.push(columns.length);
  }
  return {
    size,
    starts: Uint32Array.from(starts),
    columns: Uint32Array.from(columns),
    values: Float64Array.from(values),
  };
}
