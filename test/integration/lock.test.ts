import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/base/base.ts';
import { lockHome } from '../../src/database/home-lock.ts';
import type { Contention } from '../support/contend-for-lock.ts';

const threads = 4;
const rounds = 150;

let root: string;
let staleLock: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'centuria-lock-'));
  const lock = await lockHome(root, systemClock);
  const held = JSON.parse(readFileSync(join(root, 'lock'), 'utf8')) as object;
  lock.release();
  // This process, but started at another time: nobody alive.
  staleLock = JSON.stringify({ ...held, startTicks: '1' });
});
afterAll(() => rm(root, { recursive: true, force: true }));

function makeHomes(name: string, content: string | undefined): string[] {
  return Array.from({ length: rounds }, (_, round) => {
    const home = join(root, `${name}-${round}`);
    mkdirSync(home);
    if (content !== undefined) writeFileSync(join(home, 'lock'), content);
    return home;
  });
}

/** How many threads got the lock of each home. */
async function contend(homes: readonly string[]): Promise<number[]> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const script = new URL('../support/contend-for-lock.ts', import.meta.url);
  const winners = new Int32Array(new SharedArrayBuffer(4 * homes.length));
  const contention: Contention = { homes, threads, gate, winners };
  const ends = Array.from({ length: threads }, () => {
    const worker = new Worker(script, { workerData: contention });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    worker.once('error', reject);
    worker.once('exit', () => resolve());
    return promise;
  });
  await Promise.all(ends);
  return [...winners];
}

test.each([
  ['is free', () => undefined],
  ['is stale', () => staleLock],
])('of several that start at once, exactly one gets a lock that %s', async (_what, content) => {
  const homes = makeHomes(_what.replace(' ', '-'), content());
  expect(await contend(homes)).toStrictEqual(homes.map(() => 1));
  expect(homes.flatMap((home) => readdirSync(home))).toStrictEqual(homes.map(() => 'lock'));
});
