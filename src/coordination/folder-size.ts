/** How much there is to work on: the folders that a run was given, measured once and within bounds. */
import { lstat, opendir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Clock } from '../base/base.ts';
import type { WorkflowDefinition } from './definition.ts';
import { indexSize } from './git-index.ts';
import type { RunState } from './state.ts';

export interface FolderSize {
  readonly files: number;
  readonly bytes: number;
}

const maxEntries = 10_000;
const maxWalkMs = 50;
/** An index of some 300,000 files; a larger one is not read. */
const maxIndexBytes = 32 * 2 ** 20;
/** Values of an input that are looked at for a folder's path. */
const maxValues = 1_000;

/** The folders among the inputs of one run. */
export class FolderSizes {
  readonly #names: readonly string[];
  readonly #state: RunState;
  readonly #clock: Clock;
  readonly #known = new Map<string, Promise<FolderSize | undefined>>();

  constructor({ inputs }: WorkflowDefinition, state: RunState, clock: Clock) {
    this.#names = Object.entries(inputs)
      .filter(([, { type }]) => type === 'directory' || type === 'git-repository')
      .map(([name]) => name);
    this.#state = state;
    this.#clock = clock;
  }

  /** Of the folders that stand in a task's input; undefined when none does. Never rejects. */
  of(input: unknown): Promise<FolderSize | undefined> | undefined {
    if (this.#names.length === 0) return undefined;
    const given = this.#names.map((name) => this.#state.input[name]);
    const folders = [...new Set(given.filter((value) => typeof value === 'string'))];
    const named = folders.filter((folder) => holds(input, folder, { left: maxValues }));
    if (named.length === 0) return undefined;
    return Promise.all(named.map((folder) => this.#measured(folder))).then(sumOf);
  }

  #measured(folder: string): Promise<FolderSize | undefined> {
    const known = this.#known.get(folder);
    if (known !== undefined) return known;
    const measured = measureFolder(folder, this.#clock).catch(() => undefined);
    this.#known.set(folder, measured);
    return measured;
  }
}

/** Unknown when one of them is. */
function sumOf(sizes: readonly (FolderSize | undefined)[]): FolderSize | undefined {
  let [files, bytes] = [0, 0];
  for (const size of sizes) {
    if (size === undefined) return undefined;
    files += size.files;
    bytes += size.bytes;
  }
  return { files, bytes };
}

function holds(value: unknown, folder: string, budget: { left: number }): boolean {
  budget.left -= 1;
  if (budget.left < 0) return false;
  if (typeof value === 'string') return value === folder;
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).some((part) => holds(part, folder, budget));
}

/** Undefined when there is more than can be looked at quickly: a part of it would be a wrong number. */
export async function measureFolder(folder: string, clock: Clock): Promise<FolderSize | undefined> {
  return (await measureRepository(folder)) ?? (await walk(folder, clock));
}

/** What git knows of the files it tracks: one file to read, however many they are. */
async function measureRepository(folder: string): Promise<FolderSize | undefined> {
  try {
    const path = join(await gitFolder(folder), 'index');
    if ((await stat(path)).size > maxIndexBytes) return undefined;
    return indexSize(await readFile(path));
  } catch {
    return undefined;
  }
}

/** Of a work tree made by `git worktree` it stands elsewhere, and `.git` is a file that says where. */
async function gitFolder(folder: string): Promise<string> {
  const path = join(folder, '.git');
  if ((await stat(path)).isDirectory()) return path;
  const target = /^gitdir: (.+)$/m.exec(await readFile(path, 'utf8'))?.[1];
  return resolve(folder, target ?? '.git');
}

async function walk(folder: string, clock: Clock): Promise<FolderSize | undefined> {
  const untilMs = clock.monotonicMs() + maxWalkMs;
  let [entries, files, bytes] = [0, 0, 0];
  const open = [folder];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for await (const entry of await opendir(next)) {
      entries += 1;
      if (entries > maxEntries || clock.monotonicMs() > untilMs) return undefined;
      const path = join(next, entry.name);
      if (entry.isDirectory()) {
        if (entry.name !== '.git') open.push(path);
      } else if (entry.isFile()) {
        files += 1;
        bytes += (await lstat(path)).size;
      }
    }
  }
  return { files, bytes };
}
