import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import {
  parseStat,
  processIds,
  reapMarked,
  runningOf,
  runsIn,
  sendSignal,
  type ProcessStat,
} from './processes.ts';
import { membersOf } from './runtimes/resource-sampler.ts';

test('a process is read even when its name looks like more fields', () => {
  const line =
    '4242 (a) R 1 (b c) S 7 40 41 0 -1 4194304 90 0 0 0 11 12 13 14 20 0 1 0 5555 1000 33 184467';
  expect(parseStat(line)).toEqual({
    pid: 4242,
    parent: 7,
    group: 40,
    session: 41,
    cpuTicks: 50,
    startTicks: 5555,
    residentPages: 33,
    isZombie: false,
  });
});

test('a cut line is no process', () => {
  expect(parseStat('4242 (a) S 7 40')).toBeUndefined();
  expect(parseStat('')).toBeUndefined();
});

const stat = (pid: number, parent: number, group: number, startTicks = pid): ProcessStat => ({
  pid,
  parent,
  group,
  session: group,
  startTicks,
  cpuTicks: 0,
  residentPages: 0,
  isZombie: false,
});
const pids = (processes: ProcessStat[]) =>
  processes.map(({ pid }) => pid).toSorted((a, b) => a - b);

test('the processes of an attempt are its group, all descendants, and those it lost sight of', () => {
  const processes = [
    stat(10, 1, 10),
    stat(11, 10, 10),
    // Left the group, its child with it.
    stat(12, 11, 12),
    stat(13, 12, 12),
    // Left the group and lost its parent: followed from the sample before.
    stat(14, 1, 14),
    // Somebody else's, one with a pid that was ours once.
    stat(20, 1, 20),
    stat(21, 1, 21, 999),
  ];
  const members = new Map([
    [14, 14],
    [21, 21],
  ]);
  expect(pids(membersOf({ leader: 10, members }, processes))).toEqual([10, 11, 12, 13, 14]);
});

test.runIf(process.platform === 'linux')(
  'a group of which only zombies are left does not run, though it can be signalled',
  async () => {
    // The shell becomes a program that never asks how the child in a group of its own has ended.
    const script = 'setsid sh -c "echo \\$\\$; exec sleep 0.1" & exec sleep 60';
    const parent = spawn('sh', ['-c', script], {
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const ended = once(parent, 'exit');
    onTestFinished(async () => {
      parent.kill('SIGKILL');
      await ended;
    });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const group = Number(line.toString());
    expect(group).toBeGreaterThan(1);
    while (runsIn(group, group)) await delay(10);
    expect(sendSignal(-group, 0)).toBe(true);
    expect(runningOf(group)).toEqual([]);
    const own = parent.pid ?? 0;
    expect(runningOf(own)).toEqual([own]);
    expect(runsIn(own, own)).toBe(true);
  },
);

test.runIf(process.platform === 'linux')(
  'what carries a mark is ended, but for what was there before',
  async () => {
    const mark = { variable: 'CENTURIA_TEST_MARK', value: `${process.pid}-${Date.now()}` };
    const env = { ...process.env, [mark.variable]: mark.value };
    const begin = async () => {
      const child = spawn('sleep', ['30'], { env, stdio: 'ignore' });
      onTestFinished(() => void child.kill('SIGKILL'));
      await once(child, 'spawn');
      return child;
    };
    const earlier = await begin();
    const before = new Set(processIds());
    const later = await begin();
    const ended = once(later, 'exit');
    expect(await reapMarked([mark], before)).toBe(1);
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(earlier.exitCode ?? earlier.signalCode).toBeNull();
  },
);
