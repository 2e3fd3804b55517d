/** Puts the parts of learning together, for one process. */
import type { Clock, Log } from '../base/base.ts';
import { toAppError } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import { brierScore, calibrationError } from './evaluation/calibration.ts';
import { reembed, unembeddedTexts } from './embedding/reembed.ts';
import { reportOfLog } from './evaluation/log-report.ts';
import type { Learning } from './learning.ts';
import {
  behind,
  followExecutions,
  openLearner,
  openLists,
  pruneDays,
  synergies,
  type CursorRow,
} from './projections/projections.ts';
import { feedbackEffect } from './records/bounds.ts';
import { openRecords } from './records/records.ts';
import { Feed, windowLength } from './router/feed.ts';
import { pairOf, RouterModel } from './router/model.ts';
import { Policies } from './router/policies.ts';
import type { PolicyParameters } from './router/policy.ts';
import { replay } from './router/fit.ts';
import * as queries from './router/queries.ts';
import { Router } from './router/router.ts';
import { openNeighbourhood, type FedNeighbourhood } from './similarity/similarity.ts';
import type { Embedder, RouteMode } from './types.ts';
import type { LearningStatus } from './views.ts';

export interface LearningOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly embedder: Embedder;
  /** Whether there is an agent of that name: what nobody knows is not reported on. */
  readonly isKnown: (agent: string) => boolean;
  /** Whether this process adds outcomes up, embeds texts and fits policies; one that does not only chooses. */
  readonly learns: boolean;
  /** Executions older than so many days are forgotten once a day by who learns; 0 keeps them for ever. */
  readonly keepDays: number;
}

/** How often a process looks for what others have changed: mode, policy, ratings, synergies. */
const refreshMs = 5_000;
const dayMs = 86_400_000;
/** Outcomes after which a policy is fitted by itself. */
const fitEvery = 1_000;
/** Routed attempts that a report looks at. */
const evaluated = 20_000;
/** Predictions that the calibration in the status is of. */
const calibrated = 2_000;
const start: CursorRow = { tx: '0', attempt_id: '00000000-0000-0000-0000-000000000000' };

/** Opens learning on a migrated database: choices can be made at once, and get better while it reads. */
export async function openLearning(options: LearningOptions): Promise<Learning> {
  const { database, clock, log, embedder, learns } = options;
  const neighbourhood = await openNeighbourhood({ database, embedder: embedder.name, log });
  const process = new LearningProcess(options, neighbourhood);
  await process.begin();
  const { router, policies } = process;
  const records = openRecords({ database, clock, known: options.isKnown });
  const learner = learns ? openLearner({ database, clock, log }) : undefined;
  let closed: Promise<void> | undefined;
  return {
    choose: (request) => router.choose(request),
    recommend: (request) => router.recommend(request),
    feedback: (given) => records.feedback(given),
    report: (reported, by) => records.report(reported, by),
    ...openLists(database),
    policies: (page) => policies.list(page),
    evaluate: async () => reportOfLog(await database.query(queries.routedLately(evaluated))),
    status: () => process.status(),
    mode: async () => process.mode,
    async setMode(mode) {
      await database.query(queries.setFleetMode(mode));
      await process.refresh();
    },
    async retrain() {
      await process.caughtUp();
      policies.retrain();
    },
    prune: (keepDays) => forget(options, keepDays),
    close() {
      closed ??= (async () => {
        await learner?.stop();
        await process.stop();
        await neighbourhood.close();
      })();
      return closed;
    },
  };
}

/** Executions, and the sums of their days. */
async function forget(
  { database, clock, isKnown }: LearningOptions,
  keepDays: number,
): Promise<number> {
  await pruneDays(database, keepDays);
  return openRecords({ database, clock, known: isKnown }).prune(keepDays);
}

/** What one process has in memory, and the loops that keep it up to date. */
class LearningProcess {
  readonly router: Router;
  readonly policies: Policies;
  readonly #options: LearningOptions;
  readonly #neighbourhood: FedNeighbourhood;
  readonly #feed: Feed;
  readonly #stopping = new AbortController();
  #model: RouterModel;
  #mode: RouteMode = 'balanced';
  #follower: ReturnType<typeof followExecutions> | undefined;
  #loops: Promise<unknown> = Promise.resolve();
  /** How many had been learned when a policy was last fitted, or when all of before had been read. */
  #fittedAt = Infinity;
  /** What is too old to be learned one by one; a new model begins with it. */
  #counts: Awaited<ReturnType<typeof this.readCounts>> = [];

