/** Circuit breakers and budgets for the typed client: one function an operation. */
import type {
  Breaker,
  BreakerPage,
  Budget,
  BudgetChangeRequest,
  BudgetPage,
  BudgetUsePage,
} from '../api/api.ts';
import type { PageOptions } from './identity-client.ts';
import { query } from './query.ts';
import type { CallOptions, Send } from './send.ts';

export interface BreakerListFilter extends PageOptions {
  readonly state?: Breaker['state'];
}

export interface BudgetUseFilter extends PageOptions {
  /** Default: run. */
  readonly by?: 'run' | 'agent' | 'period';
}

function budgetPath(name: string): string {
  return `/api/v1/budgets/${encodeURIComponent(name)}`;
}

export function limitsClient(send: Send) {
  return {
    /** One page by key; `limit` 1 to 500, default 50. */
    breakers: (filter: BreakerListFilter = {}, call?: CallOptions) =>
      send<BreakerPage>('GET', `/api/v1/breakers${query({ ...filter })}`, undefined, call),
    resetBreaker: (key: string) =>
      send<Breaker>('POST', `/api/v1/breakers/${encodeURIComponent(key)}/reset`),

    /** One page by name; `limit` 1 to 500, default 50. */
    budgets: (page: PageOptions = {}, call?: CallOptions) =>
      send<BudgetPage>('GET', `/api/v1/budgets${query({ ...page })}`, undefined, call),
    budget: (name: string) => send<Budget>('GET', budgetPath(name)),
    /** Makes a budget or changes what is given of it; null takes a limit away. */
    setBudget: (name: string, change: BudgetChangeRequest) =>
      send<Budget>('PATCH', budgetPath(name), change),
    deleteBudget: (name: string) => send<undefined>('DELETE', budgetPath(name)),
    budgetUse: (name: string, filter: BudgetUseFilter = {}) =>
      send<BudgetUsePage>('GET', `${budgetPath(name)}/use${query({ ...filter })}`),
  };
}
