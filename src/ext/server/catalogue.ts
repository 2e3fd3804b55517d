/** What a deployment does to the extensions of databases, in transactions, and the way back. */
import { escapeIdentifier, escapeLiteral } from 'pg';
import { AppError } from '../../base/base.ts';
import type { CatalogueStep } from '../deployment-types.ts';
import { watchBlockers, type BlockerWatch } from './blockers.ts';
import { selectRequired, selectVersion } from './catalogue-queries.ts';
import type { TargetClient } from './connect.ts';
import type { TargetServer } from './server.ts';
import { checkSmoke } from './smoke.ts';

export type CatalogueEvent = 'applied' | 'already' | 'smoked' | 'committed' | 'undone' | 'kept';

export interface CatalogueOptions {
  readonly lockTimeoutMs: number;
  /** Of one statement, an update script as a whole among them. */
  readonly statementTimeoutMs: number;
  readonly onStep?: (step: CatalogueStep, event: CatalogueEvent) => void;
}

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
  const watch = await watchBlockers(server, options.lockTimeoutMs);
  try {
    for (const [database, group] of Map.groupBy(steps, (step) => step.database)) {
      const client = await server.connect(database);
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
    if (options.dryRun === true)
      await Promise.all(open.map(([client]) => client.script('rollback')));
    else await commitAll(open, options);
  } finally {
    // A connection that is closed takes back what it has not committed.
    await Promise.all([watch.stop(), ...open.map(([client]) => client.close())]);
  }
}

/** As a setting takes it; 0 would be no limit at all. */
function whole(ms: number): number {
  return Math.max(1, Math.round(ms));
}

async function begin(client: TargetClient, options: CatalogueOptions): Promise<void> {
  await client.script(`begin isolation level read committed read write;
    set local lock_timeout = ${whole(options.lockTimeoutMs)};
    set local statement_timeout = ${whole(options.statementTimeoutMs)}`);
}

/** With an extension that others of the same database need before these. */
async function inOrder(client: TargetClient, steps: CatalogueStep[]): Promise<CatalogueStep[]> {
  const creates = steps.filter(({ action }) => action === 'create');
  if (creates.length < 2) return steps;
  const required = new Map<string, readonly string[]>();
  for (const { extension, to } of creates) {
    const [row] = await client.query(selectRequired(extension, to));
    required.set(extension, row?.required ?? []);
  }
  const ordered: CatalogueStep[] = [];
  const visited = new Set<string>();
  const visit = (step: CatalogueStep): void => {
    if (visited.has(step.extension)) return;
    visited.add(step.extension);
    for (const name of required.get(step.extension) ?? []) {
      const other = steps.find(({ extension }) => extension === name);
      if (other !== undefined) visit(other);
    }
    ordered.push(step);
  };
  for (const step of steps) visit(step);
  return ordered;
}

async function versionOf(client: TargetClient, extension: string): Promise<string | undefined> {
  return (await client.query(selectVersion(extension)))[0]?.version;
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

/** Objects land where they would by hand: with the path of the user or the database. */
async function asItsUser(client: TargetClient, statement: string): Promise<void> {
  await client.script('set local search_path to default');
  await client.script(statement);
  await client.script('set local search_path = pg_catalog, pg_temp');
}

function creation({ extension, to }: CatalogueStep): string {
  return `create extension ${escapeIdentifier(extension)} version ${escapeLiteral(to)}`;
}

function update(extension: string, to: string): string {
  return `alter extension ${escapeIdentifier(extension)} update to ${escapeLiteral(to)}`;
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

/** What failed says where; what waited in vain says for whom. */
async function named(
  what: string,
  client: TargetClient,
  watch: BlockerWatch,
  work: () => Promise<void>,
): Promise<void> {
  watch.look(client.pid);
  try {
    await work();
  } catch (cause) {
    if (!(cause instanceof AppError)) throw cause;
    const blockedBy = cause.details['sqlstate'] === '55P03' ? watch.seen(client.pid) : undefined;
    const who = blockedBy?.map(
      ({ pid, user, application, state, since }) =>
        `backend ${pid} of “${user ?? '?'}” (${application === '' ? 'unnamed' : application}, ${state ?? 'state unknown'}, since ${since ?? '?'})`,
    );
    const because =
      who === undefined || who.length === 0 ? '' : `; it waited for ${who.join(', ')}`;
    const message = `${what}: ${cause.message}${because}`;
    const remedy =
      blockedBy === undefined
        ? cause.remedy
        : 'Wait for those transactions or end them, or allow a longer lock timeout.';
    throw new AppError(cause.code, message, {
      details: { ...cause.details, what, ...(blockedBy === undefined ? {} : { blockedBy }) },
      ...(remedy === undefined ? {} : { remedy }),
      cause,
    });
  }
}

export interface Undone {
  /** Steps whose way was gone back now; one that had never been done is in neither list. */
  readonly undone: readonly CatalogueStep[];
  readonly left: readonly { readonly step: CatalogueStep; readonly why: string }[];
}

/**
 * Goes the way back, the last step first, while the release's scripts are still there. One transaction a
 * database; a step that can not be undone is left and says why, and the others are undone nevertheless.
 * It can be repeated.
 */
export async function undoCatalogue(
  server: TargetServer,
  steps: readonly CatalogueStep[],
  options: CatalogueOptions,
): Promise<Undone> {
  const undone: CatalogueStep[] = [];
  const left: { step: CatalogueStep; why: string }[] = [];
  if (steps.every(({ action }) => action === 'none')) return { undone, left };
  const watch = await watchBlockers(server, options.lockTimeoutMs);
  try {
    for (const [database, group] of Map.groupBy(steps.toReversed(), (step) => step.database)) {
      await server.inDatabase(database, async (client) => {
        await begin(client, options);
        const back = (await inOrder(client, group.toReversed())).toReversed();
        const done: CatalogueStep[] = [];
        for (const step of back) {
          const came = await undoStep(client, step, watch);
          if (came === true) done.push(step);
          else if (came !== false) left.push({ step, why: came });
          if (came !== false) options.onStep?.(step, came === true ? 'undone' : 'kept');
        }
        await client.script('set constraints all immediate; commit');
        undone.push(...done);
      });
    }
  } finally {
    await watch.stop();
  }
  return { undone, left };
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
    await named(statement, client, watch, () => asItsUser(client, statement));
  } catch (error) {
    if (!(error instanceof AppError) || error.code === 'target_unreachable') throw error;
    await client.script('rollback to savepoint centuria_undo');
    const { detail } = error.details;
    return typeof detail === 'string' ? `${error.message}: ${detail}` : error.message;
  }
  return true;
}