  constructor(options: LearningOptions, neighbourhood: FedNeighbourhood) {
    this.#options = options;
    this.#neighbourhood = neighbourhood;
    const { embedder, clock, database, log } = options;
    this.policies = new Policies({
      database,
      clock,
      log,
      rows: () => this.#feed.rows,
      onIncumbent: (policy) => this.#follow(policy),
    });
    this.#model = new RouterModel(this.policies.incumbent);
    const model = (): RouterModel => this.#model;
    this.#feed = new Feed({ embedder, neighbourhood, model, clock });
    this.router = new Router({ embedder, neighbourhood, model, mode: () => this.#mode, clock });
  }

  get mode(): RouteMode {
    return this.#mode;
  }

  async begin(): Promise<void> {
    const { database, clock, log, learns, keepDays } = this.#options;
    const [after = start] = await database.query(queries.windowStart(windowLength));
    this.#counts = await this.readCounts(after);
    this.#model = this.#modelOf(this.policies.incumbent);
    await this.refresh();
    this.#follower = followExecutions({
      database,
      clock,
      log,
      after,
      onRows: async (rows) => {
        await this.#feed.take(rows);
        if (learns) this.#fitWhenDue();
      },
    });
    this.#loops = Promise.all([
      this.#beginToFit(),
      this.#every(refreshMs, () => this.refresh(), 'learning was not refreshed'),
      ...(learns ? [this.#every(refreshMs, () => this.#embed(), 'texts were not embedded')] : []),
      ...(learns && keepDays > 0
        ? [
            this.#every(
              dayMs,
              () => forget(this.#options, keepDays),
              'old outcomes were not forgotten',
            ),
          ]
        : []),
    ]);
  }

  readCounts(after: CursorRow) {
    return this.#options.database.query(queries.countsUntil(after.tx, after.attempt_id));
  }

  /** Waits until all that is visible now has been learned. */
  async caughtUp(): Promise<void> {
    await this.#follower?.caughtUp();
  }

  async refresh(): Promise<void> {
    const { database } = this.#options;
    const [fleet] = await database.query(queries.fleetMode());
    this.#mode = fleet?.mode ?? this.#mode;
    await this.policies.refresh();
    const ratings = Map.groupBy(await database.query(queries.ratings()), ({ agent }) => agent);
    this.#model.rate(new Map([...ratings].map(([agent, own]) => [agent, feedbackEffect(own)])));
    this.#model.pair(await this.#pairs());
  }

  async status(): Promise<LearningStatus> {
    const { database, embedder } = this.#options;
    const [totals] = await database.query(queries.totals());
    const stated = await database.query(queries.predictedLately(calibrated));
    return {
      mode: this.#mode,
      policy: this.policies.incumbent.name,
      embedder: embedder.name,
      similarity: this.#neighbourhood.status(),
      executions: totals?.executions ?? 0,
      texts: totals?.texts ?? 0,
      unembedded: await unembeddedTexts(database, embedder.name),
      behind: await behind(database),
      choices: this.router.load,
      ...(stated.length === 0
        ? {}
        : {
            calibration: {
              outcomes: stated.length,
              brier: brierScore(stated),
              expectedCalibrationError: calibrationError(stated, { by: 'mass' }),
            },
          }),
      signing: { available: false, reason: 'this version keeps no signing key for outcomes' },
      fitting: this.policies.isFitting,
    };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#follower?.stop();
    await this.#loops;
    await this.policies.settled();
  }

  #modelOf(policy: PolicyParameters): RouterModel {
    const model = new RouterModel(policy);
    for (const row of this.#counts) model.count(row.agent, row.task_type, row);
    return model;
  }

  /** A new policy decides with all that was learned so far. */
  async #follow(policy: PolicyParameters): Promise<void> {
    const model = this.#modelOf(policy);
    const rows = this.#feed.rows;
    await replay(model, rows);
    // What came meanwhile.
    const known = new Set(rows);
    for (const row of this.#feed.rows) if (!known.has(row)) model.learn(row);
    this.#model = model;
  }

  async #pairs(): Promise<Map<string, number>> {
    const pairs = new Map<string, number>();
    for (const { agents, synergy, confidence } of await synergies(this.#options.database)) {
      const [first, second] = agents;
      if (agents.length !== 2 || first === undefined || second === undefined) continue;
      pairs.set(pairOf(first, second), synergy * confidence);
    }
    return pairs;
  }

  /** What had been learned before the start is no reason to fit. */
  async #beginToFit(): Promise<void> {
    await this.caughtUp().catch(() => undefined);
    this.#fittedAt = this.#feed.learned;
  }

  #fitWhenDue(): void {
    if (this.#feed.learned - this.#fittedAt < fitEvery || this.policies.isFitting) return;
    this.#fittedAt = this.#feed.learned;
    this.policies.retrain();
  }

  async #embed(): Promise<void> {
    const { database, embedder, clock, log } = this.#options;
    await reembed({
      database,
      embedder,
      clock,
      log,
      signal: this.#stopping.signal,
      onKept: (tasks) =>
        this.#neighbourhood.learned(tasks.map((task) => ({ ...task, evidence: [] }))),
    });
  }

  async #every(ms: number, work: () => Promise<unknown>, complaint: string): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await work().catch((error: unknown) => {
        if (!signal.aborted) log.warn({ error: toAppError(error) }, complaint);
      });
      await clock.sleep(ms, signal).catch(() => undefined);
    }
  }
}
