import { expect, test } from 'vitest';
import { AppError } from '../../base/base.ts';
import { parseControl } from './control.ts';

test('a control file as extensions ship it is read', () => {
  const text = `# vector extension
comment = 'vector data type and ivfflat and hnsw access methods'
default_version = '0.8.0'
module_pathname = '$libdir/vector'   # where it is
relocatable = true
requires = 'cube, "Odd Name",earthdistance'
superuser = no
trusted yes
no_relocate = ''
`;
  expect(parseControl(text, 'extension/vector.control')).toEqual({
    comment: 'vector data type and ivfflat and hnsw access methods',
    defaultVersion: '0.8.0',
    modulePathname: '$libdir/vector',
    relocatable: true,
    superuser: false,
    trusted: true,
    requires: ['cube', 'Odd Name', 'earthdistance'],
    noRelocate: [],
  });
});

test('values are quoted as in postgresql.conf', () => {
  expect(comment("'it''s'")).toBe("it's");
  expect(comment(String.raw`'a\'b\\c\nd\101'`)).toBe("a'b\\c\ndA");
  expect(comment("'not a # comment' # but this")).toBe('not a # comment');
  expect(comment('unquoted-word.1/2:3')).toBe('unquoted-word.1/2:3');
  expect(comment('1.0')).toBe('1.0');
  expect(comment("'crlf'\r")).toBe('crlf');
  expect(parseControl("comment='a'\ncomment='b'", 'x.control').comment).toBe('b');
  expect(parseControl('', 'x.control').comment).toBeUndefined();
});

test('what PostgreSQL refuses is refused with its line', () => {
  const wrong: readonly [string, number, RegExp][] = [
    ["comment = 'a'\ndefault_version = 1.0.0\n", 2, /needs quotes/],
    ["comment = 'open\n", 1, /not a name and a value/],
    ['comment\n', 1, /not a name and a value/],
    ["comment = 'a' 'b'\n", 1, /not a name and a value/],
    ["\n\ncoment = 'a'\n", 3, /coment is no parameter/],
    ["Comment = 'a'\n", 1, /Comment is no parameter/],
    ['relocatable = o\n', 1, /true or false/],
    ["requires = 'a,,b'\n", 1, /no list of names/],
    ["requires = 'a,'\n", 1, /ends with a comma/],
    ["relocatable = true\nschema = 'x'\n", 2, /schema can not be set/],
    ["__proto__ = 'x'\n", 1, /no parameter/],
  ];
  for (const [text, line, message] of wrong) {
    let failure: unknown;
    try {
      parseControl(text, 'x.control');
    } catch (thrown) {
      failure = thrown;
    }
    expect(failure).toBeInstanceOf(AppError);
    expect(failure).toMatchObject({ code: 'invalid_input', details: { line } });
    expect((failure as AppError).message).toMatch(message);
  }
});

test('the control file of one version may not say which version is the default', () => {
  const text = "default_version = '1.0'\n";
  expect(parseControl(text, 'extension/x.control').defaultVersion).toBe('1.0');
  expect(() => parseControl(text, 'extension/x--1.0.control')).toThrow(/can not be set/);
});

function comment(value: string): string | undefined {
  return parseControl(`comment = ${value}\n`, 'x.control').comment;
}
