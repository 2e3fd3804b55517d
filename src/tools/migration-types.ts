/** Which changes of a column's type cost nothing, and which expressions are computed for every row. */
import { asRecord } from './packages.ts';
import { list, strings } from './sql-nodes.ts';

export type TypeChange = 'free' | 'rewrite' | 'unknown';

const parts = /^([\w.]+)(?:\(([\d,?]*)\))?$/;

/**
 * What changing a type does to a table. Free is what only widens a limit, and what the server knows
 * to be stored alike ("Changing the type … will normally cause the entire table and its indexes to be
 * rewritten", ALTER TABLE). `from` is undefined where no migration says what it was.
 */
export function typeChange(from: string | undefined, to: string): TypeChange {
  if (from === undefined) return 'unknown';
  if (from === to) return 'free';
  const [, fromName = '', fromLimit] = parts.exec(from) ?? [];
  const [, toName = '', toLimit] = parts.exec(to) ?? [];
  if (fromName === '' || toName === '') return 'rewrite';
  const texts = new Set(['varchar', 'text']);
  if (texts.has(fromName) && texts.has(toName))
    return toLimit === undefined || (fromLimit !== undefined && atLeast(toLimit, fromLimit))
      ? 'free'
      : 'rewrite';
  if (fromName === 'cidr' && toName === 'inet') return 'free';
  if (fromName !== toName) return 'rewrite';
  if (fromName === 'numeric') return widerNumeric(fromLimit, toLimit) ? 'free' : 'rewrite';
  if (['timestamp', 'timestamptz', 'time', 'timetz', 'varbit', 'interval'].includes(fromName))
    return toLimit === undefined || (fromLimit !== undefined && atLeast(toLimit, fromLimit))
      ? 'free'
      : 'rewrite';
  return 'rewrite';
}

function atLeast(a: string, b: string): boolean {
  return Number(a) >= Number(b);
}

/** The scale must stay: it decides what is stored. */
function widerNumeric(from: string | undefined, to: string | undefined): boolean {
  if (to === undefined) return true;
  const [fromPrecision = '', fromScale = '0'] = (from ?? '').split(',');
  const [toPrecision = '', toScale = '0'] = to.split(',');
  return from !== undefined && fromScale === toScale && atLeast(toPrecision, fromPrecision);
}

const volatile =
  /^(gen_random_(uuid|bytes)|uuid_generate_v\w+|uuidv[47]|random\w*|clock_timestamp|timeofday|nextval|setval|lastval|currval|pg_sleep|gen_salt)$/;
/** Of the server itself, and not volatile. */
const steady = new Set(
  (
    'now statement_timestamp transaction_timestamp lower upper initcap concat concat_ws format md5 sha256 encode decode ' +
    'to_char to_date to_timestamp to_number to_json to_jsonb json_build_object jsonb_build_object json_build_array ' +
    'jsonb_build_array array_fill string_to_array make_date make_time make_timestamp make_timestamptz make_interval ' +
    'date_trunc date_part extract age timezone abs round ceil ceiling floor trunc mod power sqrt length char_length ' +
    'octet_length substring substr replace trim btrim ltrim rtrim left right lpad rpad repeat reverse split_part ' +
    'int4range int8range numrange tsrange tstzrange daterange current_setting current_user session_user current_schema point ' +
    'to_tsvector row_to_json crypt coalesce nullif greatest least inet cidr'
  ).split(' '),
);

/** Whether an expression gives each row a value of its own (then the table is rewritten), as far as names tell. */
export function volatility(expression: unknown): 'volatile' | 'steady' | { unknown: string } {
  let unknown: string | undefined;
  const pending: unknown[] = [expression];
  for (const item of pending) {
    if (Array.isArray(item)) pending.push(...(item as unknown[]));
    const fields = asRecord(item);
    if (fields === undefined) continue;
    const call = asRecord(fields['FuncCall']);
    if (call !== undefined) {
      const name = strings(list(call['funcname'])).at(-1) ?? '';
      if (volatile.test(name)) return 'volatile';
      if (!steady.has(name)) unknown ??= name;
    }
    pending.push(...Object.values(fields));
  }
  return unknown === undefined ? 'steady' : { unknown };
}
