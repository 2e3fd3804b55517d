/** What model2vec and ONNX models have in common: files of a folder, a tokenizer, a name by content. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { AppError } from '../../base/base.ts';
import { optionalPackage } from './optional-package.ts';

export interface ModelFile {
  readonly path: string;
  readonly bytes: Buffer;
}

export interface Tokenizer {
  /** Numbers of a text's tokens, without special ones unless wanted. */
  encode(
    text: string,
    options: { readonly add_special_tokens: boolean },
  ): {
    readonly ids: readonly number[];
  };
  token_to_id(token: string): number | undefined;
}

/** Throws `not_found` naming the path, and `embedding_invalid` for what can not be read. */
export async function readModelFile(folder: string, name: string): Promise<ModelFile> {
  const path = join(resolve(folder), name);
  try {
    return { path, bytes: await readFile(path) };
  } catch (thrown) {
    const isAbsent = (thrown as NodeJS.ErrnoException).code === 'ENOENT';
    if (isAbsent) {
      throw new AppError('not_found', `${path}: there is no such file`, {
        remedy: 'Set embeddingModel to the folder of a model, as it was downloaded.',
        cause: thrown,
      });
    }
    throw new AppError('embedding_invalid', `${path}: it can not be read`, { cause: thrown });
  }
}

export function parseModelJson({ path, bytes }: ModelFile): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Told below, like JSON that is no map.
  }
  throw new AppError('embedding_invalid', `${path}: it is no map in JSON`);
}

/** The tokenizer of `tokenizer.json`, by Hugging Face's own package. Throws `unavailable` without it. */
export async function readTokenizer(file: ModelFile): Promise<Tokenizer> {
  const described = parseModelJson(file);
  const loaded = (await optionalPackage(
    '@huggingface/tokenizers',
    'it cuts texts into the tokens of a local model',
  )) as { readonly Tokenizer: new (tokenizer: object, config: object) => Tokenizer };
  try {
    return new loaded.Tokenizer(described, {});
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new AppError('embedding_invalid', `${file.path}: it describes no tokenizer: ${why}`, {
      cause: thrown,
    });
  }
}

/** Kind, folder and the start of the SHA-256 of its files: a model that changed has another name. */
export function modelName(kind: string, folder: string, files: readonly ModelFile[]): string {
  const hash = createHash('sha256');
  for (const { bytes } of files) hash.update(bytes);
  return `${kind}/${basename(resolve(folder))}-${hash.digest('hex').slice(0, 12)}`;
}
