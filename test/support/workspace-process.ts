/**
 * A process that begins attempts or undoes them, to be killed. Arguments: the data folder, `begin` or
 * `undo`, and a request or marks as JSON. Prints the answer as one line, and after `begin` holds the
 * folder until its input ends.
 */
import { createLog, systemClock } from '../../src/base/base.ts';
import {
  openWorkspaces,
  type BeginRequest,
  type WorkspaceMark,
} from '../../src/workspaces/workspaces.ts';

const [home = '', what = '', argument = ''] = process.argv.slice(2);
const workspaces = openWorkspaces({
  home,
  log: createLog({ level: 'warn' }),
  clock: systemClock,
});
const { signal } = new AbortController();

if (what === 'begin') {
  const request = JSON.parse(argument) as Omit<BeginRequest, 'signal'>;
  process.stdout.write(`${JSON.stringify(await workspaces.begin({ ...request, signal }))}\n`);
  process.stdin.resume();
} else {
  process.stdout.write('undoing\n');
  const marks = JSON.parse(argument) as WorkspaceMark[];
  const result = await workspaces.undo(marks, { force: false, signal });
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
