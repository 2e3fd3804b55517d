import { kernelCode } from './kernel-code.ts';
import {
  foundAt,
  foundBytes,
  pageBytes,
  queryBytes,
  recordBytes,
  recordsAt,
  residualAt,
  stepAt,
} from './kernel-layout.ts';

/**
 * For each slot from `from` up to `to`, an upper bound of its cosine with the query that lies at the
 * start of the memory: `dot × scale × step + residual + slack`. Where it reaches `threshold`, slot
 * and bound are written to the list of the found. Returns how many.
 */
export type Scan = (
  from: number,
  to: number,
  scale: number,
  slack: number,
  threshold: number,
) => number;

export interface Kernel {
  readonly memory: KernelMemory;
  readonly scan: Scan;
  /** Whether the processor scans several numbers at once. */
  readonly isSimd: boolean;
}

export interface KernelMemory {
  /** Another one after it has grown. */
  readonly buffer: ArrayBuffer;
  /** By pages of 64 KiB. Throws a `RangeError` when there is no more. */
  grow(pages: number): number;
}

/** What is used of it; Node's types do not describe it. */
declare const WebAssembly: {
  readonly Memory: new (limits: { readonly initial: number }) => KernelMemory;
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: { readonly scan: { readonly memory: KernelMemory } },
  ) => { readonly exports: { readonly scan: Scan } };
  validate(code: Uint8Array): boolean;
};

/** A memory with room for no record yet, and what scans it; the same integers with SIMD and without. */
export function createKernel(wantsSimd: boolean): Kernel {
  const memory = new WebAssembly.Memory({ initial: recordsAt / pageBytes });
  const code = Buffer.from(kernelCode, 'base64');
  if (!wantsSimd || !WebAssembly.validate(code)) {
    return { memory, scan: plainScan(memory), isSimd: false };
  }
  const instance = new WebAssembly.Instance(new WebAssembly.Module(code), { scan: { memory } });
  return { memory, scan: instance.exports.scan, isSimd: true };
}

/** The same in JavaScript, for processors without SIMD. */
function plainScan(memory: KernelMemory): Scan {
  return (from, to, scale, slack, threshold) => {
    const query = new Int16Array(memory.buffer, 0, queryBytes / 2);
    const bytes = new Int8Array(memory.buffer);
    const view = new DataView(memory.buffer);
    let found = foundAt;
    for (let slot = from; slot < to; slot += 1) {
      const at = recordsAt + slot * recordBytes;
      let dot = 0;
      for (let index = 0; index < query.length; index += 1) {
        dot += (query[index] as number) * (bytes[at + index] as number);
      }
      const step = view.getFloat32(at + stepAt, true);
      const bound = dot * scale * step + view.getFloat32(at + residualAt, true) + slack;
      if (bound < threshold) continue;
      view.setUint32(found, slot, true);
      view.setFloat64(found + 8, bound, true);
      found += foundBytes;
    }
    return (found - foundAt) / foundBytes;
  };
}
