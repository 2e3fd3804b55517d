import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { matcher, ownerRuleOf, parseCodeowners } from './codeowners.ts';
import { findComments, LineIndex } from './comments.ts';
import { HistoryParser } from './history.ts';
import { readMarkdown, slugOf } from './markdown.ts';
import { findConflicts } from './merge-conflicts.ts';
import { isGenerated, isTest, isVendored } from './paths.ts';
import { entropy, looksRandom } from './secret-scan.ts';
import { dialectOf } from './shell-check.ts';
import { findMarks } from './todo-scan.ts';

const comments = (path: string, text: string): string[] =>
  (findComments(path, text) ?? []).map(({ start, end }) => text.slice(start, end));

test('comments are found outside strings, in each family of languages', () => {
  expect(comments('a.ts', 'const u = "http://x"; // one\n/* two\n */ `// no ${1}`')).toEqual([
    '// one',
    '/* two\n */',
  ]);
  expect(comments('a.py', 'x = "# no" # one\n"""doc"""\n')).toEqual(['# one', '"""doc"""']);
  expect(comments('a.sh', 'echo $# a#b "#no" # one')).toEqual(['# one']);
  expect(comments('a.sql', "select '--no' -- one\n/* two */")).toEqual(['-- one', '/* two */']);
  expect(comments('a.rs', "fn f<'a>(x: &'a str) {} // one")).toEqual(['// one']);
  expect(comments('a.html', '<p>x</p><!-- one -->')).toEqual(['<!-- one -->']);
  expect(findComments('a.unknown', '// x')).toBeUndefined();
});

test('a quote that nobody closes ends with its line', () => {
  expect(comments('a.ts', "const r = /'/;\n// one")).toEqual(['// one']);
});

test('every offset has the line and column that counting gives', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', '\n', 'bc', '\r\n')), fc.nat(), (parts, pick) => {
      const text = parts.join('');
      const offset = text.length === 0 ? 0 : pick % text.length;
      const before = text.slice(0, offset).split('\n');
      expect(new LineIndex(text).at(offset)).toEqual({
        line: before.length,
        column: (before.at(-1)?.length ?? 0) + 1,
      });
    }),
  );
});

test('links stand outside code, comments and front matter', () => {
  const text =
    '---\na: [x](no)\n---\n[a](one.md "t") ![b](<two three.md>) `[c](no)`\n\n```\n[d](no)\n```\n<!-- [e](no)\n[e](no) -->\n[f]: four.md\n\n    [g](no)\n<a href="five.md">x</a> [h](a_(b).md)\n';
  expect(
    readMarkdown(text)
      .links.map(({ target }) => target)
      .toSorted(),
  ).toEqual(['a_(b).md', 'five.md', 'four.md', 'one.md', 'two three.md']);
});

test('inline code ends with its list item, so that a lone backtick hides no link', () => {
  expect(readMarkdown('* a ` b\n* [c](d.md) ` e\n').links.map(({ target }) => target)).toEqual([
    'd.md',
  ]);
});

test('anchors are those that GitHub makes', () => {
  // From rendered pages.
  expect(slugOf('Hello, World!')).toBe('hello-world');
  expect(slugOf('`code` & [link](x) — dash')).toBe('code--link--dash');
  expect(slugOf('Größe_und 日本')).toBe('größe_und-日本');
  const { anchors } = readMarkdown(
    '# A\n## A\nSetext\n---\n<a id="own"></a>\n# B {#custom}\n```\n# no\n```\n',
  );
  expect([...anchors]).toEqual(expect.arrayContaining(['a', 'a-1', 'setext', 'own', 'custom']));
  expect(anchors.has('no')).toBe(false);
});

test('reading Markdown is quick on input made to be slow', () => {
  // Each of these took minutes with the patterns that come to mind first.
  const size = 200_000;
  for (const part of [
    '<!--',
    '`',
    '[a',
    '](',
    '```\n',
    '<a ',
    '~~~x\n',
    '-',
    ' ',
    '{#',
    '[a][',
    '` `` ',
  ]) {
    expect(readMarkdown(part.repeat(size / part.length)).anchors.size).toBeLessThan(2);
  }
});

test('a conflict is an opening, a middle and an end; a heading is none', () => {
  expect(findConflicts('<<<<<<< a\nx\n=======\ny\n>>>>>>> b\n')).toEqual([1]);
  expect(findConflicts('a\n<<<<<<< a\r\n||||||| base\r\n=======\r\n>>>>>>> b\r\n')).toEqual([2]);
  expect(findConflicts('Title\n=======\n\n>>>>>>> quoted\n')).toEqual([]);
  expect(findConflicts('cat <<<<<<< a\n=======\n>>>>>>> b\n')).toEqual([]);
});

