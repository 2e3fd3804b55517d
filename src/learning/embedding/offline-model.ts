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

/** Rows of 256 signed bytes, each with the number that they are to be multiplied by. */
export interface Rows {
  readonly bytes: Int8Array;
  readonly scales: Float32Array;
}

export interface OfflineModel {
  /** From a word's hash to its row. */
  readonly known: ReadonlyMap<number, number>;
  readonly words: Rows;
  /** N-grams by `bucketsOf`: what makes a word that was never seen look like those it resembles. */
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

/** A direction of length 1 has so much in each of its 256 numbers. */
const each = 1 / 16;

/** The embedding of a text, of length 1 for every text, even an empty one. */
export function embedWith(model: OfflineModel, text: string): Float32Array {
  const sum = new Float64Array(embeddingLength);
  const words = wordsOf(text);
  const { weights } = model;
  for (const { word, times } of counted(words)) {
    // The second mention of a word says less than the first.
    addWord(model, sum, word, Math.sqrt(times));
  }
  for (let index = 1; index < words.length; index += 1) {
    const [first, second] = [words[index - 1], words[index]];
    if (first === undefined || second === undefined) continue;
    addSigns(sum, pairHash(first.hash, second.hash), weights.pair);
  }
  // Without any word, and if all of them had cancelled out, the text as a whole is one.
  if (sum.every((value) => value === 0)) addSigns(sum, hashOf(text.trim()), 1);
  return unit(sum, 'the sum of the words');
}

/** Adds a word's vector, `times` it. */
export function addWord(
  { known, words, grams, weights }: OfflineModel,
  sum: Float64Array,
  word: Word,
  times: number,
): void {
  const row = known.get(word.hash);
  if (row !== undefined) {
    addRow(sum, words, row, times);
  } else if (isNumber(word)) {
    addSigns(sum, word.hash, times * weights.ownOfNumber);
  } else {
    addSigns(sum, word.hash, times * weights.ownOfUnseen);
    const buckets = bucketsOf(word);
    const share = (times * weights.gramsOfUnseen) / buckets.length;
    for (const bucket of buckets) addRow(sum, grams, bucket, share);
  }
}

/** No learned weights: every word and n-gram has a random direction, so that likeness is shared letters. */
export function untrainedModel(): OfflineModel {
  const bytes = new Int8Array(bucketCount * embeddingLength);
  for (let bucket = 0; bucket < bucketCount; bucket += 1) {
    const direction = new Float64Array(embeddingLength);
    addSigns(direction, bucket, 1 / each);
    bytes.set(direction, bucket * embeddingLength);
  }
  return {
    known: new Map(),
    words: { bytes: new Int8Array(0), scales: new Float32Array(0) },
    grams: { bytes, scales: new Float32Array(bucketCount).fill(each) },
    // The mean of n random directions has the length 1/√n: 2.5 makes that of a usual word about 0.7.
    weights: { ownOfUnseen: 1, gramsOfUnseen: 2.5, ownOfNumber: 0.3, pair: 0.3 },
  };
}

/** Adds the random direction of a hash, `length` long. */
export function addSigns(sum: Float64Array, hash: number, length: number): void {
  const value = length * each;
  let state = hash;
  for (let start = 0; start < embeddingLength; start += 32) {
    state = nextSigns(state);
    for (let bit = 0; bit < 32; bit += 1) {
      sum[start + bit] = (sum[start + bit] ?? 0) + ((state >>> bit) & 1 ? value : -value);
    }
  }
}

function addRow(sum: Float64Array, { bytes, scales }: Rows, row: number, times: number): void {
  const factor = times * (scales[row] ?? 0);
  const start = row * embeddingLength;
  for (let index = 0; index < embeddingLength; index += 1) {
    sum[index] = (sum[index] ?? 0) + (bytes[start + index] ?? 0) * factor;
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
