/** Deployments and the way back on a running server: how long, under load, and beside a plain `cp`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { createLog, systemClock } from '../../src/base/base.ts';
import { deploy } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import { openTarget, type Target } from '../../src/ext/deploy/target.ts';
import {
  creating,
  plainly,
  whichRuns,
  type Deployments,
} from '../../test/support/ext-deployments.ts';
import {
  copyPgvector,
  startExtensionServer,
  type ExtensionServer,
} from '../../test/support/extension-servers.ts';
import { sshdUnavailable, startSshd } from '../../test/support/sshd.ts';
import { buildFrom, pgvectorSource } from './ext-bundles.ts';
import { median, type Measured } from './report.ts';

const log = createLog({ level: 'error' });
const quietSeconds = 5;
const sessions = 4;

/** An update of files and catalogue and back, with and without a rehearsal, here and over SSH. */
export async function switches(on: Deployments, repeats: number): Promise<Measured[]> {
  await deploy(on.target, on.bundle('1.0'), creating);
  const measured = await roundTrips(on, on.target, 'local', repeats);
  if (sshdUnavailable === undefined) {
    const sshd = await startSshd();
    const target = await openTarget(
      { host: sshd.to, address: on.server.address, stagingFolder: on.stagingFolder },
      { clock: systemClock, log, sshOptions: sshd.options },
    );
    try {
      measured.push(...(await roundTrips(on, target, 'ssh', repeats)));
    } finally {
      await target.close();
      await sshd.stop();
    }
  } else {
    measured.push({
      metric: 'deploy_ssh_ms',
      unit: 'ms',
      values: [],
      peer: { name: 'sshd', unavailable: sshdUnavailable },
    });
  }
  await rollBack(on.target, { actor: 'bench' });
  return measured;
}

async function roundTrips(
  on: Deployments,
  target: Target,
  name: string,
  repeats: number,
): Promise<Measured[]> {
  const rehearsed: number[] = [];
  const plain: number[] = [];
  const back: number[] = [];
  let inexact = 0;
  const before = on.files();
  const [runs] = await on.sql(whichRuns);
  for (let turn = 0; turn < repeats * 2; turn += 1) {
    const rehearse = turn % 2 === 0;
    const begun = performance.now();
    await deploy(target, on.bundle('1.1'), { ...plainly, rehearse });
    const done = performance.now();
    (rehearse ? rehearsed : plain).push(done - begun);
    await rollBack(target, { actor: 'bench' });
    back.push(performance.now() - done);
    const [now] = await on.sql(whichRuns);
    if (on.files() !== before || JSON.stringify(now) !== JSON.stringify(runs)) inexact += 1;
  }
  return [
    { metric: `deploy_${name}_rehearsed_ms`, unit: 'ms', values: rehearsed },
    { metric: `deploy_${name}_ms`, unit: 'ms', values: plain },
    { metric: `rollback_${name}_ms`, unit: 'ms', values: back, target: { atMost: 5_000 } },
    {
      metric: `rollback_${name}_inexact`,
      unit: 'rollbacks',
      values: [inexact],
      target: { atMost: 0 },
    },
  ];
}

/** pgbench calls the extension all the while, in sessions that stay and in ones that come and go. */
export async function underLoad(on: Deployments, trips: number): Promise<Measured[]> {
  await deploy(on.target, on.bundle('1.0'), creating);
  const postmaster = on.server.pid();
  const script = join(on.folder, 'load.sql');
  await writeFile(script, 'select counter_step(41), counter_library();\n');
  const staying = startLoad(on.server, script, ['-c', String(sessions)]);
  const passing = startLoad(on.server, script, ['-c', '1', '-C']);
  await delay(quietSeconds * 1_000);
  const before = staying.rates().length;
  let stale = 0;
  for (let turn = 0; turn < trips; turn += 1) {
    const { findings } = await deploy(on.target, on.bundle('1.1'), plainly);
    stale += findings.filter(({ rule }) => rule === 'stale-backend').length;
    await rollBack(on.target, { actor: 'bench' });
  }
  const after = staying.rates().length;
  const complaints = [...(await staying.stop()), ...(await passing.stop())];
  await rollBack(on.target, { actor: 'bench' });
  const crashed = (await crashes(on.server)) + (on.server.pid() === postmaster ? 0 : 1);
  return [
    { metric: 'load_deploys_and_rollbacks', unit: 'changes', values: [trips * 2] },
    { metric: 'load_crashed_backends', unit: 'backends', values: [crashed], target: { atMost: 0 } },
    {
      metric: 'load_failed_transactions',
      unit: 'complaints',
      values: [complaints.length],
      target: { atMost: 0 },
    },
    {
      metric: 'load_transactions_per_s',
      unit: '1/s',
      values: staying.rates().slice(before, after),
      peer: { name: 'before the deploys', values: staying.rates().slice(0, before) },
    },
    { metric: 'load_passing_sessions_per_s', unit: '1/s', values: [median(passing.rates()) ?? 0] },
    {
      metric: 'load_stale_backends_listed',
      unit: 'a deploy',
      values: [stale / trips],
      target: { atLeast: sessions },
    },
  ];
}

