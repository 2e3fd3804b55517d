/** From texts to numbers: words by their company, then by what belongs together, then n-grams by words. */
import {
  addOwn,
  gramLength,
  type ModelWeights,
  type OfflineModel,
  type Rows,
} from '../../src/learning/embedding/offline-model.ts';
import { embeddingLength } from '../../src/learning/types.ts';
import { contrast, type ContrastSettings } from './contrast.ts';
import type { Corpus } from './corpus.ts';
import { fitGrams, principalAxes, turned } from './grams.ts';
import { buildVocabulary, contextVectors, type Vocabulary } from './vocabulary.ts';

/** Chosen by the tuning questions. */
const settings: ContrastSettings = {
  rounds: 6,
  context: 0.7,
  own: 0.7,
  temperature: 0.12,
  rate: 0.02,
  anchor: 0.0005,
  dropped: 0.3,
  relatedPerRound: 60,
  headedPerRound: 20,
};

const weights: ModelWeights = {
  ownOfUnseen: 0.7,
  gramsOfUnseen: 1,
  ownOfNumber: 0.2,
  pair: 0.15,
};

export function trainModel(corpus: Corpus): OfflineModel {
  const vocabulary = buildVocabulary(corpus);
  const context = contextVectors(corpus, vocabulary);
  const vectors = contrast(corpus, vocabulary, context, settings);
  const meanings = meaningsOf(vocabulary, vectors);
  const axes = principalAxes(meanings);
  return {
    known: vocabulary.index,
    words: quantised(turned(vectors, axes), embeddingLength),
    grams: quantised(fitGrams(vocabulary, turned(meanings, axes)), gramLength),
    weights,
  };
}

const leastShare = 0.3;

/** What a word's vector holds beside its own direction, as long as if it were a rare word. */
function meaningsOf({ words, weights: shares }: Vocabulary, vectors: Float64Array): Float64Array {
  const meanings = new Float64Array(vectors.length);
  for (const [index, word] of words.entries()) {
    const share = shares[index] as number;
    const own = new Float64Array(embeddingLength);
    addOwn(own, word, settings.own);
    for (let k = 0; k < embeddingLength; k += 1) {
      const at = index * embeddingLength + k;
      const meaning = (vectors[at] as number) - (own[k] as number) * share;
      // Words that are everywhere say next to nothing; divided by their share that would be made much of.
      meanings[at] = meaning / Math.max(share, leastShare);
    }
  }
  return meanings;
}

/** Rows of whole numbers from −127 to 127. */
function quantised(vectors: Float64Array, length: number): Rows {
  const count = vectors.length / length;
  const bytes = new Int8Array(vectors.length);
  const scales = new Float32Array(count);
  for (let row = 0; row < count; row += 1) {
    let most = 0;
    for (let k = 0; k < length; k += 1) {
      most = Math.max(most, Math.abs(vectors[row * length + k] as number));
    }
    const scale = most / 127;
    scales[row] = scale;
    for (let k = 0; k < length; k += 1) {
      const at = row * length + k;
      bytes[at] = scale === 0 ? 0 : Math.round((vectors[at] as number) / scale);
    }
  }
  return { bytes, scales };
}
