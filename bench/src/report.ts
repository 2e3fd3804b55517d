/** What a measurement is, and how it is told: a median with its range, a peer beside it, the machine. */
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';

export interface MeasureOptions {
  /** How often to repeat; each area has its own default. */
  readonly repeats: number | undefined;
  /** How many vectors to search; areas that search none ignore it. */
  readonly vectors?: number | undefined;
  /** A CPU profile of what is measured is wanted; areas that make none ignore it. */
  readonly profile: boolean;
  /** Says on standard error what is being done. */
  progress(text: string): void;
}

/** What an area's `measure` gives for each figure: every repeat, never a picked one. */
export interface Measured {
  readonly metric: string;
  readonly unit: string;
  readonly values: readonly number[];
  /** Measured in the same call, or the reason why it could not be. */
  readonly peer?:
    | { readonly name: string; readonly values: readonly number[] }
    | { readonly name: string; readonly unavailable: string };
  readonly target?: { readonly atLeast: number } | { readonly atMost: number };
  /** The machine's load of the last minute before each repeat. */
  readonly loads?: readonly number[];
}

/** One line of the output. `null`: there is none, which is something else than 0. */
export interface Figure {
  readonly bench: string;
  readonly metric: string;
  readonly value: number | null;
  readonly unit: string;
  readonly peer: string | null;
  readonly peerValue: number | null;
  /** Value over peer value. */
  readonly ratio: number | null;
  readonly target: string | null;
  readonly met: boolean | null;
  readonly machine: string;
}

/** The load of the last minute. */
export const loadNow = (): number => loadavg()[0] ?? 0;

/** The middle value, or the mean of the two in the middle; null of none. */
export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  return upper === undefined || lower === undefined ? null : (upper + lower) / 2;
}

/** Call it before measuring; the result tells the machine with its load before and after. */
export function describeMachine(): () => string {
  const before = loadNow();
  const model = cpus()[0]?.model.replace(/\s+/g, ' ').trim() ?? 'unknown processor';
  const memoryGb = (totalmem() / 2 ** 30).toFixed(1);
  return () =>
    `${availableParallelism()} cores (${model}), ${memoryGb} GiB, ${process.platform} ${process.arch}, node ${process.versions.node}, load ${before.toFixed(2)} before, ${loadNow().toFixed(2)} after`;
}

/** A target that was set and a value that could not be measured is not met. */
export function toFigure(bench: string, measured: Measured, machine: string): Figure {
  const { metric, unit, values, peer, target, loads } = measured;
  const value = median(values);
  const peerValue = peer !== undefined && 'values' in peer ? median(peer.values) : null;
  return {
    bench,
    metric,
    value: rounded(value),
    unit,
    peer: peer === undefined ? null : peerText(peer),
    peerValue: rounded(peerValue),
    ratio: value === null || peerValue === null ? null : rounded(value / peerValue),
    target: target === undefined ? null : targetText(target),
    met: target === undefined ? null : value !== null && meets(value, target),
    machine: loads === undefined || loads.length === 0 ? machine : `${machine}, ${span(loads)}`,
  };
}

function span(loads: readonly number[]): string {
  const [least, most] = [Math.min(...loads), Math.max(...loads)];
  return `load before the repeats ${least.toFixed(2)} to ${most.toFixed(2)}`;
}

/** Figures as JSON lines, or as a table with the range of the repeats for people. */
export function print(
  measured: readonly Measured[],
  figures: readonly Figure[],
  output: 'table' | 'jsonl',
): string {
  if (output === 'jsonl') return figures.map((figure) => `${JSON.stringify(figure)}\n`).join('');
  const header = [
    'METRIC',
    'MEDIAN',
    'RANGE',
    'UNIT',
    'PEER',
    'PEER VALUE',
    'RATIO',
    'TARGET',
    'MET',
  ];
  const rows = figures.map((figure, index) => {
    const values = measured[index]?.values ?? [];
    const range =
      values.length > 1 ? `${rounded(Math.min(...values))}–${rounded(Math.max(...values))}` : '';
    return [
      figure.metric,
      figure.value ?? 'not measured',
      range,
      figure.unit,
      figure.peer ?? '',
      figure.peerValue ?? '',
      figure.ratio ?? '',
      figure.target ?? '',
      figure.met === null ? '' : figure.met ? 'yes' : 'NO',
    ].map(String);
  });
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lines = [header, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n\n${figures[0]?.machine ?? ''}\n`;
}

function peerText(peer: NonNullable<Measured['peer']>): string {
  return 'unavailable' in peer ? `${peer.name}: not run: ${peer.unavailable}` : peer.name;
}

function targetText(target: NonNullable<Measured['target']>): string {
  return 'atLeast' in target ? `>= ${target.atLeast}` : `<= ${target.atMost}`;
}

function meets(value: number, target: NonNullable<Measured['target']>): boolean {
  return 'atLeast' in target ? value >= target.atLeast : value <= target.atMost;
}

/** Four significant digits: more would claim a precision that no repeat shows. */
function rounded(value: number): number;
function rounded(value: number | null): number | null;
function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(4));
}
