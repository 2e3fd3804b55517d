/** What a row of the matrix is, and what its parts work with. */
import type { Clock, Log } from '../../base/base.ts';
import type { PostgresInstall } from '../../database/database.ts';
import { buildExtension, type Built } from '../build/build.ts';
import type { OpenedPackage } from '../package/open-package.ts';
import type { Architecture, ExtFinding } from '../types.ts';
import type { RegressResult } from './regress.ts';

/** Sources with what makes a version of them. */
export interface MatrixSource {
  readonly folder: string;
  /** Make or CMake variables. */
  readonly settings: Readonly<Record<string, string>>;
}

export const stages = [
  'server',
  'headers',
  'build',
  'check',
  'start',
  'deploy',
  'update',
  'regress',
] as const;
export type Stage = (typeof stages)[number];

/** What an update from older sources came to. */
export interface UpdateResult {
  readonly extension: string;
  readonly from: string;
  readonly to: string;
  /** What the updated catalogue has otherwise than a fresh one; absent when they are equal. */
  readonly difference?: string;
}

export interface MatrixRow {
  readonly major: number;
  readonly architecture: Architecture;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** Why nothing was built: there are no headers, or no server. Never a success. */
  readonly skipped?: string;
  readonly failed?: { readonly stage: Stage; readonly message: string; readonly remedy?: string };
  /** Versions: of npm's package, and of the headers. */
  readonly server?: string;
  readonly headers?: string;
  readonly build?: { readonly ms: number; readonly fileName: string; readonly digest: string };
  /** Of the gate, against the server's own facts. */
  readonly check?: readonly ExtFinding[];
  /** Of a skipped row: what the gate says of a bundle for another version. It must refuse it. */
  readonly gate?: { readonly bundleMajor: number; readonly refused: readonly string[] };
  readonly deploy?: { readonly ms: number; readonly release: string };
  readonly regress?: (RegressResult & { readonly ms: number }) | { readonly unavailable: string };
  readonly updates: readonly UpdateResult[];
  /** Of older sources that do not build against this version. */
  readonly updateSkipped?: string;
  readonly ms: number;
}

/** A row while it is made. */
export type Draft = { -readonly [Key in keyof MatrixRow]: MatrixRow[Key] };

export interface RowOptions {
  readonly source: MatrixSource;
  /** Older sources of the same extension, to be updated from. */
  readonly updateFrom?: MatrixSource;
  readonly architecture: Architecture;
  readonly cacheFolder: string;
  /** pg_regress and psql; without it regression tests are `unavailable`. */
  readonly tools: PostgresInstall | { readonly unavailable: string };
  readonly onStage?: (major: number, stage: Stage) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export interface Work extends RowOptions {
  readonly major: number;
  readonly draft: Draft;
  readonly folder: string;
  stage: Stage;
}

/** What this process has just made itself needs no signature. */
export const untrusted = { trusted: [], requireSignature: false } as const;

export function enter(work: Work, stage: Stage): void {
  work.signal.throwIfAborted();
  work.stage = stage;
  work.onStage?.(work.major, stage);
}

export async function build(
  work: Work,
  opened: OpenedPackage,
  source: MatrixSource,
): Promise<Built & { readonly ms: number }> {
  enter(work, 'build');
  const startMs = work.clock.monotonicMs();
  const built = await buildExtension({
    source: source.folder,
    settings: source.settings,
    package: opened,
    cacheFolder: work.cacheFolder,
    // Rows run beside each other already.
    jobs: 1,
    signal: work.signal,
    log: work.log,
  });
  return { ...built, ms: Math.round(work.clock.monotonicMs() - startMs) };
}
