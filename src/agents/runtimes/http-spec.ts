/** `centuria.runtime` of the kind `http`. */
import { Type, type Static } from 'typebox';
import { complain, type Path } from '../fields.ts';
import type { Frontmatter } from '../frontmatter.ts';
import type { RuntimeSpecKind } from '../runtime.ts';
import { oneOf } from '../schema-terms.ts';
import { checkDial, checkUrl, dialFields } from './dial-spec.ts';
import { pointerPattern } from './json-pointer.ts';
import { checkSecretTemplate } from './secrets.ts';

const pointer = Type.String({
  pattern: pointerPattern,
  maxLength: 1_000,
  description: 'a JSON pointer such as /data/0/text',
});
const pointers = Type.Union([pointer, Type.Array(pointer, { minItems: 1, maxItems: 10 })], {
  description: 'a JSON pointer such as /usage/total_tokens, or a list of them to be added up',
});

const httpRuntimeSchema = Type.Object(
  {
    kind: Type.Literal('http', { description: 'http' }),
    method: Type.Optional(oneOf(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])),
    ...dialFields,
    body: Type.Optional(Type.Unknown()),
    answer: Type.Optional(oneOf(['json', 'text', 'events'])),
    select: Type.Optional(pointer),
    status: Type.Optional(
      Type.Array(Type.Integer({ minimum: 200, maximum: 599 }), {
        minItems: 1,
        maxItems: 100,
        uniqueItems: true,
        description: 'a list of statuses from 200 to 599',
      }),
    ),
    usage: Type.Optional(
      Type.Object(
        { tokens: Type.Optional(pointers), usd: Type.Optional(pointers) },
        { additionalProperties: false, description: 'a map with tokens, usd or both' },
      ),
    ),
  },
  { additionalProperties: false, description: 'a map with the field kind' },
);
export type HttpRuntimeSpec = Static<typeof httpRuntimeSchema>;

export const httpSpec: RuntimeSpecKind = { schema: httpRuntimeSchema, check: checkHttp };

function checkHttp(
  front: Frontmatter,
  runtime: Readonly<Record<string, unknown>>,
  path: Path,
): void {
  const spec = runtime as HttpRuntimeSpec;
  checkUrl(front, spec.url, [...path, 'url'], spec.allow);
  checkDial(front, spec, path);
  checkSecretTemplate(front, spec.body, [...path, 'body']);
  if (spec.body !== undefined && (spec.method === 'GET' || spec.method === 'HEAD')) {
    complain(front, [...path, 'body'], `can not be sent with ${spec.method}`, 'Use POST.');
  }
  if (spec.answer !== 'text') return;
  for (const field of ['select', 'usage'] as const) {
    if (spec[field] === undefined) continue;
    complain(front, [...path, field], 'needs an answer that is JSON', 'Write answer: json.');
  }
}
