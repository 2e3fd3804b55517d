/** The source tree as data, parsed once: what the layout tests ask questions of. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseSync, type Comment, type Program } from 'oxc-parser';

export const root = join(import.meta.dirname, '../..');

export interface Import {
  /** From the root, for a file of ours; otherwise the package's name. */
  readonly target: string;
  readonly own: boolean;
  /** Erased when the program runs. */
  readonly typeOnly: boolean;
  /** Loaded when asked for, by `import()`. */
  readonly dynamic: boolean;
}

export interface Source {
  /** From the root: `src/base/base.ts`. */
  readonly path: string;
  /** `base` of `src/base/x.ts`; `server.ts` of `src/server.ts`. */
  readonly part: string;
  readonly isTest: boolean;
  readonly text: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  readonly program: Program;
  readonly comments: readonly Comment[];
}

/** Files that git tracks or would, from the root. */
export function trackedFiles(): string[] {
  const output = execFileSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--deduplicate'],
    { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  // A file deleted but not yet committed is listed too.
  const present = new Set(readdirSync(root));
  return output.split('\0').filter((path) => path !== '' && present.has(path.split('/')[0] ?? ''));
}

/** Text of a file, or undefined for one that is gone, a folder or not text. */
export function readText(path: string): string | undefined {
  try {
    const text = readFileSync(join(root, path), 'utf8');
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

function parse(path: string): Source {
  const text = readFileSync(join(root, path), 'utf8');
  const result = parseSync(path, text);
  const problem = result.errors[0];
  if (problem !== undefined) throw new Error(`${path}: ${problem.message}`);
  const imports: Import[] = [];
  const add = (specifier: string, typeOnly: boolean, dynamic: boolean): void => {
    const own = specifier.startsWith('.');
    const target = own ? relative(root, join(root, dirname(path), specifier)) : specifier;
    imports.push({ target, own, typeOnly, dynamic });
  };
  for (const entry of result.module.staticImports) {
    const typeOnly = entry.entries.length > 0 && entry.entries.every((name) => name.isType);
    add(entry.moduleRequest.value, typeOnly, false);
  }
  for (const { entries } of result.module.staticExports) {
    const from = entries.filter((entry) => entry.moduleRequest !== null);
    const specifier = from[0]?.moduleRequest?.value;
    if (specifier !== undefined) {
      add(
        specifier,
        from.every((entry) => entry.isType),
        false,
      );
    }
  }
  for (const { moduleRequest } of result.module.dynamicImports) {
    const literal = /^['"](.*)['"]$/.exec(text.slice(moduleRequest.start, moduleRequest.end))?.[1];
    if (literal !== undefined) add(literal, false, true);
  }
  return {
    path,
    part: path.split('/')[1] ?? '',
    isTest: path.endsWith('.test.ts'),
    text,
    lines: text.split('\n').length - 1,
    imports,
    program: result.program,
    comments: result.comments,
  };
}

function listTypeScript(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .toSorted();
}

/** Every TypeScript file of `src`. */
export const sources: readonly Source[] = listTypeScript('src').map(parse);

/** Folders of `src`, sorted. */
export const parts: readonly string[] = readdirSync(join(root, 'src'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .toSorted();
