/**
 * Circuit breakers that all workers share: what fails everywhere is left alone for a while, by
 * everybody. A breaker is asked before a call and told once when the call, with all its retries, has
 * ended. Nothing is written while all goes well.
 */
import { AppError, suggest, toAppError, type Clock, type Log } from '../base/base.ts';
import type { Database, Queryable } from '../database/database.ts';
import { batchedTransactions } from './batched-transactions.ts';
import { isBreakerKey } from './breaker-outcome.ts';
import * as queries from './breaker-queries.ts';
import { actOn, refusal, type Admission, type BreakerRequest } from './breaker-requests.ts';
import { changesOf, stateOf, viewOf, type BreakerView } from './breaker-rows.ts';
import {
  defaultBreakerLimits,
  type BreakerLimits,
  type BreakerOutcome,
  type BreakerState,
} from './breaker-state.ts';
import { cursorOf, textOfCursor } from './cursor.ts';
import type { GroupCommit } from './group-commit.ts';
import type { Page } from './types.ts';

export { breakerKey, breakerOutcome } from './breaker-outcome.ts';
export { breakerError, type Admission } from './breaker-requests.ts';
export type { BreakerView } from './breaker-rows.ts';
export type { BreakerLimits, BreakerOutcome } from './breaker-state.ts';

export interface Breakers {
  /**
   * Whether a call may go to all that it needs. From memory while they are closed; in half-open it
   * takes a place in each, or in none. Throws `database_*` when that can not be asked.
   */
  admit(keys: readonly string[], callId: string): Promise<Admission>;
  /** The one that surely refuses a call now, from memory; takes no place. */
  refusing(keys: readonly string[]): Extract<Admission, { admitted: false }> | undefined;
  /**
   * Tells how a call ended, with its retries: `breakerOutcome` says what its error counts as. A
   * success writes nothing while the breaker is closed; `none` gives a place in half-open back.
   */
  record(
    keys: readonly string[],
    callId: string,
    outcome: BreakerOutcome,
    code?: string,
  ): Promise<void>;
  /** By key; `limit` 1 to 500, default 50. */
  list(filter?: BreakerFilter): Promise<Page<BreakerView>>;
  /** Closes a breaker by hand. Throws `not_found`. */
  reset(key: string, by: string): Promise<BreakerView>;
  /** Calls back when a breaker of the fleet opened, closed or let calls through again. */
  onChange(listener: (key: string, state: BreakerState['name']) => void): () => void;
}

export interface BreakerFilter {
  readonly state?: BreakerState['name'];
  readonly limit?: number;
  readonly cursor?: string;
}

export interface BreakersOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: Partial<BreakerLimits>;
}

/** The safety net under the notifications. */
const lookEveryMs = 1_000;

/** Opens the breakers on a migrated database and watches them until they are closed. */
export async function openBreakers(
  options: BreakersOptions,
): Promise<Breakers & { close(): Promise<void> }> {
  const breakers = new SharedBreakers(options);
  await breakers.open();
  return breakers;
}

interface Refusing {
  readonly state: 'open' | 'half_open';
  readonly untilMs: number;
}

class SharedBreakers implements Breakers {
  readonly #options: BreakersOptions;
  readonly #limits: BreakerLimits;
  readonly #requests: GroupCommit<BreakerRequest, Admission>;
  readonly #listeners = new Set<(key: string, state: BreakerState['name']) => void>();
  readonly #closing = new AbortController();
  /** Every breaker that is not closed, as the last look found it. */
  #refusing: ReadonlyMap<string, Refusing> = new Map();
  /** Places that calls of this process hold, to be renewed and given back. */
  readonly #held = new Map<string, readonly string[]>();
  #renewedMs = 0;
  /** The database's clock less ours. */
  #aheadMs = 0;
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #end: () => Promise<void> = () => Promise.resolve();

