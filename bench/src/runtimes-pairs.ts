/** Two ways to do the same, measured in turns, and the figures that come of it. */
import type { Direct } from './runtimes-direct.ts';
import { loadNow, median, type Measured } from './report.ts';
import { assertAnswer } from './runtimes-payload.ts';

export interface Pair {
  /** Names the figures: `NAME_p50_ms` and so on. */
  readonly name: string;
  readonly expected: unknown;
  readonly times: number;
  readonly target?: Measured['target'];
  ours(): Promise<unknown>;
  readonly direct: Direct;
}

const warmUpTimes = 20;

/** One after the other and by turns first, so that a neighbour's load and a warm cache fall on both alike. */
export async function measurePair(pair: Pair): Promise<Measured[]> {
  const { name, direct, expected } = pair;
  const ours: number[] = [];
  const peer: number[] = [];
  const loads = [loadNow()];
  const timed = async (work: () => Promise<unknown>, into: number[], who: string) => {
    const begunMs = performance.now();
    const output = await work();
    into.push(performance.now() - begunMs);
    assertAnswer(`${name} by ${who}`, output, expected);
  };
  for (let turn = -warmUpTimes; turn < pair.times; turn += 1) {
    if (turn === 0) for (const times of [ours, peer]) times.length = 0;
    const first = turn % 2 === 0;
    if (first) await timed(pair.ours, ours, 'us');
    await timed(direct.call, peer, direct.name);
    if (!first) await timed(pair.ours, ours, 'us');
  }
  await direct.close?.();
  loads.push(loadNow());
  return figuresOf(pair, ours, peer, loads);
}

export function figuresOf(
  { name, direct, target }: Pick<Pair, 'name' | 'direct' | 'target'>,
  ours: readonly number[],
  peer: readonly number[],
  loads: readonly number[],
): Measured[] {
  const known = { unit: 'ms', loads };
  const of = (values: readonly number[]) => ({ name: direct.name, values });
  return [
    { metric: `${name}_p50_ms`, ...known, values: ours, peer: of(peer) },
    { metric: `${name}_p95_ms`, ...known, values: p95(ours), peer: of(p95(peer)) },
    {
      metric: `${name}_overhead_ms`,
      ...known,
      values: [(median(ours) ?? 0) - (median(peer) ?? 0)],
      ...(target === undefined ? {} : { target }),
    },
  ];
}

function p95(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted.slice(Math.ceil(sorted.length * 0.95) - 1).slice(0, 1);
}

/** A kind that can't be measured here, and why. */
export function unavailable(name: string, peer: string, reason: string): Measured {
  return {
    metric: `${name}_p50_ms`,
    unit: 'ms',
    values: [],
    peer: { name: peer, unavailable: reason },
  };
}
