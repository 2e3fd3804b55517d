/**
 * `npm run bench -- ext [--repeats N]`: deployments of extensions to a PostgreSQL 17 of this machine, from the
 * offline gate to the rollback, with the targets that they are held to. Servers, data and staging folders
 * are private and go away. A part that fails says why on standard error, and its target is not met.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { extensionRounds } from '../../test/chaos/extensions.ts';
import { openDeployments, type Deployments } from '../../test/support/ext-deployments.ts';
import {
  extensionServerUnavailable,
  startExtensionServer,
} from '../../test/support/extension-servers.ts';
import { testFolder } from '../../test/support/processes.ts';
import { dryRun, freshServer, gate, rebuild, rehearsals } from './ext-gate.ts';
import { replacement, switches, underLoad } from './ext-switch.ts';
import type { Measured, MeasureOptions } from './report.ts';

const defaultRepeats = 5;
/** Of each: ten deployments and ten rollbacks. */
const tripsUnderLoad = 10;
const kills = 8;
const seed = 20_261_122;

type Part = readonly [name: string, work: () => Promise<Measured[]>];

export async function measure({ repeats, progress }: MeasureOptions): Promise<Measured[]> {
  const reason = await extensionServerUnavailable();
  if (reason !== undefined) throw new Error(reason);
  const times = repeats ?? defaultRepeats;
  const folder = await testFolder();
  const own = async (name: string): Promise<string> => {
    await mkdir(join(folder, name), { mode: 0o755 });
    return join(folder, name);
  };
  const parts: readonly Part[] = [
    ['gate', gate],
    ['rehearsal', async () => await rehearsed(await own('rehearsal'), times)],
    ['dry_run', () => withDeployments(dryRun)],
    ['deploy', () => withDeployments((on) => switches(on, times))],
    ['load', () => withDeployments((on) => underLoad(on, tripsUnderLoad))],
    ['replacement', async () => await replacement(await own('replacement'))],
    ['kill_9', () => killed(progress)],
    ['rebuild', async () => await rebuild(await own('rebuild'))],
    ['fresh_server', async () => await freshServer(await own('fresh'))],
  ];
  const measured: Measured[] = [];
  try {
    for (const [name, work] of parts) {
      progress(name);
      measured.push(...(await attempt(name, work, progress)));
    }
    return measured;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What could not be measured is a line without a value, which meets no target. */
async function attempt(
  name: string,
  work: () => Promise<Measured[]>,
  progress: (text: string) => void,
): Promise<Measured[]> {
  try {
    return await work();
  } catch (error) {
    progress(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    return [{ metric: `${name}_failed`, unit: '', values: [], target: { atMost: 0 } }];
  }
}

async function rehearsed(folder: string, repeats: number): Promise<Measured[]> {
  const server = await startExtensionServer();
  try {
    return await rehearsals(server, folder, repeats);
  } finally {
    await server.stop();
  }
}

async function withDeployments(
  work: (on: Deployments) => Promise<Measured[]>,
): Promise<Measured[]> {
  const on = await openDeployments(['1.0', '1.1']);
  try {
    return await work(on);
  } finally {
    await on.stop();
  }
}

/** A short `npm run chaos -- ext`, which takes more rounds. */
async function killed(progress: (text: string) => void): Promise<Measured[]> {
  const results = await extensionRounds({ rounds: kills, seed, say: progress });
  return results.flatMap((result): Measured[] => {
    const name = result.chaos.replaceAll('-', '_').replace(/^ext_/, '');
    const wrong = Number(result['mixed'] ?? 0) + Number(result['inexact'] ?? 0);
    return [
      { metric: `${name}_rounds`, unit: 'rounds', values: [result.rounds] },
      {
        metric: `${name}_mixed_or_inexact`,
        unit: 'rounds',
        values: result.met || wrong > 0 ? [wrong] : [],
        target: { atMost: 0 },
      },
    ];
  });
}
