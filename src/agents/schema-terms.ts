/** What the schemas of a definition's parts are made of. */
import { Type } from 'typebox';

/** Names of agents and capabilities. A `:` would clash with Claude Code's plug-in names, a leading `-` with options. */
const namePattern = '^[a-z0-9]+(-[a-z0-9]+)*$';
const nameWords = 'lower-case letters, digits and single hyphens, at most 64 characters';
export const name = Type.String({ pattern: namePattern, maxLength: 64, description: nameWords });
export const names = (most: number) =>
  Type.Array(name, {
    uniqueItems: true,
    maxItems: most,
    description: `a list of at most ${most} different names (${nameWords})`,
  });
export const oneOf = <const Words extends string[]>(words: readonly [...Words]) =>
  Type.Enum(words, { description: `one of ${words.join(', ')}` });
export const text = (description: string) => Type.String({ minLength: 1, description });
export const wholeNumber = (minimum: number, maximum: number) =>
  Type.Integer({ minimum, maximum, description: `a whole number from ${minimum} to ${maximum}` });
export const flag = Type.Boolean({ description: 'true or false' });
export const listOrText = Type.Union(
  [Type.String(), Type.Array(Type.String({ minLength: 1 }), { maxItems: 500 })],
  { description: 'a list of names, or one text with commas between them' },
);
export const anyMap = Type.Record(Type.String(), Type.Unknown(), { description: 'a map' });

/** Our own variables hold secrets and the data folder's place: no agent is given them. */
const variable = Type.String({
  pattern: '^(?![Cc][Ee][Nn][Tt][Uu][Rr][Ii][Aa]_)[A-Za-z_][A-Za-z0-9_]*$',
  maxLength: 128,
  description: 'the name of an environment variable, and none of CENTURIA_*',
});
export const variables = Type.Array(variable, {
  uniqueItems: true,
  maxItems: 100,
  description: 'a list of different names of environment variables, none of CENTURIA_*',
});
export const commandArguments = Type.Array(Type.Union([Type.String(), Type.Number()]), {
  maxItems: 1_000,
  description: 'a list of texts, one an argument',
});
export const program = Type.String({
  pattern: '^(/.*[^/]|[^/\\-\\s][^/]*)$',
  description: 'the name of a program, or its absolute path',
});
/** Of the runtimes that run a program for an attempt. */
export const processLimits = Type.Object(
  {
    memoryMb: Type.Optional(wholeNumber(1, 1_048_576)),
    outputMb: Type.Optional(wholeNumber(1, 1_024)),
  },
  { additionalProperties: false, description: 'a map' },
);
