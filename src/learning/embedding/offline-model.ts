/**
 * The numbers of the offline embedder, and a text's vector from them. Every step is a whole number or
 * one of +, ×, ÷ and √ in double precision, which IEEE 754 fixes to the last bit: all machines agree.
 */
import { embeddingLength } from '../types.ts';
import { unit } from './vectors.ts';
import {
  bucketCount,
  bucketsOf,
  hashOf,
  isNumber,
  nextSigns,
  pairHash,
  wordsOf,
  type Word,
} from './words.ts';

/** Rows of signed bytes, each with the number that they are to be multiplied by. */
export interface Rows {
  readonly bytes: Int8Array;
  readonly scales: Float32Array;
}

/**
 * So many numbers has an n-gram. Words' vectors are turned so that their first numbers differ most: these
 * are what n-grams add to. All 256 of them took twice as long and found no more.
 */
export const gramLength = 64;

export interface OfflineModel {
  /** From a word's hash to its row. */
  readonly known: ReadonlyMap<number, number>;
  /** Rows of 256. */
  readonly words: Rows;
  /** Rows of 64 by `bucketsOf`: what makes a word that was never seen look like those it resembles. */
  readonly grams: Rows;
  readonly weights: ModelWeights;
}

/** How long each kind of direction is before all are added. */
export interface ModelWeights {
  /** Of a word that is not known: its own random direction, and the mean of its n-grams. */
  readonly ownOfUnseen: number;
  readonly gramsOfUnseen: number;
  /** Numbers say little of what is asked. */
  readonly ownOfNumber: number;
  /** Of two words beside each other. */
  readonly pair: number;
}

/** The embedding of a text, of length 1 for every text, even an empty one. */
export function embedWith(model: OfflineModel, text: string): Float32Array {
  const words = wordsOf(text);
  const sum = new Float64Array(embeddingLength);
  for (const { word, times } of counted(words)) {
    // The second mention of a word says less than the first.
    addWord(model, sum, word, Math.sqrt(times));
  }
  for (let index = 1; index < words.length; index += 1) {
    const [first, second] = [words[index - 1], words[index]];
    if (first === undefined || second === undefined) continue;
    addSigns(sum, pairHash(first.hash, second.hash), 1, model.weights.pair);
  }
  // Without any word, and if all of them had cancelled out, the text as a whole is one.
  if (sum.every((value) => value === 0)) addSigns(sum, hashOf(text.trim()), signBlocks, 1);
  return unit(sum, 'the sum of the words');
}

/** Adds a word's vector, `times` it. */
function addWord(
  { known, words, grams, weights }: OfflineModel,
  sum: Float64Array,
  word: Word,
  times: number,
): void {
  const row = known.get(word.hash);
  if (row !== undefined) {
    addRow(sum, embeddingLength, words, row, times);
  } else if (isNumber(word)) {
    addOwn(sum, word, times * weights.ownOfNumber);
  } else {
    addOwn(sum, word, times * weights.ownOfUnseen);
    const buckets = bucketsOf(word);
    const share = (times * weights.gramsOfUnseen) / buckets.length;
    for (const bucket of buckets) addRow(sum, gramLength, grams, bucket, share);
  }
}

/** Adds a word's own direction, which is nobody else's: that texts share a word counts for itself. */
export function addOwn(sum: Float64Array, { hash }: Word, length: number): void {
  addSigns(sum, hash, 2, length);
}

/** No learned weights: every word and n-gram has a random direction, so that likeness is shared letters. */
export function untrainedModel(): OfflineModel {
  return {
    known: new Map(),
    words: { bytes: new Int8Array(0), scales: new Float32Array(0) },
    grams: randomRows(bucketCount, gramLength, 0),
    // The mean of n random directions has the length 1/√n: 2.5 makes that of a usual word about 0.7.
    weights: { ownOfUnseen: 1, gramsOfUnseen: 2.5, ownOfNumber: 0.3, pair: 0.3 },
  };
}

/** Rows of random signs and the length 1. */
export function randomRows(count: number, length: number, seed: number): Rows {
  const bytes = new Int8Array(count * length);
  for (let start = 0; start < bytes.length; start += 32) {
    const bits = nextSigns(seed + start);
    for (let bit = 0; bit < 32; bit += 1) bytes[start + bit] = (bits >>> bit) & 1 ? 1 : -1;
  }
  return { bytes, scales: new Float32Array(count).fill(1 / Math.sqrt(length)) };
}

const blockLength = 32;
const signBlocks = embeddingLength / blockLength;

/**
 * Adds the random direction of a hash, `length` long: signs in some of the eight blocks of 32 numbers.
 * Two directions are as nearly perpendicular as if all blocks were used, and cost less.
 */
function addSigns(sum: Float64Array, hash: number, blocks: number, length: number): void {
  const value = length / Math.sqrt(blocks * blockLength);
  const first = hash % signBlocks;
  let state = hash;
  for (let count = 0; count < blocks; count += 1) {
    state = nextSigns(state);
    const start = ((first + count * 3) % signBlocks) * blockLength;
    for (let bit = 0; bit < blockLength; bit += 1) {
      const sign = ((state >>> bit) & 1) * 2 - 1;
      sum[start + bit] = (sum[start + bit] as number) + value * sign;
    }
  }
}

/** To the first numbers of `sum`. The casts spare a check in the one loop that all time goes into. */
function addRow(
  sum: Float64Array,
  length: number,
  { bytes, scales }: Rows,
  row: number,
  times: number,
): void {
  const factor = times * (scales[row] as number);
  const start = row * length;
  for (let index = 0; index < length; index += 1) {
    sum[index] = (sum[index] as number) + (bytes[start + index] as number) * factor;
  }
}

/** Each word once, in the order of their first mention: sums of fractions depend on the order. */
function counted(words: readonly Word[]): Iterable<{ readonly word: Word; times: number }> {
  const counts = new Map<number, { readonly word: Word; times: number }>();
  for (const word of words) {
    const seen = counts.get(word.hash);
    if (seen === undefined) counts.set(word.hash, { word, times: 1 });
    else seen.times += 1;
  }
  return counts.values();
}
