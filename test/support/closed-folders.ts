/**
 * Run as an ordinary user, whom modes stop: `closed-folders.ts PLACE`. An attempt changes what is in
 * folders that can't be written to, and closes others; prints what undoing said, and what is there then.
 */
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLog, systemClock } from '../../src/base/base.ts';
import { openWorkspaces } from '../../src/workspaces/workspaces.ts';
import { contentsOf } from './folders.ts';

const [place = ''] = process.argv.slice(2);
const folder = join(place, 'folder');
const at = (name: string): string => join(folder, name);
const { signal } = new AbortController();
const workspaces = openWorkspaces({
  home: join(place, 'home'),
  log: createLog({ level: 'warn' }),
  clock: systemClock,
});

mkdirSync(at('closed/in'), { recursive: true });
mkdirSync(at('hidden'));
for (const name of ['closed/a', 'closed/in/b', 'hidden/c', 'd', 'never'])
  writeFileSync(at(name), '1');
const before = contentsOf(folder);
chmodSync(at('never'), 0o000);
for (const name of ['closed/in', 'closed']) chmodSync(at(name), 0o555);

const request = { runId: 'r', task: 't', attemptId: 'a', folder, kind: 'snapshot' as const };
const mark = await workspaces.begin({ ...request, signal });
for (const name of ['closed', 'closed/in']) chmodSync(at(name), 0o755);
writeFileSync(at('closed/a'), '2');
rmSync(at('closed/in'), { recursive: true });
chmodSync(at('closed'), 0o555);
writeFileSync(at('hidden/c'), '2');
for (const name of ['hidden', 'd']) chmodSync(at(name), 0o000);
const change = await workspaces.finish(mark);

const { folders } = await workspaces.undo([change], { force: false, signal });
const modes = contentsOf(folder, (path) => path === 'never');
chmodSync(at('never'), 0o644);
for (const name of ['closed', 'closed/in']) chmodSync(at(name), 0o755);
const after = contentsOf(folder);
process.stdout.write(
  JSON.stringify({
    conflicts: folders[0]?.conflicts,
    closed: [modes['closed'], modes['closed/in']],
    same: JSON.stringify(after) === JSON.stringify(before),
  }),
);
