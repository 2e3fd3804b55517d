/** Fields and prompts of definitions as people write them: right, odd and full of YAML's own signs. */
import * as fc from 'fast-check';

export const words = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'B', ' ', '\n', '#', ':', '-', '"', "'", 'é', '5', '`') }),
  fc.constantFrom(
    'yes',
    '~',
    '---',
    '1e3',
    '- a',
    'a: b',
    '|',
    'Architect',
    'git-history',
    '#FFD700',
  ),
);
export const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    words,
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      fc
        .oneof(words, fc.constantFrom('patterns', 'keywords', 'frequently', '__proto__'))
        .filter((key) => key !== ''),
      tie('value'),
      { maxKeys: 3, noNullPrototype: true },
    ),
  ),
})).value;
export const prompt = fc.string({ unit: fc.constantFrom('a', ' ', '\n', '-', '#', '`', '\t') });
