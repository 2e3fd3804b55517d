/**
 * Writes the WebAssembly module that scans vectors for those that may be near. Made here from its
 * instructions, since one function needs no tool chain; the comments give the text format of each.
 */
import {
  foundAt,
  foundBytes,
  queryBytes,
  recordBytes,
  recordsAt,
  residualAt,
  stepAt,
} from '../src/learning/similarity/kernel-layout.ts';

type Code = readonly number[];

/** Parameters and locals of the function, by their index. */
const [from, to, scale, slack, threshold] = [0, 1, 2, 3, 4] as const;
const [at, found, sumA, sumB, bound] = [5, 6, 7, 8, 9] as const;

const types = { i32: 0x7f, f64: 0x7c, v128: 0x7b } as const;

/** The file with the module, in base64. */
export function generateSimilarityKernel(): { path: string; text: string } {
  const module = Buffer.from([
    ...Buffer.from('\0asm\u0001\0\0\0'),
    // (type (func (param i32 i32 f64 f64 f64) (result i32)))
    ...section(1, [
      [
        0x60,
        ...list([[types.i32], [types.i32], [types.f64], [types.f64], [types.f64]]),
        1,
        types.i32,
      ],
    ]),
    // (import "scan" "memory" (memory 1))
    ...section(2, [[...text('scan'), ...text('memory'), 0x02, 0x00, 1]]),
    ...section(3, [[0]]),
    // (export "scan" (func 0))
    ...section(7, [[...text('scan'), 0x00, 0]]),
    ...section(10, [sized([...locals(), ...scan(), 0x0b])]),
  ]);
  return {
    path: 'src/learning/similarity/kernel-code.ts',
    text: `/** Written by scripts/generate-similarity-kernel.ts (npm run generate). */
export const kernelCode =
  '${module.toString('base64')}';
`,
  };
}

/**
 * For each slot from `from` up to `to`: an upper bound of its cosine with the query, from integers;
 * where that reaches `threshold`, slot and bound are written down. Returns how many were.
 */
function scan(): Code {
  return [
    ...i32Const(foundAt),
    ...set(found),
    // at = recordsAt + from * recordBytes, as unsigned numbers: records reach up to 4 GiB.
    ...get(from),
    ...i32Const(recordBytes),
    ...op.i32Mul,
    ...i32Const(recordsAt),
    ...op.i32Add,
    ...set(at),
    ...block(
      ...get(from),
      ...get(to),
      ...op.i32GeU,
      ...branchIf(0),
      ...loop(
        ...dot(),
        // bound = dot * scale * step + residual + slack
        ...op.f64ConvertI32S,
        ...get(scale),
        ...op.f64Mul,
        ...f32LoadAsF64(stepAt),
        ...op.f64Mul,
        ...f32LoadAsF64(residualAt),
        ...op.f64Add,
        ...get(slack),
        ...op.f64Add,
        ...tee(bound),
        ...get(threshold),
        ...op.f64Ge,
        ...when(...writeDown()),
        ...advance(at, recordBytes),
        ...advance(from, 1),
        ...get(from),
        ...get(to),
        ...op.i32LtU,
        ...branchIf(0),
      ),
    ),
    ...get(found),
    ...i32Const(foundAt),
    ...op.i32Sub,
    ...i32Const(Math.log2(foundBytes)),
    ...op.i32ShrU,
  ];
}

/**
 * The integer product of query and record, unrolled: eight components an instruction. A lane takes 64
 * products of at most 127 × 32,767 each, and their total 1.07e9: neither leaves 32 bits.
 */
function dot(): Code {
  const step = (sum: number, index: number): Code => [
    // (i16x8.load8x8_s (local.get at)) and (v128.load (i32.const 0)): both are loads of 8 numbers.
    ...get(at),
    ...simd(0x01, 3, index * 8),
    ...i32Const(0),
    ...simd(0x00, 4, index * 16),
    // (i32x4.dot_i16x8_s)
    ...simd(0xba),
    ...(index < 2 ? [] : [...get(sum), ...simd(0xae)]),
    ...set(sum),
  ];
  const steps = queryBytes / 16;
  return [
    // Two sums, so that no addition waits for the one before it.
    ...Array.from({ length: steps }, (_, index) =>
      step(index % 2 === 0 ? sumA : sumB, index),
    ).flat(),
    ...get(sumA),
    ...get(sumB),
    ...simd(0xae),
    ...set(sumA),
    // (i32x4.extract_lane n) of each, added up.
    ...[0, 1, 2, 3].flatMap((lane) => [
      ...get(sumA),
      ...simd(0x1b),
      lane,
      ...(lane === 0 ? [] : op.i32Add),
    ]),
  ];
}

function writeDown(): Code {
  return [
    // (i32.store (local.get found) (local.get from)), (f64.store offset=8 (local.get found) (local.get bound))
    ...get(found),
    ...get(from),
    0x36,
    2,
    0,
    ...get(found),
    ...get(bound),
    0x39,
    3,
    8,
    ...advance(found, foundBytes),
  ];
}

function locals(): Code {
  return list([
    [2, types.i32],
    [2, types.v128],
    [1, types.f64],
  ]);
}

const op = {
  i32LtU: [0x49],
  i32GeU: [0x4f],
  i32Add: [0x6a],
  i32Sub: [0x6b],
  i32Mul: [0x6c],
  i32ShrU: [0x76],
  f64Ge: [0x66],
  f64Add: [0xa0],
  f64Mul: [0xa2],
  f64ConvertI32S: [0xb7],
  f64PromoteF32: [0xbb],
} as const;

const get = (local: number): Code => [0x20, local];
const set = (local: number): Code => [0x21, local];
const tee = (local: number): Code => [0x22, local];
const i32Const = (value: number): Code => [0x41, ...signed(value)];
const block = (...body: number[]): Code => [0x02, 0x40, ...body, 0x0b];
const loop = (...body: number[]): Code => [0x03, 0x40, ...body, 0x0b];
const when = (...body: number[]): Code => [0x04, 0x40, ...body, 0x0b];
const branchIf = (depth: number): Code => [0x0d, depth];

function advance(local: number, by: number): Code {
  return [...get(local), ...i32Const(by), ...op.i32Add, ...set(local)];
}

function f32LoadAsF64(offset: number): Code {
  return [...get(at), 0x2a, 2, ...unsigned(offset), ...op.f64PromoteF32];
}

/** A SIMD instruction; those that load also have an alignment (a power of two) and an offset. */
function simd(code: number, ...immediates: number[]): Code {
  return [0xfd, ...unsigned(code), ...immediates.flatMap(unsigned)];
}

function section(id: number, items: readonly Code[]): Code {
  return [id, ...sized(list(items))];
}

function list(items: readonly Code[]): Code {
  return [...unsigned(items.length), ...items.flat()];
}

function sized(code: Code): Code {
  return [...unsigned(code.length), ...code];
}

function text(value: string): Code {
  return sized([...Buffer.from(value)]);
}

/** LEB128, as the specification of WebAssembly writes integers. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(Math.floor(value / 0x80))];
}

function signed(value: number): number[] {
  const low = value & 0x7f;
  const rest = value >> 7;
  const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
  return isLast ? [low] : [low | 0x80, ...signed(rest)];
}
