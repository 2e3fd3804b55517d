/** Static models of model2vec (github.com/MinishLab/model2vec): a vector a token, and their mean. */
import { AppError } from '../../base/base.ts';
import { embeddingLength, taskTextLength, type Embedder } from '../types.ts';
import { fitted, type LongVectors } from './fit.ts';
import { modelName, parseModelJson, readModelFile, readTokenizer } from './model-folder.ts';
import { readSafetensors, type Tensor } from './safetensors.ts';

interface StaticModel {
  readonly embeddings: Tensor;
  readonly rows: number;
  readonly length: number;
  /** Of each token, what its vector counts; and the row that it has, where several share one. */
  readonly weights?: Float32Array;
  readonly mapping?: Float32Array;
}

/** Tokens of a text that are read, as model2vec does. */
const mostTokens = 512;

/**
 * An embedder from a folder with `model.safetensors` (numbers as F64, F32, F16, BF16 or I8) and
 * `tokenizer.json`. Throws `not_found`, `embedding_invalid` and `unavailable` (its tokenizer's package),
 * each naming the file. A text of unknown tokens only is `embedding_invalid` when it is embedded.
 */
export async function createModel2VecEmbedder(
  folder: string,
  longVectors: LongVectors = 'refuse',
): Promise<Embedder> {
  const weightsFile = await readModelFile(folder, 'model.safetensors');
  const tokenizerFile = await readModelFile(folder, 'tokenizer.json');
  const model = staticModel(readSafetensors(weightsFile.bytes, weightsFile.path), weightsFile.path);
  // Told before the first text: nothing else can come of it.
  fitted(new Float32Array(model.length).fill(1), longVectors, `${weightsFile.path}: a row`);
  const unknown = unknownToken(parseModelJson(tokenizerFile));
  const tokenizer = await readTokenizer(tokenizerFile);
  const unknownId = unknown === undefined ? undefined : tokenizer.token_to_id(unknown);
  const suffix = model.length > embeddingLength ? '/truncated' : '';
  return {
    name: `${modelName('model2vec', folder, [weightsFile, tokenizerFile])}${suffix}`,
    async embed(texts, signal) {
      signal?.throwIfAborted();
      return texts.map((text) => {
        const read = text.slice(0, taskTextLength).toWellFormed();
        const { ids } = tokenizer.encode(read, { add_special_tokens: false });
        const known = ids.filter((id) => id !== unknownId).slice(0, mostTokens);
        return fitted(meanOf(model, known, weightsFile.path), longVectors, 'the mean of a text');
      });
    },
  };
}

function staticModel(tensors: ReadonlyMap<string, Tensor>, path: string): StaticModel {
  const embeddings = tensors.get('embeddings') ?? tensors.get('embedding.weight');
  if (embeddings === undefined) {
    const names = [...tensors.keys()].join(', ') || 'none';
    throw new AppError('embedding_invalid', `${path}: no tensor embeddings; there are: ${names}`);
  }
  const [rows, length] = embeddings.shape;
  if (rows === undefined || length === undefined || embeddings.shape.length !== 2) {
    const shape = JSON.stringify(embeddings.shape);
    throw new AppError(
      'embedding_invalid',
      `${path}: embeddings is no table: its shape is ${shape}`,
    );
  }
  const weights = tensors.get('weights')?.values;
  const mapping = tensors.get('mapping')?.values;
  return {
    embeddings,
    rows,
    length,
    ...(weights === undefined ? {} : { weights }),
    ...(mapping === undefined ? {} : { mapping }),
  };
}

function meanOf(model: StaticModel, ids: readonly number[], path: string): Float64Array {
  const { embeddings, rows, length, weights, mapping } = model;
  const sum = new Float64Array(length);
  for (const id of ids) {
    const row = mapping === undefined ? id : mapping[id];
    if (row === undefined || row < 0 || row >= rows) {
      throw new AppError('embedding_invalid', `${path}: there is no row for token ${id}`);
    }
    const weight = weights === undefined ? 1 : (weights[id] ?? 1);
    for (let k = 0; k < length; k += 1) {
      sum[k] = (sum[k] as number) + (embeddings.values[row * length + k] as number) * weight;
    }
  }
  return sum;
}

/** The token for what is not in the vocabulary: it says nothing, and is left out. */
function unknownToken(tokenizer: Readonly<Record<string, unknown>>): string | undefined {
  const model = tokenizer['model'] as
    | { readonly unk_token?: unknown; readonly unk_id?: unknown; readonly vocab?: unknown }
    | undefined;
  if (typeof model?.unk_token === 'string') return model.unk_token;
  // Unigram models have the place of it in their list.
  const entry: unknown =
    Array.isArray(model?.vocab) && typeof model.unk_id === 'number'
      ? model.vocab[model.unk_id]
      : undefined;
  return Array.isArray(entry) && typeof entry[0] === 'string' ? entry[0] : undefined;
}
