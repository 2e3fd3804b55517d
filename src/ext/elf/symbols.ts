import { dynamicTag as tag, type ElfImage } from './image.ts';

/** `Elf64_Sym`. */
export const symbolBytes = 24;
const dynamicSymbols = 11;

/**
 * How many symbols the dynamic table has, which it does not say itself. By DT_HASH, which has their
 * number; by the sections; by the last one that DT_GNU_HASH knows; and where that knows none, by the
 * names, which linkers write right behind the symbols.
 */
export function countSymbols(image: ElfImage): number {
  const hash = image.entry(tag.hash);
  if (hash !== undefined) return checked(image, image.u32(image.offsetOf(hash, 8) + 4));
  const bySections = countBySections(image);
  if (bySections !== undefined) return checked(image, bySections);
  const gnuHash = image.entry(tag.gnuHash);
  const byHash = gnuHash === undefined ? undefined : countByGnuHash(image, gnuHash);
  if (byHash !== undefined) return checked(image, byHash);
  const [symbols, names] = [image.entry(tag.symbols) ?? 0, image.entry(tag.strings) ?? 0];
  if (names <= symbols) throw image.fault('does not tell how many symbols it has');
  return checked(image, Math.floor((names - symbols) / symbolBytes));
}

function checked(image: ElfImage, count: number): number {
  if (count * symbolBytes > image.bytes.length) throw image.fault(`can not have ${count} symbols`);
  return count;
}

function countBySections(image: ElfImage): number | undefined {
  const [at, entryBytes, count] = [image.u64(40), image.u16(58), image.u16(60)];
  if (at === 0 || entryBytes !== 64) return undefined;
  for (let index = 0; index < count; index += 1) {
    const section = at + index * entryBytes;
    if (image.u32(section + 4) !== dynamicSymbols) continue;
    return image.u64(section + 16) === image.entry(tag.symbols)
      ? Math.floor(image.u64(section + 32) / symbolBytes)
      : undefined;
  }
  return undefined;
}

/** Walks the chain of the highest bucket to its end, which the lowest bit marks. */
function countByGnuHash(image: ElfImage, address: number): number | undefined {
  const at = image.offsetOf(address, 16);
  const [buckets, first, filterWords] = [image.u32(at), image.u32(at + 4), image.u32(at + 8)];
  const bucketsAt = at + 16 + filterWords * 8;
  let last = 0;
  for (let index = 0; index < buckets; index += 1) {
    last = Math.max(last, image.u32(bucketsAt + index * 4));
  }
  if (last < first || last === 0) return undefined;
  const chainsAt = bucketsAt + buckets * 4;
  while ((image.u32(chainsAt + (last - first) * 4) & 1) === 0) last += 1;
  return last + 1;
}
