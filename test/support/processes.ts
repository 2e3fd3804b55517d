/** Finds processes that a test run started and left, whoever their parent is by now. */
import { chmod, mkdtemp, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Set in the environment of the run, so that every process it starts carries it. */
export const markVariable = 'TEST_RUN_MARK';

/**
 * A fresh folder whose name carries the run's mark: a server that is given no environment is still
 * known by the folder in its command line. Who makes it removes it.
 */
export async function testFolder(): Promise<string> {
  const mark = process.env[markVariable] ?? 'unmarked';
  const folder = await mkdtemp(join(tmpdir(), `centuria-test-${mark}-`));
  // Where the run is root's, servers are another user's, who must get through to theirs.
  await chmod(folder, 0o711);
  return folder;
}

/** What still runs with the mark after a moment of grace, as `pid command`. */
export async function leftovers(mark: string, graceMs = 5_000): Promise<string[]> {
  const deadline = performance.now() + graceMs;
  for (;;) {
    const left = await marked(mark);
    if (left.length === 0 || performance.now() > deadline) return left;
    await delay(50);
  }
}

async function marked(mark: string): Promise<string[]> {
  const left: string[] = [];
  for (const name of await readdir('/proc').catch(() => [])) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '');
    const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (!command.includes(mark)) {
      if (!environment.split('\0').includes(`${markVariable}=${mark}`)) continue;
      // The runner's own workers end after this check; what they started is no child of ours.
      if ((await parentOf(name)) === process.pid) continue;
    }
    left.push(`${name} ${command.replaceAll('\0', ' ').trim()}`);
  }
  return left;
}

async function parentOf(pid: string): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return text === undefined
    ? undefined
    : Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
}
