import type { ElfFacts } from '../types.ts';
import { dynamicTag as tag, ElfImage } from './image.ts';
import { countSymbols, symbolBytes } from './symbols.ts';

interface Text {
  readonly at: number;
  readonly end: number;
}

/** Of a symbol's `st_info`: local ones are nobody else's, weak ones may stay without a definition. */
const local = 0;
const weak = 2;
/** `VER_FLG_WEAK`: the loader goes on without this version. */
const weakVersion = 2;
const noteSegment = 4;
const buildIdNote = 3;

/**
 * What a shared library or program for x86_64 or aarch64 says of itself, by the tables that the loader
 * uses, so that stripped files are read too. Throws `invalid_input`, which names the file and what is
 * wrong with it. By the System V ABI and the LSB's symbol versioning.
 */
export function readElf(bytes: Buffer, name: string): ElfFacts {
  const image = new ElfImage(bytes, name);
  const text = stringTable(image);
  const named = (offset: number): string => image.text(text.at + offset, text.end);
  const [soname] = image.entries(tag.soname).map(named);
  const paths = [...image.entries(tag.rpath), ...image.entries(tag.runpath)].map(named);
  const needs = readNeededVersions(image, text);
  const buildId = readBuildId(image);
  return {
    architecture: image.architecture,
    ...(soname === undefined ? {} : { soname }),
    needed: image.entries(tag.needed).map(named),
    searchPaths: paths.flatMap((path) => path.split(':')).filter((path) => path !== ''),
    ...readSymbols(image, text, needs.libraryOf),
    versions: needs.versions,
    ...(buildId === undefined ? {} : { buildId }),
  };
}

function stringTable(image: ElfImage): Text {
  const [address, sizeBytes] = [image.entry(tag.strings), image.entry(tag.stringsBytes)];
  if (address === undefined || sizeBytes === undefined) throw image.fault('has no table of names');
  const at = image.offsetOf(address, sizeBytes);
  return { at, end: at + sizeBytes };
}

function readSymbols(
  image: ElfImage,
  text: Text,
  libraryOf: ReadonlyMap<number, string>,
): Pick<ElfFacts, 'defined' | 'undefined' | 'versioned'> {
  const defined = new Set<string>();
  const missing = new Set<string>();
  const versioned = new Map<string, string>();
  const address = image.entry(tag.symbols);
  if (address === undefined) throw image.fault('has no table of symbols');
  const count = countSymbols(image);
  const at = count === 0 ? 0 : image.offsetOf(address, count * symbolBytes);
  const versions = image.entry(tag.versionOfSymbol);
  const versionsAt = versions === undefined ? undefined : image.offsetOf(versions, count * 2);
  for (let index = 1; index < count; index += 1) {
    const symbol = at + index * symbolBytes;
    const nameOffset = image.u32(symbol);
    const binding = (image.bytes[symbol + 4] ?? 0) >> 4;
    if (nameOffset === 0 || binding === local) continue;
    const symbolName = image.text(text.at + nameOffset, text.end);
    if (image.u16(symbol + 6) !== 0) defined.add(symbolName);
    else if (binding !== weak) {
      missing.add(symbolName);
      // The uppermost bit hides a version from the linker; it says nothing of where it is from.
      const version = versionsAt === undefined ? 0 : image.u16(versionsAt + index * 2) & 0x7fff;
      const library = libraryOf.get(version);
      if (library !== undefined) versioned.set(symbolName, library);
    }
  }
  return { defined, undefined: missing, versioned };
}

interface NeededVersions {
  readonly versions: Map<string, readonly string[]>;
  /** By the number that a symbol's entry in the table of versions has. */
  readonly libraryOf: Map<number, string>;
}

function readNeededVersions(image: ElfImage, text: Text): NeededVersions {
  const demands = new Map<string, string[]>();
  const libraryOf = new Map<number, string>();
  const address = image.entry(tag.versionsNeeded);
  const count = address === undefined ? 0 : (image.entry(tag.versionsNeededCount) ?? 0);
  let at = address === undefined ? 0 : image.offsetOf(address, 16);
  for (let index = 0; index < count; index += 1) {
    const library = image.text(text.at + image.u32(at + 4), text.end);
    const names = demands.get(library) ?? [];
    let aux = at + image.u32(at + 8);
    for (let left = image.u16(at + 2); left > 0; left -= 1) {
      libraryOf.set(image.u16(aux + 6) & 0x7fff, library);
      const version = image.text(text.at + image.u32(aux + 8), text.end);
      if ((image.u16(aux + 4) & weakVersion) === 0) names.push(version);
      const next = image.u32(aux + 12);
      if (next === 0) break;
      aux += next;
    }
    demands.set(library, names);
    const next = image.u32(at + 12);
    if (next === 0) break;
    at += next;
  }
  const versions = new Map([...demands].map(([library, names]) => [library, highest(names)]));
  return { versions, libraryOf };
}

/** `GLIBC_2.4` and `GLIBC_2.34` come to the latter; a name without a number is a family of its own. */
function highest(names: readonly string[]): readonly string[] {
  const best = new Map<string, string>();
  for (const name of names) {
    const family = /^(.*)_\d+(?:\.\d+)*$/.exec(name)?.[1] ?? name;
    const other = best.get(family);
    if (other === undefined || compareDotted(afterFamily(name), afterFamily(other)) > 0) {
      best.set(family, name);
    }
  }
  return [...best.values()].toSorted();
}

function afterFamily(name: string): string {
  return name.slice(name.lastIndexOf('_') + 1);
}

/** Compares `2.9` and `2.34` number by number: below zero, zero, or above. */
export function compareDotted(one: string, other: string): number {
  const [left, right] = [one, other].map((text) => text.split('.').map(Number));
  for (let index = 0; index < Math.max(left?.length ?? 0, right?.length ?? 0); index += 1) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function readBuildId(image: ElfImage): string | undefined {
  for (const { type, offset, sizeBytes } of image.segments) {
    if (type !== noteSegment) continue;
    for (let at = offset; at + 12 <= offset + sizeBytes;) {
      const [nameBytes, idBytes] = [image.u32(at), image.u32(at + 4)];
      const id = at + 12 + roundedUp(nameBytes);
      if (id + idBytes > offset + sizeBytes) break;
      const isGnu = image.bytes.toString('latin1', at + 12, at + 16) === 'GNU\0';
      if (isGnu && nameBytes === 4 && image.u32(at + 8) === buildIdNote) {
        return image.bytes.toString('hex', id, id + idBytes);
      }
      at = id + roundedUp(idBytes);
    }
  }
  return undefined;
}

/** Names and contents of notes begin at multiples of four bytes. */
function roundedUp(sizeBytes: number): number {
  return Math.ceil(sizeBytes / 4) * 4;
}
