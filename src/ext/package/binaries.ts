/** What programs and libraries of a server say of themselves, fetched once for each content. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../base/base.ts';
import { compareDotted, readElf } from '../elf/elf.ts';
import { readMagic } from '../elf/magic.ts';
import type { Architecture, Magic } from '../types.ts';

/** A file of the target, and its SHA-256 as the target says it. */
export interface Binary {
  readonly path: string;
  readonly sha256: string;
}

export interface ProgramFacts {
  readonly architecture: Architecture;
  /** Sorted. */
  readonly exportedSymbols: readonly string[];
  /** DT_NEEDED: loaded with the program, so an extension that needs them too finds them. */
  readonly needed: readonly string[];
}

/** Reads binaries by `read`, and keeps what it learns in the folder, where there is one. */
export class BinaryReader {
  readonly #read: (path: string) => Promise<Buffer>;
  readonly #cacheFolder: string | undefined;

  constructor(read: (path: string) => Promise<Buffer>, cacheFolder?: string) {
    this.#read = read;
    this.#cacheFolder = cacheFolder;
  }

  async program(binary: Binary): Promise<ProgramFacts> {
    return await this.#once('program', binary, (bytes) => {
      const { architecture, defined, needed } = readElf(bytes, binary.path);
      return { architecture, exportedSymbols: [...defined].toSorted(), needed };
    });
  }

  async magic(binary: Binary): Promise<Magic> {
    return await this.#once('magic', binary, (bytes) => {
      const magic = readMagic(bytes, binary.path);
      if (magic !== undefined) return magic;
      throw new AppError('invalid_input', `${binary.path} is no library of a PostgreSQL server`);
    });
  }

  /** The version of a `libc.so.6`. */
  async glibc(binary: Binary): Promise<string> {
    return await this.#once('glibc', binary, (bytes) => {
      const newest = newestGlibc(bytes);
      if (newest !== undefined) return newest;
      throw new AppError('invalid_input', `${binary.path} is no C library of GNU`);
    });
  }

  async #once<T>(kind: string, { path, sha256 }: Binary, read: (bytes: Buffer) => T): Promise<T> {
    const folder = this.#cacheFolder;
    if (folder === undefined) return read(await this.#read(path));
    const file = join(folder, `${kind}-${sha256}.json`);
    const known = await readFile(file, 'utf8').catch(() => undefined);
    // Renamed into its place, so whatever is there is whole.
    if (known !== undefined) return JSON.parse(known) as T;
    const facts = read(await this.#read(path));
    await mkdir(folder, { recursive: true });
    const temporary = `${file}.${randomBytes(6).toString('hex')}`;
    await writeFile(temporary, JSON.stringify(facts));
    await rename(temporary, file);
    return facts;
  }
}

/**
 * As its banner says, which it prints when it is run. The names in it are the second best: a version
 * that brought none to this library, as 2.31, does not show in them.
 */
export function newestGlibc(bytes: Buffer): string | undefined {
  const text = bytes.toString('latin1');
  const banner = /GNU C Library [^\n\0]* release version (\d+\.\d+)/.exec(text)?.[1];
  if (banner !== undefined) return banner;
  const names = text.matchAll(/\0GLIBC_(\d+\.\d+(?:\.\d+)?)(?=\0)/g);
  return [...names]
    .map(([, version = '']) => version)
    .toSorted(compareDotted)
    .at(-1);
}
