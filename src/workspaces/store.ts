/**
 * What is kept of the folders that agents worked in, under `<home>/snapshots`: contents by their
 * SHA-256, and the states that name them.
 *
 * A run has a folder of its own with a hard link to each content that it needs; `pool` has one more
 * link to each. So runs share what is the same, and a run is forgotten by removing its folder: no
 * list of who needs what has to be true, and no two processes have to agree on anything.
 */
import { createHash, randomBytes } from 'node:crypto';
import { constants, createReadStream, createWriteStream } from 'node:fs';
import {
  access,
  chmod,
  copyFile,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
} from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip, constants as zlib } from 'node:zlib';
import { AppError } from '../base/base.ts';
import type { Entry, State } from './entries.ts';
import { asUnusable, unless } from './failure.ts';

/** Names of runs and attempts become names of files. */
const namePattern = /^[A-Za-z0-9][\w-]{0,99}$/;

export interface StateName {
  readonly runId: string;
  readonly attemptId: string;
  readonly moment: 'before' | 'after';
}

/** `<run>/<attempt>/before`: the same for the same attempt, whoever asks. */
export function stateId({ runId, attemptId, moment }: StateName): string {
  return `${runId}/${attemptId}/${moment}`;
}

/** Throws `invalid_input`. */
export function parseStateId(id: string): StateName {
  const [runId = '', attemptId = '', moment, ...rest] = id.split('/');
  const isName = namePattern.test(runId) && namePattern.test(attemptId) && rest.length === 0;
  if (!isName || (moment !== 'before' && moment !== 'after')) {
    throw new AppError('invalid_input', `${id} is not the id of a state`, {
      remedy: 'Ids of runs and attempts are letters, digits, - and _.',
    });
  }
  return { runId, attemptId, moment };
}

export interface RunStore {
  readonly folder: string;
  /** Whether the run has the content by now: its own, or taken from the pool. */
  has(hash: string): Promise<boolean>;
  keepBytes(hash: string, bytes: Uint8Array): Promise<void>;
  /** Keeps a large file by copying it, and says the hash of what was copied. */
  keepFile(path: Buffer): Promise<string>;
  /** Where the content is; throws `workspace_lost` when it is not. */
  contentPath(hash: string): Promise<string>;
  writeState(id: string, state: State): Promise<void>;
  /** Undefined when there is none; throws `workspace_lost` when it is damaged. */
  readState(id: string): Promise<State | undefined>;
}

/** Where everything of a run is kept. */
export function runStoreFolder(home: string, runId: string): string {
  return join(home, 'snapshots', 'runs', runId);
}

/** Makes the folders of a run's store where they are missing. */
export async function makeRunStore(home: string, runId: string): Promise<RunStore> {
  const folder = runStoreFolder(home, runId);
  await asUnusable(folder, 'making the folder', async () => {
    await mkdir(join(home, 'snapshots', 'pool'), { recursive: true, mode: 0o700 });
    for (const name of ['contents', 'states', 'drafts']) {
      await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
    }
  });
  return openRunStore(home, runId);
}

/** The store of a run, which may hold nothing. */
export function openRunStore(home: string, runId: string): RunStore {
  const pool = join(home, 'snapshots', 'pool');
  const folder = runStoreFolder(home, runId);
  const contents = join(folder, 'contents');
  const states = join(folder, 'states');
  const drafts = join(folder, 'drafts');
  const draftPath = (): string => join(drafts, randomBytes(8).toString('hex'));
  /** Known to be in the run's folder: asking for each file costs as much as reading it. */
  const seen = new Set<string>();
  const has = async (hash: string): Promise<boolean> => {
    const own = join(contents, hash);
    if (seen.has(hash)) return true;
    if (!(await linked(join(pool, hash), own)) && !(await exists(own))) return false;
    seen.add(hash);
    return true;
  };
  const adopt = async (draft: string, hash: string): Promise<void> => {
    await rename(draft, join(contents, hash));
    await linked(join(contents, hash), join(pool, hash));
    seen.add(hash);
  };
  return {
    folder,
    has,
    async keepBytes(hash, bytes) {
      if (await has(hash)) return;
      const draft = draftPath();
      await asUnusable(folder, 'keeping a file', async () => {
        await writeSynced(draft, bytes);
        await adopt(draft, hash);
      });
    },
    async keepFile(path) {
      const draft = draftPath();
      return await asUnusable(folder, 'keeping a file', async () => {
        await copyFile(path, draft, constants.COPYFILE_FICLONE);
        const hash = await hashFile(draft);
        if (await has(hash)) await rm(draft, { force: true });
        else {
          await chmod(draft, 0o400);
          await syncPath(draft);
          await adopt(draft, hash);
        }
        return hash;
      });
    },
    async contentPath(hash) {
      if (await has(hash)) return join(contents, hash);
      throw lost(`the content ${hash.slice(0, 12)} that was kept for run ${runId} is gone`);
    },
    writeState: (id, state) =>
      asUnusable(folder, 'keeping a state', async () => {
        const draft = draftPath();
        const zip = createGzip({ level: zlib.Z_BEST_SPEED });
        await pipeline(Readable.from(linesOf(state)), zip, createWriteStream(draft));
        await syncPath(draft);
        await rename(draft, statePath(states, id));
        await syncPath(states);
      }),
    readState: async (id) =>
      await unless(['ENOENT'], async () => {
        const path = statePath(states, id);
        await access(path);
        return await readLines(path);
      }),
  };
}

