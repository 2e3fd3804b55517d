import { AppError } from '../base/base.ts';

const unitMs: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** A length of time as people write it: `90s`, `15m`, `12h`, `30d`, `2w`, in milliseconds. */
function durationMs(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  const ms = unitMs[unit ?? ''];
  return count === undefined || ms === undefined ? undefined : Number(count) * ms;
}

/** An option that is a length of time, in milliseconds. Throws `usage`. */
export function lengthOption(option: string, text: string): number {
  const ms = durationMs(text);
  if (ms !== undefined) return ms;
  throw new AppError('usage', `${option} ${text} is no length of time`, {
    remedy: 'Write 90s, 15m, 12h, 30d or 2w.',
  });
}

/** A moment to come: in so long, or a date. Throws `usage`. */
export function momentAfter(option: string, text: string, nowMs: number): string {
  return moment(option, text, nowMs, 1);
}

/** A moment gone by: so long ago, or a date. Throws `usage`. */
export function momentBefore(option: string, text: string, nowMs: number): string {
  return moment(option, text, nowMs, -1);
}

function moment(option: string, text: string, nowMs: number, direction: 1 | -1): string {
  const length = durationMs(text);
  const isDate = /^\d{4}-\d{2}-\d{2}(?:T[\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?$/.test(text);
  const ms =
    length === undefined ? (isDate ? Date.parse(text) : Number.NaN) : nowMs + direction * length;
  if (Number.isNaN(ms) || Math.abs(ms) > 8.64e15) {
    throw new AppError('usage', `${option} ${text} is no time`, {
      remedy: 'Write 90s, 15m, 12h, 30d or 2w, or a date as in 2030-12-31.',
    });
  }
  if (direction === 1 && ms <= nowMs) throw new AppError('usage', `${option} ${text} is over`);
  return new Date(ms).toISOString();
}
