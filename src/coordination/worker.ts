import { hostname } from 'node:os';
import type { AgentDefinition, AgentRegistry } from '../agents/agents.ts';
import type { Learning } from '../learning/learning.ts';
import type { Workspaces } from '../workspaces/workspaces.ts';
import type { CallGate } from './call-gate.ts';
import type { TandemCalls } from './tandem-calls.ts';
import { AppError, errorRecord, newId, toAppError, type Clock, type Log } from '../base/base.ts';
import type { Database, Subscription } from '../database/database.ts';
import { EventLog } from './event-log.ts';
import { historyOfClaim, openAttempts, readHistories, type History } from './histories.ts';
import * as queries from './queries.ts';
import * as requestQueries from './request-queries.ts';
import * as workerQueries from './worker-queries.ts';
import type { ClaimedRow, RunRow } from './queries.ts';
import { tidyLeases } from './upkeep-leases.ts';
import type { RunFeed } from './run-feed.ts';
import type { DriverContext } from './driver-types.ts';
import { RunDriver } from './run-driver.ts';
import { Slots } from './slots.ts';
import type { WorkflowDefinition } from './definition.ts';
import { Definitions } from './definitions.ts';
import type { DelegationOptions } from './delegation.ts';
import type { EventBody, RunEvent } from './events.ts';

export interface WorkerOptions {
  readonly database: Database;
  readonly registry: AgentRegistry;
  readonly home: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** Silent for so long, the worker loses its runs; it renews three times in that span. */
  readonly leaseMs: number;
  /** Attempts at the same time. */
  readonly concurrency: number;
  /** Runs held at the same time; the others wait for this or another worker. */
  readonly maxRuns: number;
  readonly feed: RunFeed;
  readonly gate?: CallGate;
  readonly tandem: TandemCalls;
  readonly workspaces?: Workspaces;
  readonly router?: Pick<Learning, 'choose'>;
  /** Where its agents' calls of other agents go. */
  readonly runs: DelegationOptions['runs'];
}

/** Runs claimed by one statement. */
const claimBatch = 100;
/** The safety net under the notifications. */
const pollMs = 1_000;
const pollsBetweenTidying = 30;

/**
 * Takes runs that nobody holds, or whose worker died, and drives them. Any number of workers share
 * one database; what each may write is decided by the epoch of each run, never by its own clock.
 */
export class Worker {
  readonly id: string;
  readonly #options: WorkerOptions;
  readonly #eventLog: EventLog;
  readonly #slots: Slots;
  readonly #drivers = new Map<string, { driver: RunDriver; done: Promise<void> }>();
  readonly #definitions: Definitions;
  readonly #stopping = new AbortController();
  #subscriptions: Subscription[] = [];
  #loops: Promise<void>[] = [];
  #wakeClaim: (() => void) | undefined;
  #claimAgain = false;
  #pollNow = false;
  #mayHaveStrays = false;
  #asking: Promise<unknown> | undefined;

  constructor(options: WorkerOptions) {
    this.id = newId(options.clock);
    this.#options = options;
    const { database, clock, random, log } = options;
    this.#slots = new Slots(options.concurrency);
    this.#definitions = new Definitions(database, clock);
    this.#eventLog = new EventLog({ database, worker: this.id, clock, random, log });
  }

  /** Runs held, and attempts under way. */
  get load(): { runs: number; attempts: number; concurrency: number } {
    return {
      runs: this.#drivers.size,
      attempts: this.#slots.used,
      concurrency: this.#options.concurrency,
    };
  }

