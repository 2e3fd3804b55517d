import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runProgram } from './local.ts';
import { readReceived, remoteCommand, scriptLine } from './ssh-script.ts';

const mark = 'centuria-test';
const awkward = ['', ' a  b ', `it's "so"`, '$HOME `id` \\n \\', '*', '-n', 'two\nlines!', 'ü€'];

/** Login shells of users; those that are not here are left out visibly. */
for (const shell of ['sh', 'bash', 'dash', 'zsh', 'csh', 'tcsh', 'fish']) {
  const path = ['/bin', '/usr/bin'].map((folder) => `${folder}/${shell}`).find(existsSync);
  test.skipIf(path === undefined)(
    `${shell} as login shell changes nothing of a script`,
    async () => {
      const input = randomBytes(70_000);
      const script = `# it's a comment\nfor arg do printf '%s\\0' "$arg"; done\ncat; printf 'tail'; exit 255 # the end`;
      const line = scriptLine(script, { args: awkward }, mark);
      const { exit, stdout } = await runProgram(path ?? shell, ['-c', remoteCommand], {
        input: Buffer.concat([Buffer.from(line), input]),
      });
      const received = readReceived(stdout, mark);
      expect({ exit, script: received.exit }).toEqual({ exit: 0, script: 255 });
      const args = Buffer.from(awkward.map((arg) => `${arg}\0`).join(''));
      expect(received.stdout.equals(Buffer.concat([args, input, Buffer.from('tail')]))).toBe(true);
    },
  );
}

test('what a login shell says first is left out, and an end that is missing is missed', () => {
  const all = Buffer.from(`Welcome!\n${mark} 12\ndata${mark} 3\n`);
  expect(readReceived(all, mark)).toEqual({ pid: 12, stdout: Buffer.from('data'), exit: 3 });
  const cut = all.subarray(0, -mark.length - 3);
  expect(readReceived(cut, mark)).toEqual({ pid: 12, stdout: Buffer.from('data') });
  expect(readReceived(Buffer.from('Welcome!\n'), mark)).toEqual({ stdout: Buffer.alloc(0) });
});
