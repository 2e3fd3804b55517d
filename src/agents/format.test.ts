import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatAgent } from './format.ts';
import { parseAgent } from './parse.ts';

const source = `---
# who it is
name: history
description: >-
  Reads the history,
  all of it.
tools:   [Read,   Grep]   # odd spacing
future: {kept: [1, 2]}
centuria:
  timeoutSeconds: 120 # two minutes
  # how often
  retries: 1
---

You read.
`;

function parsed(text: string) {
  const { definition, problems } = parseAgent(text, 'a.md');
  if (definition === undefined) throw new Error(JSON.stringify(problems));
  return definition;
}

describe('formatting a definition', () => {
  test.each([
    ['comments and odd spacing', source],
    ['Windows line ends', source.replaceAll('\n', '\r\n')],
    ['a byte order mark', `\uFEFF${source}`],
    ['no line end at the end', source.trimEnd()],
    ['nothing after the frontmatter', '---\nname: a\ndescription: b\n---'],
  ])('gives a file with %s back byte for byte', (_what, text) => {
    expect(formatAgent(parsed(text))).toBe(text);
  });

  test('changes only the field that differs, and keeps comments and unknown fields', () => {
    const definition = parsed(source);
    const centuria = { ...(definition.frontmatter['centuria'] as object), timeoutSeconds: 60 };
    const text = formatAgent({
      ...definition,
      frontmatter: { ...definition.frontmatter, centuria },
    });
    expect(text).toContain('timeoutSeconds: 60 # two minutes');
    expect(text).toContain('# how often');
    expect(text).toContain('# who it is');
    expect(parsed(text).frontmatter).toEqual({ ...definition.frontmatter, centuria });
    expect(parsed(text).prompt).toBe(definition.prompt);
  });

  test('writes an alias out when its anchor is edited away', () => {
    const definition = parsed('---\nname: a\ndescription: b\ntools: &t [Read]\nskills: *t\n---\n');
    const { tools: _gone, ...rest } = definition.frontmatter;
    expect(parsed(formatAgent({ ...definition, frontmatter: rest })).frontmatter).toEqual(rest);
  });

  test('keeps a text of blanks and line ends when another field changes', () => {
    const frontmatter = { name: 'a', description: 'b', kept: ' \n' };
    const before = formatAgent({ frontmatter: { ...frontmatter, extra: 'x' }, prompt: '' });
    expect(parsed(formatAgent({ frontmatter, prompt: '', source: before })).frontmatter).toEqual(
      frontmatter,
    );
  });

  test('refuses what is no YAML', () => {
    const frontmatter = { name: 'a', description: 'b', when: new Date(0) };
    expect(() => formatAgent({ frontmatter, prompt: '' })).toThrow('can not be written as YAML');
  });

  test('removes a field and adds another', () => {
    const definition = parsed(source);
    const { future: _gone, ...rest } = definition.frontmatter;
    const text = formatAgent({ ...definition, frontmatter: { ...rest, color: 'blue' } });
    expect(parsed(text).frontmatter).toEqual({ ...rest, color: 'blue' });
  });

  test('writes a new prompt and leaves the frontmatter as it was', () => {
    const text = formatAgent({ ...parsed(source), prompt: 'You write.' });
    expect(text).toBe(source.replace('You read.', 'You write.'));
  });
});

/** Letters that YAML reads as something else, line ends and signs of its own. */
const words = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', ' ', '\n', '#', ':', '-', '"', "'", '{', '&', 'é', '5') }),
  fc.constantFrom('yes', 'null', '~', '---', '1e3', '0x1f', '- a', 'a: b', '# c', '|', '>-', ' x '),
);
const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    words,
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      words.filter((key) => key !== ''),
      tie('value'),
      { maxKeys: 3, noNullPrototype: true },
    ),
  ),
})).value;
const prompts = fc
  .string({ unit: fc.constantFrom('a', ' ', '\n', '-', '#', '\t') })
  .map((text) => text.replace(/^(?:[ \t]*\n)+/, '').trimEnd());

describe('a written definition', () => {
  test('is read as what was written, and writing it again changes nothing', () => {
    fc.assert(
      fc.property(values, prompts, (extra, prompt) => {
        const frontmatter = { name: 'a', description: 'b', extra };
        const text = formatAgent({ frontmatter, prompt });
        const again = parsed(text);
        expect(again.frontmatter).toEqual(frontmatter);
        expect(again.prompt).toBe(prompt);
        expect(formatAgent(again)).toBe(text);
        expect(formatAgent({ frontmatter, prompt })).toBe(text);
      }),
      { numRuns: 300 },
    );
    // 1 to 2 s on a machine that is busy with other things; the default is 5.
  }, 30_000);

  test('after an edit is read as what was meant, whatever stood there before', () => {
    fc.assert(
      fc.property(values, values, prompts, (before, after, prompt) => {
        const text = formatAgent({
          frontmatter: { name: 'a', description: 'b', extra: before, kept: before },
          prompt: 'x',
        });
        const frontmatter = { name: 'a', description: 'b', extra: after, kept: before };
        const edited = formatAgent({ frontmatter, prompt, source: text });
        expect(parsed(edited).frontmatter).toEqual(frontmatter);
        expect(parsed(edited).prompt).toBe(prompt);
        expect(formatAgent({ frontmatter, prompt, source: edited })).toBe(edited);
      }),
      { numRuns: 300 },
    );
    // 1 to 2 s on a machine that is busy with other things; the default is 5.
  }, 30_000);
});
