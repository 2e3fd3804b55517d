/** What a deployment does to the extensions of databases, in transactions, and the way back. */
import { escapeIdentifier, escapeLiteral } from 'pg';
import { AppError } from '../../base/base.ts';
import type { CatalogueStep } from '../deployment-types.ts';
import {
  asItsUser,
  begin,
  defaultLockMs,
  inOrder,
  named,
  update,
  versionOf,
  type CatalogueOptions,
} from './catalogue-transaction.ts';
import { watchBlockers, type BlockerWatch } from './blockers.ts';
import type { TargetClient } from './connect.ts';
import type { TargetServer } from './server.ts';
import type { ExtFinding } from '../types.ts';
import { checkSmoke } from './smoke.ts';

export type { CatalogueEvent, CatalogueOptions } from './catalogue-transaction.ts';

export interface ApplyOptions extends CatalogueOptions {
  /** By extension; each runs where the extension is, and what it did is taken back. */
  readonly smoke: ReadonlyMap<string, string>;
  /** Does all of it, and rolls it back. */
  readonly dryRun?: boolean;
}

/**
 * One transaction a database: all are brought to their end, smoke tests included, before the first one
 * is committed. It can be repeated: what is done already is only tested. Throws `ext_failed`, with the
 * database, the extension and whoever blocked it; where commits had begun, `details.committed` names them.
 */
export async function applyCatalogue(
  server: TargetServer,
  steps: readonly CatalogueStep[],
  options: ApplyOptions,
): Promise<void> {
  for (const [extension, text] of options.smoke) checkSmoke(text, `smoke/${extension}.sql`);
  if (steps.length === 0) return;
  const open: [TargetClient, CatalogueStep[]][] = [];
  const stop = new AbortController();
  const abort = (): void => stop.abort(options.signal?.reason);
  options.signal?.throwIfAborted();
  options.signal?.addEventListener('abort', abort, { once: true });
  const watch = await watchBlockers(server, options.lockTimeoutMs ?? defaultLockMs);
  try {
    for (const [database, group] of Map.groupBy(steps, (step) => step.database)) {
      const client = await server.connect(database, stop.signal);
      open.push([client, group]);
      await begin(client, options);
      for (const step of await inOrder(client, group)) {
        await applyStep(client, step, watch, options);
      }
      // What a script has put off until the commit fails here, where all can still be taken back.
      await named(`the end of database “${database}”`, client, watch, () =>
        client.script('set constraints all immediate'),
      );
    }
    // From here on nothing is cut off: some databases with the new version and some without help nobody.
    options.signal?.removeEventListener('abort', abort);
    stop.signal.throwIfAborted();
    if (options.dryRun !== true) await commitAll(open, options);
  } finally {
    options.signal?.removeEventListener('abort', abort);
    // A connection that is closed takes back what it has not committed.
    await Promise.all([watch.stop(), ...open.map(([client]) => client.close())]);
  }
}

async function applyStep(
  client: TargetClient,
  step: CatalogueStep,
  watch: BlockerWatch,
  { smoke, onStep }: ApplyOptions,
): Promise<void> {
  const { extension, from, to, action } = step;
  const version = await versionOf(client, extension);
  if (version !== to) {
    if (action === 'none' || version !== from) throw changedSince(step, version);
    const statement = action === 'create' ? creation(step) : update(extension, to);
    await named(statement, client, watch, () => asItsUser(client, statement));
  }
  onStep?.(step, version === to ? 'already' : 'applied');
  const test = smoke.get(extension);
  if (test === undefined) return;
  await named(`the smoke test of ${extension}`, client, watch, async () => {
    await client.script('savepoint centuria_smoke; set local search_path to default');
    await client.script(test);
    await client.script('rollback to savepoint centuria_smoke; release savepoint centuria_smoke');
  });
  onStep?.(step, 'smoked');
}

function inWords(version: string | undefined): string {
  return version === undefined ? 'absent' : `at ${version}`;
}

function changedSince(step: CatalogueStep, version: string | undefined): AppError {
  const { database, extension, from } = step;
  return new AppError(
    'conflict',
    `${extension} in database “${database}” is ${inWords(version)}; it was ${inWords(from)} when this was planned`,
    { details: { ...step, version }, remedy: 'Plan anew.' },
  );
}

function creation({ extension, to }: CatalogueStep): string {
  return `create extension ${escapeIdentifier(extension)} version ${escapeLiteral(to)}`;
}

