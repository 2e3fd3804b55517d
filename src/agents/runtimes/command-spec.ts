/** `centuria.runtime` of the kind `command`. */
import { Type, type Static } from 'typebox';
import { named, offsetAt, type Path } from '../fields.ts';
import type { Frontmatter } from '../frontmatter.ts';
import type { RuntimeSpecKind } from '../runtime.ts';
import {
  commandArguments,
  flag,
  oneOf,
  processLimits,
  program,
  text,
  variables,
} from '../schema-terms.ts';
import { checkCommandLine } from '../template-checks.ts';

const commandRuntimeSchema = Type.Object(
  {
    kind: Type.Literal('command', { description: 'command' }),
    program: Type.Optional(program),
    arguments: Type.Optional(commandArguments),
    stdin: Type.Optional(oneOf(['none', 'json', 'text'])),
    stdout: Type.Optional(oneOf(['json', 'text'])),
    directory: Type.Optional(text('a folder')),
    environment: Type.Optional(variables),
    limits: Type.Optional(processLimits),
    shell: Type.Optional(flag),
    command: Type.Optional(text('the text of a shell command')),
    check: Type.Optional(
      Type.Object(
        { arguments: commandArguments },
        { additionalProperties: false, description: 'a map with the arguments of a check' },
      ),
    ),
  },
  { additionalProperties: false, description: 'a map with the field kind' },
);
export type CommandRuntimeSpec = Static<typeof commandRuntimeSchema>;

export const commandSpec: RuntimeSpecKind = { schema: commandRuntimeSchema, check: checkCommand };

function checkCommand(
  front: Frontmatter,
  runtime: Readonly<Record<string, unknown>>,
  path: Path,
): void {
  const spec = runtime as CommandRuntimeSpec;
  const error = (field: string, message: string, suggestion?: string) =>
    front.report('error', offsetAt(front, [...path, field]), message, suggestion);
  if (spec.shell === true) {
    if (spec.command === undefined) error('shell', 'a shell runtime needs the field command');
    if (spec.program !== undefined) error('program', 'a shell runtime has no program');
    if (spec.command?.includes('${input') === true || spec.command?.includes('${attempt')) {
      const message = 'command must not hold expressions: a value could become shell code';
      error('command', message, 'Pass them in arguments; they are "$1", "$2" ….');
    }
  } else {
    if (spec.program === undefined) {
      front.report('error', offsetAt(front, path), `${named([...path, 'program'])} is missing`);
    }
    if (spec.command !== undefined) {
      error('command', 'command needs shell: true', 'Use program and arguments.');
    }
  }
  checkCommandLine(front, spec, path);
}
