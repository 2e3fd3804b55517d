/** Archives that are the same bytes for the same files, and readers that take nothing on trust. */
import { promisify } from 'node:util';
import { gunzip, gzip, type ZlibOptions } from 'node:zlib';
import { packTar, unpackTar, type TarHeader } from 'modern-tar';
import { AppError } from '../../base/base.ts';

/** A regular file. Its mode comes down to whether it may be run: 0o755 or 0o644. */
export interface ArchiveFile {
  readonly data: Uint8Array;
  /** 0o644 by default. */
  readonly mode?: number;
}

export interface ArchiveLimits {
  /** 50,000 by default, folders among them. */
  readonly mostEntries?: number;
  /** Of all files together: 1 GiB by default. */
  readonly mostBytes?: number;
}

const defaultMostEntries = 50_000;
const defaultMostBytes = 1024 ** 3;
/** A tar file is longer than its files: by headers, long names and padding, and by its end. */
const entryOverheadBytes = 2_560;
const endBytes = 10_240;

const compress = promisify<Uint8Array, ZlibOptions, Buffer>(gzip);
const decompressed = promisify<Uint8Array, ZlibOptions, Buffer>(gunzip);

/** What zlib gives instead of a buffer when it is asked for `info`, which its types leave out. */
interface Decompressed {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

/**
 * A .tar.gz of the files, in the order of their names, without times and owners: the same files give
 * the same bytes (with one version of zlib; what must hold beyond that goes by hashes of contents).
 * Throws `invalid_input` for a name that `readArchive` would refuse.
 */
export async function packArchive(files: ReadonlyMap<string, ArchiveFile>): Promise<Buffer> {
  const names = [...files.keys()].toSorted();
  const seen = new NameCheck('the archive', {});
  const entries = names.map((name) => {
    const { data, mode = 0o644 } = files.get(name) as ArchiveFile;
    seen.add({ name, size: data.length, type: 'file' });
    const header: TarHeader = {
      name,
      size: data.length,
      mode: plainMode(mode),
      mtime: new Date(0),
      uid: 0,
      gid: 0,
      type: 'file',
    };
    return { header, body: data };
  });
  const packed = await compress(await packTar(entries), { level: 6 });
  // RFC 1952: the tenth byte names the system that compressed; 255 says unknown.
  packed[9] = 255;
  return packed;
}

/**
 * The files of a .tar or .tar.gz, by name. Throws `invalid_input` naming the archive and the entry
 * for whatever is no regular file or folder, for a name that leaves the folder, comes twice or is no
 * UTF-8, and for bytes after the end; `too_large` past a limit.
 */
export async function readArchive(
  bytes: Uint8Array,
  name: string,
  limits: ArchiveLimits = {},
): Promise<Map<string, Required<ArchiveFile>>> {
  const check = new NameCheck(name, limits);
  const tar = isGzip(bytes) ? await decompress(bytes, name, limits) : bytes;
  try {
    const entries = await unpackTar(tar, {
      strict: true,
      // Asked before a body is read, so that a lie about its size costs no memory.
      filter: (header) => {
        check.add(header);
        return header.type === 'file';
      },
    });
    return new Map(
      entries.map(({ header, data = new Uint8Array() }) => [
        plainName(header.name),
        { data, mode: plainMode(header.mode ?? 0o644) },
      ]),
    );
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const last = check.last === undefined ? '' : `, at or after ${check.last}`;
    throw refuse(name, undefined, `it is no whole tar archive${last}: ${textOf(cause)}`, cause);
  }
}

/** Collects names and refuses those that must not be in an archive. */
class NameCheck {
  readonly #archive: string;
  readonly #mostEntries: number;
  readonly #mostBytes: number;
  readonly #kinds = new Map<string, 'file' | 'directory'>();
  #entries = 0;
  #sizeBytes = 0;
  last: string | undefined;

  constructor(archive: string, limits: ArchiveLimits) {
    this.#archive = archive;
    this.#mostEntries = limits.mostEntries ?? defaultMostEntries;
    this.#mostBytes = limits.mostBytes ?? defaultMostBytes;
  }

