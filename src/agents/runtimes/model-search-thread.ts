/** The thread of one search: walks, matches, posts one text. It may be ended at any moment. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { basename, join, matchesGlob, relative, sep } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { Search } from './model-search.ts';

const maxEntries = 100_000;
const maxFileBytes = 2 * 1_048_576;
const maxNames = 1_000;
const maxLineLength = 500;
/** Neither read for work nor written by hand; a search that begins inside one goes on. */
const skipped = new Set(['.git', 'node_modules']);

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.postMessage(run(workerData as Search));

function run(search: Search): string {
  const notes: string[] = [];
  const lines = search.kind === 'glob' ? glob(search, notes) : grep(search, notes);
  return [...(lines.length === 0 ? ['[nothing found]'] : lines), ...notes].join('\n');
}

function glob(search: Search & { kind: 'glob' }, notes: string[]): string[] {
  const found: string[] = [];
  for (const file of filesIn(search.start, notes)) {
    if (!isLike(relative(search.start, file), search.pattern)) continue;
    if (found.length === maxNames) {
      notes.push(`[only the first ${maxNames} files are shown]`);
      break;
    }
    found.push(shownPath(search, file));
  }
  return found;
}

function grep(search: Search & { kind: 'grep' }, notes: string[]): string[] {
  const found: string[] = [];
  const expression = new RegExp(search.pattern, search.flags);
  let large = 0;
  for (const file of filesIn(search.start, notes)) {
    if (search.glob !== undefined && !isLike(relative(search.folder, file), search.glob)) continue;
    const text = textOf(file);
    if (text === undefined) {
      large += 1;
      continue;
    }
    const matches = matchesIn(text, expression, search);
    if (matches.length === 0) continue;
    const name = shownPath(search, file);
    if (search.mode === 'content') found.push(...matches.map((match) => `${name}:${match}`));
    else found.push(search.mode === 'count' ? `${name}:${matches.length}` : name);
    if (found.length >= search.most) {
      notes.push(`[only the first ${search.most} are shown]`);
      break;
    }
  }
  if (large > 0) notes.push(`[${large} files were left out: no text, or larger than 2 MB]`);
  return found.slice(0, search.most);
}

/** `LINE:TEXT` of each line that fits. */
function matchesIn(text: string, expression: RegExp, search: Search & { kind: 'grep' }): string[] {
  const found: string[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (!expression.test(line)) continue;
    const cut = line.length > maxLineLength ? `${line.slice(0, maxLineLength)}[cut]` : line;
    found.push(`${index + 1}:${cut}`);
    if (search.mode === 'files_with_matches') break;
    if (search.mode === 'content' && found.length >= search.most) break;
  }
  return found;
}

/** Regular files below a place, in the order of their names. Symbolic links are not followed. */
function* filesIn(start: string, notes: string[]): Generator<string> {
  if (statSync(start).isFile()) {
    yield start;
    return;
  }
  const waiting = [start];
  let entries = 0;
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    const below: string[] = [];
    for (const entry of entriesOf(folder)) {
      entries += 1;
      if (entries > maxEntries) {
        notes.push(`[only the first ${maxEntries} files and folders were looked at]`);
        return;
      }
      const path = join(folder, entry.name);
      if (entry.isFile()) yield path;
      else if (entry.isDirectory() && !skipped.has(entry.name)) below.push(path);
    }
    waiting.push(...below.toReversed());
  }
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true }).toSorted((a, b) =>
      a.name < b.name ? -1 : 1,
    );
  } catch {
    // One that may not be read holds nothing for the model.
    return [];
  }
}

/** Undefined for what is no text, too large, or not to be read. */
function textOf(file: string): string | undefined {
  let handle: number | undefined;
  try {
    handle = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const found = fstatSync(handle);
    if (!found.isFile() || found.size > maxFileBytes) return undefined;
    const bytes = readFileSync(handle);
    return bytes.subarray(0, 8_192).includes(0) ? undefined : bytes.toString('utf8');
  } catch {
    return undefined;
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}

/** A pattern without a folder is for names in any folder, as people mean it. */
function isLike(path: string, pattern: string): boolean {
  return matchesGlob(pattern.includes('/') ? path : basename(path), pattern);
}

function shownPath(search: Search, file: string): string {
  return relative(search.folder, file).split(sep).join('/');
}
