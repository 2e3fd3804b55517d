/**
 * Deployments while disks run full: `unshare -m node ext-full-disk.ts`, so that the file systems that it
 * mounts are seen by itself and its server alone. Prints what came of each, as JSON.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { toAppError } from '../../src/base/base.ts';
import { deploy } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import { statusOf } from '../../src/ext/deploy/status.ts';
import { creating, openDeployments, plainly } from './ext-deployments.ts';
import { seen } from './ext-faults.ts';

export interface FullDisk {
  /** Which folder ran full, and at which line of the journal. */
  readonly folder: string;
  readonly at: string;
  /** Absent where the deployment needed no room. */
  readonly code?: string;
  readonly message?: string;
  readonly remedy?: string | undefined;
  /** Live files by hash and the catalogue, before anybody made room. */
  readonly isAsBefore: boolean;
  /** Once there is room: whether the next deployment and its rollback went through. */
  readonly canGoOn: boolean;
}

const on = await openDeployments(['1.0', '1.1']);
const ends: FullDisk[] = [];
try {
  const staging = join(on.folder, 'staging');
  mkdirSync(staging);
  sh(`mount -t tmpfs -o size=80m none '${staging}'`);
  await deploy(on.target, on.bundle('1.0'), creating);
  // The last block of the journal too, which lines would go on into: empty ones are passed over.
  const fill = `cat /dev/zero > '${staging}/filler' || yes '' >> '${staging}/17/active' || true`;
  for (const at of ['stage begins', 'link begins', 'switch begins', 'switch ends', 'verify begins'])
    ends.push(await runsFull('staging', at, fill, () => rmSync(join(staging, 'filler'))));

  // The files of a folder on a disk of its own, with few inodes: a link takes one.
  const { extensionFolder } = on.server.paths;
  const files = join(on.folder, 'extension');
  sh(`cp -a '${extensionFolder}' '${files}'
mount -t tmpfs -o nr_inodes=3000,mode=755 none '${extensionFolder}'
cp -a '${files}/.' '${extensionFolder}'`);
  const use = `n=0; while true > '${extensionFolder}/filler'$n; do n=$((n + 1)); done`;
  const free = (): void => sh(`rm -f '${extensionFolder}'/filler*`);
  for (const at of ['link begins', 'prune begins'])
    ends.push(await runsFull('extension', at, `(${use}) 2>&- || true`, free));
} finally {
  await on.target.close();
  await on.server.stop().catch(() => undefined);
  sh(
    `umount -l '${on.folder}/staging' || true; chmod -R u+w '${on.folder}'; rm -rf '${on.folder}'`,
  );
}
process.stdout.write(JSON.stringify(ends));

async function runsFull(
  folder: string,
  at: string,
  fill: string,
  free: () => void,
): Promise<FullDisk> {
  const before = await seen(on);
  const error = await deploy(on.target, on.bundle('1.1'), {
    ...plainly,
    onStep(step, event) {
      if (`${step} ${event}` === at) sh(fill);
    },
  }).then(() => undefined, toAppError);
  const isAsBefore = error === undefined ? false : (await seen(on)) === before;
  free();
  if (error === undefined) await rollBack(on.target, { actor: 'test' });
  await deploy(on.target, on.bundle('1.1'), plainly);
  await rollBack(on.target, { actor: 'test' });
  const { findings } = await statusOf(on.target);
  const canGoOn = (await seen(on)) === before && findings.length === 0;
  if (error === undefined) return { folder, at, isAsBefore, canGoOn };
  const { code, message, remedy } = error;
  return { folder, at, code, message, remedy, isAsBefore, canGoOn };
}

function sh(script: string): void {
  execFileSync('sh', ['-ec', script], { stdio: ['ignore', 'ignore', 'pipe'] });
}
