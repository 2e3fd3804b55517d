/** Circuit breakers and budgets as they go over HTTP, held to coordination's types by the compiler. */
import { Type, type Static } from 'typebox';
import {
  budgetKinds,
  periods,
  type BudgetUse,
  type BudgetView,
  type BreakerView,
  type Page,
} from '../coordination/coordination.ts';
import { count, describes, maybe, oneOf, text, time } from './schema-terms.ts';

const dollars = 'Millionths of a US dollar';
const milliseconds = 'Milliseconds';
const sums = {
  microUsd: Type.Integer({ minimum: 0, description: dollars }),
  tokens: count,
  ms: Type.Integer({ minimum: 0, description: milliseconds }),
};

export const breakerStates = [
  'closed',
  'open',
  'half_open',
] as const satisfies readonly BreakerView['state'][];

export const breakerSchema = describes<BreakerView>()(
  Type.Object({
    key: Type.String({ description: 'agent:NAME, model:NAME or tool:NAME' }),
    state: oneOf(breakerStates),
    failures: count,
    openUntil: maybe(time),
    trying: count,
    successes: count,
    openings: count,
    lastFailureAt: maybe(time),
    lastFailure: maybe(text),
    changedAt: time,
    resetAt: maybe(time),
    resetBy: maybe(text),
  }),
  'Breaker',
);
export const breakerPageSchema = describes<Page<BreakerView>>()(
  Type.Object({ items: Type.Array(breakerSchema), nextCursor: maybe(text) }),
  'BreakerPage',
);

export const budgetSchema = describes<BudgetView>()(
  Type.Object({
    name: text,
    period: oneOf(periods),
    limits: Type.Object(
      {
        microUsd: maybe(sums.microUsd),
        tokens: maybe(count),
        ms: maybe(sums.ms),
        concurrency: maybe(count),
      },
      { description: 'What is absent is not limited' },
    ),
    periodStart: maybe(time),
    periodEnd: maybe(time),
    spent: Type.Object(sums),
    reserved: Type.Object(sums),
    running: count,
    reached: Type.Array(oneOf(budgetKinds)),
    createdAt: time,
    updatedAt: time,
    updatedBy: maybe(text),
  }),
  'Budget',
);
export const budgetPageSchema = describes<Page<BudgetView>>()(
  Type.Object({ items: Type.Array(budgetSchema), nextCursor: maybe(text) }),
  'BudgetPage',
);

export const budgetUsePageSchema = describes<Page<BudgetUse>>()(
  Type.Object({
    items: Type.Array(
      Type.Object({
        key: Type.String({ description: 'A run’s id, an agent’s name, or a period’s first day' }),
        ...sums,
        calls: count,
        unknownCalls: count,
        lastAt: time,
      }),
    ),
    nextCursor: maybe(text),
  }),
  'BudgetUsePage',
);

const limitOrNull = (most: number, description: string) =>
  maybe(Type.Union([Type.Integer({ minimum: 0, maximum: most, description }), Type.Null()]));
const mostAmount = 1e15;

/** What is absent stays as it is; null takes a limit away. */
export const budgetChangeSchema = Type.Object(
  {
    period: maybe(oneOf(periods)),
    limits: maybe(
      Type.Object(
        {
          microUsd: limitOrNull(mostAmount, dollars),
          tokens: limitOrNull(mostAmount, 'Tokens'),
          ms: limitOrNull(mostAmount, milliseconds),
          concurrency: limitOrNull(1_000_000, 'Calls at the same time'),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { title: 'BudgetChangeRequest', minProperties: 1, additionalProperties: false },
);

export type Breaker = Static<typeof breakerSchema>;
export type BreakerPage = Static<typeof breakerPageSchema>;
export type Budget = Static<typeof budgetSchema>;
export type BudgetPage = Static<typeof budgetPageSchema>;
export type BudgetUsePage = Static<typeof budgetUsePageSchema>;
export type BudgetChangeRequest = Static<typeof budgetChangeSchema>;
