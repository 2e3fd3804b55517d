import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What measures and describes, and decides of no number. */
const aside = new Set(['evaluate.ts', 'program-hash.ts', 'sample.ts']);

/**
 * SHA-256 of the programs that decide which numbers come out of a text: those of this folder and those
 * that cut a text into features. Comments, spaces and line ends do not count, nor do the figures.
 */
export function programHash(): string {
  const here = import.meta.dirname;
  const features = join(here, '../../src/learning/embedding');
  const own = readdirSync(here).filter((name) => name.endsWith('.ts') && !aside.has(name));
  const paths = [
    ...own.toSorted().map((name) => join(here, name)),
    ...['candidate-text.ts', 'offline-model.ts', 'words.ts'].map((name) => join(features, name)),
  ];
  const hash = createHash('sha256');
  for (const path of paths) {
    const text = readFileSync(path, 'utf8').replace(/^\s*(?:\/\*\*?|\*|\/\/).*$/gm, '');
    hash.update(text.replace(/\s+/g, ''));
  }
  return hash.digest('hex');
}
