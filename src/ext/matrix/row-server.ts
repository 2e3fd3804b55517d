/** The part of a row that needs a running server: deployment, update, regression tests. */
import { join } from 'node:path';
import { AppError, toAppError } from '../../base/base.ts';
import { deploy, type Deployed } from '../deploy/deploy.ts';
import { openTarget, type Target } from '../deploy/target.ts';
import { readBundle } from '../package/bundle.ts';
import type { OpenedPackage } from '../package/open-package.ts';
import { createDatabase } from '../shadow/commands.ts';
import { selectMembers } from '../shadow/queries.ts';
import { describeDifference } from '../shadow/versions.ts';
import type { Bundle, ServerFacts } from '../types.ts';
import { startPrivateServer, type PrivateServer } from './private-server.ts';
import { planRegress, runRegress } from './regress.ts';
import { build, enter, untrusted, type UpdateResult, type Work } from './row-work.ts';

/** Starts the private server, proves the bundle on it, and stops it. */
export async function proveOnServer(
  work: Work,
  { paths, version }: ServerFacts,
  opened: OpenedPackage,
  bundle: Bundle,
): Promise<void> {
  enter(work, 'start');
  const server = await startPrivateServer(paths, { ...work, version });
  try {
    const { clock, log, signal, cacheFolder } = work;
    const target = await openTarget(
      { address: server.address, stagingFolder: join(work.folder, 'staging') },
      { clock, log, signal, cacheFolder: join(cacheFolder, 'binaries') },
    );
    try {
      const older = await deployOlder(work, target, opened);
      enter(work, 'deploy');
      await inPostgres(target, createDatabase('centuria_fresh'));
      const startMs = clock.monotonicMs();
      const databases = ['centuria_fresh', ...(older === undefined ? [] : ['centuria_updated'])];
      const { plan } = await deployTo(work, target, bundle, databases);
      const ms = Math.round(clock.monotonicMs() - startMs);
      work.draft.deploy = { ms, release: plan.release };
      if (older !== undefined) await compareUpdated(work, target, older, bundle);
    } finally {
      await target.close();
    }
    await regress(work, opened, server);
  } finally {
    await server.stop();
  }
}

async function inPostgres(target: Target, text: string): Promise<void> {
  await target.server.inDatabase(target.server.recordDatabase, (client) => client.script(text));
}

async function deployTo(
  work: Work,
  target: Target,
  bundle: Bundle,
  databases: readonly string[],
): Promise<Deployed> {
  return await deploy(target, bundle, {
    adopt: false,
    acceptOneWay: true,
    acceptStandbys: false,
    mayRestart: false,
    // The whole server is there for nothing but this.
    rehearse: false,
    databases,
    create: bundle.metadata.extensions.map(({ name }) => name),
    actor: 'centuria ext matrix',
    signal: work.signal,
  });
}

/** Deploys the older sources and makes the extension of them in a database, from where it is updated. */
async function deployOlder(
  work: Work,
  target: Target,
  opened: OpenedPackage,
): Promise<Bundle | undefined> {
  if (work.updateFrom === undefined) return undefined;
  const built = await build(work, opened, work.updateFrom).catch((thrown: unknown) => {
    const error = toAppError(thrown);
    if (error.code !== 'ext_build_failed') throw thrown;
    work.draft.updateSkipped = `the older sources do not build: ${error.message}`;
    return undefined;
  });
  if (built === undefined) return undefined;
  enter(work, 'update');
  const older = await readBundle(built.bundle, built.fileName, untrusted);
  await inPostgres(target, createDatabase('centuria_updated'));
  await deployTo(work, target, older, ['centuria_updated']);
  return older;
}

async function compareUpdated(
  work: Work,
  target: Target,
  older: Bundle,
  { metadata }: Bundle,
): Promise<void> {
  enter(work, 'update');
  const updates: UpdateResult[] = [];
  for (const { name, version: from } of older.metadata.extensions) {
    const to = metadata.extensions.find((each) => each.name === name)?.version;
    if (to === undefined) continue;
    const updated = await members(target, 'centuria_updated', name);
    const difference = describeDifference(updated, await members(target, 'centuria_fresh', name));
    updates.push({
      extension: name,
      from,
      to,
      ...(difference === undefined ? {} : { difference }),
    });
  }
  work.draft.updates = updates;
  const unequal = updates.find(({ difference }) => difference !== undefined);
  if (unequal !== undefined) {
    throw new AppError(
      'ext_failed',
      `${unequal.extension} updated from ${unequal.from} is not what a fresh ${unequal.to} is: ` +
        `${unequal.difference}`,
    );
  }
}

async function members(
  target: Target,
  database: string,
  extension: string,
): Promise<ReadonlyMap<string, string>> {
  return await target.server.inDatabase(database, async (client) => {
    // Names come qualified then, and the same in both databases.
    await client.script('set search_path = pg_catalog');
    const rows = await client.query(selectMembers(extension));
    return new Map(rows.map(({ object, definition }) => [object, definition]));
  });
}

async function regress(work: Work, opened: OpenedPackage, server: PrivateServer): Promise<void> {
  enter(work, 'regress');
  const { tools, source, signal, clock } = work;
  const plan = await planRegress(source.folder, opened.pgConfig, signal);
  if ('unavailable' in tools || plan === undefined) {
    const reason = 'unavailable' in tools ? tools.unavailable : 'the sources have no tests';
    work.draft.regress = { unavailable: reason };
    return;
  }
  const startMs = clock.monotonicMs();
  const folder = join(work.folder, 'regress');
  const result = await runRegress({ tools, plan, ...server, folder, signal });
  work.draft.regress = { ...result, ms: Math.round(clock.monotonicMs() - startMs) };
  if (result.failed.length > 0) {
    throw new AppError('ext_failed', `regression tests failed: ${result.failed.join(', ')}`);
  }
}
