/** How far what somebody says of an agent can move a choice: what is measured always counts more. */

/** Below so many principals their ratings move nothing. */
export const leastPrincipals = 3;
/** Most that ratings move a score, up or down. */
const mostEffect = 0.1;
const middleScore = 5.5;
const scoreSpan = 4.5;

export interface Rating {
  readonly principalId: string;
  /** 1 to 10. */
  readonly score: number;
}

/**
 * What ratings add to an agent's score, −0.1 to 0.1: 0 below three principals, else by the median of
 * the principals' means. So a principal counts once however often it rates, and with others there the
 * result lies between the lowest and the highest mean of the others.
 */
export function feedbackEffect(ratings: readonly Rating[]): number {
  const byPrincipal = Map.groupBy(ratings, ({ principalId }) => principalId);
  if (byPrincipal.size < leastPrincipals) return 0;
  const means = [...byPrincipal.values()].map(
    (own) => own.reduce((sum, { score }) => sum + score, 0) / own.length,
  );
  const effect = ((median(means) - middleScore) / scoreSpan) * mostEffect;
  return Math.min(mostEffect, Math.max(-mostEffect, effect));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
