/** The embedder that needs nothing: no model to fetch, no server, no network. */
import type { Embedder } from '../types.ts';
import { embedWith, untrainedModel, type OfflineModel } from './offline-model.ts';

/**
 * Vectors from words, word pairs and n-grams. The same text gives the same bytes on every machine.
 * It reads `taskTextLength` characters of a text and gives every text a vector, an empty one too.
 */
export async function createOfflineEmbedder(): Promise<Embedder> {
  return embedderOf('hashed-1', untrainedModel());
}

/** An embedder of that name with these numbers. */
export function embedderOf(name: string, model: OfflineModel): Embedder {
  return {
    name,
    async embed(texts, signal) {
      signal?.throwIfAborted();
      return texts.map((text) => embedWith(model, text));
    },
  };
}
