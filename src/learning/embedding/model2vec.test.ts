import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { embeddingLength } from '../types.ts';
import { createModel2VecEmbedder } from './model2vec.ts';
import { createOnnxEmbedder } from './onnx.ts';
import { readSafetensors } from './safetensors.ts';

const vocabulary = ['[PAD]', '[UNK]', 'fix', 'the', 'build', '##ing', 'break'];
const tokenizer = {
  version: '1.0',
  added_tokens: [],
  normalizer: {
    type: 'BertNormalizer',
    lowercase: true,
    clean_text: true,
    handle_chinese_chars: true,
  },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  post_processor: null,
  decoder: null,
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
  },
};
const isInstalled = await import('@huggingface/tokenizers' as string).then(
  () => true,
  () => false,
);
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'centuria-model2vec-'));
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Written = readonly [name: string, dtype: string, shape: readonly number[], bytes: Buffer];

/** A file as the format's page describes it. */
function safetensors(tensors: readonly Written[]): Buffer {
  let at = 0;
  const entries = tensors.map(([name, dtype, shape, bytes]) => {
    const offsets = [at, (at += bytes.length)];
    return [name, { dtype, shape, data_offsets: offsets }];
  });
  const text = JSON.stringify({ __metadata__: { format: 'pt' }, ...Object.fromEntries(entries) });
  const head = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(head.length));
  return Buffer.concat([length, head, ...tensors.map(([, , , bytes]) => bytes)]);
}

/** Row r points along axis r. */
function rows(length: number): Float32Array {
  const table = new Float32Array(vocabulary.length * length);
  for (const [row] of vocabulary.entries()) table[row * length + row] = 2;
  return table;
}
const bytesOf = (array: Float32Array | Int8Array | Uint16Array | BigInt64Array): Buffer =>
  Buffer.from(array.buffer);
const write = (tensors: readonly Written[]): Promise<void> =>
  writeFile(join(folder, 'model.safetensors'), safetensors(tensors));
const plain = (length = embeddingLength): Written => [
  'embeddings',
  'F32',
  [vocabulary.length, length],
  bytesOf(rows(length)),
];

test('numbers of every type are read as what they are', () => {
  const file = safetensors([
    ['half', 'F16', [6], bytesOf(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00, 0x3555, 0x0000))],
    ['brain', 'BF16', [2], bytesOf(Uint16Array.of(0x3f80, 0xc040))],
    ['small', 'I8', [2, 1], bytesOf(Int8Array.of(-128, 127))],
    ['whole', 'I64', [1], bytesOf(BigInt64Array.of(7n))],
  ]);
  const read = readSafetensors(file, 'x');
  const half = [1, -2, 2 ** -24, Infinity, Math.fround(0.333251953125), 0];
  expect([...(read.get('half')?.values ?? [])]).toEqual(half);
  expect([...(read.get('brain')?.values ?? [])]).toEqual([1, -3]);
  expect(read.get('small')).toEqual({ shape: [2, 1], values: Float32Array.of(-128, 127) });
  expect([...(read.get('whole')?.values ?? [])]).toEqual([7]);
});

test('a broken file is refused by its path and what is wrong', () => {
  const good = safetensors([plain()]);
  const huge = Buffer.from(good);
  huge.writeBigUInt64LE(2n ** 60n);
  const refusals: [Buffer, RegExp][] = [
    [Buffer.alloc(3), /^\/m\/x: it is no safetensors file/],
    [huge, /^\/m\/x: its head should have \d+ bytes/],
    [good.subarray(0, -1), /^\/m\/x: tensor embeddings of shape \[7,256\] does not fit/],
    [safetensors([['embeddings', 'F4', [1], Buffer.alloc(1)]]), /numbers of type F4/],
    [safetensors([['embeddings', 'F32', [-1], Buffer.alloc(4)]]), /does not fit/],
    [Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{,')]), /no map in JSON/],
  ];
  for (const [file, message] of refusals) {
    expect(() => readSafetensors(file, '/m/x')).toThrow(
      expect.objectContaining({
        code: 'embedding_invalid',
        message: expect.stringMatching(message),
      }),
    );
  }
});

test('what a folder lacks is named, and so is a table of another shape', async () => {
  await expect(createModel2VecEmbedder(join(folder, 'none'))).rejects.toMatchObject({
    code: 'not_found',
    message: expect.stringMatching(/none\/model\.safetensors: there is no such file$/),
  });
  await expect(createOnnxEmbedder(folder)).rejects.toMatchObject({
    code: 'not_found',
    message: expect.stringMatching(/\/model\.onnx: there is no such file$/),
  });
  await write([['other', 'F32', [1], Buffer.alloc(4)]]);
  await expect(createModel2VecEmbedder(folder)).rejects.toThrow(
    /no tensor embeddings; there are: other/,
  );
  await write([['embeddings', 'F32', [4], Buffer.alloc(16)]]);
  await expect(createModel2VecEmbedder(folder)).rejects.toThrow(/its shape is \[4\]/);
  await write([plain(384)]);
  await expect(createModel2VecEmbedder(folder)).rejects.toThrow(/has 384 numbers/);
});

test.skipIf(isInstalled)('without the tokenizer’s package it says how to install it', async () => {
  await write([plain()]);
  await expect(createModel2VecEmbedder(folder)).rejects.toMatchObject({
    code: 'unavailable',
    remedy: expect.stringContaining('npm install @huggingface/tokenizers'),
  });
});

test.runIf(isInstalled)(
  'a text is the mean of its tokens, without those that are unknown',
  async () => {
    await write([plain()]);
    const embedder = await createModel2VecEmbedder(folder);
    const [vector = new Float32Array(0), same] = await embedder.embed([
      'Fix the zzz BUILDING',
      'fix the building',
    ]);
    expect([...vector.subarray(0, 8)]).toEqual([0, 0, 0.5, 0.5, 0.5, 0.5, 0, 0]);
    expect(same).toEqual(vector);
    await expect(embedder.embed(['zzz'])).rejects.toMatchObject({ code: 'embedding_invalid' });
  },
);

test.runIf(isInstalled)('tokens that share a row and count differently are heeded', async () => {
  const mapping = BigInt64Array.from(vocabulary, (token) => (token === 'break' ? 2n : 4n));
  const weights = Float32Array.from(vocabulary, (token) => (token === 'break' ? 3 : 4));
  await write([
    plain(300),
    ['mapping', 'I64', [vocabulary.length], bytesOf(mapping)],
    ['weights', 'F32', [vocabulary.length], bytesOf(weights)],
  ]);
  const embedder = await createModel2VecEmbedder(folder, 'truncate');
  const [vector] = await embedder.embed(['break build']);
  expect(vector).toHaveLength(embeddingLength);
  expect(vector?.[2]).toBeCloseTo(0.6);
  expect(vector?.[4]).toBeCloseTo(0.8);
  expect(embedder.name).toMatch(/^model2vec\/centuria-model2vec-.*-[0-9a-f]{12}\/truncated$/);
});
