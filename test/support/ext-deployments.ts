/** A server with bundles of the sample extension for it, and what a test asks of both again and again. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { expect } from 'vitest';
import { createLog, systemClock } from '../../src/base/base.ts';
import { deploy, type DeployOptions } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import { statusOf } from '../../src/ext/deploy/status.ts';
import { openTarget, type Target } from '../../src/ext/deploy/target.ts';
import { stepNames } from '../../src/ext/deployment-types.ts';
import type { Bundle } from '../../src/ext/types.ts';
import { buildSample } from './extension-bundles.ts';
import { startExtensionServer, type ExtensionServer } from './extension-servers.ts';
import { testFolder } from './processes.ts';

/** As the tests deploy unless they say otherwise: quickly. */
export const plainly: DeployOptions = {
  adopt: false,
  acceptOneWay: false,
  acceptStandbys: false,
  mayRestart: false,
  create: [],
  rehearse: false,
  lockTimeoutMs: 1_000,
  actor: 'test',
};

/** As `plainly`, and makes the extension in the database `postgres`. */
export const creating: DeployOptions = {
  ...plainly,
  create: ['centuria_counter'],
  databases: ['postgres'],
};

/** Lines of a journal after which a process can be killed, but for those that depend on the server. */
export const killPoints = stepNames.flatMap((step) =>
  ['begin', 'rehearse', 'restart', 'adopt'].includes(step)
    ? []
    : [`${step} begins`, `${step} ends`],
);

export const whichRuns = 'select counter_version() as sql, counter_library() as library';

export interface Deployments {
  readonly server: ExtensionServer;
  readonly folder: string;
  readonly target: Target;
  readonly stagingFolder: string;
  /** Of a release of the sample: `1.0`. */
  bundle(release: string): Bundle;
  bundleFile(release: string): string;
  /** Another way to the same target. */
  open(how?: { readonly mayBeDown?: boolean }): Promise<Target>;
  sql(text: string, database?: string): Promise<unknown[]>;
  /** Every name of ours in the server's folders, with its kind and the hash of what it gives. */
  files(): string;
  /** Rolls back until nothing of ours is left. */
  undoAll(): Promise<void>;
  /** Deploys 1.1 in a process that is killed at that line, and sees that one release is there. */
  killedAt(point: string): Promise<void>;
  stop(): Promise<void>;
}

/** What is built of the sample besides, by the name that `bundle` finds it under. */
export type Builds = Readonly<
  Record<string, readonly ['counter' | 'preloaded', Readonly<Record<string, string>>]>
>;

export async function openDeployments(
  releases: readonly string[],
  more: { readonly builds?: Builds; readonly settings?: Readonly<Record<string, string>> } = {},
): Promise<Deployments> {
  const folder = await testFolder();
  const { builds = {}, settings = {} } = more;
  const server = await startExtensionServer({ settings });
  const built = new Map<string, { bundle: Bundle; file: string }>();
  const counters = releases.map((release) => [release, ['counter', { RELEASE: release }]] as const);
  for (const [name, [sample, variables]] of [...counters, ...Object.entries(builds)]) {
    const into = join(folder, name);
    mkdirSync(into);
    built.set(name, await buildSample(sample, variables, into));
  }
  const found = (release: string): { bundle: Bundle; file: string } => {
    const one = built.get(release);
    if (one === undefined) throw new Error(`${release} was not built`);
    return one;
  };
  const stagingFolder = join(folder, 'staging');
  const open: Deployments['open'] = (how = {}) =>
    openTarget(
      { address: server.address, stagingFolder },
      { clock: systemClock, log: createLog({ level: 'error' }), ...how },
    );
  const target = await open();
  const files = (): string => ownFiles(server);
  return {
    server,
    folder,
    stagingFolder,
    target,
    bundle: (release) => found(release).bundle,
    bundleFile: (release) => found(release).file,
    open,
    sql: (text, database = 'postgres') => query(server, text, database),
    files,
    async undoAll() {
      while (files().includes('centuria_counter')) await rollBack(target, { actor: 'test' });
    },
    async killedAt(point) {
      const file = join(folder, 'deployer.json');
      const given = { address: server.address, stagingFolder, bundle: found('1.1').file };
      writeFileSync(file, JSON.stringify({ ...given, killAt: point }), { mode: 0o600 });
      await dies(file);
    },
    async stop() {
      await target.close();
      await server.stop();
      await target.host.run('chmod -R u+w "$1"', { args: [folder] });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * With 1.0 deployed and created: kills a deployment of 1.1 at a line of its journal, sees one release there,
 * goes on with it or takes it back, and sees that all is as before. Gives what `status` then finds.
 */
export async function surviveKill(on: Deployments, point: string): Promise<readonly unknown[]> {
  const { target } = on;
  const before = on.files();
  const old = await on.sql(whichRuns);
  await on.killedAt(point);
  // Whatever came of it, a backend that begins now gets one release.
  const [seen] = (await on.sql('select counter_library() as library')) as { library: string }[];
  expect(['1.0', '1.1']).toContain(seen?.library);
  if (point !== 'end ends') {
    await expect(deploy(target, on.bundle('1.2'), plainly)).rejects.toMatchObject({
      code: 'ext_busy',
    });
  }
  // Half of them go on, the others go back at once.
  if (point.endsWith('begins')) {
    const bundle = point === 'stage begins' ? on.bundle('1.1') : undefined;
    const resumed = await deploy(target, bundle, plainly);
    expect(resumed).toMatchObject({ state: 'deployed', wasResumed: true });
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.1', library: '1.1' }]);
  }
  await rollBack(target, { actor: 'test' });
  expect(on.files()).toBe(before);
  expect(await on.sql(whichRuns)).toEqual(old);
  return (await statusOf(target)).findings;
}

async function query({ address }: ExtensionServer, text: string, database: string) {
  const { host, port, user, password } = address;
  const client = new Client({ host, port, user, password, database });
  await client.connect();
  try {
    const { rows } = await client.query(text);
    return rows as unknown[];
  } finally {
    await client.end();
  }
}

function ownFiles({ paths }: ExtensionServer): string {
  return [paths.libraryFolder, paths.extensionFolder]
    .flatMap((path) =>
      readdirSync(path)
        .filter((name) => name.startsWith('centuria_') || name.startsWith('.centuria'))
        .map((name) => {
          const file = join(path, name);
          const isLink = lstatSync(file).isSymbolicLink();
          const bytes = existsSync(file) ? readFileSync(file) : Buffer.from('nothing');
          const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
          const mode = isLink ? readlinkSync(file) : (lstatSync(file).mode & 0o777).toString(8);
          return `${name} ${mode} ${hash}`;
        }),
    )
    .join('\n');
}

async function dies(optionsFile: string): Promise<void> {
  const program = join(import.meta.dirname, 'ext-deployer.ts');
  const child = spawn(process.execPath, [program, optionsFile], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let words = '';
  child.stderr.on('data', (bytes: Buffer) => {
    words += bytes.toString();
  });
  const ended = await new Promise<string | number | null>((done) => {
    child.once('close', (code, signal) => done(signal ?? code));
  });
  if (ended !== 'SIGKILL') throw new Error(`the deployer ended with ${String(ended)}: ${words}`);
}
