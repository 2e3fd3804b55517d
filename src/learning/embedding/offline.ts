/** The embedder that needs nothing: no model to fetch, no server, no network. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Embedder } from '../types.ts';
import { embedWith, type OfflineModel } from './offline-model.ts';
import { readWeights } from './offline-weights.ts';

export const weightsPath = join(import.meta.dirname, 'offline-weights.bin');

/**
 * Vectors from words, word pairs and n-grams, with weights that were learned from the project's own
 * texts. The same text gives the same bytes on every machine. It reads `taskTextLength` characters of a
 * text and gives every text a vector, an empty one too. Throws `embedding_invalid` when its file is broken.
 */
export async function createOfflineEmbedder(): Promise<Embedder> {
  // One read of 1.4 MB, about a millisecond; in pieces by other threads it took ten times that on a busy machine.
  const { head, model } = readWeights(readFileSync(weightsPath), weightsPath);
  return embedderOf(head.name, model);
}

function embedderOf(name: string, model: OfflineModel): Embedder {
  return {
    name,
    async embed(texts, signal) {
      signal?.throwIfAborted();
      return texts.map((text) => embedWith(model, text));
    },
  };
}