async function commitAll(
  open: readonly [TargetClient, CatalogueStep[]][],
  { onStep }: CatalogueOptions,
): Promise<void> {
  const committed: string[] = [];
  for (const [client, group] of open) {
    try {
      await client.script('commit');
    } catch (cause) {
      const error = cause as AppError;
      const done = committed.length === 0 ? 'no other' : committed.join(', ');
      throw new AppError(error.code, `${error.message}; committed before it: ${done}`, {
        details: { ...error.details, committed, failed: client.database },
        remedy: 'Run the same deployment again, or roll it back: both look at what is there.',
        cause,
      });
    }
    committed.push(client.database);
    for (const step of group) onStep?.(step, 'committed');
  }
}

/**
 * Goes the way back, the last step first, while the release's scripts are still there. One transaction a
 * database; a step that can not be undone is left, and the others are undone nevertheless. It can be
 * repeated: gives the steps that were taken back now. Throws `ext_failed`, whose `details.left` says why.
 */
export async function undoCatalogue(
  server: TargetServer,
  steps: readonly CatalogueStep[],
  options: CatalogueOptions = {},
): Promise<readonly CatalogueStep[]> {
  const undone: CatalogueStep[] = [];
  const left: { step: CatalogueStep; why: string }[] = [];
  if (steps.every(({ action }) => action === 'none')) return undone;
  const watch = await watchBlockers(server, options.lockTimeoutMs ?? defaultLockMs);
  try {
    for (const [database, group] of Map.groupBy(steps.toReversed(), (step) => step.database)) {
      options.signal?.throwIfAborted();
      const done: CatalogueStep[] = [];
      await inDatabaseIfThere(server, database, async (client) => {
        await begin(client, options);
        const back = (await inOrder(client, group.toReversed())).toReversed();
        for (const step of back) {
          const came = await undoStep(client, step, watch);
          if (came === true) done.push(step);
          else if (came !== false) left.push({ step, why: came });
          if (came !== false) options.onStep?.(step, came === true ? 'undone' : 'kept');
        }
        await client.script('set constraints all immediate; commit');
      });
      undone.push(...done);
    }
  } finally {
    await watch.stop();
  }
  const [first] = left;
  if (first === undefined) return undone;
  const { extension, database } = first.step;
  throw new AppError(
    'ext_failed',
    `${extension} in database “${database}” could not be taken back: ${first.why}`,
    { details: { undone, left }, remedy: 'Put right what it names, then roll back again.' },
  );
}

/** A database that was dropped meanwhile has nothing to take back. */
async function inDatabaseIfThere(
  server: TargetServer,
  database: string,
  work: (client: TargetClient) => Promise<void>,
): Promise<void> {
  try {
    await server.inDatabase(database, work);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'not_found') throw error;
  }
}

/** Whether there was something to undo, or why it can not be. */
async function undoStep(
  client: TargetClient,
  step: CatalogueStep,
  watch: BlockerWatch,
): Promise<boolean | string> {
  const { extension, action, from, to, back } = step;
  const version = await versionOf(client, extension);
  if (action === 'none' || version === from) return false;
  if (version !== to)
    return `it is ${version === undefined ? 'gone' : `at ${version}`}, not at ${to}`;
  if (action === 'update' && (from === undefined || back === undefined)) {
    return `no scripts lead from ${to} back to ${from}`;
  }
  const statement =
    action === 'create' || from === undefined
      ? // Without CASCADE: what others have built upon it is theirs.
        `drop extension ${escapeIdentifier(extension)} restrict`
      : update(extension, from);
  await client.script('savepoint centuria_undo');
  try {
    // With our own path a message names what depends on it in full.
    await named(statement, client, watch, () =>
      action === 'create' ? client.script(statement) : asItsUser(client, statement),
    );
  } catch (error) {
    if (!(error instanceof AppError) || error.code === 'target_unreachable') throw error;
    await client.script('rollback to savepoint centuria_undo');
    const { detail } = error.details;
    return typeof detail === 'string' ? `${error.message}: ${detail}` : error.message;
  }
  return true;
}

/** In a transaction of a new backend, which is rolled back. A finding says what failed. */
export async function runSmoke(
  server: TargetServer,
  {
    database,
    extension,
    sql,
  }: { readonly database: string; readonly extension: string; readonly sql: string },
  options: CatalogueOptions = {},
): Promise<ExtFinding[]> {
  try {
    checkSmoke(sql, `smoke/${extension}.sql`);
    await server.inDatabase(database, async (client) => {
      await begin(client, options);
      await client.script('set local search_path to default');
      await client.script(sql);
    });
    return [];
  } catch (error) {
    const told = ['invalid_input', 'ext_failed', 'timeout', 'denied'];
    if (!(error instanceof AppError) || !told.includes(error.code)) throw error;
    const message = `the smoke test of ${extension}: ${error.message}`;
    return [{ level: 'refuse', rule: 'smoke-failed', message }];
  }
}
