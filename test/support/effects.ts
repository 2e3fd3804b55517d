/**
 * The step that every engine of the conformance suite runs, and its effects: lines in a file that no
 * engine knows of, so that what is counted is what really ran, not what a log believes.
 */
import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** What a step is given by whichever engine runs it. */
export interface StepInput {
  /** `s1`, `s2` … */
  readonly step: string;
  /** The output of the step before; the run's key for the first. */
  readonly previous: string;
  readonly ms: number;
  /** Of a hundred calls so many fail in passing; a hundred: the step can not succeed. */
  readonly faultPercent: number;
}

export interface Effect {
  readonly runId: string;
  readonly step: string;
  readonly phase: 'start' | 'fault' | 'done';
  readonly pid: number;
  /** Place in the file: all processes append to one. */
  readonly at: number;
}

/** What the outside world answers now and will not answer the next time. */
export class PassingFault extends Error {}

/** Carries a step out: it says that it begins, takes its time, fails or says that it is done. */
export async function takeStep(
  folder: string,
  runId: string,
  { step, previous, ms, faultPercent }: StepInput,
  { random, signal }: { random: () => number; signal?: AbortSignal },
): Promise<string> {
  const say = (phase: Effect['phase']): void =>
    appendFileSync(effectsFile(folder), `${runId} ${step} ${phase} ${process.pid}\n`);
  say('start');
  // Also without a time of its own: who holds the process still may do so here.
  await delay(ms, undefined, signal === undefined ? {} : { signal });
  if (random() * 100 < faultPercent) {
    say('fault');
    throw new PassingFault(`step ${step} met an injected fault`);
  }
  say('done');
  return outputOf(previous, step);
}

/** What a step makes of its input: wrong as soon as one before it was left out or taken twice. */
export function outputOf(previous: string, step: string): string {
  return createHash('sha256').update(`${previous} ${step}`).digest('hex').slice(0, 16);
}

export function stepNames(steps: number): string[] {
  return Array.from({ length: steps }, (_, index) => `s${index + 1}`);
}

/** What a run of these steps must come to. */
export function expectedOutput(key: string, steps: readonly string[]): string {
  return steps.reduce(outputOf, key);
}

export async function readEffects(folder: string): Promise<Effect[]> {
  const text = await readFile(effectsFile(folder), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, at) => {
      const [runId = '', step = '', phase = '', pid = ''] = line.split(' ');
      return { runId, step, phase: phase as Effect['phase'], pid: Number(pid), at };
    });
}

function effectsFile(folder: string): string {
  return join(folder, 'effects.txt');
}
