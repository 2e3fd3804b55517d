import { expect, test } from 'vitest';
import { checkSmoke } from './smoke.ts';

const lineOf = (text: string): unknown => {
  try {
    checkSmoke(text, 'smoke/x.sql');
    return undefined;
  } catch (error) {
    return (error as { details: { line: number } }).details.line;
  }
};

test('a smoke test may hold whatever one message can', () => {
  const text = `-- \\echo in a comment, commit;
/* rollback; /* nested; */ commit; */
select 'it''s; commit; \\', E'\\'; commit; --', "a;""commit" , $$ commit; \\d $$, $b$ $$; end; $b$;
create function f() returns int begin atomic select case when true then 1 end; select 2; end;
savepoint a; select x$1$ from (select 1 as x$1$) t; rollback to savepoint a; rollback work to a;
do $do$ begin assert 1 = 1; end $do$; prepare p as select 1; declare c cursor for select 1`;
  expect(lineOf(text)).toBeUndefined();
});

test('what would end the transaction is refused with its line', () => {
  for (const word of ['commit', 'BEGIN', 'End', 'abort', 'rollback', 'start transaction']) {
    expect(lineOf(`select 1;\n\n  /* a\n */ ${word};`)).toBe(4);
  }
  expect(lineOf(`prepare transaction 'x'`)).toBe(1);
  expect(lineOf(`create function f() returns int begin atomic select 1; end;\ncommit`)).toBe(2);
});

test('commands of psql are refused with their line and name', () => {
  expect(() => checkSmoke('select 1;\n\\echo hello', 'smoke/x.sql')).toThrow(
    'smoke/x.sql:2: \\echo is a command of psql',
  );
  expect(lineOf('select 1 \\gset')).toBe(1);
});

test('a text that does not end is refused where it begins', () => {
  for (const open of [`'a`, `"a`, '$x$ a', '/* /* */']) expect(lineOf(`\n${open}`)).toBe(2);
});
