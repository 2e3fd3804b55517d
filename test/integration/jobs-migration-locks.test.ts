/** What migration-check says of locks and rewrites, held against what a real PostgreSQL does. */
import { PGlite } from '@electric-sql/pglite';
import { loadModule } from 'libpg-query';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Catalog } from '../../src/tools/migration-catalog.ts';
import { lockModes, locksOf } from '../../src/tools/migration-locks.ts';
import { judgeStatement } from '../../src/tools/migration-rules.ts';
import { parseSql } from '../../src/tools/sql-check.ts';

const schema = `
create table a (id bigint primary key, name varchar(20), n int default 0, price numeric(8, 2), at timestamptz(3));
create table b (id bigint primary key, a_id bigint);
create unique index b_a on b (a_id);
create table p (id int, day date) partition by range (day);
create table p1 partition of p for values from ('2020-01-01') to ('2021-01-01');
create table p2 (id int, day date);
create materialized view v as select id from a;
create unique index v_id on v (id);
alter table a add constraint soon check (n >= 0) not valid;
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger t before insert on a for each row execute function f();
insert into a values (1, 'x', 1, 1, now());
`;

const statements = [
  'alter table a add column c int',
  "alter table a add column c text not null default 'x'",
  'alter table a add column c timestamptz default now()',
  'alter table a add column c uuid default gen_random_uuid()',
  'alter table a add column c bigserial',
  'alter table a add column c bigint generated always as identity',
  'alter table a add column c int generated always as (n + 1) stored',
  'alter table a add column c bigint references b (id)',
  'alter table a drop column name',
  'alter table a alter column name type varchar(30)',
  'alter table a alter column name type text',
  'alter table a alter column name type varchar(10)',
  'alter table a alter column n type bigint',
  'alter table a alter column price type numeric(12, 2)',
  'alter table a alter column price type numeric(12, 3)',
  'alter table a alter column at type timestamptz',
  'alter table a alter column n set not null',
  'alter table a alter column n drop default',
  'alter table a alter column n set statistics 50',
  'alter table a alter column n set (n_distinct = 5)',
  'alter table a alter column name set storage external',
  'alter table a add constraint c check (n < 5)',
  'alter table a add constraint c check (n < 5) not valid',
  'alter table a validate constraint soon',
  'alter table a drop constraint soon',
  'alter table a add constraint c unique (n)',
  'alter table b add constraint c unique using index b_a',
  'alter table b add constraint c foreign key (a_id) references a (id)',
  'alter table b add constraint c foreign key (a_id) references a (id) not valid',
  'alter table a set (fillfactor = 70)',
  'alter table a set unlogged',
  'alter table a disable trigger t',
  'alter table a enable row level security',
  'alter table a rename column n to m',
  'alter table a rename to z',
  "alter table p attach partition p2 for values from ('2021-01-01') to ('2022-01-01')",
  'alter table p detach partition p1',
  "create table p3 partition of p for values from ('2023-01-01') to ('2024-01-01')",
  'create table c (id bigint references a (id))',
  'create index on a (n)',
  'create trigger u before update on a for each row execute function f()',
  'drop trigger t on a',
  'create policy y on a using (true)',
  'drop table b',
  'truncate b',
  'cluster a using a_pkey',
  'reindex table a',
  'refresh materialized view v',
  'refresh materialized view concurrently v',
  'lock table a in share row exclusive mode',
  'update a set n = 2 where id = 1',
  'delete from a where id = 9',
  "insert into a values (2, 'y')",
];

let server: PGlite;

beforeAll(async () => {
  await loadModule();
  server = await PGlite.create();
  await server.exec(schema);
}, 60_000);
afterAll(() => server.close());

interface Effect {
  readonly locks: Readonly<Record<string, string>>;
  /** Tables whose rows were written again. */
  readonly rewritten: readonly string[];
}

/** Locks of readers say nothing of a change: what does not block a second change is left out. */
const weakest = lockModes.indexOf('ROW EXCLUSIVE');

async function effectOf(statement: string): Promise<Effect> {
  const files = async () =>
    (
      await server.query<{ oid: number; file: number }>(
        "select oid::int, relfilenode::int as file from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by oid",
      )
    ).rows;
  const names = await server.query<{ oid: number; name: string }>(
    "select oid::int, relname as name from pg_class where relkind in ('r', 'p', 'm') and relnamespace = 'public'::regnamespace",
  );
  const nameOf = new Map(names.rows.map(({ oid, name }) => [oid, name]));
  const before = new Map((await files()).map(({ oid, file }) => [oid, file]));
  await server.exec('begin');
  try {
    await server.exec(statement);
    const held = await server.query<{ oid: number; mode: string }>(
      "select relation::int as oid, mode from pg_locks where locktype = 'relation'",
    );
    const locks = new Map<string, number>();
    for (const { oid, mode } of held.rows) {
      const table = nameOf.get(oid);
      const words = mode.replace(/Lock$/, '').replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ');
      const strength = lockModes.findIndex((known) => known === words.toUpperCase());
      if (table === undefined || strength < weakest) continue;
      locks.set(table, Math.max(strength, locks.get(table) ?? 0));
    }
    const rewritten = (await files())
      .filter(({ oid, file }) => before.has(oid) && before.get(oid) !== file)
      .map(({ oid }) => nameOf.get(oid) ?? '');
    return { locks: named(locks), rewritten };
  } finally {
    await server.exec('rollback');
  }
}

function named(locks: ReadonlyMap<string, number>): Record<string, string> {
  return Object.fromEntries(
    [...locks]
      .map(([table, strength]): [string, string] => [table, lockModes[strength] ?? ''])
      .toSorted(),
  );
}

function parse(sql: string) {
  const parsed = parseSql(sql);
  if ('offset' in parsed) throw new Error(parsed.message);
  return parsed.statements;
}

function judgedEffect(sql: string): Effect {
  const catalog = new Catalog();
  for (const statement of parse(schema)) catalog.apply(statement);
  const [statement] = parse(sql);
  if (statement === undefined) throw new Error('no statement');
  const locks = new Map(
    locksOf(statement)
      .map(({ table, mode }): [string, number] => [table, lockModes.indexOf(mode)])
      .filter(([, strength]) => strength >= weakest),
  );
  const hazards = judgeStatement(statement, { catalog, created: new Set(), server: 17 });
  const rewrites = hazards.some(
    ({ rule, severity }) =>
      severity === 'high' && /^(table-rewrite|type-change-rewrites|truncate)$/.test(rule),
  );
  return { locks: named(locks), rewritten: rewrites ? [locksOf(statement)[0]?.table ?? ''] : [] };
}

test.each(statements)('%s takes the locks and rewrites what is said of it', async (statement) => {
  expect(judgedEffect(statement)).toEqual(await effectOf(statement));
});
