import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runBuildProgram } from './program.ts';

const environment = { PATH: process.env['PATH'] ?? '', ONLY: 'this' };

test('the lines of both streams are heard in their order, and nothing of our environment gets in', async () => {
  const lines: string[] = [];
  const exit = await runBuildProgram(
    ['sh', '-c', 'echo one; echo two >&2; env | grep -c HOME; umask; printf last; exit 3'],
    {
      folder: '/',
      environment,
      onLine: (line) => lines.push(line),
      signal: new AbortController().signal,
    },
  );
  expect([exit, lines]).toEqual([3, ['one', 'two', '0', '0022', 'last']]);
});

test('a program that hangs ends on the signal, and what it has started ends with it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'centuria-program-'));
  const controller = new AbortController();
  // The grandchild says its pid, and both wait for what never comes.
  const script = "sh -c 'echo $$ > pid; echo begun; exec tail -f /dev/null' & wait";
  try {
    await expect(
      runBuildProgram(['sh', '-c', script], {
        folder,
        environment,
        onLine: () => controller.abort(new Error('enough')),
        signal: controller.signal,
      }),
    ).rejects.toThrow('enough');
    const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
    await expect.poll(() => isAlive(pid)).toBe(false);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a program that is not there is unavailable, with the package that has it', async () => {
  const run = runBuildProgram(['no-such-make'], {
    folder: '/',
    environment,
    onLine: () => undefined,
    signal: new AbortController().signal,
  });
  await expect(run).rejects.toMatchObject({ code: 'unavailable', retryable: false });
});

/** A killed process that nobody has asked for yet is dead, though its number is still taken. */
async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat !== '' && !/\) [ZX] /.test(stat);
}
