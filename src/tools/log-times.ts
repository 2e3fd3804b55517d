/** Points in time as logs write them. All are UTC unless they say otherwise. */

const months = 'JanFebMarAprMayJunJulAugSepOctNovDec';

/** `2026-11-21T18:24:21.123+01:00`, with a space or a slash, with or without fraction and zone. */
export const isoTime =
  /(\d{4})[-/](\d{2})[-/](\d{2})[T ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))?(?: ?(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)(?![\w]))?/;

export interface ReadTime {
  readonly ms: number;
  /** Whether the text said in which zone. */
  readonly hasZone: boolean;
}

/** The time at the first place of `text` that has one; undefined where there is none or it can not be. */
export function readIsoTime(text: string): ReadTime | undefined {
  const found = isoTime.exec(text);
  if (found === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', zone] = found;
  const part = fraction === '' ? 0 : Number(`0.${fraction}`) * 1_000;
  const ms =
    Date.UTC(
      Number(year),
      Number(month) - 1,
      Number(day),
      Number(hour),
      Number(minute),
      Number(second),
    ) +
    part -
    zoneMs(zone);
  return Number.isFinite(ms) ? { ms, hasZone: zone !== undefined } : undefined;
}

/** `10/Oct/2026:13:55:36 +0200`, as web servers write it. */
export function readAccessTime(text: string): number | undefined {
  const found = /^(\d{2})\/(\w{3})\/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-]\d{4})$/.exec(text);
  if (found === null) return undefined;
  const [, day, month = '', year, hour, minute, second, zone] = found;
  const at = months.indexOf(month) / 3;
  if (!Number.isInteger(at)) return undefined;
  return (
    Date.UTC(Number(year), at, Number(day), Number(hour), Number(minute), Number(second)) -
    zoneMs(zone)
  );
}

/** `Oct 10 13:55:36`, without a year: the last one that is not after `nowMs`. A day ahead may be another zone. */
export function readSyslogTime(text: string, nowMs: number): number | undefined {
  const found = /^(\w{3}) +(\d{1,2}) (\d{2}):(\d{2}):(\d{2})/.exec(text);
  if (found === null) return undefined;
  const [, month = '', day, hour, minute, second] = found;
  const at = months.indexOf(month) / 3;
  if (!Number.isInteger(at)) return undefined;
  const year = new Date(nowMs).getUTCFullYear();
  const inYear = (which: number) =>
    Date.UTC(which, at, Number(day), Number(hour), Number(minute), Number(second));
  return inYear(year) > nowMs + 86_400_000 ? inYear(year - 1) : inYear(year);
}

/** `Sat Oct 10 13:55:36.123 2026`, as Apache writes it in its error log. */
export function readApacheTime(text: string): number | undefined {
  const found = /^\w{3} (\w{3}) +(\d{1,2}) (\d{2}:\d{2}:\d{2}(?:\.\d+)?) (\d{4})$/.exec(text);
  if (found === null) return undefined;
  const [, month = '', day = '', clock, year] = found;
  const at = months.indexOf(month) / 3;
  if (!Number.isInteger(at)) return undefined;
  return readIsoTime(`${year}-${two(at + 1)}-${two(day)} ${clock}`)?.ms;
}

/** Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size. */
export function readEpoch(value: number): number | undefined {
  if (!Number.isFinite(value) || value < 1e8) return undefined;
  if (value < 1e11) return value * 1_000;
  if (value < 1e14) return value;
  return value < 1e17 ? value / 1e3 : value / 1e6;
}

function two(value: number | string): string {
  return String(value).padStart(2, '0');
}

function zoneMs(zone: string | undefined): number {
  const found = /^([+-])(\d{2}):?(\d{2})?$/.exec(zone ?? '');
  if (found === null) return 0;
  const minutes = Number(found[2]) * 60 + Number(found[3] ?? 0);
  return (found[1] === '-' ? -minutes : minutes) * 60_000;
}
