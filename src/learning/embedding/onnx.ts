/** Sentence transformers as ONNX files, by onnxruntime where it is installed. */
import { AppError } from '../../base/base.ts';
import { embeddingLength, taskTextLength, type Embedder } from '../types.ts';
import { fitted, type LongVectors } from './fit.ts';
import { modelName, readModelFile, readTokenizer, type Tokenizer } from './model-folder.ts';
import { optionalPackage } from './optional-package.ts';

interface OnnxTensor {
  readonly data: unknown;
  readonly dims: readonly number[];
}
interface OnnxSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Readonly<Record<string, OnnxTensor>>): Promise<Readonly<Record<string, OnnxTensor>>>;
}
interface OnnxRuntime {
  readonly Tensor: new (type: 'int64', data: BigInt64Array, dims: readonly number[]) => OnnxTensor;
  readonly InferenceSession: { create(bytes: Uint8Array): Promise<OnnxSession> };
}

/** What small sentence transformers were trained with. */
const mostTokens = 512;
/** A vector a text; else a vector a token, of which the mean is taken. */
const pooledOutputs = ['sentence_embedding', 'text_embeds', 'pooled_embedding'];

/**
 * An embedder from a folder with `model.onnx` (or `onnx/model.onnx`) and `tokenizer.json`. Throws
 * `unavailable` where onnxruntime-node or the tokenizer's package is not installed, `not_found` and
 * `embedding_invalid` naming the file.
 */
export async function createOnnxEmbedder(
  folder: string,
  longVectors: LongVectors = 'refuse',
): Promise<Embedder> {
  const modelFile = await readModelFile(folder, 'model.onnx').catch((error: unknown) =>
    // Where exporters put it, in a folder of its own.
    readModelFile(folder, 'onnx/model.onnx').catch(() => Promise.reject(error)),
  );
  const tokenizerFile = await readModelFile(folder, 'tokenizer.json');
  const loaded = (await optionalPackage(
    'onnxruntime-node',
    'it runs ONNX models',
  )) as OnnxRuntime & {
    readonly default?: OnnxRuntime;
  };
  const runtime = loaded.default ?? loaded;
  const tokenizer = await readTokenizer(tokenizerFile);
  const session = await runtime.InferenceSession.create(modelFile.bytes).catch(
    (thrown: unknown) => {
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      throw new AppError('embedding_invalid', `${modelFile.path}: onnxruntime refuses it: ${why}`, {
        cause: thrown,
      });
    },
  );
  const suffix = longVectors === 'truncate' ? '/truncated' : '';
  return {
    name: `${modelName('onnx', folder, [modelFile, tokenizerFile])}${suffix}`,
    async embed(texts, signal) {
      const vectors: Float32Array[] = [];
      for (const text of texts) {
        signal?.throwIfAborted();
        const vector = await embedOne(runtime, session, tokenizer, text, modelFile.path);
        vectors.push(fitted(vector, longVectors, `${modelFile.path}: a vector`));
      }
      return vectors;
    },
  };
}

async function embedOne(
  runtime: OnnxRuntime,
  session: OnnxSession,
  tokenizer: Tokenizer,
  text: string,
  path: string,
): Promise<Float32Array> {
  const read = text.slice(0, taskTextLength).toWellFormed();
  const { ids } = tokenizer.encode(read, { add_special_tokens: true });
  const tokens = ids.slice(0, mostTokens);
  const values: Readonly<Record<string, (token: number, place: number) => bigint>> = {
    input_ids: (token) => BigInt(token),
    attention_mask: () => 1n,
    token_type_ids: () => 0n,
    position_ids: (_, place) => BigInt(place),
  };
  const feeds = Object.fromEntries(
    session.inputNames.map((name) => {
      const value = values[name];
      if (value === undefined) {
        throw new AppError('embedding_invalid', `${path}: it wants ${name}, which a text has not`);
      }
      const data = BigInt64Array.from(tokens, value);
      return [name, new runtime.Tensor('int64', data, [1, tokens.length])];
    }),
  );
  const outputs = await session.run(feeds);
  const name = pooledOutputs.find((one) => one in outputs) ?? session.outputNames[0] ?? '';
  const output = outputs[name];
  if (output === undefined || !(output.data instanceof Float32Array)) {
    throw new AppError('embedding_invalid', `${path}: its output ${name} is no float32`);
  }
  return pooled(output.data, output.dims, path);
}

/** Of [1, n] the row; of [1, tokens, n] the mean of the tokens. */
function pooled(data: Float32Array, dims: readonly number[], path: string): Float32Array {
  if (dims.length === 2) return data;
  const [, count, length] = dims;
  if (dims.length !== 3 || count === undefined || length === undefined || count === 0) {
    const shape = JSON.stringify(dims);
    throw new AppError(
      'embedding_invalid',
      `${path}: an output of shape ${shape} is no vector; ${embeddingLength} numbers are needed`,
    );
  }
  const mean = new Float32Array(length);
  for (let token = 0; token < count; token += 1) {
    for (let k = 0; k < length; k += 1) {
      mean[k] = (mean[k] as number) + (data[token * length + k] as number) / count;
    }
  }
  return mean;
}
