/** Amounts of budgets as people read them. */
export const budgetKinds = ['usd', 'tokens', 'seconds', 'concurrency'] as const;
export type BudgetKind = (typeof budgetKinds)[number];

/** `$12.50`, `$0.000004`, `1,200 tokens`, `36,000 s`, `8 calls`; the amount is in millionths of a dollar or in milliseconds. */
export function formatAmount(what: BudgetKind, amount: number): string {
  if (what === 'usd') return formatUsd(amount);
  if (what === 'seconds') return `${grouped(amount / 1_000)} s`;
  if (what === 'tokens') return `${grouped(amount)} ${amount === 1 ? 'token' : 'tokens'}`;
  return `${grouped(amount)} ${amount === 1 ? 'call' : 'calls'}`;
}

/** Cents, and more places where there is less than that to tell apart. */
function formatUsd(microUsd: number): string {
  const places = microUsd % 10_000 === 0 ? 2 : microUsd % 100 === 0 ? 4 : 6;
  return `$${grouped(microUsd / 1_000_000, places)}`;
}

function grouped(value: number, places?: number): string {
  const fixed = places === undefined ? {} : { minimumFractionDigits: places };
  return value.toLocaleString('en-US', { maximumFractionDigits: places ?? 3, ...fixed });
}

/** Why a budget has no room for a call. */
export function describeShortage(
  name: string,
  what: BudgetKind,
  at: {
    readonly limit: number;
    readonly spent: number;
    readonly reserved: number;
    readonly needed?: number;
  },
): string {
  const { limit, spent, reserved, needed } = at;
  if (what === 'concurrency') {
    return `budget ${name} allows ${formatAmount(what, limit)} at the same time, and ${reserved} are under way`;
  }
  const held = reserved === 0 ? '' : ` and ${formatAmount(what, reserved)} reserved`;
  const asked = needed === undefined ? '' : `; this call may need ${formatAmount(what, needed)}`;
  return `budget ${name} has ${formatAmount(what, spent)} used${held} of ${formatAmount(what, limit)}${asked}`;
}
