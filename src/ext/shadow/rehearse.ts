/**
 * Does on a throwaway server of the target what a deployment is about to do to the real one: makes
 * the extensions as they are installed now, switches the files, updates, proves them by their smoke
 * SQL, goes back, and makes them afresh beside. Nothing of the real server is written or asked.
 *
 * PostgreSQL 18 could read new files from elsewhere (`extension_control_path`), but a mirror costs
 * two commands, works from 12 on, and resolves `$libdir` as the real server will.
 */
import { AppError, type Clock, type Log } from '../../base/base.ts';
import type { InstalledExtension } from '../deployment-types.ts';
import type { Host } from '../host/host.ts';
import type { ExtensionEntry, ExtFinding } from '../types.ts';
import { makeFresh, makeOld, update, type Act, type RehearsedUpdate } from './acts.ts';
import { addFiles, removeFiles } from './mirror.ts';
import { selectFolders } from './queries.ts';
import { inSession, SessionLost } from './sessions.ts';
import { openShadow, type ShadowOptions, type ShadowServer } from './shadow-server.ts';
import { distinctInstalls } from './versions.ts';

export type { RehearsedUpdate } from './acts.ts';

export interface RehearsalOptions extends ShadowOptions {
  /** The live server's: another one means that the programs on its disk are not the ones that run. */
  readonly major: number;
  /** The new release on the target: a folder with `lib/` and `extension/`. */
  readonly files: string;
  /** Names that the deployment takes away, as in a bundle: `extension/vector--0.7.0.sql`. */
  readonly removed?: readonly string[];
  readonly extensions: readonly ExtensionEntry[];
  /** Those of the live server; others than the release's are passed over. */
  readonly installed: readonly InstalledExtension[];
  /** By path (`smoke/vector.sql`): run where its extension is, or where all are when it names none. */
  readonly smoke: ReadonlyMap<string, string>;
  /** Of the live server's shared_preload_libraries: those of the release, and those that they need. */
  readonly preload?: readonly string[];
  /** 60,000 by default. */
  readonly statementTimeoutMs?: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Rehearsal {
  /** One that refuses means that the deployment would have failed. */
  readonly findings: readonly ExtFinding[];
  /** Those that succeeded. */
  readonly updates: readonly RehearsedUpdate[];
  /** What took how long, in milliseconds, in order. */
  readonly partsMs: Readonly<Record<string, number>>;
}

type Part = <T>(name: string, work: () => Promise<T>) => Promise<T>;

const defaultStatementMs = 60_000;

/**
 * Rehearses a deployment. What the new code does wrong is among the findings; throws `ext_failed`
 * where the rehearsal itself can not be held, `target_unreachable`, `timeout`, the signal's reason.
 */
export async function rehearse(host: Host, options: RehearsalOptions): Promise<Rehearsal> {
  const { signal, clock, log } = options;
  const findings: ExtFinding[] = [];
  const partsMs: Record<string, number> = {};
  const part: Part = async (name, work) => {
    const before = clock.monotonicMs();
    try {
      return await work();
    } finally {
      partsMs[name] = Math.round((clock.monotonicMs() - before) * 10) / 10;
    }
  };
  const shadow = await part('open', () => openShadow(host, options));
  try {
    const { extensions, smoke, statementTimeoutMs = defaultStatementMs } = options;
    const session = { statementTimeoutMs, ...(signal === undefined ? {} : { signal }) };
    const act: Act = { shadow, session, extensions, smoke, findings, doing: 'connecting' };
    const updates = await perform(host, options, act, part).catch(async (error: unknown) => {
      if (!(error instanceof SessionLost)) throw error;
      findings.push(await crash(act, error));
      return [];
    });
    return { findings, updates, partsMs };
  } finally {
    await part('close', () => shadow.close()).catch((error: unknown) =>
      log.warn(
        { host: host.name, folder: shadow.folder, err: String(error) },
        'a rehearsal left its folder',
      ),
    );
  }
}

/** The acts in their order: as it is now, the switch, afresh, updated. */
async function perform(
  host: Host,
  options: RehearsalOptions,
  act: Act,
  part: Part,
): Promise<RehearsedUpdate[]> {
  const { shadow, session, findings } = act;
  const { preload = [], files, removed = [], signal } = options;
  const sets = distinctInstalls(options.extensions, options.installed);
  const switchFiles = async (): Promise<void> => {
    await removeFiles(host, shadow.paths, removed, signal);
    await addFiles(host, shadow.paths, files, signal);
  };
  // With the new files in place and a library to load at the start, a failure is the library's.
  const startNew = async (): Promise<boolean> => {
    try {
      await shadow.start(preload);
      return true;
    } catch (error) {
      if (preload.length === 0 || !(error instanceof AppError) || error.code !== 'ext_failed') {
        throw error;
      }
      findings.push(preloadFails(preload, error));
      return false;
    }
  };
  if (sets.length === 0) {
    await part('switch', switchFiles);
    if (!(await part('start', startNew))) return [];
  } else {
    await part('start', () => shadow.start(preload));
  }
  await inSession(shadow, 'postgres', session, async ({ query }) =>
    assertMirrored(shadow, options.major, await query(selectFolders())),
  );
  const old = await part('old', () => makeOld(act, sets));
  if (sets.length > 0) {
    await part('switch', switchFiles);
    if (preload.length > 0) {
      await part('restart', () => shadow.stop());
      if (!(await part('start', startNew))) return [];
    }
  }
  const fresh = await part('fresh', () => makeFresh(act));
  return await part('update', async () => {
    const updates: RehearsedUpdate[] = [];
    for (const set of old) updates.push(...(await update(act, set, fresh)));
    return updates;
  });
}

/** A server that looked for its files elsewhere would have rehearsed nothing. */
function assertMirrored(
  { paths }: ShadowServer,
  major: number,
  rows: readonly { readonly name: string; readonly setting: string }[],
): void {
  const version = rows.find(({ name }) => name === 'VERSION')?.setting ?? '';
  if (Number(/\d+/.exec(version)?.[0]) !== major) {
    throw new AppError(
      'ext_failed',
      `${paths.binFolder} holds ${version}, not PostgreSQL ${major}`,
      {
        details: { version, major },
        remedy: 'Restart the live server, which still runs what was replaced on its disk.',
      },
    );
  }
  const expected = { PKGLIBDIR: paths.libraryFolder, SHAREDIR: paths.shareFolder };
  for (const [name, folder] of Object.entries(expected)) {
    const found = rows.find((row) => row.name === name)?.setting;
    if (found === folder) continue;
    throw new AppError('ext_failed', `the rehearsal's server looks for files in ${found}`, {
      details: { name, found, expected: folder },
      remedy:
        'Its build can not be moved; deploy without a rehearsal, or rehearse on another host.',
    });
  }
}

function preloadFails(preload: readonly string[], error: AppError): ExtFinding {
  return {
    level: 'refuse',
    rule: 'preload-fails',
    message: `the server does not start with ${preload.join(', ')} preloaded: ${error.message}`,
    remedy: 'Mend the library; the live server would not have come back from its restart.',
  };
}

async function crash({ shadow, doing }: Act, error: SessionLost): Promise<ExtFinding> {
  const words = await shadow.lastWords();
  return {
    level: 'refuse',
    rule: 'crashes-server',
    message: `the server ended the session while ${doing} (${error.message}); its last words:\n${words}`,
    remedy: 'Mend the library: on the live server, every session would have been ended.',
  };
}
