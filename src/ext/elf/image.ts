/** An ELF file as the loader of a 64-bit Linux sees it: segments and the dynamic table. Every offset is checked. */
import { AppError } from '../../base/base.ts';
import type { Architecture } from '../types.ts';

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly sizeBytes: number;
}

const load = 1;
const dynamicSegment = 2;
/** EM_X86_64 and EM_AARCH64. */
const machines: Readonly<Record<number, Architecture>> = { 62: 'x86_64', 183: 'aarch64' };
/** Of the ELF specification: an executable (ET_EXEC) and what can be mapped anywhere (ET_DYN). */
const loadable: ReadonlySet<number> = new Set([2, 3]);

/** Tags of the dynamic table (`elf.h`). */
export const dynamicTag = {
  needed: 1,
  hash: 4,
  strings: 5,
  symbols: 6,
  relocations: 7,
  relocationsBytes: 8,
  stringsBytes: 10,
  soname: 14,
  rpath: 15,
  plt: 23,
  pltBytes: 2,
  runpath: 29,
  relr: 36,
  relrBytes: 35,
  gnuHash: 0x6ffffef5,
  versionOfSymbol: 0x6ffffff0,
  versionsNeeded: 0x6ffffffe,
  versionsNeededCount: 0x6fffffff,
} as const;

/** Throws `invalid_input`, with the file's name and what is wrong, for all that is not sound. */
export class ElfImage {
  readonly bytes: Buffer;
  readonly name: string;
  readonly architecture: Architecture;
  readonly segments: readonly Segment[];
  readonly #dynamic = new Map<number, number[]>();

  constructor(bytes: Buffer, name: string) {
    this.bytes = bytes;
    this.name = name;
    this.architecture = this.#readHeader();
    this.segments = this.#readSegments();
    this.#checkSections();
    this.#readDynamic();
  }

  fault(what: string): AppError {
    return new AppError('invalid_input', `${this.name}: ${what}.`, {
      details: { file: this.name },
      remedy: 'Build the library again, or fetch it again: it is not what a server can load.',
    });
  }

  u16(offset: number): number {
    return this.bytes.readUInt16LE(this.#within(offset, 2));
  }

  u32(offset: number): number {
    return this.bytes.readUInt32LE(this.#within(offset, 4));
  }

  i32(offset: number): number {
    return this.bytes.readInt32LE(this.#within(offset, 4));
  }

  u64(offset: number): number {
    this.#within(offset, 8);
    const value = this.bytes.readUInt32LE(offset) + this.bytes.readUInt32LE(offset + 4) * 2 ** 32;
    // Nothing in a file can be so large; above it a number is not exact any more.
    if (value > Number.MAX_SAFE_INTEGER)
      throw this.fault(`the number at byte ${offset} is too large`);
    return value;
  }

  /** Where in the file `length` bytes from this address are. */
  offsetOf(address: number, length: number): number {
    for (const segment of this.segments) {
      const within = address - segment.address;
      if (segment.type === load && within >= 0 && within + length <= segment.sizeBytes) {
        return segment.offset + within;
      }
    }
    throw this.fault(`address 0x${address.toString(16)} is in no segment of the file`);
  }

  /** How many bytes the file has from this address to the end of its segment. */
  bytesFrom(address: number): number {
    for (const segment of this.segments) {
      const within = address - segment.address;
      if (segment.type === load && within >= 0 && within < segment.sizeBytes) {
        return segment.sizeBytes - within;
      }
    }
    return 0;
  }

  /** The text from an offset to the zero byte that must come before `end`. */
  text(offset: number, end: number): string {
    const zero = this.bytes.indexOf(0, offset);
    if (offset >= end || zero < 0 || zero >= end) throw this.fault(`no name at byte ${offset}`);
    return this.bytes.toString('utf8', offset, zero);
  }

  entries(tag: number): readonly number[] {
    return this.#dynamic.get(tag) ?? [];
  }

  entry(tag: number): number | undefined {
    return this.#dynamic.get(tag)?.[0];
  }

  #within(offset: number, length: number): number {
    if (offset < 0 || offset + length > this.bytes.length) {
      throw this.fault(`is cut off: it ends before byte ${offset + length}`);
    }
    return offset;
  }

  #readHeader(): Architecture {
    const { bytes } = this;
    if (bytes.length < 4 || bytes.readUInt32BE(0) !== 0x7f454c46) {
      throw this.fault('is not an ELF file');
    }
    if (bytes.length < 64) throw this.fault(`is cut off: ${bytes.length} bytes are no ELF header`);
    if (bytes[4] !== 2) throw this.fault('is not a 64-bit file');
    if (bytes[5] !== 1) throw this.fault('is not little-endian');
    const architecture = machines[this.u16(18)];
    if (architecture === undefined) {
      throw this.fault(`is for machine ${this.u16(18)}, neither x86_64 (62) nor aarch64 (183)`);
    }
    if (!loadable.has(this.u16(16))) {
      throw this.fault('is neither a shared library nor a program, but perhaps an object file');
    }
    return architecture;
  }

  #readSegments(): readonly Segment[] {
    const [at, entryBytes, count] = [this.u64(32), this.u16(54), this.u16(56)];
    if (count === 0 || entryBytes !== 56) throw this.fault('has no table of segments');
    return Array.from({ length: count }, (_, index) => {
      const entry = at + index * entryBytes;
      const type = this.u32(entry);
      // Notes for the kernel carry what they like; only what is read below has to be sound.
      if (type !== load && type !== dynamicSegment && type !== 4) {
        return { type, offset: 0, address: 0, sizeBytes: 0 };
      }
      const [offset, address, sizeBytes] = [8, 16, 32].map((field) => this.u64(entry + field));
      const segment = {
        type,
        offset: offset ?? 0,
        address: address ?? 0,
        sizeBytes: sizeBytes ?? 0,
      };
      const end = segment.offset + segment.sizeBytes;
      if (end > this.bytes.length) {
        throw this.fault(
          `is cut off: a segment ends at byte ${end}, the file at ${this.bytes.length}`,
        );
      }
      return segment;
    });
  }

  /** The loader does not read them, but they are last in a file: their absence shows that it was cut off. */
  #checkSections(): void {
    const [at, entryBytes, count] = [this.u64(40), this.u16(58), this.u16(60)];
    const end = at + entryBytes * count;
    if (at !== 0 && end > this.bytes.length) {
      throw this.fault(
        `is cut off: its sections end at byte ${end}, the file at ${this.bytes.length}`,
      );
    }
  }

  #readDynamic(): void {
    const segment = this.segments.find(({ type }) => type === dynamicSegment);
    if (segment === undefined)
      throw this.fault('is not linked dynamically: it has no dynamic segment');
    for (let at = segment.offset; at + 16 <= segment.offset + segment.sizeBytes; at += 16) {
      const tag = this.u64(at);
      if (tag === 0) return;
      const values = this.#dynamic.get(tag);
      // Values of tags that nobody asks for may be anything.
      const value = this.bytes.readUInt32LE(at + 8) + this.bytes.readUInt32LE(at + 12) * 2 ** 32;
      if (values === undefined) this.#dynamic.set(tag, [value]);
      else values.push(value);
    }
    throw this.fault('has a dynamic segment without an end');
  }
}
