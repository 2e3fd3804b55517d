/** Policies: the one that decides, those that were fitted since, and how one takes the other's place. */
import { AppError, toAppError, type Clock, type Log } from '../../base/base.ts';
import type { Database } from '../../database/database.ts';
import { decidePromotion, type PromotionDecision } from '../evaluation/promotion.ts';
import type { Listed, ListPage, PolicyView } from '../views.ts';
import { comparePolicies, fitPolicy, leastToFit, type PastRow } from './fit.ts';
import { firstPolicy, type PolicyParameters } from './policy.ts';
import * as queries from './queries.ts';

/** The share of outcomes, the oldest ones, that a policy is fitted on; the rest is for comparing it. */
const fittedShare = 0.7;

export interface PoliciesOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** The last outcomes, oldest first. */
  readonly rows: () => readonly PastRow[];
  /** Called with a policy that has become the one that decides. */
  readonly onIncumbent: (policy: PolicyParameters) => Promise<void>;
}

export class Policies {
  readonly #options: PoliciesOptions;
  #incumbent: PolicyParameters = firstPolicy;
  #fitting: Promise<void> | undefined;

  constructor(options: PoliciesOptions) {
    this.#options = options;
  }

  get incumbent(): PolicyParameters {
    return this.#incumbent;
  }

  get isFitting(): boolean {
    return this.#fitting !== undefined;
  }

  /** Looks which policy decides: another process may have fitted one. */
  async refresh(): Promise<void> {
    const [row] = await this.#options.database.query(queries.incumbentPolicy());
    if (row === undefined || row.policy === this.#incumbent.name) return;
    await this.#take(row.parameters);
  }

  /** Throws `conflict` while one is being fitted, and when there is too little to fit on. */
  retrain(): void {
    const { log, rows } = this.#options;
    if (this.#fitting !== undefined) {
      throw new AppError('conflict', 'a policy is being fitted already', {
        remedy: '`centuria learn stats --policies` shows what comes of it.',
      });
    }
    const fitted = Math.floor(rows().length * fittedShare);
    if (fitted < leastToFit) {
      throw new AppError(
        'conflict',
        `there are ${rows().length} outcomes; ${Math.ceil(leastToFit / fittedShare)} are needed to fit a policy`,
        { remedy: 'Let agents work first.' },
      );
    }
    this.#fitting = this.#fit(rows())
      .catch((error: unknown) => {
        log.warn({ error: toAppError(error) }, 'no policy was fitted');
      })
      .finally(() => {
        this.#fitting = undefined;
      });
  }

  /** Waits for a policy that is being fitted. */
  async settled(): Promise<void> {
    await this.#fitting;
  }

  async list(page: ListPage = {}): Promise<Listed<PolicyView>> {
    const limit = Math.min(500, Math.max(1, Math.trunc(page.limit ?? 50)));
    const rows = await this.#options.database.query(
      queries.listPolicies(page.cursor ?? null, limit + 1),
    );
    const items = rows.slice(0, limit).map(viewOf);
    const last = items.at(-1);
    return rows.length > limit && last !== undefined
      ? { items, nextCursor: last.policy }
      : { items };
  }

  async #fit(rows: readonly PastRow[]): Promise<void> {
    const { clock, log, database } = this.#options;
    const incumbent = this.#incumbent;
    const split = Math.floor(rows.length * fittedShare);
    const [learned, unseen] = [rows.slice(0, split), rows.slice(split)];
    const name = `fitted ${new Date(clock.nowMs()).toISOString()}`;
    const { policy: candidate, logLoss } = await fitPolicy(learned, incumbent, name);
    const compared = await comparePolicies(learned, unseen, { candidate, incumbent });
    const decision = decidePromotion({
      candidate: name,
      incumbent: incumbent.name,
      rows: compared,
    });
    await database.transaction(async (transaction) => {
      if (decision.state === 'incumbent') await transaction.query(queries.retireIncumbent());
      await transaction.query(queries.storePolicy(candidate, rowOf(decision, learned.length)));
    });
    log.info({ policy: name, state: decision.state, logLoss }, decision.reason);
    if (decision.state === 'incumbent') await this.#take(candidate);
  }

  async #take(policy: PolicyParameters): Promise<void> {
    this.#incumbent = policy;
    await this.#options.onIncumbent(policy);
  }
}

function rowOf({ state, reason, evaluation }: PromotionDecision, executions: number) {
  return { state, reason, executions, ...(evaluation === undefined ? {} : { evaluation }) };
}

function viewOf(row: queries.PolicyRow): PolicyView {
  return {
    policy: row.policy,
    state: row.state,
    executions: row.executions,
    fittedAt: row.fitted_at.toISOString(),
    ...(row.evaluation === null ? {} : { evaluation: row.evaluation }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.decided_at === null ? {} : { decidedAt: row.decided_at.toISOString() }),
  };
}
