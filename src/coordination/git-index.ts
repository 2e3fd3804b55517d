/** Reads how many files git tracks, and their bytes, out of an index (gitformat-index, versions 2 to 4). */

/** SHA-1, or SHA-256 in repositories of that object format; the index does not say which. */
const hashLengths = [20, 32] as const;
/** Of an entry before its hash: times, device, inode, mode, owner, size. */
const statLength = 40;
const modeOffset = 24;
const sizeOffset = 36;
const extendedFlag = 0x4000;
/** Regular files, symbolic links, submodules, and folders of a sparse index. */
const kinds: ReadonlySet<number> = new Set([0o10, 0o12, 0o16, 0o04]);

/** Undefined when it is no index that can be read, or only the newer part of one that is split. */
export function indexSize(index: Buffer): { files: number; bytes: number } | undefined {
  if (index.length < 12 || index.toString('latin1', 0, 4) !== 'DIRC') return undefined;
  const version = index.readUInt32BE(4);
  if (version < 2 || version > 4) return undefined;
  for (const hashLength of hashLengths) {
    const size = sizeWith(index, version, hashLength);
    if (size !== undefined) return size;
  }
  return undefined;
}

function sizeWith(
  index: Buffer,
  version: number,
  hashLength: number,
): { files: number; bytes: number } | undefined {
  const count = index.readUInt32BE(8);
  const end = index.length - hashLength;
  let [files, bytes, at] = [0, 0, 12];
  for (let entry = 0; entry < count; entry += 1) {
    const flagsAt = at + statLength + hashLength;
    if (flagsAt + 4 > end) return undefined;
    const kind = index.readUInt32BE(at + modeOffset) >>> 12;
    if (!kinds.has(kind)) return undefined;
    const isExtended = version >= 3 && (index.readUInt16BE(flagsAt) & extendedFlag) !== 0;
    const pathAt = flagsAt + (isExtended ? 4 : 2);
    const pathEnd = index.indexOf(0, version === 4 ? afterPrefix(index, pathAt) : pathAt);
    if (pathEnd === -1 || pathEnd >= end) return undefined;
    if (kind === 0o10) {
      files += 1;
      bytes += index.readUInt32BE(at + sizeOffset);
    }
    // Up to version 3 an entry is filled with 1 to 8 zero bytes to a multiple of eight.
    at = version === 4 ? pathEnd + 1 : at + (Math.floor((pathEnd - at) / 8) + 1) * 8;
  }
  return isWhole(index, at, end) ? { files, bytes } : undefined;
}

/** Version 4 says first how much of the path before is taken away: seven bits a byte. */
function afterPrefix(index: Buffer, at: number): number {
  let next = at;
  while (next < index.length && (index[next] ?? 0) >= 0x80) next += 1;
  return next + 1;
}

/** What follows are extensions up to the end; `link` says that most entries stand in another file. */
function isWhole(index: Buffer, from: number, end: number): boolean {
  let at = from;
  while (at + 8 <= end) {
    if (index.toString('latin1', at, at + 4) === 'link') return false;
    at += 8 + index.readUInt32BE(at + 4);
  }
  return at === end;
}
