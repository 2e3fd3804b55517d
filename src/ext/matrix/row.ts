/** One row of the matrix: an extension on one major version, from headers to the last regression test. */
import { mkdtemp, chmod, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError, toAppError, type Clock, type Log } from '../../base/base.ts';
import type { PostgresInstall } from '../../database/database.ts';
import { buildExtension, type Built } from '../build/build.ts';
import { checkBundle } from '../check/check.ts';
import { deploy, type Deployed } from '../deploy/deploy.ts';
import { openTarget, type Target } from '../deploy/target.ts';
import { openLocalHost } from '../host/local.ts';
import { readBundle } from '../package/bundle.ts';
import { readServerFacts } from '../package/facts.ts';
import { openPackage, type OpenedPackage } from '../package/open-package.ts';
import { packageDebian } from '../package/package.ts';
import { createDatabase, selectMembers } from '../shadow/queries.ts';
import { describeDifference } from '../shadow/versions.ts';
import type { Architecture, Bundle, ExtFinding, ServerFacts, ServerPaths } from '../types.ts';
import { npmServer } from './npm-server.ts';
import { openPrivateInstall, startPrivateServer } from './private-server.ts';
import { planRegress, runRegress, type RegressResult } from './regress.ts';

/** Sources with what makes a version of them. */
export interface MatrixSource {
  readonly folder: string;
  /** Make or CMake variables. */
  readonly settings: Readonly<Record<string, string>>;
}

export const stages = [
  'server',
  'headers',
  'build',
  'check',
  'start',
  'deploy',
  'update',
  'regress',
] as const;
export type Stage = (typeof stages)[number];

/** What an update from older sources came to. */
export interface UpdateResult {
  readonly extension: string;
  readonly from: string;
  readonly to: string;
  /** What the updated catalogue has otherwise than a fresh one; absent when they are equal. */
  readonly difference?: string;
}

export interface MatrixRow {
  readonly major: number;
  readonly architecture: Architecture;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** Why nothing was built: there are no headers, or no server. Never a success. */
  readonly skipped?: string;
  readonly failed?: { readonly stage: Stage; readonly message: string; readonly remedy?: string };
  /** Versions: of npm's package, and of the headers. */
  readonly server?: string;
  readonly headers?: string;
  readonly build?: { readonly ms: number; readonly fileName: string; readonly digest: string };
  /** Of the gate, against the server's own facts. */
  readonly check?: readonly ExtFinding[];
  /** Of a skipped row: what the gate says of a bundle for another version. It must refuse it. */
  readonly gate?: { readonly bundleMajor: number; readonly refused: readonly string[] };
  readonly deploy?: { readonly ms: number; readonly release: string };
  readonly regress?: (RegressResult & { readonly ms: number }) | { readonly unavailable: string };
  readonly updates: readonly UpdateResult[];
  /** Of older sources that do not build against this version. */
  readonly updateSkipped?: string;
  readonly ms: number;
}

/** A row while it is made. */
type Draft = { -readonly [Key in keyof MatrixRow]: MatrixRow[Key] };

