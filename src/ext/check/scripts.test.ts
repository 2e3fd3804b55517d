import { expect, test } from 'vitest';
import { readScript } from './scripts.ts';

test('C functions are found with their library, their symbol and their line', () => {
  const text = `\\echo Use "CREATE EXTENSION x" to load; this file's quote. \\quit
/* create function no() as 'MODULE_PATHNAME' language c; */
CREATE FUNCTION one(a text DEFAULT ';', b int) RETURNS int
  AS 'MODULE_PATHNAME', 'x_one' LANGUAGE C IMMUTABLE STRICT;
create or replace function @extschema@."Two"() returns int language 'c' as '$libdir/y';
CREATE FUNCTION three() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION four() RETURNS trigger AS $f$ BEGIN CREATE FUNCTION five() AS 'z' LANGUAGE c; END $f$ LANGUAGE plpgsql;
CREATE FUNCTION s.six(int) RETURNS int AS E'MODULE_PATHNAME' LANGUAGE c; -- create function no()
CREATE TRIGGER t AFTER INSERT ON x FOR EACH ROW EXECUTE FUNCTION seven();
DROP FUNCTION IF EXISTS s.eight(int);
`;
  expect(readScript(text)).toEqual({
    declared: [
      { name: 'one', library: 'MODULE_PATHNAME', symbol: 'x_one', line: 3 },
      { name: 'Two', library: '$libdir/y', symbol: 'Two', line: 5 },
      { name: 'six', library: 'MODULE_PATHNAME', symbol: 'six', line: 8 },
    ],
    dropped: [{ name: 'eight', after: 3 }],
  });
});
