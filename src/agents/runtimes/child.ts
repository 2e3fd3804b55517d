import { spawn, type ChildProcess } from 'node:child_process';
import { StringDecoder } from 'node:string_decoder';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../base/base.ts';
import { createProgress } from './progress.ts';
import {
  processIds,
  reapMarked,
  runningOf,
  runsIn,
  sendSignal,
  type ProcessMark,
} from '../processes.ts';
import type { ResourceSampler } from './resource-sampler.ts';

/** One program to run for one attempt. */
export interface ChildCall {
  readonly file: string;
  readonly arguments: readonly string[];
  readonly directory: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
  /** Goes to standard input; undefined: there is none. */
  readonly input: string | undefined;
  /** For a program that is talked with: it gets standard input, and its output goes here instead of into `stdout`. */
  readonly talk?: ChildTalk;
  /** By which its processes are found in the end; also those that have left its group. */
  readonly mark: ProcessMark;
  readonly timeoutMs: number;
  /** Checked by polling; not at all without a sampler. */
  readonly memoryBytes: number;
  readonly outputBytes: number;
  readonly signal: AbortSignal;
  readonly onLine?: ((line: string) => void) | undefined;
}

export interface ChildTalk {
  /** Called once, before any output. */
  onStart(stdin: Writable, pid: number): void;
  /** False: it was too much, and the program is ended for it. */
  onOutput(chunk: Buffer): boolean;
}

export type StopReason = 'timeout' | 'cancelled' | 'memory' | 'output';

/** How it ended. */
export interface ChildEnd {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Set when we ended it. */
  readonly stopped: StopReason | undefined;
  readonly stdout: Buffer;
  /** The last 64 KiB of standard error. */
  readonly stderr: string;
  readonly usage: {
    readonly wallMs: number;
    readonly outputBytes: number;
    /** Absent when it was over before it could be measured. */
    readonly cpuMs?: number;
    readonly peakMemoryBytes?: number;
  };
}

export interface ChildTools {
  readonly clock: Clock;
  /** Absent where there is no /proc. */
  readonly sampler: ResourceSampler | undefined;
}

/** What setTimeout can count; above it, it fires at once. */
const longestTimerMs = 2 ** 31 - 1;
const stderrKeptBytes = 64 * 1024;
/** Between SIGTERM and SIGKILL. */
const termGraceMs = 2_000;
/** How long a pipe may stay open after the program ended, before whoever holds it is ended, too. */
const closeGraceMs = 500;
/**
 * Within it the ids of processes, 32,768 or more, hardly come round. What ran before a program is not one
 * of its own then; reading the environments of 95 such processes took 3.6 ms of a program's end.
 */
const freshIdsMs = 1_000;

/**
 * Runs a program in a process group of its own and waits until it and everything it started is gone:
 * an attempt owns its processes, so none outlives it. Rejects only when it can not be started.
 */
export async function runChild(call: ChildCall, tools: ChildTools): Promise<ChildEnd> {
  const startedMs = tools.clock.monotonicMs();
  const takesInput = call.input !== undefined || call.talk !== undefined;
  const before = new Set(processIds());
  const child = spawn(call.file, call.arguments, {
    ...(call.directory === undefined ? {} : { cwd: call.directory }),
    env: call.environment,
    // A group and session of its own, so that one signal reaches all of it.
    detached: true,
    stdio: [takesInput ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  const exited = exitOf(child);
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const group = await started(child);

  const stop = createStop(group);
  const output = collectOutput(child, call, () => stop.now('output'));
  const errors = collectErrors(child, tools.clock, call.onLine);
  if (child.stdin !== null && call.input !== undefined) void feed(child.stdin, call.input);
  if (child.stdin !== null && call.talk !== undefined) call.talk.onStart(child.stdin, group);
  const measured: { cpuMs?: number; peakMemoryBytes?: number } = {};
  const unwatch = tools.sampler?.watch(group, ({ cpuMs, memoryBytes }) => {
    measured.cpuMs = Math.max(measured.cpuMs ?? 0, cpuMs);
    measured.peakMemoryBytes = Math.max(measured.peakMemoryBytes ?? 0, memoryBytes);
    if (memoryBytes > call.memoryBytes) stop.now('memory');
  });
  const timer = setTimeout(() => stop.gently('timeout'), Math.min(call.timeoutMs, longestTimerMs));
  const onAbort = (): void => stop.gently('cancelled');
  call.signal.addEventListener('abort', onAbort, { once: true });
  if (call.signal.aborted) onAbort();

  const end = await exited;
  clearTimeout(timer);
  call.signal.removeEventListener('abort', onAbort);
  await stop.settled();
  const isShort = tools.clock.monotonicMs() - startedMs < freshIdsMs;
  const known = isShort ? before : undefined;
  await endSurvivors({ child, closed, group, mark: call.mark, known });
  unwatch?.();
  errors.end();
  return {
    ...end,
    stopped: stop.reason(),
    stdout: output.take(),
    stderr: errors.tail(),
    usage: {
      wallMs: Math.round(tools.clock.monotonicMs() - startedMs),
      outputBytes: output.bytes(),
      ...measured,
    },
  };
}

function exitOf(child: ChildProcess): Promise<Pick<ChildEnd, 'exitCode' | 'signal'>> {
  return new Promise((resolve) => {
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
  });
}

function started(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => {
      // Later errors (a signal that could not be sent) show in how the program ends.
      child.on('error', () => undefined);
      if (child.pid === undefined) reject(new Error('the program has no process id'));
      else resolve(child.pid);
    });
  });
}

