/** What a run costs, as text and as bars against its limits. */
import type { RunDetail, Usage } from '../coordination/coordination.ts';
import type { Colours } from './context.ts';
import { formatDuration, textWidth, truncate } from './output.ts';

/** `$12.30`, `$0.0042`; money comes in millionths of a dollar. */
export function formatUsd(microUsd: number): string {
  if (microUsd === 0 || microUsd >= 10_000) return `$${(microUsd / 1e6).toFixed(2)}`;
  return microUsd < 100 ? '<$0.0001' : `$${(microUsd / 1e6).toFixed(4)}`;
}

/** `840`, `12.3k`, `4.1M`. */
export function formatTokens(tokens: number): string {
  if (tokens < 1_000) return String(tokens);
  if (tokens < 999_950) return `${(tokens / 1_000).toFixed(1)}k`;
  return `${(tokens / 1e6).toFixed(1)}M`;
}

/** `████░░░░░░`: how much of a whole, from 0 to 1; more is full. */
export function bar(share: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`;
}

/** What an attempt or task has used, where it is worth saying: `$0.02 · 1.2k tokens`. */
export function usageText(usage: Usage | undefined): string {
  if (usage === undefined) return '';
  return [
    ...(usage.microUsd ? [formatUsd(usage.microUsd)] : []),
    ...(usage.tokens ? [`${formatTokens(usage.tokens)} tokens`] : []),
  ].join(' · ');
}

interface Gauge {
  readonly text: string;
  /** Of its limit, when it has one. */
  readonly share?: number;
}

/** Lines with what the run has used, against its budget where it has one. None while there is nothing to tell. */
export function costLines(
  { spent, budget = {} }: Pick<RunDetail, 'spent' | 'budget'>,
  width: number,
  colours: Colours,
): string[] {
  const gauges = [
    gauge(spent.microUsd, budget.microUsd, formatUsd, ''),
    gauge(spent.tokens, budget.tokens, formatTokens, ' tokens'),
    gauge(spent.wallMs, budget.ms, formatDuration, ' of work'),
  ].filter((found) => found !== undefined);
  const barWidth = width < 70 ? 6 : 10;
  const segments = gauges.map(({ text, share }) => {
    if (share === undefined) return truncate(text, width);
    const percent = ` ${Math.round(share * 100)} %`;
    // Where there is no room for a bar, the figure says the same.
    const hasRoom = textWidth(text) + 1 + barWidth + percent.length <= width;
    if (!hasRoom) return truncate(text, width - percent.length) + percent;
    const colour = share >= 1 ? colours.red : share >= 0.8 ? colours.yellow : colours.green;
    return `${text} ${colour(bar(share, barWidth))}${percent}`;
  });
  return flow(segments, width);
}

function gauge(
  used: number | undefined,
  limit: number | undefined,
  format: (amount: number) => string,
  word: string,
): Gauge | undefined {
  if (limit === undefined) {
    return used === undefined || used === 0 ? undefined : { text: `${format(used)}${word}` };
  }
  const share = limit === 0 ? 1 : (used ?? 0) / limit;
  return { text: `${format(used ?? 0)} of ${format(limit)}${word}`, share };
}

/** Segments on as few lines as hold them. */
function flow(segments: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const segment of segments) {
    const last = lines.at(-1);
    const joined = last === undefined ? segment : `${last} · ${segment}`;
    if (last === undefined || textWidth(joined) > width) lines.push(segment);
    else lines[lines.length - 1] = joined;
  }
  return lines;
}
