/** Tensors of a `.safetensors` file: eight bytes of length, a JSON head, numbers (github.com/huggingface/safetensors). */
import { AppError } from '../../base/base.ts';

export interface Tensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** The format's own limit of its head. */
const longestHead = 100_000_000;
const headStart = 8;

/** How many bytes a number has, and how it is read. */
const types: Readonly<
  Record<string, { size: number; read: (view: DataView, at: number) => number }>
> = {
  F64: { size: 8, read: (view, at) => view.getFloat64(at, true) },
  F32: { size: 4, read: (view, at) => view.getFloat32(at, true) },
  F16: { size: 2, read: (view, at) => half(view.getUint16(at, true)) },
  BF16: { size: 2, read: (view, at) => brain(view, at) },
  I64: { size: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
  I32: { size: 4, read: (view, at) => view.getInt32(at, true) },
  I8: { size: 1, read: (view, at) => view.getInt8(at) },
  U8: { size: 1, read: (view, at) => view.getUint8(at) },
};

/** All tensors by name. Throws `embedding_invalid` naming the path and what is wrong there. */
export function readSafetensors(file: Buffer, path: string): Map<string, Tensor> {
  const wrong = (what: string): AppError => new AppError('embedding_invalid', `${path}: ${what}`);
  if (file.length < headStart) throw wrong('it is no safetensors file: too short');
  const headLength = Number(file.readBigUInt64LE(0));
  const start = headStart + headLength;
  if (headLength > longestHead || start > file.length) {
    throw wrong(`its head should have ${headLength} bytes, and the file has ${file.length}`);
  }
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(parseHead(file.subarray(headStart, start), wrong))) {
    if (name === '__metadata__') continue;
    tensors.set(name, readTensor(file.subarray(start), name, entry, wrong));
  }
  return tensors;
}

function parseHead(bytes: Buffer, wrong: (what: string) => AppError): Record<string, Entry> {
  try {
    const head: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof head === 'object' && head !== null) return head as Record<string, Entry>;
  } catch {
    // Told below, like a head that is JSON and no map.
  }
  throw wrong('its head is no map in JSON');
}

function readTensor(
  data: Buffer,
  name: string,
  { dtype, shape, data_offsets: offsets }: Entry,
  wrong: (what: string) => AppError,
): Tensor {
  const type = Object.hasOwn(types, dtype) ? types[dtype] : undefined;
  if (type === undefined) {
    throw wrong(
      `tensor ${name} has numbers of type ${dtype}; read are ${Object.keys(types).join(', ')}`,
    );
  }
  const [from = -1, to = -1] = Array.isArray(offsets) ? offsets : [];
  const isShape =
    Array.isArray(shape) && shape.every((side) => Number.isSafeInteger(side) && side >= 0);
  const count = isShape ? shape.reduce((product, side) => product * side, 1) : -1;
  if (from < 0 || to > data.length || to - from !== count * type.size) {
    throw wrong(
      `tensor ${name} of shape ${JSON.stringify(shape)} does not fit its bytes ${from}–${to}`,
    );
  }
  const view = new DataView(data.buffer, data.byteOffset + from, to - from);
  const values = Float32Array.from({ length: count }, (_, at) => type.read(view, at * type.size));
  return { shape, values };
}

/** IEEE 754 binary16: Node 22 has no reader of its own. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return (sign * fraction) / 2 ** 24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * 2 ** (exponent - 15) * (1 + fraction / 1_024);
}

/** The upper half of a float32. */
function brain(view: DataView, at: number): number {
  const whole = new DataView(new ArrayBuffer(4));
  whole.setUint16(0, view.getUint16(at, true));
  return whole.getFloat32(0);
}