interface Load {
  /** Transactions a second, each second. */
  rates(): number[];
  /** Lines of errors. Throws when it had ended by itself. */
  stop(): Promise<string[]>;
}

function startLoad({ paths, url }: ExtensionServer, script: string, words: string[]): Load {
  const own = join(paths.binFolder, 'pgbench');
  const program = existsSync(own) ? own : '/usr/bin/pgbench';
  const { port, username, password, pathname } = new URL(url);
  const child = spawn(
    program,
    ['-n', '-P', '1', '-T', '600', '-f', script, ...words, pathname.slice(1)],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        ...process.env,
        PGHOST: '127.0.0.1',
        PGPORT: port,
        PGUSER: username,
        PGPASSWORD: password,
      },
    },
  );
  const over = once(child, 'close');
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const lines = (): string[] => said.split('\n').filter((line) => line !== '');
  return {
    rates: () =>
      lines().flatMap((line) => {
        const rate = /^progress: .* s, ([\d.]+) tps/.exec(line)?.[1];
        return rate === undefined ? [] : [Number(rate)];
      }),
    async stop() {
      if (child.exitCode !== null) throw new Error(`pgbench ended by itself: ${said.slice(-500)}`);
      child.kill('SIGTERM');
      await over;
      return lines().filter((line) => !line.startsWith('progress:'));
    },
  };
}

/** As the server's own log says: of a signal. */
async function crashes({ folder }: ExtensionServer): Promise<number> {
  const text = await readFile(join(folder, 'server/server.log'), 'utf8');
  return text.split('\n').filter((line) => line.includes('was terminated by signal')).length;
}

/**
 * Another build of pgvector takes the place of the one that sessions have loaded: by a deployment that
 * keeps what was there, and, on a server of its own, by `cp`. The sessions go on asking.
 */
export async function replacement(folder: string): Promise<Measured[]> {
  const { bundle } = await buildFrom(await pgvectorSource());
  const ours = await replaced(async (server) => {
    const target = await openTarget(
      { address: server.address, stagingFolder: join(server.folder, 'staging') },
      { clock: systemClock, log },
    );
    try {
      await deploy(target, bundle, { ...plainly, adopt: true, acceptOneWay: true });
    } finally {
      await target.close();
    }
  }, folder);
  const file = join(folder, 'vector.so');
  await writeFile(file, bundle.files.get('lib/vector.so') ?? Buffer.of());
  const copied = await replaced(
    // Written in place, as cp and install -m do without --remove-destination.
    async ({ paths }) => await copyFile(file, join(paths.libraryFolder, 'vector.so')),
    folder,
  );
  return [
    {
      metric: 'sessions_lost_by_a_replacement',
      unit: 'sessions',
      values: [ours.lost],
      peer: { name: 'cp over the loaded library', values: [copied.lost] },
      target: { atMost: 0 },
    },
    {
      metric: 'crashes_by_a_replacement',
      unit: 'crashes',
      values: [ours.crashes],
      peer: { name: 'cp over the loaded library', values: [copied.crashes] },
      target: { atMost: 0 },
    },
  ];
}

async function replaced(
  replace: (server: ExtensionServer) => Promise<void>,
  folder: string,
): Promise<{ lost: number; crashes: number }> {
  const server = await startExtensionServer();
  const files = join(folder, 'debian-pgvector');
  const clients: Client[] = [];
  try {
    await copyPgvector(files);
    const { libraryFolder, extensionFolder } = server.paths;
    await cp(join(files, 'lib'), libraryFolder, { recursive: true });
    await cp(join(files, 'extension'), extensionFolder, { recursive: true });
    const ask = `select '[1,2,3]'::vector <-> '[3,2,1]', l2_normalize('[1,2,3]'::vector), '[1,2]'::halfvec`;
    for (let count = 0; count < sessions; count += 1) {
      const client = new Client({ connectionString: server.url });
      // A session that is lost says so here as well as to its query.
      client.on('error', () => undefined);
      await client.connect();
      clients.push(client);
      if (count === 0) await client.query('create extension vector');
      await client.query(ask);
    }
    await replace(server);
    let lost = 0;
    for (const client of clients) {
      await client.query(ask).catch(() => (lost += 1));
    }
    return { lost, crashes: await crashes(server) };
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
    await server.stop();
  }
}