test('CODEOWNERS patterns match as GitHub documents them', () => {
  const cases: [string, string, boolean][] = [
    ['*', 'a/b.js', true],
    ['*.js', 'a/b.js', true],
    ['/build/logs/', 'build/logs/a/b', true],
    ['/build/logs/', 'x/build/logs/a', false],
    ['docs/*', 'docs/getting-started.md', true],
    ['docs/*', 'docs/build/troubleshooting.md', false],
    ['apps/', 'x/apps/y/z', true],
    ['/docs/', 'docs/a', true],
    ['/scripts', 'scripts/a/b', true],
    ['**/logs', 'build/logs/a', true],
    ['**/logs', 'deeply/nested/logs/a', true],
    ['/a/**/z', 'a/b/c/z', true],
    ['/a/**/z', 'a/z', true],
    ['a.b', 'aXb', false],
  ];
  for (const [pattern, path, expected] of cases)
    expect([pattern, path, matcher(pattern)(path)]).toEqual([pattern, path, expected]);
});

test('the last rule of CODEOWNERS decides, and lines that GitHub skips are named', () => {
  const { rules, problems } = parseCodeowners(
    '* @a # all\n[Section]\n/x/ @b/c d@example.org\n!y @a\n/z nobody\n',
  );
  expect(ownerRuleOf(rules, 'x/y')?.owners).toEqual(['@b/c', 'd@example.org']);
  expect(ownerRuleOf(rules, 'q')?.owners).toEqual(['@a']);
  expect(problems.map(({ line, rule }) => `${line} ${rule}`)).toEqual([
    '4 owner-pattern-invalid',
    '5 owner-invalid',
  ]);
});

const header = (hash: string): string =>
  `\u0001${hash}\u0002p\u00021\u00022\u0002A\u0002A@B\u0002subject`;

test('the history follows renames to the name of today, and takes any name', () => {
  const parser = new HistoryParser();
  const records = [
    header('c'),
    '\n1\t2\tb\nnew',
    header('b'),
    '\n0\t0\t',
    'a',
    'b\nnew',
    '3\t0\tother',
    header('a'),
    '\n-\t-\ta',
  ];
  for (const record of records) parser.push(record);
  expect(
    parser.commits.map(({ hash, changes }) => [
      hash,
      ...changes.map(({ path, addedLines }) => `${path}+${addedLines}`),
    ]),
  ).toEqual([
    ['c', 'b\nnew+1'],
    ['b', 'b\nnew+0', 'other+3'],
    ['a', 'b\nnew+0'],
  ]);
});

test('keys look random; words, paths and placeholders do not', () => {
  for (const value of ['9f8A7b6C5d4E3f2G1h0J', 'c0ffee254729296a45a3885639ac7e10'])
    expect(looksRandom(value)).toBe(true);
  for (const value of [
    'your-api-key-goes-here',
    'production_database',
    'https://a.b/c1D2e3F4',
    '${SECRET_TOKEN_1}',
    'xxxxxxxxxxxxxxxxxxxx',
    'aaaaaaaa11111111',
  ])
    expect(looksRandom(value)).toBe(false);
  expect(entropy('aaaa')).toBe(0);
  expect(entropy('abcd')).toBe(2);
});

test('a marker begins its line or has its colon; a sentence about markers is none', () => {
  const text =
    '// TODO one\n/* x FIXME: two\n * HACK\n */\n// says TODO and BUG (somebody) or XXX\nconst TODO = 1;\n';
  expect(findMarks('a.ts', text).map(({ line, word }) => `${line} ${word}`)).toEqual([
    '1 TODO',
    '2 FIXME',
    '3 HACK',
  ]);
});

test('a script is read as the shell that its first line asks for', () => {
  expect(dialectOf('a', '#!/bin/sh\n')).toBe('sh');
  expect(dialectOf('a', '#!/usr/bin/env -S bash -e\n')).toBe('bash');
  expect(dialectOf('a.sh', 'echo\n')).toBe('bash');
  expect(dialectOf('a', '#!/usr/bin/env python3\n')).toBeUndefined();
  expect(dialectOf('a.zsh', '')).toBe('zsh');
});

test('paths tell vendored, generated and test files from own ones', () => {
  expect(isVendored('web/node_modules/a/b.js')).toBe(true);
  expect(isVendored('src/vendors.ts')).toBe(false);
  expect(isGenerated('a/package-lock.json')).toBe(true);
  expect(isGenerated('a.go', '// Code generated by protoc. DO NOT EDIT.\n')).toBe(true);
  expect(isGenerated('src/a.ts', 'export {};')).toBe(false);
  expect(isTest('src/a.test.ts') && isTest('pkg/a_test.go') && isTest('tests/x.py')).toBe(true);
  expect(isTest('src/contest.ts') || isTest('src/latest/a.ts')).toBe(false);
});
