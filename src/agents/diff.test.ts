import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { diffAgents, diffLines } from './diff.ts';
import { parseAgent } from './parse.ts';

function definition(text: string) {
  const found = parseAgent(text, 'a.md').definition;
  if (found === undefined) throw new Error('the definition is wrong');
  return found;
}

test('a diff names each field by its path, with both values', () => {
  const before = definition(
    '---\nname: a\ndescription: x\ntools: [Read]\ncenturia: {retries: 1, timeoutSeconds: 5}\n---\n',
  );
  const after = definition(
    '---\nname: a\ndescription: y\ncenturia: {retries: 2, timeoutSeconds: 5}\ncolor: red\n---\n',
  );
  const diff = diffAgents(before, after);
  expect(diff.before).toBe(before.hash);
  expect(diff.after).toBe(after.hash);
  expect(diff.prompt).toEqual([]);
  expect(diff.fields).toEqual([
    { path: 'description', before: 'x', after: 'y' },
    { path: 'tools', before: ['Read'] },
    { path: 'centuria.retries', before: 1, after: 2 },
    { path: 'color', after: 'red' },
  ]);
});

test('a diff of prompts keeps the lines that are in both', () => {
  expect(diffLines('a\nb\nc\nd', 'a\nc\nx\nd')).toEqual([
    { kind: 'same', text: 'a' },
    { kind: 'removed', text: 'b' },
    { kind: 'same', text: 'c' },
    { kind: 'added', text: 'x' },
    { kind: 'same', text: 'd' },
  ]);
});

test('either prompt can be read back from the diff', () => {
  const lines = fc.array(fc.constantFrom('', 'a', 'b', 'c'), { maxLength: 30 });
  fc.assert(
    fc.property(lines, lines, (old, fresh) => {
      const diff = diffLines(old.join('\n'), fresh.join('\n'));
      const side = (kind: string) =>
        diff
          .filter((line) => line.kind === 'same' || line.kind === kind)
          .map((line) => line.text)
          .join('\n');
      expect(side('removed')).toBe(old.join('\n'));
      expect(side('added')).toBe(fresh.join('\n'));
    }),
  );
});

const long = (letter: string) =>
  Array.from({ length: 3_000 }, (_, i) => `${letter}${i}`).join('\n');

test('prompts that share nothing and are very long are shown as replaced', () => {
  const diff = diffLines(long('a'), long('b'));
  expect(diff.filter((line) => line.kind === 'removed')).toHaveLength(3_000);
  expect(diff.filter((line) => line.kind === 'added')).toHaveLength(3_000);
});
