/** Runs the steps of a recipe, and says of the one that failed why. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError } from '../../base/base.ts';
import type { Architecture } from '../types.ts';
import { missingCompiler, missingMark, nativeMark, type Toolchain } from './compilers.ts';
import { complaintText, firstComplaint, nativeVariable } from './diagnosis.ts';
import { runBuildProgram } from './program.ts';
import type { Recipe } from './recipes.ts';
import type { Sources } from './sources.ts';
import type { BuildLog } from './work-folder.ts';

/** What stands in the result, and in the log, for the folder of the sources. */
export const sourceName = '/source';

export interface StepOptions {
  readonly sources: Sources;
  readonly toolchain: Toolchain;
  readonly workFolder: string;
  readonly installFolder: string;
  readonly pgConfig: string;
  readonly architecture: Architecture;
  readonly timeoutMs: number;
  readonly log: BuildLog;
  readonly onLine?: ((line: string) => void) | undefined;
  readonly signal: AbortSignal;
}

/**
 * Runs them in their order. Throws `ext_build_failed` with the first complaint of the one that fails,
 * and `timeout`.
 */
export async function runSteps(recipe: Recipe, options: StepOptions): Promise<void> {
  const { workFolder, timeoutMs, log } = options;
  for (const [name, text] of Object.entries(recipe.files)) {
    await writeFile(join(workFolder, name), text);
  }
  const onLine = (line: string): void => {
    const shown = line
      .replaceAll(join(workFolder, 'source'), sourceName)
      .replaceAll(join(workFolder, 'tools/'), '');
    log.add(shown);
    options.onLine?.(shown);
  };
  await mkdir(join(workFolder, 'tmp'));
  const limit = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([options.signal, limit]);
  const environment = environmentOf(options);
  for (const { words, must } of recipe.steps) {
    // A complaint of a step that was allowed to fail explains nothing of a later one.
    const before = log.text.length;
    let exit = 0;
    try {
      exit = await runBuildProgram(words, { folder: workFolder, environment, onLine, signal });
    } catch (cause) {
      if (!limit.aborted || options.signal.aborted) throw cause;
      throw new AppError('timeout', `the build took longer than ${timeoutMs} ms`, { cause });
    }
    if (exit !== 0 && must) throw await buildError(words[0], exit, options, log.text.slice(before));
  }
}

/** Whoever builds has settings of their own; none of them may get into the result. */
function environmentOf(options: StepOptions): Record<string, string> {
  const { pgConfig, workFolder, installFolder, sources, toolchain } = options;
  return {
    // CMake projects that take no variable find the right pg_config first.
    PATH: `${dirname(pgConfig)}:${process.env['PATH'] ?? ''}`,
    HOME: workFolder,
    TMPDIR: join(workFolder, 'tmp'),
    LC_ALL: 'C',
    TZ: 'UTC',
    SOURCE_DATE_EPOCH: String(sources.date),
    DESTDIR: installFolder,
    CC: toolchain.cc,
    CXX: toolchain.cxx,
  };
}

async function buildError(
  program: string,
  exit: number,
  { sources, architecture }: StepOptions,
  said: string,
): Promise<AppError> {
  const lines = said.split('\n');
  const missing = afterMark(lines, missingMark);
  if (missing !== undefined) return missingCompiler(missing, architecture);
  const native = afterMark(lines, nativeMark);
  if (native !== undefined) return await nativeError(native, sources);
  const complaint = firstComplaint(said);
  if (complaint === undefined) {
    return new AppError('ext_build_failed', `${program} failed with exit status ${exit}`);
  }
  const file = complaint.file?.replace(`${sourceName}/`, '');
  const placed = { ...complaint, ...(file === undefined ? {} : { file }) };
  return new AppError('ext_build_failed', complaintText(placed), { details: { ...placed, exit } });
}

/** What a script of ours said; CMake shows it indented, among what it says itself. */
function afterMark(lines: readonly string[], mark: string): string | undefined {
  const line = lines.find((each) => each.trimStart().startsWith(`${mark} `));
  return line?.trimStart().slice(mark.length + 1);
}

async function nativeError(option: string, { folder }: Sources): Promise<AppError> {
  const makefile = await readFile(join(folder, 'Makefile'), 'utf8').catch(() => '');
  const variable = nativeVariable(makefile);
  return new AppError(
    'ext_build_failed',
    `${option} ties the result to the processor of this machine: elsewhere it would crash`,
    {
      remedy:
        variable === undefined
          ? `Build without ${option}.`
          : `Build with --set ${variable}= (or another value without ${option}).`,
      details: { option },
    },
  );
}
