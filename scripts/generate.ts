/**
 * Writes every generated file: `npm run generate`. With `--check` nothing is written; stale files
 * are listed and the exit status is 1. A generator is a `generate-*.ts` beside this file that
 * exports one function, which returns `{path, text}` or an array of them, paths from the root.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface Generated {
  readonly path: string;
  readonly text: string;
}

type Generator = () => Generated | readonly Generated[] | Promise<Generated | readonly Generated[]>;

const root = join(import.meta.dirname, '..');

/** What all generators give now. */
export async function generateAll(): Promise<Generated[]> {
  const files = readdirSync(import.meta.dirname)
    .filter((name) => /^generate-.*(?<!\.test)\.ts$/.test(name))
    .toSorted();
  const all: Generated[] = [];
  for (const file of files) {
    const module: Record<string, unknown> = await import(
      pathToFileURL(join(import.meta.dirname, file)).href
    );
    const functions = Object.values(module).filter((value) => typeof value === 'function');
    const [generator] = functions;
    if (generator === undefined || functions.length > 1) {
      throw new Error(`scripts/${file} must export one function; it exports ${functions.length}`);
    }
    const made = await (generator as Generator)();
    all.push(...(Array.isArray(made) ? made : [made]));
  }
  return all;
}

/** Those whose file is absent or has another text. */
export function stale(generated: readonly Generated[]): string[] {
  return generated.filter(({ path, text }) => readIfThere(path) !== text).map(({ path }) => path);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch {
    return undefined;
  }
}

async function main(): Promise<void> {
  const generated = await generateAll();
  const old = new Set(stale(generated));
  const isCheck = process.argv.includes('--check');
  for (const { path, text } of generated) {
    if (!old.has(path)) continue;
    process.stdout.write(`${isCheck ? 'stale' : 'written'}: ${path}\n`);
    if (isCheck) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  if (isCheck && old.size > 0) process.exitCode = 1;
}

if (process.argv[1] === import.meta.filename) await main();
