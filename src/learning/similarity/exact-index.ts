/**
 * The nearest vectors by cosine, exactly: the same ids as a sort of all cosines in double precision,
 * without computing most of them. One pass over a quarter of the memory gives each vector an upper
 * bound of its cosine; the cosine itself is computed where the bound reaches the worst of those that
 * are kept. The bound holds for every vector, so none is missed; where all are alike every cosine is
 * computed, and the search takes as long as the plain loop.
 */
import { AppError } from '../../base/base.ts';
import { embeddingLength } from '../types.ts';
import { createKernel, type Kernel } from './kernel.ts';
import {
  foundAt,
  foundBytes,
  mostPages,
  mostVectors,
  normAt,
  pageBytes,
  queryBytes,
  recordBytes,
  recordsAt,
  residualAt,
  sliceLength,
  stepAt,
} from './kernel-layout.ts';
import { Nearest, type Near } from './nearest.ts';
import { lengthOf, product, quantise } from './vectors.ts';

/** Most neighbours of one search. */
export const mostNear = 1_000;

/** The first slice has no threshold yet, and all its cosines are computed. */
const firstSlice = 256;
/** Vectors that are made room for at once: 4 MiB. */
const chunkLength = 4_096;
/** Pages that the memory grows by: room for as many records. */
const growthPages = Math.ceil((chunkLength * recordBytes) / pageBytes);
/** What rounding can have done to a bound: 1e-13 at the most, for 256 products of doubles. */
const roundingSlack = 1e-9;

export interface FoundVector {
  readonly id: string;
  /** The cosine, −1 to 1. */
  readonly similarity: number;
}

export interface ExactIndexOptions {
  /** Most vectors; 15.8 million unless given, which is what 4 GiB of records hold. */
  readonly capacity?: number;
  /** False scans without SIMD where it is there. */
  readonly simd?: boolean;
}

/** A search that is under way sees the index as it was when it began. */
interface View {
  readonly version: number;
  readonly slots: number;
}

export class ExactIndex {
  readonly #kernel: Kernel;
  readonly #capacity: number;
  readonly #chunks: Float32Array[] = [];
  readonly #slotOf = new Map<string, number>();
  /** By slot; absent where nothing lies. */
  readonly #ids: (string | undefined)[] = [];
  /** By slot: the how manieth its id was that was added. */
  readonly #orders: number[] = [];
  /** Slots that are out of use, by the version that they were left in. */
  readonly #left = new Map<number, number>();
  readonly #free: number[] = [];
  #added = 0;
  #version = 0;
  #searching = 0;

  constructor({ capacity = mostVectors, simd = true }: ExactIndexOptions = {}) {
    this.#kernel = createKernel(simd);
    this.#capacity = Math.min(capacity, mostVectors);
  }

  get size(): number {
    return this.#slotOf.size;
  }

  get isSimd(): boolean {
    return this.#kernel.isSimd;
  }

  /** What vectors and records take, without ids. */
  get memoryBytes(): number {
    const vectorBytes = this.#chunks.length * chunkLength * embeddingLength * 4;
    return this.#kernel.memory.buffer.byteLength + vectorBytes;
  }

  has(id: string): boolean {
    return this.#slotOf.has(id);
  }

  /**
   * Adds a vector of any length above 0, or puts it in the place of the one with this id. Throws
   * `embedding_invalid`, and `limit_exceeded` when there is no room.
   */
  set(id: string, vector: Float32Array): void {
    const norm = lengthOf(vector);
    const old = this.#slotOf.get(id);
    const slot = this.#takeSlot();
    this.#version += 1;
    this.#chunks[Math.floor(slot / chunkLength)]?.set(vector, offsetIn(slot));
    this.#writeRecord(slot, vector, norm);
    this.#ids[slot] = id;
    this.#orders[slot] = old === undefined ? this.#added : (this.#orders[old] as number);
    this.#slotOf.set(id, slot);
    if (old === undefined) this.#added += 1;
    else this.#leave(old);
  }

  /** Says whether there was one. */
  remove(id: string): boolean {
    const slot = this.#slotOf.get(id);
    if (slot === undefined) return false;
    this.#version += 1;
    this.#slotOf.delete(id);
    this.#leave(slot);
    return true;
  }

