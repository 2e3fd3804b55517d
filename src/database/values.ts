/**
 * Values between JavaScript and PostgreSQL's text format, the same for both drivers. Neither
 * driver's own tables are used: they disagree about int8, dates, arrays and bytea.
 */
import { AppError } from '../base/base.ts';
import type { Sql } from './sql.ts';

export type Parse = (text: string) => unknown;
/** What goes over the wire: text, raw bytes (`bytea`), or null. */
export type Encoded = string | Uint8Array | null;

const text: Parse = (value) => value;

const scalars: readonly {
  readonly oid: number;
  readonly arrayOid: number;
  readonly parse: Parse;
}[] = [
  { oid: 16, arrayOid: 1000, parse: (value) => value === 't' },
  { oid: 17, arrayOid: 1001, parse: parseBytea },
  { oid: 20, arrayOid: 1016, parse: BigInt },
  { oid: 21, arrayOid: 1005, parse: Number },
  { oid: 23, arrayOid: 1007, parse: Number },
  { oid: 26, arrayOid: 1028, parse: Number },
  { oid: 700, arrayOid: 1021, parse: Number },
  { oid: 701, arrayOid: 1022, parse: Number },
  { oid: 114, arrayOid: 199, parse: JSON.parse },
  { oid: 3802, arrayOid: 3807, parse: JSON.parse },
  { oid: 1184, arrayOid: 1185, parse: parseTimestamptz },
  // Text by themselves, listed for their arrays: name, text, bpchar, varchar, date, time,
  // timestamp, interval, numeric, uuid, regclass, inet, pg_lsn.
  { oid: 19, arrayOid: 1003, parse: text },
  { oid: 25, arrayOid: 1009, parse: text },
  { oid: 1042, arrayOid: 1014, parse: text },
  { oid: 1043, arrayOid: 1015, parse: text },
  { oid: 1082, arrayOid: 1182, parse: text },
  { oid: 1083, arrayOid: 1183, parse: text },
  { oid: 1114, arrayOid: 1115, parse: text },
  { oid: 1186, arrayOid: 1187, parse: text },
  { oid: 1700, arrayOid: 1231, parse: text },
  { oid: 2950, arrayOid: 2951, parse: text },
  { oid: 2205, arrayOid: 2210, parse: text },
  { oid: 869, arrayOid: 1041, parse: text },
  { oid: 3220, arrayOid: 3221, parse: text },
];

const parsers = new Map<number, Parse>();
for (const { oid, arrayOid, parse } of scalars) {
  parsers.set(oid, parse);
  parsers.set(arrayOid, (value) => parseArray(value, parse));
}

/** How values of a type are read; a type that is not listed stays the text that PostgreSQL gives. */
export function parserOf(oid: number): Parse {
  return parsers.get(oid) ?? text;
}

/**
 * The parameters as they are sent. Throws `invalid_input` for what has no single meaning in SQL: a
 * plain object, a function, an invalid date.
 */
export function encodeParameters(statement: Sql): Encoded[] {
  return statement.values.map((value, index) => {
    if (value instanceof Uint8Array) return value;
    if (Array.isArray(value)) return encodeArray(value, index + 1);
    return encodeScalar(value, index + 1);
  });
}

function encodeScalar(value: unknown, position: number): string | null {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value);
    case 'undefined':
      return null;
    default:
  }
  if (value === null) return null;
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  throw new AppError('invalid_input', `parameter $${position} can not be sent to PostgreSQL`, {
    details: { parameter: position, type: typeof value },
    remedy: 'Pass JSON as ${json(value)}::json, and only valid dates.',
  });
}

function encodeArray(values: readonly unknown[], position: number): string {
  const items = values.map((value) => {
    if (Array.isArray(value)) return encodeArray(value, position);
    if (value instanceof Uint8Array) return `"\\\\x${Buffer.from(value).toString('hex')}"`;
    const encoded = encodeScalar(value, position);
    return encoded === null ? 'NULL' : `"${encoded.replace(/["\\]/g, String.raw`\$&`)}"`;
  });
  return `{${items.join(',')}}`;
}

/** `bytea_output` is `hex` on every connection of ours. */
function parseBytea(value: string): Uint8Array {
  return Uint8Array.from(Buffer.from(value.slice(2), 'hex'));
}

/** The session's zone is UTC, so the text ends in `+00`, which `Date` reads. */
function parseTimestamptz(value: string): Date {
  const date = new Date(value);
  if (!Number.isNaN(date.getTime())) return date;
  throw new AppError('database_failed', 'a timestamp is outside of what a Date can hold', {
    remedy: 'Select it as text.',
  });
}

/** Reads PostgreSQL's array literal. Lower bounds (`[0:2]={…}`) are dropped. */
function parseArray(literal: string, parse: Parse): unknown[] {
  let at = literal.startsWith('[') ? literal.indexOf('=') + 1 : 0;

  function readQuoted(): string {
    let value = '';
    for (at += 1; literal[at] !== '"'; at += 1) {
      if (literal[at] === '\\') at += 1;
      value += literal[at];
    }
    at += 1;
    return value;
  }

  function readBare(): unknown {
    const start = at;
    while (literal[at] !== ',' && literal[at] !== '}') at += 1;
    const value = literal.slice(start, at);
    return value === 'NULL' ? null : parse(value);
  }

  function readItem(): unknown {
    if (literal[at] === '{') return readItems();
    return literal[at] === '"' ? parse(readQuoted()) : readBare();
  }

  function readItems(): unknown[] {
    const items: unknown[] = [];
    at += 1;
    while (literal[at] !== '}') {
      items.push(readItem());
      if (literal[at] === ',') at += 1;
    }
    at += 1;
    return items;
  }

  return readItems();
}