/**
 * Removes what is kept for a run and says how many bytes that freed. A content is taken out of the
 * pool before it goes from the run, so that a crash in between leaves nothing without an owner.
 */
export async function forgetRunStore(home: string, runId: string): Promise<number> {
  const folder = runStoreFolder(home, runId);
  const contents = join(folder, 'contents');
  let freedBytes = 0;
  const names = (await unless(['ENOENT'], () => readdir(contents))) ?? [];
  for (const name of names) {
    const { nlink, size } = await stat(join(contents, name));
    // Ours and the pool's: no other run has it. One that takes it meanwhile has its own link then.
    if (nlink === 2) await rm(join(home, 'snapshots', 'pool', name), { force: true });
    if (nlink <= 2) freedBytes += size;
    await rm(join(contents, name), { force: true });
  }
  freedBytes += await sizeOf(folder);
  await rm(folder, { recursive: true, force: true });
  return freedBytes;
}

/** The bytes of the files in a folder and below; 0 when it is not there. */
export async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  const folders = [Buffer.from(folder)];
  for (let at = folders.pop(); at !== undefined; at = folders.pop()) {
    const parent = at;
    const entries = await unless(['ENOENT', 'EACCES'], () =>
      readdir(parent, { withFileTypes: true, encoding: 'buffer' }),
    );
    for (const entry of entries ?? []) {
      const path = Buffer.concat([parent, Buffer.from('/'), entry.name]);
      if (entry.isDirectory()) folders.push(path);
      else bytes += (await unless(['ENOENT'], () => lstat(path)))?.size ?? 0;
    }
  }
  return bytes;
}

export async function hashFile(path: string | Buffer): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash);
  return hash.digest('hex');
}

export function lost(message: string): AppError {
  return new AppError('workspace_lost', message, {
    remedy: 'What is in the folder now is untouched; restore it from elsewhere.',
  });
}

export async function syncPath(path: string | Buffer): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, 'wx', 0o400);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** False when there is nothing to link, or the file system has no more links to give. */
async function linked(from: string, to: string): Promise<boolean> {
  const done = await unless(['ENOENT', 'EMLINK'], async () => {
    await unless(['EEXIST'], () => link(from, to));
    return true;
  });
  return done ?? false;
}

async function exists(path: string): Promise<boolean> {
  return (await unless(['ENOENT'], async () => await access(path).then(() => true))) ?? false;
}

function statePath(states: string, id: string): string {
  const { attemptId, moment } = parseStateId(id);
  return join(states, `${attemptId}.${moment}.gz`);
}

type Row = [string, Entry['kind'], number, number, number, number, string, string, string];

/** In pieces, since one text of 200,000 entries would hold up everything else in the process. */
function* linesOf(state: State): Generator<string> {
  const { entries, ...header } = state;
  let piece = `${JSON.stringify(header)}\n`;
  for (const [path, entry] of entries) {
    const { kind, mode, uid, gid, sizeBytes, mtimeNs, stamp, content } = entry;
    const row: Row = [path, kind, mode, uid, gid, sizeBytes, mtimeNs, stamp, content];
    piece += `${JSON.stringify(row)}\n`;
    if (piece.length < 64 * 1024) continue;
    yield piece;
    piece = '';
  }
  yield `${piece}end\n`;
}

async function readLines(path: string): Promise<State> {
  const entries = new Map<string, Entry>();
  let header: Omit<State, 'entries'> | undefined;
  let rest = '';
  try {
    const zipped = Readable.from([await readFile(path)]);
    for await (const chunk of zipped.pipe(createGunzip()).setEncoding('utf8')) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line === 'end') continue;
        if (header === undefined) header = JSON.parse(line) as Omit<State, 'entries'>;
        else addRow(entries, JSON.parse(line) as Row);
      }
    }
  } catch (cause) {
    throw new AppError('workspace_lost', `${path} is damaged`, { cause });
  }
  if (header === undefined) throw lost(`${path} is empty`);
  return { ...header, entries };
}

function addRow(entries: Map<string, Entry>, row: Row): void {
  const [path, kind, mode, uid, gid, sizeBytes, mtimeNs, stamp, content] = row;
  entries.set(path, { kind, mode, uid, gid, sizeBytes, mtimeNs, stamp, content });
}
