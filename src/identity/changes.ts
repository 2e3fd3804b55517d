/**
 * Tells this process what it holds in memory and must forget. NOTIFY (and Redis, where there is one)
 * brings a change in a millisecond or two; a look at the table each second finds what they lost.
 */
import type { Clock, Log } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import { changeKinds, changesChannel, selectChanges, type ChangeKind } from './queries.ts';

const lookEveryMs = 1_000;
/**
 * Without a successful look for so long, nothing in memory is trusted: a process that is cut off from
 * the database must not go on honouring what was revoked meanwhile.
 */
const trustedForMs = 3_000;
/** Rows are kept for an hour; a process that slept longer has missed some. */
const forgetAllAfterMs = 30 * 60_000;

/** Carries changes faster or further than NOTIFY does; losing it loses nothing. */
export interface ChangeBus {
  publish(channel: string, payload: string): void;
  subscribe(
    channel: string,
    onPayload: (payload: string) => void,
    onGap: () => void,
  ): { close(): void };
}

export interface ChangesOptions {
  readonly database: Database;
  readonly bus: ChangeBus | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly onChange: (kind: ChangeKind, subject: string) => void;
  /** Something may have been missed: forget everything. */
  readonly onGap: () => void;
}

export interface Changes {
  /** Whether what is in memory may be trusted now. */
  isFresh(): boolean;
  /** A change that this process has just committed: applies it here and passes it on. */
  apply(kind: ChangeKind, subject: string): void;
  close(): Promise<void>;
}

export async function followChanges(options: ChangesOptions): Promise<Changes> {
  const { database, bus, clock, log, onChange, onGap } = options;
  // Redis may hold what a process that died could not delete: the changes of the last hour are
  // applied again. Memory is empty at the start and needs none.
  let horizon: string | null = bus === undefined ? null : '0';
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let isClosed = false;
  let cancelTimer: (() => void) | undefined;
  let looking: Promise<void> = Promise.resolve();

  const receive = (payload: string): void => {
    const colon = payload.indexOf(':');
    const kind = changeKinds.find((known) => known === payload.slice(0, colon));
    if (kind === undefined) log.warn({ payload }, 'a change of an unknown kind was announced');
    else onChange(kind, payload.slice(colon + 1));
  };

  async function look(): Promise<void> {
    const askedMs = clock.monotonicMs();
    const [row] = await database.query(selectChanges(horizon), { timeoutMs: 2_000 });
    if (row === undefined) return;
    if (lookedAtMs > 0 && askedMs - lookedAtMs > forgetAllAfterMs) onGap();
    for (const [kind, subject] of row.changes) onChange(kind, subject);
    horizon = row.horizon;
    lookedAtMs = askedMs;
  }

  function schedule(): void {
    if (isClosed) return;
    cancelTimer = clock.after(lookEveryMs, () => {
      looking = look()
        .catch((error: unknown) => {
          if (!isClosed) log.debug({ err: error }, 'changes of identity can not be read');
        })
        .finally(schedule);
    });
  }

  // Listening begins before the first look: a change in between is heard twice and not missed.
  const subscription = await database.listen(changesChannel, receive, onGap);
  // What Redis lost, the look at the table finds within a second.
  const onBus = bus?.subscribe(changesChannel, receive, () => undefined);
  await look();
  schedule();

  return {
    isFresh: () => clock.monotonicMs() - lookedAtMs < trustedForMs,
    apply(kind, subject) {
      onChange(kind, subject);
      bus?.publish(changesChannel, `${kind}:${subject}`);
    },
    async close() {
      isClosed = true;
      cancelTimer?.();
      await looking;
      onBus?.close();
      await subscription.close();
    },
  };
}