  /**
   * The `k` (1 to 1,000) nearest, nearest first; of equals the one added first. Lets others have the
   * thread between slices of 8,192 vectors, and sees the index as it was at the call. Throws
   * `embedding_invalid`.
   */
  async near(vector: Float32Array, k: number): Promise<readonly FoundVector[]> {
    if (!Number.isInteger(k) || k < 1 || k > mostNear) {
      throw new AppError('invalid_input', `k is ${k}, not a whole number of 1 to ${mostNear}`);
    }
    const search = this.#prepare(vector, k);
    this.#searching += 1;
    try {
      let length = firstSlice;
      for (let from = 0; from < search.view.slots;) {
        const to = Math.min(from + length, search.view.slots);
        this.#scanSlice(search, from, to);
        if (length === sliceLength && to < search.view.slots) {
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
        length = Math.min(length * 4, sliceLength);
        from = to;
      }
      return search.nearest.all().map((near) => this.#found(near));
    } finally {
      this.#searching -= 1;
      if (this.#searching === 0) this.#freeLeft();
    }
  }

  #prepare(vector: Float32Array, k: number): Search {
    const norm = lengthOf(vector);
    const codes = new Int16Array(embeddingLength);
    const { step, residual } = quantise(vector, norm, 32_767, codes);
    return {
      // The caller may write into its own while this waits between slices.
      vector: vector.slice(),
      norm,
      codes,
      step,
      // What the query is off counts twice: against the vector, and against what that is off.
      slack: 2 * residual + roundingSlack,
      nearest: new Nearest(k),
      view: { version: this.#version, slots: this.#ids.length },
    };
  }

  #scanSlice(search: Search, from: number, to: number): void {
    const { memory, scan } = this.#kernel;
    const { codes, step, slack, nearest } = search;
    // Each slice anew: another search may have had the thread meanwhile.
    new Int16Array(memory.buffer, 0, queryBytes / 2).set(codes);
    const count = scan(from, to, step, slack, nearest.threshold);
    const list = new DataView(memory.buffer, foundAt, count * foundBytes);
    const norms = new DataView(memory.buffer);
    for (let at = 0; at < list.byteLength; at += foundBytes) {
      if (list.getFloat64(at + 8, true) < nearest.threshold) continue;
      const slot = list.getUint32(at, true);
      if (!this.#isSeen(slot, search.view)) continue;
      const chunk = this.#chunks[Math.floor(slot / chunkLength)];
      if (chunk === undefined) continue;
      const norm = norms.getFloat64(recordsAt + slot * recordBytes + normAt, true);
      const similarity = product(search.vector, chunk, offsetIn(slot)) / (search.norm * norm);
      nearest.offer({ slot, similarity, order: this.#orders[slot] as number });
    }
  }

  #isSeen(slot: number, view: View): boolean {
    if (this.#ids[slot] === undefined) return false;
    const left = this.#left.get(slot);
    return left === undefined || left > view.version;
  }

  #found({ slot, similarity }: Near): FoundVector {
    // Rounding may take the cosine of a vector with itself past 1.
    return { id: this.#ids[slot] ?? '', similarity: Math.max(-1, Math.min(1, similarity)) };
  }

  #takeSlot(): number {
    const free = this.#searching === 0 ? this.#free.pop() : undefined;
    if (free !== undefined) return free;
    const slot = this.#ids.length;
    if (slot >= this.#capacity) throw full(this.#capacity);
    try {
      if (slot >= this.#chunks.length * chunkLength) {
        this.#chunks.push(new Float32Array(chunkLength * embeddingLength));
      }
      const { memory } = this.#kernel;
      const end = recordsAt + (slot + 1) * recordBytes;
      if (end > memory.buffer.byteLength) {
        const pages = memory.buffer.byteLength / pageBytes;
        memory.grow(Math.min(growthPages, mostPages - pages));
      }
    } catch (cause) {
      if (cause instanceof RangeError) throw full(slot, cause);
      throw cause;
    }
    return slot;
  }

  #writeRecord(slot: number, vector: Float32Array, norm: number): void {
    const { buffer } = this.#kernel.memory;
    const at = recordsAt + slot * recordBytes;
    const codes = new Int8Array(buffer, at, embeddingLength);
    const { step, residual } = quantise(vector, norm, 127, codes);
    const record = new DataView(buffer, at, recordBytes);
    record.setFloat32(stepAt, step, true);
    // As float32 it may be rounded down by one part in 2^24, which would be no bound any more.
    record.setFloat32(residualAt, residual * (1 + 2 ** -22), true);
    record.setFloat64(normAt, norm, true);
  }

  /** Those that search still see what lies there. */
  #leave(slot: number): void {
    this.#left.set(slot, this.#version);
    if (this.#searching === 0) this.#freeLeft();
  }

  #freeLeft(): void {
    for (const slot of this.#left.keys()) {
      this.#ids[slot] = undefined;
      this.#free.push(slot);
    }
    this.#left.clear();
  }
}

interface Search {
  readonly vector: Float32Array;
  readonly norm: number;
  readonly codes: Int16Array;
  readonly step: number;
  readonly slack: number;
  readonly nearest: Nearest;
  readonly view: View;
}

function offsetIn(slot: number): number {
  return (slot % chunkLength) * embeddingLength;
}

function full(vectors: number, cause?: unknown): AppError {
  return new AppError('limit_exceeded', `the index in memory is full with ${vectors} vectors`, {
    details: { vectors },
    remedy: 'Use a PostgreSQL server with pgvector, which keeps its index on disk.',
    retryable: false,
    ...(cause === undefined ? {} : { cause }),
  });
}