/** Ends the group for the first reason given; later ones change nothing. */
function createStop(group: number) {
  let reason: StopReason | undefined;
  let settled = Promise.resolve();
  return {
    reason: () => reason,
    settled: () => settled,
    now(why: StopReason): void {
      if (reason === undefined) reason = why;
      sendSignal(-group, 'SIGKILL');
    },
    gently(why: StopReason): void {
      if (reason !== undefined) return;
      reason = why;
      sendSignal(-group, 'SIGTERM');
      settled = endGroup(group, termGraceMs);
    },
  };
}

/** The leader may obey at once and its children not: the whole group has the time, then no more. */
async function endGroup(group: number, graceMs: number): Promise<void> {
  const stepMs = 20;
  // All of /proc is read only when none of those known runs any more: many may be stopped at once.
  let known: readonly number[] = [];
  for (let waitedMs = 0; waitedMs < graceMs; waitedMs += stepMs) {
    await delay(stepMs);
    if (!sendSignal(-group, 0)) return;
    if (known.some((pid) => runsIn(group, pid))) continue;
    const running = runningOf(group);
    if (running?.length === 0) return;
    known = running ?? [];
  }
  sendSignal(-group, 'SIGKILL');
}

interface Ended {
  readonly child: ChildProcess;
  readonly closed: Promise<void>;
  readonly group: number;
  readonly mark: ProcessMark;
  /** Processes that can not be its own. */
  readonly known: ReadonlySet<number> | undefined;
}

async function endSurvivors({ child, closed, group, mark, known }: Ended): Promise<void> {
  await within(closed, closeGraceMs);
  sendSignal(-group, 'SIGKILL');
  // What left the group by setsid still carries the mark in its environment.
  await reapMarked([mark], known);
  if (await within(closed, closeGraceMs)) return;
  child.stdout?.destroy();
  child.stderr?.destroy();
}

async function within(promise: Promise<void>, ms: number): Promise<boolean> {
  const timer = new AbortController();
  const late = delay(ms, false, { signal: timer.signal }).catch(() => false);
  const first = await Promise.race([promise.then(() => true), late]);
  timer.abort();
  return first;
}

function collectOutput(
  child: ChildProcess,
  { outputBytes, talk }: Pick<ChildCall, 'outputBytes' | 'talk'>,
  onLimit: () => void,
) {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const take = (chunk: Buffer): boolean => {
    if (talk !== undefined) return talk.onOutput(chunk);
    if (bytes <= outputBytes) chunks.push(chunk);
    return bytes <= outputBytes;
  };
  child.stdout?.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (take(chunk)) return;
    chunks.length = 0;
    onLimit();
    child.stdout?.destroy();
  });
  child.stdout?.on('error', () => undefined);
  return { take: () => Buffer.concat(chunks), bytes: () => bytes };
}

function collectErrors(child: ChildProcess, clock: Clock, onLine: ChildCall['onLine']) {
  const progress = onLine && createProgress(clock, onLine);
  const decoder = new StringDecoder('utf8');
  let kept = Buffer.alloc(0);
  child.stderr?.on('data', (chunk: Buffer) => {
    kept = Buffer.concat([kept, chunk]);
    if (kept.length > stderrKeptBytes) kept = kept.subarray(kept.length - stderrKeptBytes);
    progress?.write(decoder.write(chunk));
  });
  child.stderr?.on('error', () => undefined);
  return { tail: () => kept.toString('utf8'), end: () => progress?.end() };
}

/** Writes as fast as the program reads. One that closes its input early has had enough of it. */
async function feed(stdin: Writable, input: string): Promise<void> {
  const bytes = Buffer.from(input, 'utf8');
  const pieceBytes = 64 * 1024;
  function* pieces() {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  }
  try {
    await pipeline(Readable.from(pieces()), stdin);
  } catch {
    // EPIPE or a program that is gone: how it ends says whether that was a failure.
  }
}
