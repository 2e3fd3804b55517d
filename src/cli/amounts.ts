/** Limits as people write them on a command line, and read them in a table. */
import { InvalidArgumentError } from 'commander';
import { durationMs } from './times.ts';

/** What a limit's option gives; commander would make an empty text of null. */
export type GivenLimit = number | 'none';

const none = 'none takes the limit away';

/** Dollars with up to six decimal places, in millionths: a float would lose some of them. */
export function usdLimit(text: string): GivenLimit {
  if (text === 'none') return text;
  const [, dollars, decimals = ''] = /^\$?(\d{1,9})(?:\.(\d{1,6}))?$/.exec(text) ?? [];
  if (dollars !== undefined) return Number(dollars) * 1_000_000 + Number(decimals.padEnd(6, '0'));
  throw new InvalidArgumentError(`It takes US dollars, as in 50 or 12.75; ${none}.`);
}

const factors: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 };

/** A number, or one of thousands (k), millions (M) or billions (G). */
export function tokenLimit(text: string): GivenLimit {
  if (text === 'none') return text;
  const [, number, unit = ''] = /^(\d{1,15}(?:\.\d{1,3})?)([kMG]?)$/.exec(text) ?? [];
  const tokens = Number(number) * (factors[unit] ?? 1);
  if (Number.isSafeInteger(tokens) && tokens <= 1e15) return tokens;
  throw new InvalidArgumentError(`It takes a whole number, as in 2000000, 500k or 2M; ${none}.`);
}

/** Seconds, or a length of time with its unit. */
export function timeLimit(text: string): GivenLimit {
  if (text === 'none') return text;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : durationMs(text);
  if (ms !== undefined) return ms;
  throw new InvalidArgumentError(`It takes seconds, as in 36000, or 90s, 15m, 10h, 2d; ${none}.`);
}

export function concurrencyLimit(text: string): GivenLimit {
  if (text === 'none') return text;
  if (/^\d{1,7}$/.test(text) && Number(text) <= 1_000_000) return Number(text);
  throw new InvalidArgumentError(`It takes a whole number from 0 to 1000000; ${none}.`);
}

/** `$1.20`, and more places only where there is less than a cent to tell apart. */
export function shortUsd(microUsd: number): string {
  const places = microUsd % 10_000 === 0 || microUsd >= 1_000_000 ? 2 : 6;
  return `$${(microUsd / 1_000_000).toFixed(places)}`;
}

/** `950`, `12.3k`, `2M`. */
export function shortCount(count: number): string {
  for (const [unit, factor] of [
    ['G', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const) {
    if (count >= factor)
      return `${Number((count / factor).toFixed(count < 10 * factor ? 2 : 1))}${unit}`;
  }
  return String(count);
}
