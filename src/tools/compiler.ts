/** TypeScript's compiler, run on a copy of a repository so that nothing is emitted into it or read around it. */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { ToolError } from './errors.ts';
import type { TsConfig } from './packages.ts';
import { runProgram } from './process.ts';
import { ownFile, plainEnvironment } from './snapshot.ts';

export interface Diagnostic {
  /** Relative to the repository; undefined for what concerns the settings. */
  readonly file: string | undefined;
  readonly line: number;
  readonly column: number;
  readonly code: number;
  readonly message: string;
}

const diagnosticLine = /^(?:(.+?)\((\d+),(\d+)\): )?error TS(\d+): (.*)$/;
const goneOption = /^Option '([A-Za-z]+)(?:=[^']*)?' (?:has been removed|is deprecated)/;
/** The compiler keeps to it by collecting garbage sooner; it is no hard limit. */
const memoryLimit = '700MiB';

export function findCompiler(): string {
  const typescript = createRequire(ownFile('typescript/package.json', 'TypeScript'));
  const name = `@typescript/typescript-${process.platform}-${process.arch}`;
  try {
    const file = process.platform === 'win32' ? 'tsc.exe' : 'tsc';
    return join(dirname(typescript.resolve(`${name}/package.json`)), 'lib', file);
  } catch {
    throw new ToolError('unavailable', `TypeScript is not installed for this machine (${name})`);
  }
}

/**
 * Lets the copy see the packages that are installed in the repository. Each is linked on its own, so
 * that a link which leads out of the repository is left out; one to a workspace leads to its copy.
 * Returns the names that are there, by the folder whose `node_modules` has them.
 */
export function linkInstalled(
  top: string,
  copy: string,
  folders: Iterable<string>,
): Map<string, Set<string>> {
  const installed = new Map<string, Set<string>>();
  for (const folder of folders) {
    const place = join(top, folder, 'node_modules');
    if (realFolder(place) !== place) continue;
    const names = new Set<string>();
    for (const name of readdirSync(place).flatMap((entry) => expandScope(place, entry))) {
      const target = targetOf(top, copy, join(place, name));
      if (target === undefined) continue;
      const link = join(copy, folder, 'node_modules', name);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(target, link);
      names.add(name);
    }
    installed.set(folder, names);
  }
  return installed;
}

function realFolder(path: string): string | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true
    ? realpathSync(path)
    : undefined;
}

function expandScope(place: string, entry: string): string[] {
  if (entry.startsWith('.')) return [];
  if (!entry.startsWith('@')) return [entry];
  const scope = join(place, entry);
  return realFolder(scope) === scope ? readdirSync(scope).map((name) => `${entry}/${name}`) : [];
}

function targetOf(top: string, copy: string, path: string): string | undefined {
  let real: string;
  try {
    real = realpathSync(path);
  } catch {
    return undefined;
  }
  if (!real.startsWith(top + sep)) return undefined;
  const inside = relative(top, real);
  return inside.split(sep).includes('node_modules') ? real : join(copy, inside);
}

export interface CompilerRun {
  readonly diagnostics: readonly Diagnostic[];
  /** Options that this version of TypeScript no longer has, taken out for the check. */
  readonly removed: readonly string[];
}

/** Checks one project. Its settings hold, but for what would write and what this compiler no longer knows. */
export async function compile(
  compiler: string,
  copy: string,
  top: string,
  config: TsConfig,
  defaults: Readonly<Record<string, unknown>>,
  timeoutMs: number,
): Promise<CompilerRun> {
  const options: Record<string, unknown> = {
    ...defaults,
    noEmit: true,
    composite: false,
    incremental: false,
    tsBuildInfoFile: null,
    emitDeclarationOnly: false,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
  };
  const first = await callCompiler(compiler, copy, top, config, options, timeoutMs);
  const removed = first.flatMap((item) => goneOption.exec(item.message)?.[1] ?? []);
  if (removed.length === 0) return { diagnostics: first, removed };
  for (const name of removed) options[name] = null;
  if (removed.includes('baseUrl')) options['paths'] = pathsWithBase(config);
  const second = await callCompiler(compiler, copy, top, config, options, timeoutMs);
  return { diagnostics: second, removed };
}

/** What `baseUrl` meant, written as `paths`, which has outlived it. */
function pathsWithBase(config: TsConfig): Record<string, string[]> {
  const from = (path: string) => {
    const way = relative(config.folder === '' ? '.' : config.folder, path === '' ? '.' : path);
    return `./${way.split(sep).join('/')}`;
  };
  const paths: Record<string, string[]> = {};
  for (const [pattern, targets] of config.paths) paths[pattern] = targets.map(from);
  if (config.baseUrl !== undefined)
    paths['*'] = [...(paths['*'] ?? []), `${from(config.baseUrl)}/*`];
  return paths;
}

async function callCompiler(
  compiler: string,
  copy: string,
  top: string,
  config: TsConfig,
  compilerOptions: Readonly<Record<string, unknown>>,
  timeoutMs: number,
): Promise<Diagnostic[]> {
  const name = config.file.slice(config.file.lastIndexOf('/') + 1);
  const project = join(copy, config.folder, 'tsconfig.centuria-check.json');
  writeFileSync(project, JSON.stringify({ extends: `./${name}`, compilerOptions }));
  // Each checker holds types of its own; one takes 0.8 GB for this product's sources, four 1.4 GB.
  const args = ['--project', project, '--pretty', 'false', '--checkers', '1'];
  const result = await runProgram(compiler, args, {
    cwd: copy,
    env: { ...plainEnvironment(copy), GOMEMLIMIT: memoryLimit },
    timeoutMs,
  });
  if (result.exitCode > 2)
    throw new ToolError(
      'internal',
      `tsc ended with ${result.exitCode}: ${result.stderr.slice(-300)}`,
    );
  return parseDiagnostics(result.stdout.toString(), copy, top);
}

/** Diagnostics of files in the repository, and those without a file. */
export function parseDiagnostics(output: string, copy: string, top: string): Diagnostic[] {
  const found: Diagnostic[] = [];
  for (const line of output.split('\n')) {
    const match = diagnosticLine.exec(line);
    if (match === null) {
      // Indented lines tell the inner reasons; the last is the closest to the cause.
      const last = found.at(-1);
      if (last !== undefined && /^ {2}\S/.test(line))
        found.splice(-1, 1, { ...last, message: `${last.message} ${line.trim()}` });
      continue;
    }
    const [, path, row, column, code, message] = match;
    const file = path === undefined ? undefined : insideOf(resolve(copy, path), copy, top);
    if (path !== undefined && (file === undefined || file.includes('node_modules/'))) continue;
    found.push({
      file: file?.endsWith('tsconfig.centuria-check.json') === true ? undefined : file,
      line: Number(row ?? 1),
      column: Number(column ?? 1),
      code: Number(code),
      message: message ?? '',
    });
  }
  return found;
}

function insideOf(path: string, copy: string, top: string): string | undefined {
  const base = [copy, top].find((folder) => path.startsWith(folder + sep));
  return base === undefined ? undefined : relative(base, path).split(sep).join('/');
}