export interface RowOptions {
  readonly source: MatrixSource;
  /** Older sources of the same extension, to be updated from. */
  readonly updateFrom?: MatrixSource;
  readonly architecture: Architecture;
  readonly cacheFolder: string;
  /** pg_regress and psql; without it regression tests are `unavailable`. */
  readonly tools: PostgresInstall | { readonly unavailable: string };
  readonly onStage?: (major: number, stage: Stage) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** What the gate of another row can be shown. */
export interface RowResult {
  readonly row: MatrixRow;
  readonly bundle?: Bundle;
}

interface Work extends RowOptions {
  readonly major: number;
  readonly draft: Draft;
  readonly folder: string;
  stage: Stage;
}

const untrusted = { trusted: [], requireSignature: false } as const;

/** Makes a row; what goes wrong is told in it. Throws only what the signal was aborted with. */
export async function runRow(major: number, options: RowOptions): Promise<RowResult> {
  return await inRow(major, options, async (work) => {
    const server = await fetchServer(work);
    if (server === undefined) return undefined;
    const opened = await openHeaders(work);
    if (opened === undefined) return undefined;
    const built = await build(work, opened, options.source);
    const { fileName, digest, ms } = built;
    work.draft.build = { ms, fileName, digest };
    const bundle = await readBundle(built.bundle, fileName, untrusted);
    enter(work, 'check');
    const facts = await factsOf(work, server);
    const findings = checkBundle(bundle, facts);
    work.draft.check = findings;
    const refusal = findings.find(({ level }) => level === 'refuse');
    if (refusal !== undefined) throw new AppError('ext_refused', refusal.message);
    await onServer(work, facts, opened, bundle);
    work.draft.outcome = 'passed';
    return bundle;
  });
}

/** Completes a row without headers: the gate must refuse what was built for another version. */
export async function gateRow(
  row: MatrixRow,
  bundle: Bundle,
  options: RowOptions,
): Promise<MatrixRow> {
  const result = await inRow(row.major, options, async (work) => {
    Object.assign(work.draft, row);
    const server = await fetchServer(work);
    if (server === undefined) return;
    enter(work, 'check');
    const facts = await factsOf(work, server);
    const refused = checkBundle(bundle, facts)
      .filter(({ level }) => level === 'refuse')
      .map(({ rule }) => rule);
    const bundleMajor = bundle.metadata.target.major;
    work.draft.gate = { bundleMajor, refused: [...new Set(refused)] };
    if (refused.length === 0) {
      throw new AppError('ext_failed', `the gate lets a bundle for ${bundleMajor} pass`);
    }
  });
  return result.row;
}

async function inRow(
  major: number,
  options: RowOptions,
  work: (work: Work) => Promise<Bundle | undefined | void>,
): Promise<RowResult> {
  const { architecture, clock, signal } = options;
  const startMs = clock.monotonicMs();
  const draft: Draft = { major, architecture, outcome: 'failed', updates: [], ms: 0 };
  const folder = await mkdtemp(join(tmpdir(), 'centuria-matrix-'));
  const own: Work = { ...options, major, draft, folder, stage: 'server' };
  let bundle: Bundle | undefined;
  try {
    // The server runs as another user where we are root.
    await chmod(folder, 0o755);
    bundle = (await work(own)) ?? undefined;
  } catch (thrown) {
    signal.throwIfAborted();
    const { message, remedy } = toAppError(thrown);
    draft.outcome = 'failed';
    draft.failed = { stage: own.stage, message, ...(remedy === undefined ? {} : { remedy }) };
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
  draft.ms += Math.round(clock.monotonicMs() - startMs);
  return { row: draft, ...(bundle === undefined ? {} : { bundle }) };
}

function enter(work: Work, stage: Stage): void {
  work.signal.throwIfAborted();
  work.stage = stage;
  work.onStage?.(work.major, stage);
}

function skip(work: Work, reason: string): undefined {
  work.draft.outcome = 'skipped';
  work.draft.skipped = reason;
  return undefined;
}

async function fetchServer(work: Work): Promise<ServerPaths | undefined> {
  enter(work, 'server');
  try {
    const server = await npmServer(work);
    work.draft.server = server.version;
    return server.paths;
  } catch (thrown) {
    const { code, message } = toAppError(thrown);
    if (code !== 'unavailable') throw thrown;
    return skip(work, `no server: ${message}`);
  }
}

async function openHeaders(work: Work): Promise<OpenedPackage | undefined> {
  enter(work, 'headers');
  const { cacheFolder, signal } = work;
  try {
    const made = await packageDebian(work, { cacheFolder, signal });
    work.draft.headers = made.facts.version;
    return await openPackage(made.bytes, { ...untrusted, into: join(work.folder, 'package') });
  } catch (thrown) {
    const { code, message } = toAppError(thrown);
    if (code !== 'unavailable' && code !== 'postgres_install_failed') throw thrown;
    return skip(work, `no headers: ${message}`);
  }
}

async function build(
  work: Work,
  opened: OpenedPackage,
  source: MatrixSource,
): Promise<Built & { readonly ms: number }> {
  enter(work, 'build');
  const startMs = work.clock.monotonicMs();
  const built = await buildExtension({
    source: source.folder,
    settings: source.settings,
    package: opened,
    cacheFolder: work.cacheFolder,
    // Rows run beside each other already.
    jobs: 1,
    signal: work.signal,
    log: work.log,
  });
  return { ...built, ms: Math.round(work.clock.monotonicMs() - startMs) };
}

/** Of a private install, which is what the bundle is deployed to. */
async function factsOf(work: Work, server: ServerPaths): Promise<ServerFacts> {
  const { architecture, folder, cacheFolder, signal } = work;
  const host = openLocalHost();
  const paths = await openPrivateInstall(host, { server, architecture, folder, signal });
  return await readServerFacts(
    host,
    { paths },
    { cacheFolder: join(cacheFolder, 'binaries'), origin: `npm:${work.draft.server}`, signal },
  );
}

async function onServer(
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

async function regress(
  work: Work,
  opened: OpenedPackage,
  server: Awaited<ReturnType<typeof startPrivateServer>>,
): Promise<void> {
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
