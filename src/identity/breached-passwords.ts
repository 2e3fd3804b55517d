import { createHash } from 'node:crypto';
import { open, opendir, readFile, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../base/base.ts';

/** Passwords that are known to have leaked. */
export interface BreachedPasswords {
  /** Whether the password, normalised, is in the list. Throws `config_invalid` where the list is broken. */
  has(password: string): Promise<boolean>;
  close(): Promise<void>;
}

/** 40 digits, a colon, a count of up to 19 digits and a line end, with room to spare. */
const mostLineBytes = 128;
/** A range of the whole list has about 2,000 lines of 45 bytes. */
const mostRangeBytes = 16 * 1_048_576;
/** Lines looked at when a list is opened: one sorted by count is found out, in a few milliseconds. */
const samples = 256;
/** Lines are counted for a complaint up to here; further on it names the byte, not to read for minutes. */
const mostCountedBytes = 64 * 1_048_576;

/**
 * Opens a list of leaked passwords in the forms of haveibeenpwned's downloader: one file of
 * upper-case SHA-1 hashes in ascending order, `HASH` or `HASH:COUNT` a line, or a folder of files
 * named by the first 5 hex digits (`21BD1` or `21BD1.txt`) with the other 35. A file is searched in
 * place whatever its size. Throws `config_invalid` for anything else.
 */
export async function openBreachedList(path: string): Promise<BreachedPasswords> {
  const found = await stat(path).catch((error: unknown) => {
    throw unusable(path, 'can not be read', error);
  });
  return found.isDirectory() ? openFolder(path) : openFile(path);
}

function sha1(password: string): string {
  return createHash('sha1').update(password).digest('hex').toUpperCase();
}

function unusable(path: string, what: string, cause?: unknown): AppError {
  return new AppError('config_invalid', `the list of breached passwords ${path} ${what}`, {
    cause,
    details: { path },
    remedy:
      'Name a file of SHA-1 hashes sorted by hash, or a folder of range files, as haveibeenpwned-downloader makes them.',
  });
}

async function openFolder(folder: string): Promise<BreachedPasswords> {
  const suffix = await rangeSuffix(folder);
  return {
    async has(password) {
      const hash = sha1(password);
      const path = join(folder, `${hash.slice(0, 5)}${suffix}`);
      return rangeHas(path, hash.slice(5));
    },
    async close() {},
  };
}

/** How the folder's range files end: in `.txt` or in nothing. */
async function rangeSuffix(folder: string): Promise<string> {
  for await (const { name } of await opendir(folder)) {
    const match = /^[0-9A-F]{5}(\.txt)?$/.exec(name);
    if (match !== null) return match[1] ?? '';
  }
  throw unusable(folder, 'holds no file named by 5 upper-case hex digits');
}

async function rangeHas(path: string, rest: string): Promise<boolean> {
  const { size } = await stat(path).catch((error: unknown) => {
    // Every range of the real list has hashes, so a missing one was not downloaded.
    throw unusable(path, 'can not be read', error);
  });
  if (size > mostRangeBytes) throw unusable(path, `is larger than ${mostRangeBytes} bytes`);
  const lines = (await readFile(path, 'latin1')).split('\n');
  if (lines.at(-1) === '') lines.pop();
  let isThere = false;
  for (const [index, line] of lines.entries()) {
    const match = /^([0-9A-F]{35})(?::(\d{1,19}))?\r?$/.exec(line);
    if (match === null) throw unusable(path, `is not a range of hashes in line ${index + 1}`);
    // The service pads its answers with hashes that were seen 0 times.
    if (match[1] === rest && !isZero(match[2])) isThere = true;
  }
  return isThere;
}

function isZero(count: string | undefined): boolean {
  return count !== undefined && /^0+$/.test(count);
}

async function openFile(path: string): Promise<BreachedPasswords> {
  const file = await open(path).catch((error: unknown) => {
    throw unusable(path, 'can not be opened', error);
  });
  try {
    const { size } = await file.stat();
    if (size === 0) throw unusable(path, 'is empty');
    const list: HashFile = { path, file, size };
    await checkSamples(list);
    return {
      has: (password) => search(list, sha1(password)),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

interface HashFile {
  readonly path: string;
  readonly file: FileHandle;
  readonly size: number;
}

interface HashLine {
  readonly hash: string;
  readonly count: string | undefined;
  readonly startByte: number;
  /** Where the next line begins. */
  readonly endByte: number;
}

async function checkSamples(list: HashFile): Promise<void> {
  let before: HashLine | undefined;
  for (let sample = 0; sample < samples; sample += 1) {
    const line = await lineFrom(list, Math.floor((list.size * sample) / samples));
    if (line === undefined) return;
    if (before !== undefined && line.startByte > before.startByte && line.hash <= before.hash) {
      throw await badLine(list, line.startByte, 'is not sorted by hash');
    }
    before = line;
  }
}

/** Binary search over bytes: 36 reads in 40 GB. What it passes must lie between what it has passed. */
async function search(list: HashFile, wanted: string): Promise<boolean> {
  let [low, high] = [0, list.size];
  let [above, below] = ['', 'G'];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const line = await lineFrom(list, middle);
    if (line === undefined || line.startByte >= high) {
      high = middle;
      continue;
    }
    if (line.hash <= above || line.hash >= below) {
      throw await badLine(list, line.startByte, 'is not sorted by hash');
    }
    if (line.hash === wanted) return !isZero(line.count);
    if (line.hash < wanted) {
      above = line.hash;
      low = line.endByte;
    } else {
      below = line.hash;
      high = middle;
    }
  }
  return false;
}

/** The first line that begins at `offset` or after it; undefined where there is none. */
async function lineFrom(list: HashFile, offset: number): Promise<HashLine | undefined> {
  // With the byte before it, since a line begins where another has ended.
  const from = Math.max(0, offset - 1);
  const buffer = Buffer.allocUnsafe(2 * mostLineBytes);
  const { bytesRead } = await list.file
    .read(buffer, 0, buffer.length, from)
    .catch((error: unknown) => {
      throw unusable(list.path, 'can not be read', error);
    });
  const text = buffer.toString('latin1', 0, bytesRead);
  const isWhole = from + bytesRead >= list.size;
  const lineEnd = text.indexOf('\n');
  const start = offset === 0 ? 0 : lineEnd + 1;
  if (offset > 0 && lineEnd === -1) {
    if (isWhole) return undefined;
    throw await badLine(list, from, 'is not a list of hashes');
  }
  if (isWhole && start >= bytesRead) return undefined;
  const next = text.indexOf('\n', start);
  const line = text.slice(start, next === -1 ? bytesRead : next);
  const match = /^([0-9A-F]{40})(?::(\d{1,19}))?\r?$/.exec(line);
  if (match?.[1] === undefined || (next === -1 && !isWhole)) {
    throw await badLine(list, from + start, 'is not an upper-case SHA-1 hash');
  }
  return {
    hash: match[1],
    count: match[2],
    startByte: from + start,
    endByte: from + (next === -1 ? bytesRead : next + 1),
  };
}

async function badLine(list: HashFile, byte: number, what: string): Promise<AppError> {
  if (byte > mostCountedBytes) return unusable(list.path, `${what} at byte ${byte}`);
  const before = Buffer.alloc(byte);
  await list.file.read(before, 0, byte, 0);
  const line = before.toString('latin1').split('\n').length;
  return unusable(list.path, `${what} in line ${line}`);
}