  async start(): Promise<void> {
    const { database } = this.#options;
    await this.#renewLease();
    // Only one process can have the embedded database open, so every other worker in it is dead.
    if (database.driver === 'embedded')
      await database.query(workerQueries.expireOtherWorkers(this.id));
    this.#subscriptions = [
      await database.listen(
        queries.runsChannel,
        () => this.#rouse(),
        () => this.#rouse(),
      ),
      await database.listen(
        queries.signalsChannel,
        (runId) => void this.#deliver(runId),
        () => void this.#deliverAll(),
      ),
    ];
    this.#loops = [this.#keepLease(), this.#keepClaiming()];
  }

  /**
   * Stops in order: takes nothing new, lets attempts under way finish within `graceMs`, stops the
   * rest, and gives its runs back so that another worker, or this one after its next start, goes on.
   * With `hurry` aborted it does not wait any longer.
   */
  async stop(graceMs: number, hurry?: AbortSignal): Promise<void> {
    this.#stopping.abort(new AppError('cancelled', 'the worker is stopping'));
    this.#wakeClaim?.();
    await Promise.allSettled(this.#subscriptions.map((each) => each.close()));
    for (const { driver } of this.#drivers.values()) driver.letGo('when-idle');
    const all = Promise.allSettled([...this.#drivers.values()].map(({ done }) => done));
    const timer = new AbortController();
    const grace = this.#options.clock
      .sleep(graceMs, AbortSignal.any([timer.signal, ...(hurry === undefined ? [] : [hurry])]))
      .catch(() => undefined);
    await Promise.race([all, grace]);
    timer.abort();
    for (const { driver } of this.#drivers.values()) driver.letGo('now');
    await Promise.race([all, aborted(hurry)]);
    await this.#eventLog.close(hurry?.aborted ?? false);
    await Promise.allSettled(this.#loops);
    await this.#options.database.query(workerQueries.removeWorker(this.id)).catch(() => undefined);
  }

  #rouse(): void {
    this.#claimAgain = true;
    this.#wakeClaim?.();
  }

  async #renewLease(): Promise<void> {
    const { database, leaseMs } = this.#options;
    await database.query(workerQueries.renewLease(this.id, hostname(), process.pid, leaseMs));
  }

  async #keepLease(): Promise<void> {
    const { clock, leaseMs } = this.#options;
    await this.#repeat(leaseMs / 3, 'the lease was not renewed', async () => {
      const before = clock.monotonicMs();
      await this.#renewLease();
      const tookMs = clock.monotonicMs() - before;
      if (tookMs > leaseMs)
        this.#options.log.warn({ tookMs, leaseMs }, 'the lease was renewed late');
    });
  }

  /** Runs `work` every `periodMs` until the worker stops; a failure is logged and tried again. */
  async #repeat(periodMs: number, failure: string, work: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await clock.sleep(periodMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      await work().catch((error: unknown) => log.warn({ error: toAppError(error) }, failure));
    }
  }

  async #keepClaiming(): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stopping;
    let polled = clock.monotonicMs() - pollMs;
    let polls = 0;
    while (!signal.aborted) {
      this.#claimAgain = false;
      const polling = this.#pollNow || clock.monotonicMs() - polled >= pollMs;
      this.#pollNow = false;
      if (polling) polled = clock.monotonicMs();
      try {
        if (this.#mayHaveStrays) await this.#releaseStrays();
        const full = await this.#claim(polling);
        if (polling) await this.#deliverAll();
        if (polling) await this.#expectNextDue();
        if (polling && (polls += 1) % pollsBetweenTidying === 0) await this.#tidy();
        if (full) continue;
      } catch (error) {
        log.warn({ error: toAppError(error) }, 'no runs were claimed');
        // The claim may have been made, and only its answer lost.
        this.#mayHaveStrays = true;
      }
      if (!this.#claimAgain) await this.#idle();
    }
  }

  #idle(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(pollMs, resolve);
      this.#wakeClaim = () => {
        this.#wakeClaim = undefined;
        cancel();
        resolve();
      };
    });
  }

  /** Many park together: one look serves all that parked before it began. */
  #wakeAsked(): Promise<unknown> {
    this.#asking ??= Promise.resolve().then(() => {
      this.#asking = undefined;
      return this.#options.database.query(requestQueries.wakeAsked());
    });
    return this.#asking;
  }

  /** Looks when the next parked run is due, where that is before the next poll. */
  async #expectNextDue(): Promise<void> {
    const [next] = await this.#options.database.query(queries.nextDue());
    if (next === undefined || next.due_ms >= pollMs) return;
    this.#options.clock.after(Math.max(0, next.due_ms), () => {
      this.#pollNow = true;
      this.#rouse();
    });
  }

  /** Claims what there is room for; true when there may be more. */
  async #claim(polling: boolean): Promise<boolean> {
    const { database, maxRuns } = this.#options;
    const room = Math.min(claimBatch, maxRuns - this.#drivers.size);
    if (room <= 0) return false;
    const free = await database.query(queries.claimFree(this.id, room, polling));
    await this.#take(free.map((row) => ({ row, history: () => historyOfClaim(row) })));
    const orphans = polling ? await database.query(queries.claimOrphaned(this.id, room)) : [];
    await this.#takeOver(orphans);
    return free.length >= room || orphans.length === room;
  }

  /**
   * Takes up runs of a worker that is gone. Their events are read after the claim: until then it may have
   * been alive enough to append some.
   */
  async #takeOver(rows: readonly ClaimedRow[]): Promise<void> {
    if (rows.length === 0) return;
    const historyOf = await readHistories(
      this.#options.database,
      rows.map((row) => row.run_id),
    );
    await this.#take(rows.map((row) => ({ row, history: () => historyOf(row.run_id) })));
  }

  /** Forgets workers long dead, and mends what was edited by hand or half done. */
  async #tidy(): Promise<void> {
    const { database, log } = this.#options;
    await tidyLeases(database, log);
    await this.#releaseStrays();
  }

  /**
   * Gives back runs that are ours in the database but not driven: the answer to their claim was lost, or
   * their driver met an error while the database was down.
   */
  async #releaseStrays(): Promise<void> {
    const { database, log } = this.#options;
    const held = await database.query(workerQueries.openRunsOf(this.id));
    const strays = held.filter((row) => !this.#drivers.has(row.run_id));
    this.#mayHaveStrays = false;
    if (strays.length === 0) return;
    log.warn({ runs: strays.length }, 'runs without a driver are given back');
    const ids = strays.map((row) => row.run_id);
    await database.query(
      workerQueries.releaseRuns(
        this.id,
        ids,
        strays.map((row) => row.epoch),
      ),
    );
  }

  async #take(
    runs: readonly { readonly row: ClaimedRow; readonly history: () => History }[],
  ): Promise<void> {
    const { log, clock } = this.#options;
    const claimedMonotonicMs = clock.monotonicMs();
    for (const { row, history } of runs) {
      // One unreadable run must not keep the worker from the others.
      try {
        const { events, signals } = history();
        await this.#reap(row.run_id, events);
        const definition = await this.#definitionOf(row);
        this.#drive(
          row,
          new RunDriver(this.#driverContext(), {
            row,
            claimedMonotonicMs,
            definition,
            events,
            agents: await this.#agentsOf(definition, events),
            signals,
          }),
        );
      } catch (thrown) {
        const error = toAppError(thrown);
        log.error({ error, runId: row.run_id }, 'a run can not be read and was set aside');
        await this.#setAside(row, error);
      }
    }
  }

  /** The agents of a run that has a budget: what a call may use is theirs to say where its task does not. */
  async #agentsOf(
    { budget }: WorkflowDefinition,
    [first]: readonly RunEvent[],
  ): Promise<ReadonlyMap<string, AgentDefinition>> {
    const agents = new Map<string, AgentDefinition>();
    if (first?.body.type !== 'run.created') return agents;
    if (budget === undefined && first.body.allowance === undefined) return agents;
    for (const [name, hash] of Object.entries(first.body.agents)) {
      const agent = await this.#options.registry.byHash(hash);
      if (agent !== undefined) agents.set(name, agent);
    }
    return agents;
  }

  #drive(row: RunRow, driver: RunDriver): void {
    const { log } = this.#options;
    // A run that this worker lost and took again: the older driver can write nothing any more.
    this.#drivers.get(row.run_id)?.driver.fence();
    const done = (async () => {
      try {
        const end = await driver.drive();
        if (end === 'fenced') log.warn({ runId: row.run_id }, 'another worker took the run over');
        // Asked something in the moment of parking, it would sleep on.
        if (end === 'parked') {
          await this.#wakeAsked().catch((error: unknown) =>
            log.warn({ error: toAppError(error) }, 'parked runs were not looked at; tidying will'),
          );
        }
      } catch (thrown) {
        const error = toAppError(thrown);
        log.error({ error, runId: row.run_id }, 'a run could not be driven on');
        if (!this.#stopping.signal.aborted) await this.#setAside(row, error);
      } finally {
        if (this.#drivers.get(row.run_id)?.driver === driver) {
          this.#drivers.delete(row.run_id);
          this.#options.feed.driven.delete(row.run_id);
        }
        this.#rouse();
      }
    })();
    this.#drivers.set(row.run_id, { driver, done });
    this.#options.feed.driven.add(row.run_id);
  }

  #driverContext(): DriverContext {
    const { registry, home, clock, random, log, feed, gate, tandem, workspaces, runs, router } =
      this.#options;
    const { id: worker } = this;
    return {
      worker,
      registry,
      eventLog: this.#eventLog,
      slots: this.#slots,
      home,
      clock,
      random,
      log,
      delegation: { registry, runs, log },
      tandem,
      ...(gate === undefined ? {} : { gate }),
      ...(workspaces === undefined ? {} : { workspaces }),
      ...(router === undefined ? {} : { router }),
      publish: (runId, end) => feed.published(runId, end),
    };
  }

  /** Ends the run with the reason, apart from its events, which are left as they are. */
  async #setAside(row: RunRow, error: AppError): Promise<void> {
    const { database, log } = this.#options;
    await database
      .query(workerQueries.failUnreadableRun(this.id, row.run_id, row.epoch, errorRecord(error)))
      .catch((again: unknown) =>
        log.error({ error: toAppError(again) }, 'the run was not set aside'),
      );
  }

  /** Ends processes of attempts that a dead worker left running on this machine. */
  async #reap(runId: string, events: readonly { readonly body: EventBody }[]): Promise<void> {
    const attempts = openAttempts(events);
    if (attempts.length === 0) return;
    await this.#options.gate?.forget(attempts);
    const ended = await this.#options.registry.reap(attempts);
    if (ended > 0)
      this.#options.log.info({ runId, ended }, 'ended processes of a worker that died');
  }

  async #definitionOf(row: RunRow): Promise<WorkflowDefinition> {
    const definition = await this.#definitions.of(row.definition_hash);
    if (definition !== undefined) return definition;
    const message = `the definition ${row.definition_hash.slice(0, 12)} of workflow ${row.workflow} is gone`;
    throw new AppError('workflow_not_found', message);
  }

  /** Brings what was asked of one run to its driver. */
  async #deliver(runId: string): Promise<void> {
    const held = this.#drivers.get(runId);
    if (held === undefined) return;
    try {
      const signals = await this.#options.database.query(requestQueries.signalsOfRuns([runId]));
      for (const signal of signals) held.driver.signal(signal);
    } catch (error) {
      this.#options.log.warn(
        { error: toAppError(error), runId },
        'a request to a run was not read; the poll will',
      );
    }
  }

  async #deliverAll(): Promise<void> {
    if (this.#drivers.size === 0) return;
    const signals = await this.#options.database.query(requestQueries.signalsOfWorker(this.id));
    for (const signal of signals) this.#drivers.get(signal.run_id)?.driver.signal(signal);
  }
}

/** Resolves when the signal aborts; never without one. */
function aborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) resolve();
    signal?.addEventListener('abort', () => resolve(), { once: true });
  });
}
