/** Numbers as they stand in sentences for people. Pure. */

/** `83 %`; one decimal where it tells 0 or 1 from nearly so. */
export function percent(rate: number): string {
  const share = rate * 100;
  const isNearEnd = (share > 0 && share < 1) || (share > 99 && share < 100);
  return `${isNearEnd ? share.toFixed(1) : Math.round(share)} %`;
}

/** `340 ms`, `1.3 s`, `42 s`, `2.5 min`. */
export function milliseconds(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`;
  return `${(ms / 60_000).toFixed(1)} min`;
}

/** `$0.0042`: two figures that count. */
export function dollars(microUsd: number): string {
  const usd = microUsd / 1_000_000;
  return usd >= 1 ? `$${usd.toFixed(2)}` : `$${Number(usd.toPrecision(2))}`;
}

export function list(names: readonly string[]): string {
  return names.length < 2
    ? names.join('')
    : `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`;
}
