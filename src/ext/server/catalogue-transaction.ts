/** What applying and undoing have in common: a transaction in a database, and errors that say where. */
import { escapeIdentifier, escapeLiteral } from 'pg';
import { AppError } from '../../base/base.ts';
import type { CatalogueStep } from '../deployment-types.ts';
import type { BlockerWatch } from './blockers.ts';
import { selectRequired, selectVersion, type BlockerRow } from './catalogue-queries.ts';
import type { TargetClient } from './connect.ts';

export const defaultLockMs = 5_000;
const defaultStatementMs = 600_000;

export type CatalogueEvent = 'applied' | 'already' | 'smoked' | 'committed' | 'undone' | 'kept';

export interface CatalogueOptions {
  /** 5,000 by default: what waits for a lock makes others wait behind it. */
  readonly lockTimeoutMs?: number;
  /** Of one statement, an update script as a whole among them; 600,000 by default. */
  readonly statementTimeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (step: CatalogueStep, event: CatalogueEvent) => void;
}

/** As a setting takes it; 0 would be no limit at all. */
function whole(ms: number): number {
  return Math.max(1, Math.round(ms));
}

export async function begin(
  client: TargetClient,
  { lockTimeoutMs = defaultLockMs, statementTimeoutMs = defaultStatementMs }: CatalogueOptions,
): Promise<void> {
  await client.script(`begin isolation level read committed read write;
    set local lock_timeout = ${whole(lockTimeoutMs)};
    set local statement_timeout = ${whole(statementTimeoutMs)}`);
}

/** With an extension that others of the same database need before these. */
export async function inOrder(
  client: TargetClient,
  steps: CatalogueStep[],
): Promise<CatalogueStep[]> {
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

export async function versionOf(
  client: TargetClient,
  extension: string,
): Promise<string | undefined> {
  return (await client.query(selectVersion(extension)))[0]?.version;
}

/** Objects land where they would by hand: with the path of the user or the database. */
export async function asItsUser(client: TargetClient, statement: string): Promise<void> {
  await client.script('set local search_path to default');
  await client.script(statement);
  await client.script('set local search_path = pg_catalog, pg_temp');
}

export function update(extension: string, to: string): string {
  return `alter extension ${escapeIdentifier(extension)} update to ${escapeLiteral(to)}`;
}

function described({ pid, user, application, state, since }: BlockerRow): string {
  const whose = `of “${user ?? '?'}”`;
  if (pid === 0) {
    return `the prepared transaction “${application ?? '?'}” ${whose} (since ${since ?? '?'})`;
  }
  const name = application === '' ? 'unnamed' : application;
  return `backend ${pid} ${whose} (${name}, ${state ?? 'state unknown'}, since ${since ?? '?'})`;
}

/** What failed says where; what waited in vain says for whom. */
export async function named(
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
    const who = blockedBy?.map(described);
    const because =
      who === undefined || who.length === 0 ? '' : `; it waited for ${who.join(', ')}`;
    const message = `${what}: ${cause.message}${because}`;
    const remedy =
      blockedBy === undefined
        ? cause.remedy
        : 'Wait for those transactions or end them (a prepared one by “rollback prepared”), or allow a longer lock timeout.';
    throw new AppError(cause.code, message, {
      details: { ...cause.details, what, ...(blockedBy === undefined ? {} : { blockedBy }) },
      ...(remedy === undefined ? {} : { remedy }),
      cause,
    });
  }
}
