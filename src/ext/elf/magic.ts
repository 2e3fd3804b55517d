import type { Magic } from '../types.ts';
import { dynamicTag as tag, ElfImage } from './image.ts';
import { decodeReturned } from './magic-code.ts';
import { countSymbols, symbolBytes } from './symbols.ts';

const functionName = 'Pg_magic_func';
/** 12 has a float4byval that no other has; then come 13 and 14, 15 to 17, and 18. */
const sizes: readonly number[] = [28, 24, 56, 72];
const abiExtraBytes = 32;
/** R_X86_64_64, _GLOB_DAT and _RELATIVE; R_AARCH64_ABS64, _GLOB_DAT and _RELATIVE. */
const pointerKinds = {
  x86_64: { symbolic: [1, 6], relative: 8 },
  aarch64: { symbolic: [257, 1025], relative: 1027 },
} as const;

/**
 * The magic of a library without loading it: the constant that its `Pg_magic_func` returns. Undefined
 * where it has no such function, as a helper library. Throws `invalid_input` for a file that is no sound
 * ELF file, and when the code of the function is not understood.
 */
export function readMagic(bytes: Buffer, name: string): Magic | undefined {
  const image = new ElfImage(bytes, name);
  const code = addressOf(image, functionName);
  if (code === undefined) return undefined;
  const { address, isPointer } = decodeReturned(image, code);
  const struct = isPointer ? readPointer(image, address) : address;
  if (struct === undefined) throw image.fault(`${functionName} returns an address that is unknown`);
  return readStruct(image, struct);
}

function readStruct(image: ElfImage, address: number): Magic {
  const sizeBytes = image.u32(image.offsetOf(address, 4));
  if (!sizes.includes(sizeBytes)) {
    throw image.fault(`its magic says ${sizeBytes} bytes, where ${sizes.join(', ')} are known`);
  }
  const at = image.offsetOf(address, sizeBytes);
  const float8 = sizeBytes === 28 ? 24 : 20;
  const version = image.u32(at + 4);
  const abiExtra =
    sizeBytes < 56 ? '' : image.bytes.toString('latin1', at + 24, at + 24 + abiExtraBytes);
  const said =
    sizeBytes < 72
      ? {}
      : { name: textAt(image, address + 56), version: textAt(image, address + 64) };
  return {
    sizeBytes,
    major: Math.floor(version / 100),
    funcMaxArgs: image.u32(at + 8),
    indexMaxKeys: image.u32(at + 12),
    nameDataLength: image.u32(at + 16),
    float8ByValue: image.u32(at + float8) === 1,
    abiExtra: abiExtra.split('\0')[0] ?? '',
    ...(said.name === undefined ? {} : { name: said.name }),
    ...(said.version === undefined ? {} : { version: said.version }),
  };
}

function textAt(image: ElfImage, pointerAddress: number): string | undefined {
  const address = readPointer(image, pointerAddress);
  if (address === undefined) return undefined;
  const at = image.offsetOf(address, 1);
  return image.text(at, at + image.bytesFrom(address));
}

function addressOf(image: ElfImage, symbolName: string): number | undefined {
  const [symbols, strings] = [image.entry(tag.symbols), image.entry(tag.strings)];
  const stringsBytes = image.entry(tag.stringsBytes) ?? 0;
  if (symbols === undefined || strings === undefined) throw image.fault('has no table of symbols');
  const count = countSymbols(image);
  const at = count === 0 ? 0 : image.offsetOf(symbols, count * symbolBytes);
  const text = image.offsetOf(strings, stringsBytes);
  const wanted = Buffer.from(`${symbolName}\0`);
  for (let index = 1; index < count; index += 1) {
    const symbol = at + index * symbolBytes;
    const nameAt = text + image.u32(symbol);
    // Names are compared where they lie: a library may have twenty thousand.
    if (nameAt + wanted.length > text + stringsBytes) continue;
    if (image.bytes.compare(wanted, 0, wanted.length, nameAt, nameAt + wanted.length) !== 0)
      continue;
    if (image.u16(symbol + 6) !== 0) return image.u64(symbol + 8);
  }
  return undefined;
}

/**
 * What the loader puts at this address; undefined for a null pointer. With a relocation it is what that
 * says; packed ones (DT_RELR) have the address in its place already.
 */
function readPointer(image: ElfImage, address: number): number | undefined {
  const tables = [
    [tag.relocations, tag.relocationsBytes],
    [tag.plt, tag.pltBytes],
  ] as const;
  for (const [table, tableBytes] of tables) {
    const [start, sizeBytes] = [image.entry(table), image.entry(tableBytes)];
    if (start === undefined || sizeBytes === undefined) continue;
    const at = image.offsetOf(start, sizeBytes);
    for (let entry = at; entry + 24 <= at + sizeBytes; entry += 24) {
      if (image.u64(entry) === address) return relocated(image, entry);
    }
  }
  const value = image.u64(image.offsetOf(address, 8));
  return value === 0 ? undefined : value;
}

function relocated(image: ElfImage, entry: number): number {
  const [kind, symbolIndex] = [image.u32(entry + 8), image.u32(entry + 12)];
  const addend = image.u64(entry + 16);
  const { symbolic, relative } = pointerKinds[image.architecture];
  if (kind === relative) return addend;
  const symbols = image.entry(tag.symbols);
  if (symbols !== undefined && symbolic.some((known) => known === kind)) {
    const symbol = image.offsetOf(symbols + symbolIndex * symbolBytes, symbolBytes);
    if (image.u16(symbol + 6) !== 0) return image.u64(symbol + 8) + addend;
  }
  throw image.fault(`relocation ${kind} of its magic is not understood`);
}