  constructor(options: BreakersOptions) {
    this.#options = options;
    this.#limits = { ...defaultBreakerLimits, ...options.limits };
    this.#requests = batchedTransactions({
      name: 'the circuit breakers',
      ...options,
      work: (transaction, requests) => this.#carryOut(transaction, requests),
    });
  }

  async open(): Promise<void> {
    const look = (): void => void this.#look().catch(() => undefined);
    const subscription = await this.#options.database.listen(queries.breakersChannel, look, look);
    await this.#look();
    const watching = this.#watch();
    this.#end = async () => {
      await subscription.close();
      await watching;
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#end();
    await this.#requests.drain();
    await this.#looking?.catch(() => undefined);
  }

  async admit(keys: readonly string[], callId: string): Promise<Admission> {
    if (!keys.some((key) => this.#refusing.has(key))) return { admitted: true };
    const refused = this.refusing(keys);
    if (refused !== undefined) return refused;
    const admission = await this.#requests.submit({ keys, callId, act: 'admit' });
    if (admission.admitted) this.#held.set(callId, keys);
    return admission;
  }

  refusing(keys: readonly string[]): Extract<Admission, { admitted: false }> | undefined {
    const nowMs = this.#databaseMs();
    for (const key of keys) {
      const { state, untilMs } = this.#refusing.get(key) ?? { state: 'half_open', untilMs: 0 };
      if (state === 'open' && nowMs < untilMs) return refusal(key, state, untilMs);
    }
    return undefined;
  }

  async record(
    keys: readonly string[],
    callId: string,
    outcome: BreakerOutcome,
    code?: string,
  ): Promise<void> {
    checkKeys(keys);
    const isHeld = this.#held.delete(callId);
    if (keys.length === 0 || (outcome !== 'failure' && !isHeld)) return;
    await this.#requests.submit({
      keys,
      callId,
      act: outcome,
      ...(code === undefined ? {} : { code }),
    });
  }

  async list(filter: BreakerFilter = {}): Promise<Page<BreakerView>> {
    const { state = null, limit = 50, cursor } = filter;
    const after = textOfCursor(cursor);
    const rows = await this.#options.database.query(queries.listBreakers(after, state, limit + 1));
    const items = rows.slice(0, limit).map((row) => viewOf(row, this.#limits));
    return { items, ...cursorOf(rows.length > limit, items.at(-1)?.key) };
  }

  async reset(key: string, by: string): Promise<BreakerView> {
    const { database, log } = this.#options;
    const [row] = await database.query(queries.resetBreaker(key, by));
    if (row === undefined) {
      const known = await database.query(queries.breakerKeys());
      const near = suggest(
        key,
        known.map((each) => each.key),
      );
      throw new AppError('not_found', `nothing named ${JSON.stringify(key)} has ever failed`, {
        details: { breaker: key },
        remedy:
          near === undefined ? 'centuria breaker list shows what has.' : `Did you mean ${near}?`,
      });
    }
    log.info({ key, by }, 'a circuit breaker was reset');
    await this.#look();
    return viewOf(row, this.#limits);
  }

  onChange(listener: (key: string, state: BreakerState['name']) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #databaseMs(): number {
    return this.#options.clock.monotonicMs() + this.#aheadMs;
  }

  async #watch(): Promise<void> {
    const { clock, log } = this.#options;
    let isBlind = false;
    while (!this.#closing.signal.aborted) {
      await clock.sleep(lookEveryMs, this.#closing.signal).catch(() => undefined);
      if (this.#closing.signal.aborted) return;
      try {
        await this.#look();
        await this.#renew();
        isBlind = false;
      } catch (error) {
        // Said once: as long as the database is away, others say so often enough.
        if (!isBlind) log.warn({ err: toAppError(error) }, 'circuit breakers can not be looked at');
        isBlind = true;
      }
    }
  }

  /** Looks at what is not closed; whoever asks while that is under way gets a look begun later. */
  #look(): Promise<void> {
    if (this.#looking !== undefined) {
      this.#lookAgain = true;
      return this.#looking;
    }
    this.#looking = (async () => {
      try {
        do {
          this.#lookAgain = false;
          await this.#lookOnce();
        } while (this.#lookAgain && !this.#closing.signal.aborted);
      } finally {
        this.#looking = undefined;
      }
    })();
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    const { database, clock } = this.#options;
    const rows = await database.query(queries.breakersNotClosed());
    const before = this.#refusing;
    const [first] = rows;
    if (first !== undefined) this.#aheadMs = first.now.getTime() - clock.monotonicMs();
    this.#refusing = new Map(
      rows.map(({ key, state, open_until: until }) => [
        key,
        { state, untilMs: until?.getTime() ?? 0 },
      ]),
    );
    for (const [key, { state }] of this.#refusing) {
      if (before.get(key)?.state !== state) this.#tell(key, state);
    }
    for (const key of before.keys()) if (!this.#refusing.has(key)) this.#tell(key, 'closed');
  }

  #tell(key: string, state: BreakerState['name']): void {
    const { log } = this.#options;
    if (state === 'open') log.warn({ key }, 'a circuit breaker opened');
    else log.info({ key, state }, 'a circuit breaker changed');
    for (const listener of this.#listeners) {
      try {
        listener(key, state);
      } catch (error) {
        log.error({ err: error }, 'a listener of circuit breakers failed');
      }
    }
  }

  /** Keeps the places of calls that are still under way here. */
  async #renew(): Promise<void> {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#held.size === 0 || nowMs - this.#renewedMs < this.#limits.permitMs / 3) return;
    this.#renewedMs = nowMs;
    const renewals = [...this.#held].map(([callId, keys]) =>
      this.#requests.submit({ keys, callId, act: 'renew' }),
    );
    await Promise.all(renewals);
  }

  /** Reads the breakers concerned under their locks, lets each request act on them, and writes what changed. */
  async #carryOut(
    transaction: Queryable,
    requests: readonly BreakerRequest[],
  ): Promise<readonly Admission[]> {
    const failing = requests.filter(({ act }) => act === 'failure');
    if (failing.length > 0) await transaction.query(queries.addBreakers(keysOf(failing)));
    const rows = await transaction.query(queries.lockBreakers(keysOf(requests)));
    const [time] = await transaction.query(queries.databaseTime());
    const nowMs = time?.now.getTime() ?? this.#databaseMs();
    const states = new Map(rows.map((row) => [row.key, stateOf(row)]));
    const { admissions, failures } = actOn(states, requests, nowMs, this.#limits);
    const changes = rows.flatMap((row) => changesOf(row, states, failures, nowMs));
    const announce = changes.some(({ announced }) => announced);
    if (changes.length > 0) await transaction.query(queries.writeBreakers(changes, announce));
    return admissions;
  }
}

function keysOf(requests: readonly BreakerRequest[]): string[] {
  return [...new Set(requests.flatMap(({ keys }) => keys))];
}

function checkKeys(keys: readonly string[]): void {
  const wrong = keys.find((key) => !isBreakerKey(key));
  if (wrong === undefined) return;
  throw new AppError('invalid_input', `${JSON.stringify(wrong)} is no key of a circuit breaker`, {
    remedy: 'It looks like agent:NAME, model:NAME or tool:NAME.',
  });
}
