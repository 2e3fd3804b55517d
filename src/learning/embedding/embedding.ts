/**
 * Texts as vectors of 256 numbers, by the embedder that the settings name: the offline one, which needs
 * nothing; a server; or a model in a local folder. See docs/guides/embeddings.md.
 */
import { AppError, type Clock, type Settings } from '../../base/base.ts';
import type { Outbound } from '../../outbound/outbound.ts';
import type { Embedder } from '../types.ts';
import { createModel2VecEmbedder } from './model2vec.ts';
import { createOfflineEmbedder } from './offline.ts';
import { createOnnxEmbedder } from './onnx.ts';
import { createOpenAiEmbedder } from './openai.ts';

export interface EmbedderOptions {
  readonly settings: Pick<
    Settings,
    'learningEmbedder' | 'embeddingModel' | 'embeddingBaseUrl' | 'embeddingLongVectors'
  >;
  /** Holds `OPENAI_API_KEY` where a server wants one. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly outbound: Outbound;
  readonly clock: Clock;
}

/** The provider's own address, where none is given. */
const openAiUrl = 'https://api.openai.com/v1';

/**
 * The embedder of the settings. Throws `config_invalid` where a model is not named, and `not_found`,
 * `embedding_invalid` and `unavailable` where a local one can not be loaded. A server is first asked with
 * the first text.
 */
export async function createEmbedder(options: EmbedderOptions): Promise<Embedder> {
  const { settings, env, outbound, clock } = options;
  const {
    learningEmbedder: kind,
    embeddingModel: model,
    embeddingLongVectors: longVectors,
  } = settings;
  if (kind === 'offline') return createOfflineEmbedder();
  if (model === '') {
    throw new AppError('config_invalid', `embeddingModel is empty, and ${kind} needs one`, {
      remedy:
        kind === 'openai-compatible'
          ? 'Set CENTURIA_EMBEDDING_MODEL to the id of an embedding model.'
          : 'Set CENTURIA_EMBEDDING_MODEL to the folder of the model.',
    });
  }
  if (kind === 'model2vec') return createModel2VecEmbedder(model, longVectors);
  if (kind === 'onnx') return createOnnxEmbedder(model, longVectors);
  const key = env['OPENAI_API_KEY'] ?? '';
  const baseUrl = settings.embeddingBaseUrl === '' ? openAiUrl : settings.embeddingBaseUrl;
  if (key === '' && baseUrl === openAiUrl) {
    throw new AppError(
      'unavailable',
      'embeddings of OpenAI need a key, and OPENAI_API_KEY is not set',
      {
        remedy: 'Set OPENAI_API_KEY, or CENTURIA_EMBEDDING_BASE_URL for a server of your own.',
        retryable: false,
      },
    );
  }
  return createOpenAiEmbedder({
    baseUrl,
    model,
    outbound,
    clock,
    longVectors,
    ...(key === '' ? {} : { key }),
  });
}
