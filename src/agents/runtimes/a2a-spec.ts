/** `centuria.runtime` of the kind `a2a`. */
import { Type, type Static } from 'typebox';
import { complain, type Path } from '../fields.ts';
import type { Frontmatter } from '../frontmatter.ts';
import type { RuntimeSpecKind } from '../runtime.ts';
import { text } from '../schema-terms.ts';
import {
  allowTerm,
  checkAllow,
  checkHeaders,
  checkUrl,
  dialLimitsTerm,
  headersTerm,
} from './dial-spec.ts';
import { checkSecretTemplate } from './secrets.ts';

const a2aRuntimeSchema = Type.Object(
  {
    kind: Type.Literal('a2a', { description: 'a2a' }),
    url: text('an address that begins with http:// or https://'),
    headers: Type.Optional(headersTerm),
    message: Type.Optional(Type.Unknown()),
    allow: Type.Optional(allowTerm),
    limits: Type.Optional(dialLimitsTerm),
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
  checkHeaders(front, spec.headers, [...path, 'headers']);
  checkAllow(front, spec.allow, [...path, 'allow']);
  checkSecretTemplate(front, spec.message, [...path, 'message']);
}
