/** One row of the matrix: an extension on one major version, from headers to the last regression test. */
import { mkdtemp, chmod, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError, toAppError } from '../../base/base.ts';
import { checkBundle } from '../check/check.ts';
import { openLocalHost } from '../host/local.ts';
import { readBundle } from '../package/bundle.ts';
import { readServerFacts } from '../package/facts.ts';
import { openPackage, type OpenedPackage } from '../package/open-package.ts';
import { packageDebian } from '../package/package.ts';
import type { Bundle, ServerFacts, ServerPaths } from '../types.ts';
import { npmServer } from './npm-server.ts';
import { openPrivateInstall } from './private-server.ts';
import { proveOnServer } from './row-server.ts';
import {
  build,
  enter,
  untrusted,
  type Draft,
  type MatrixRow,
  type RowOptions,
  type Work,
} from './row-work.ts';

/** What the gate of another row can be shown. */
export interface RowResult {
  readonly row: MatrixRow;
  readonly bundle?: Bundle;
}

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
    await proveOnServer(work, facts, opened, bundle);
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
