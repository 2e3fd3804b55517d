/**
 * The file of the offline embedder's numbers, little-endian: eight letters, the length of a JSON head, the
 * head, then the words' hashes (uint32), the scales of all rows (float32) and the rows (int8), each as
 * words, n-grams.
 */
import { createHash } from 'node:crypto';
import { AppError } from '../../base/base.ts';
import { embeddingLength } from '../types.ts';
import { gramLength, type ModelWeights, type OfflineModel, type Rows } from './offline-model.ts';
import { bucketCount } from './words.ts';

export interface WeightsHead {
  /** Holds the start of the SHA-256 of all numbers: other numbers, other name. */
  readonly name: string;
  readonly words: number;
  readonly weights: ModelWeights;
  /** SHA-256 of the programs that made it, and of the texts that it was made from. */
  readonly program: string;
  readonly sources: string;
  /** SHA-256 of the vectors of some texts, on the machine that made it. */
  readonly sample: string;
}

const magic = 'CNTEMB01';
const wordBytes = 4;

export function writeWeights(
  model: OfflineModel,
  origin: Pick<WeightsHead, 'program' | 'sources' | 'sample'>,
): Buffer {
  const tables = [model.words, model.grams];
  const numbers = [
    wordsToBytes(model.known.size, (view, at, index) => view.setUint32(at, index, true), [
      ...model.known.keys(),
    ]),
    ...tables.map(({ scales }) =>
      wordsToBytes(scales.length, (view, at, value) => view.setFloat32(at, value, true), [
        ...scales,
      ]),
    ),
    ...tables.map(({ bytes }) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
  ];
  const { weights } = model;
  const { program, sources, sample } = origin;
  const digest = digestOf(weights, Buffer.concat(numbers));
  const head: WeightsHead = {
    name: `offline-1-${digest.slice(0, 12)}`,
    words: model.known.size,
    weights,
    program,
    sources,
    sample,
  };
  const text = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(wordBytes);
  length.writeUInt32LE(text.length);
  return Buffer.concat([Buffer.from(magic), length, text, ...numbers]);
}

/** Throws `embedding_invalid` naming the file when it is not what `writeWeights` writes. */
export function readWeights(
  file: Buffer,
  path: string,
): { head: WeightsHead; model: OfflineModel } {
  const wrong = (what: string): AppError =>
    new AppError('embedding_invalid', `${path}: ${what}`, {
      remedy: 'Install Centuria again: the file came with it.',
    });
  const start = magic.length + wordBytes;
  if (file.length < start || file.toString('latin1', 0, magic.length) !== magic) {
    throw wrong('it holds no weights of the offline embedder');
  }
  const end = start + file.readUInt32LE(magic.length);
  const head = parseHead(file.toString('utf8', start, end));
  if (head === undefined) throw wrong('its head can not be read');
  const counts = [head.words, bucketCount];
  const lengths = [embeddingLength, gramLength];
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const cells = counts.reduce((sum, count, index) => sum + count * (lengths[index] ?? 0), 0);
  const expected = end + (head.words + rows) * wordBytes + cells;
  if (file.length !== expected) {
    throw wrong(`it should have ${expected} bytes and has ${file.length}`);
  }
  let scaleAt = end + head.words * wordBytes;
  let byteAt = scaleAt + rows * wordBytes;
  const table = (count: number, length: number): Rows => {
    const from = scaleAt;
    const scales = Float32Array.from({ length: count }, (_, row) =>
      file.readFloatLE(from + row * wordBytes),
    );
    const bytes = new Int8Array(file.buffer, file.byteOffset + byteAt, count * length);
    scaleAt += count * wordBytes;
    byteAt += count * length;
    return { scales, bytes };
  };
  const known = new Map<number, number>();
  for (let row = 0; row < head.words; row += 1)
    known.set(file.readUInt32LE(end + row * wordBytes), row);
  const model: OfflineModel = {
    known,
    words: table(head.words, embeddingLength),
    grams: table(bucketCount, gramLength),
    weights: head.weights,
  };
  return { head, model };
}

/** What the name of a file's numbers must end with. */
export function weightsDigest(file: Buffer, { weights }: WeightsHead): string {
  const end = magic.length + wordBytes + file.readUInt32LE(magic.length);
  return digestOf(weights, file.subarray(end));
}

function digestOf(weights: ModelWeights, numbers: Buffer): string {
  return createHash('sha256').update(JSON.stringify(weights)).update(numbers).digest('hex');
}

function parseHead(text: string): WeightsHead | undefined {
  try {
    const head = JSON.parse(text) as WeightsHead;
    return Number.isSafeInteger(head.words) && head.words >= 0 ? head : undefined;
  } catch {
    return undefined;
  }
}

function wordsToBytes(
  count: number,
  write: (view: DataView, at: number, value: number) => void,
  values: readonly number[],
): Buffer {
  const bytes = Buffer.alloc(count * wordBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const [index, value] of values.entries()) write(view, index * wordBytes, value);
  return bytes;
}