  add(header: TarHeader): void {
    const { name: raw, type = 'file', size } = header;
    this.last = shown(raw);
    this.#entries += 1;
    this.#sizeBytes += size;
    if (this.#entries > this.#mostEntries) {
      throw tooLarge(this.#archive, `it has more than ${this.#mostEntries} entries`);
    }
    if (this.#sizeBytes > this.#mostBytes) {
      throw tooLarge(this.#archive, `its files take more than ${this.#mostBytes} bytes`);
    }
    if (type !== 'file' && type !== 'directory') {
      throw refuse(this.#archive, raw, `it is a ${type}; only files and folders are read`);
    }
    if (Object.keys(header.pax ?? {}).some((key) => key.startsWith('GNU.sparse.'))) {
      throw refuse(this.#archive, raw, 'it is a sparse file, whose holes are not read');
    }
    const complaint = complainOfName(raw, type);
    if (complaint !== undefined) throw refuse(this.#archive, raw, complaint);
    const name = plainName(raw);
    if (name === '') return;
    this.#place(name, type, raw);
  }

  /** A name is one file or one folder, and what is above a file is a folder. */
  #place(name: string, type: 'file' | 'directory', raw: string): void {
    const before = this.#kinds.get(name);
    if (before !== undefined && (before === 'file' || type === 'file')) {
      throw refuse(this.#archive, raw, 'the name is there twice');
    }
    this.#kinds.set(name, type);
    for (let end = name.lastIndexOf('/'); end > 0; end = name.lastIndexOf('/', end - 1)) {
      const above = name.slice(0, end);
      if (this.#kinds.get(above) === 'file') {
        throw refuse(this.#archive, raw, `${above} is a file, so nothing can be below it`);
      }
      this.#kinds.set(above, 'directory');
    }
  }
}

function complainOfName(raw: string, type: 'file' | 'directory'): string | undefined {
  if (raw.includes('\0')) return 'the name has a NUL';
  // What the decoder puts in the place of bytes that are no UTF-8.
  if (raw.includes('\uFFFD') || !raw.isWellFormed()) return 'the name is no UTF-8';
  if (raw.startsWith('/')) return 'the path is absolute';
  const name = plainName(raw);
  if (name === '') return type === 'directory' ? undefined : 'the name is empty';
  const segments = name.split('/');
  if (segments.includes('..')) return 'the path leaves the folder';
  if (segments.some((segment) => segment === '' || segment === '.')) {
    return 'the path has an empty part';
  }
  return undefined;
}

/** GNU tar writes `./name` for what it finds in `.`, and `name/` for folders. */
function plainName(raw: string): string {
  return raw
    .replace(/^(?:\.\/)+/, '')
    .replace(/\/$/, '')
    .replace(/^\.$/, '');
}

function plainMode(mode: number): number {
  return (mode & 0o111) === 0 ? 0o644 : 0o755;
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

async function decompress(
  bytes: Uint8Array,
  name: string,
  limits: ArchiveLimits,
): Promise<Uint8Array> {
  const { mostEntries = defaultMostEntries, mostBytes = defaultMostBytes } = limits;
  const maxOutputLength = mostBytes + mostEntries * entryOverheadBytes + endBytes;
  try {
    const { buffer, engine } = (await decompressed(bytes, {
      info: true,
      maxOutputLength,
    })) as unknown as Decompressed;
    // zlib stops quietly where zeros follow, and takes anything else for a broken header.
    const restBytes = bytes.length - engine.bytesWritten;
    if (restBytes === 0) return buffer;
    throw refuse(name, undefined, `${restBytes} bytes follow the end of the gzip file`);
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      throw tooLarge(name, `it unpacks to more than ${maxOutputLength} bytes`);
    }
    throw refuse(name, undefined, `it is no whole gzip file: ${textOf(cause)}`, cause);
  }
}

function refuse(
  archive: string,
  entry: string | undefined,
  complaint: string,
  cause?: unknown,
): AppError {
  const where = entry === undefined ? archive : `${archive}: ${shown(entry)}`;
  return new AppError('invalid_input', `${where}: ${complaint}`, {
    details: { archive, ...(entry === undefined ? {} : { entry: shown(entry) }) },
    cause,
  });
}

function tooLarge(archive: string, complaint: string): AppError {
  return new AppError('too_large', `${archive}: ${complaint}`, { details: { archive } });
}

/** A name for people: what would move a terminal's cursor is escaped. */
function shown(name: string): string {
  return JSON.stringify(name.slice(0, 300)).slice(1, -1);
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
