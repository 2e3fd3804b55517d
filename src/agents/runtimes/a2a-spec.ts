/** `centuria.runtime` of the kind `a2a`. */
import { Type, type Static } from 'typebox';
import { complain, type Path } from '../fields.ts';
import type { Frontmatter } from '../frontmatter.ts';
import type { RuntimeSpecKind } from '../runtime.ts';
import { checkDial, checkUrl, dialFields } from './dial-spec.ts';
import { checkSecretTemplate } from './secrets.ts';

const a2aRuntimeSchema = Type.Object(
  {
    kind: Type.Literal('a2a', { description: 'a2a' }),
    ...dialFields,
    message: Type.Optional(Type.Unknown()),
  },
  { additionalProperties: false, description: 'a map with the field kind' },
);
export type A2aRuntimeSpec = Static<typeof a2aRuntimeSchema>;

export const a2aSpec: RuntimeSpecKind = { schema: a2aRuntimeSchema, check: checkA2a };

function checkA2a(
  front: Frontmatter,
  runtime: Readonly<Record<string, unknown>>,
  path: Path,
): void {
  const spec = runtime as A2aRuntimeSpec;
  const at = [...path, 'url'];
  if (spec.url.includes('${')) {
    complain(front, at, 'must hold no expression: one definition is one agent');
  } else {
    checkUrl(front, spec.url, at, spec.allow);
  }
  checkDial(front, spec, path);
  checkSecretTemplate(front, spec.message, [...path, 'message']);
}
