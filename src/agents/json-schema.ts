/** JSON Schemas that people write: of what an agent takes and of what it gives back. */
import { Type, type TSchema } from 'typebox';
import Schema from 'typebox/schema';
import { toAppError } from '../base/base.ts';

/** A plain JSON Schema, as far as a mistake in it would make a check pass that should not. */
const jsonSchemaSchema: TSchema = Type.Unsafe({
  $id: 'json-schema',
  anyOf: [
    { type: 'boolean' },
    {
      type: 'object',
      properties: {
        type: {
          anyOf: [
            { $ref: '#/$defs/type' },
            { type: 'array', items: { $ref: '#/$defs/type' }, minItems: 1 },
          ],
        },
        properties: { type: 'object', additionalProperties: { $ref: '#' } },
        patternProperties: { type: 'object', additionalProperties: { $ref: '#' } },
        $defs: { type: 'object', additionalProperties: { $ref: '#' } },
        additionalProperties: { $ref: '#' },
        propertyNames: { $ref: '#' },
        items: { $ref: '#' },
        prefixItems: { type: 'array', items: { $ref: '#' } },
        contains: { $ref: '#' },
        allOf: { type: 'array', minItems: 1, items: { $ref: '#' } },
        anyOf: { type: 'array', minItems: 1, items: { $ref: '#' } },
        oneOf: { type: 'array', minItems: 1, items: { $ref: '#' } },
        not: { $ref: '#' },
        if: { $ref: '#' },
        // oxlint-disable-next-line unicorn/no-thenable -- the keyword of JSON Schema
        then: { $ref: '#' },
        else: { $ref: '#' },
        required: { type: 'array', items: { type: 'string' }, uniqueItems: true },
        enum: { type: 'array' },
        pattern: { type: 'string' },
        format: { type: 'string' },
        $ref: { type: 'string' },
        minimum: { type: 'number' },
        maximum: { type: 'number' },
        exclusiveMinimum: { type: 'number' },
        exclusiveMaximum: { type: 'number' },
        multipleOf: { type: 'number', exclusiveMinimum: 0 },
        minLength: { type: 'integer', minimum: 0 },
        maxLength: { type: 'integer', minimum: 0 },
        minItems: { type: 'integer', minimum: 0 },
        maxItems: { type: 'integer', minimum: 0 },
        minProperties: { type: 'integer', minimum: 0 },
        maxProperties: { type: 'integer', minimum: 0 },
        uniqueItems: { type: 'boolean' },
      },
    },
  ],
  $defs: {
    type: { enum: ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'] },
  },
});

/** Compiled, since a check by walking takes 30 times as long, and each start checks the whole fleet. */
const validator = Schema.Compile(jsonSchemaSchema);

/**
 * What is wrong with a JSON Schema and where in it; undefined when nothing is. A keyword that nobody
 * knows is left alone, one with a value that it can not have is not.
 */
export function schemaProblem(
  schema: unknown,
): { readonly path: readonly string[]; readonly message: string } | undefined {
  if (!validator.Check(schema)) {
    const [wrong] = Schema.Errors(jsonSchemaSchema, schema)[1].toSorted(
      (a, b) => b.instancePath.length - a.instancePath.length,
    );
    const path = wrong?.instancePath.split('/').slice(1) ?? [];
    return { path, message: `is wrong in a JSON Schema: ${wrong?.message ?? 'not a schema'}` };
  }
  try {
    Schema.Compile(schema as TSchema);
    return undefined;
  } catch (error) {
    return { path: [], message: `is no JSON Schema: ${toAppError(error).message}` };
  }
}
