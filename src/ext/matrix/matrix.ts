/**
 * The matrix: an extension built for each major version against Debian's headers, and proven on servers
 * that others compiled. What can not be had from here is skipped with its reason, and its gate is tried.
 */
import { toAppError } from '../../base/base.ts';
import { installPostgres, type PostgresInstall } from '../../database/database.ts';
import type { Bundle } from '../types.ts';
import { nativeArchitecture } from './private-server.ts';
import { gateRow, runRow } from './row.ts';
import type { MatrixRow, RowOptions } from './row-work.ts';

export type { MatrixRow, MatrixSource, Stage, UpdateResult } from './row-work.ts';

export const allMajors: readonly number[] = [12, 13, 14, 15, 16, 17, 18];

export interface MatrixOptions extends Omit<RowOptions, 'tools' | 'architecture'> {
  /** All by default. */
  readonly majors?: readonly number[];
  /** This machine's by default; another one is cross-compiled for, and emulated. */
  readonly architecture?: RowOptions['architecture'];
  /** Rows at once; 2 by default. */
  readonly jobs?: number;
  /** As each row is complete, in the order in which that happens. */
  readonly onRow?: (row: MatrixRow) => void;
}

/** The rows in the order of their versions. Throws only what the signal was aborted with. */
export async function runMatrix(options: MatrixOptions): Promise<readonly MatrixRow[]> {
  const { majors = allMajors, architecture = nativeArchitecture, jobs = 2, onRow } = options;
  const tools = await findTools(options);
  const row: RowOptions = { ...options, architecture, tools };
  const done: MatrixRow[] = [];
  const withoutHeaders: MatrixRow[] = [];
  const bundles: Bundle[] = [];
  const complete = (result: MatrixRow): void => {
    done.push(result);
    onRow?.(result);
  };
  await inParallel(majors, jobs, async (major) => {
    const result = await runRow(major, row);
    if (result.bundle !== undefined) bundles.push(result.bundle);
    const isGateOnly = result.row.outcome === 'skipped' && result.row.server !== undefined;
    if (isGateOnly) withoutHeaders.push(result.row);
    else complete(result.row);
  });
  await inParallel(withoutHeaders, jobs, async (skipped) => {
    const bundle = nearest(bundles, skipped.major);
    complete(bundle === undefined ? skipped : await gateRow(skipped, bundle, row));
  });
  return done.toSorted((left, right) => left.major - right.major);
}

/** The one that is most like one for this version: if the gate refuses that, it refuses the others. */
function nearest(bundles: readonly Bundle[], major: number): Bundle | undefined {
  const distance = ({ metadata }: Bundle): number => Math.abs(metadata.target.major - major);
  return bundles.toSorted((left, right) => distance(left) - distance(right))[0];
}

async function findTools({
  cacheFolder,
  log,
  signal,
}: MatrixOptions): Promise<PostgresInstall | { unavailable: string }> {
  try {
    return await installPostgres({ major: 17, cacheFolder, log, signal });
  } catch (thrown) {
    signal.throwIfAborted();
    return { unavailable: `no pg_regress: ${toAppError(thrown).message}` };
  }
}

async function inParallel<T>(
  items: readonly T[],
  jobs: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.max(1, jobs) }, worker));
}
