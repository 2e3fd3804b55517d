/** How agents are chosen, as it goes over HTTP, held to the types by the compiler. */
import { Type } from 'typebox';
import type { Route, RoutedView } from '../coordination/coordination.ts';
import { routeModes, type RouteDecision, type RouteMode } from '../learning/learning.ts';
import { count, describes, maybe, oneOf, text, texts } from './schema-terms.ts';

const number = Type.Number();
const share = Type.Number({ minimum: 0, maximum: 1 });
const mode = oneOf<RouteMode>(routeModes);
const estimate = Type.Object({ mean: number, low: number, high: number });
const expected = Type.Object({ ms: maybe(estimate), microUsd: maybe(estimate) });
const basis = oneOf<RouteDecision['basis']>(['outcomes', 'definitions', 'nothing']);

export const routeSchema = describes<Route>()(
  Type.Object({
    among: maybe(texts),
    category: maybe(text),
    capabilities: maybe(texts),
    mode: maybe(mode),
    perUsd: maybe(number),
    perMinute: maybe(number),
  }),
  'Route',
);

export const routeDecisionSchema = describes<RouteDecision>()(
  Type.Object({
    agent: text,
    policy: text,
    mode,
    propensity: share,
    success: estimate,
    confidence: share,
    basis,
    expected,
    candidates: texts,
    prospects: Type.Array(
      Type.Object({
        agent: text,
        score: number,
        success: estimate,
        evidence: number,
        expected,
        propensity: share,
      }),
    ),
  }),
  'RouteDecision',
);

export const routedViewSchema = describes<RoutedView>()(
  Type.Object({
    of: maybe(count),
    stays: maybe(Type.Literal(true)),
    success: maybe(share),
    basis: maybe(basis),
    evidence: maybe(number),
  }),
  'RoutedView',
);

/** Who may be chosen, by task. */
export const routesSchema = Type.Record(Type.String(), texts, {
  description: 'Agents that may be chosen, by the task',
});
