import { parse, type ParseError } from 'jsonc-parser';
import type { FastifyInstance } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import type { TLocalizedValidationError } from 'typebox/error';
import { AppError, suggest } from '../base/base.ts';
import type { FieldError } from './problem.ts';

/** Deeper JSON is refused: what walks it later may recurse, and no input of a workflow nests so far. */
const deepestJson = 64;

/**
 * A JSON body as a value. Throws `usage` naming line and column where the text does not parse, and
 * `invalid_input` where it nests too deep or holds what PostgreSQL can not store.
 */
export function parseJsonBody(text: string, parseJson: (text: string) => unknown): unknown {
  if (text === '') return undefined;
  assertDepth(text);
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    const where = problemPosition(text);
    throw new AppError(
      'usage',
      where === undefined
        ? `the body is not acceptable JSON: ${cause instanceof Error ? cause.message : 'unknown'}`
        : `the body is not JSON: line ${where.line}, column ${where.column}`,
      { cause, ...(where === undefined ? {} : { details: where }) },
    );
  }
  assertStorable(value, []);
  return value;
}

/** Counts brackets outside strings: no parser runs before this has passed. */
function assertDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const char = text[index];
    if (inString) {
      if (char === '\\') index += 1;
      else if (char === '"') inString = false;
    } else if (char === '"') {
      inString = true;
    } else if (char === '{' || char === '[') {
      depth += 1;
      if (depth > deepestJson) throw invalid('body', '', `nests deeper than ${deepestJson} levels`);
    } else if (char === '}' || char === ']') {
      depth -= 1;
    }
  }
}

/** The engine's own message names a position only for some mistakes, so a parser that always does is asked. */
function problemPosition(text: string): { line: number; column: number } | undefined {
  const problems: ParseError[] = [];
  parse(text, problems, { disallowComments: true });
  const offset = problems[0]?.offset;
  if (offset === undefined) return undefined;
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

/** PostgreSQL's text and jsonb hold neither NUL nor half a surrogate pair. */
function assertStorable(value: unknown, path: readonly string[]): void {
  if (typeof value === 'string') {
    if (value.includes('\0'))
      throw invalid('body', path.join('.'), 'must not hold a NUL character');
    if (!value.isWellFormed()) {
      throw invalid('body', path.join('.'), 'must not hold half a surrogate pair');
    }
  } else if (value !== null && typeof value === 'object') {
    for (const [key, item] of Object.entries(value)) {
      assertStorable(key, [...path, JSON.stringify(key)]);
      assertStorable(item, [...path, key]);
    }
  }
}

const places = { body: 'body', querystring: 'query', params: 'path', headers: 'header' } as const;

/** Validates the parts of requests by their schemas; every complaint names its field. */
export function setUpValidation(app: FastifyInstance): void {
  app.setValidatorCompiler<TSchema>(({ schema, httpPart }) => {
    const validator = Compile(schema);
    const place = places[httpPart as keyof typeof places] ?? 'body';
    return (given: unknown) => {
      // Everything but a body arrives as text. A missing body is an empty one: fields say what is needed.
      const value = place === 'body' ? (given ?? {}) : validator.Convert(given);
      if (validator.Check(value)) return { value };
      return { error: validationError(place, schema, validator.Errors(value)) };
    };
  });
  // Schemas of answers are the reference; sending exactly what the parts return drops nothing silently.
  app.setSerializerCompiler(() => (payload) => JSON.stringify(payload));
}

/** The error of values that do not fit their schema. */
export function validationError(
  place: FieldError['in'],
  schema: TSchema,
  complaints: readonly TLocalizedValidationError[],
): AppError {
  const errors = complaints.slice(0, 20).flatMap((complaint) => fieldErrors(place, complaint));
  const first = errors[0] ?? { in: place, field: '', message: 'is not acceptable' };
  const unknownField = complaints.find(({ keyword }) => keyword === 'additionalProperties');
  const properties = 'properties' in schema ? Object.keys(schema.properties as object) : [];
  const near = unknownField === undefined ? undefined : suggest(first.field, properties);
  return new AppError('invalid_input', `${label(first)} ${first.message}`, {
    details: { errors },
    ...(near === undefined ? {} : { remedy: `Did you mean ${near}?` }),
  });
}

function fieldErrors(place: FieldError['in'], complaint: TLocalizedValidationError): FieldError[] {
  const parent = complaint.instancePath.slice(1).replaceAll('/', '.');
  const under = (name: string) => (parent === '' ? name : `${parent}.${name}`);
  // An unknown field is reported twice: with the names that are too many, and as a false schema.
  if (complaint.keyword === 'boolean') return [];
  if (complaint.keyword === 'required') {
    return complaint.params.requiredProperties.map((name) => ({
      in: place,
      field: under(name),
      message: 'is needed',
    }));
  }
  if (complaint.keyword === 'additionalProperties') {
    return complaint.params.additionalProperties.map((name) => ({
      in: place,
      field: under(name),
      message: 'is not known here',
    }));
  }
  const allowed = complaint.keyword === 'enum' ? complaint.params.allowedValues : undefined;
  const message =
    allowed === undefined ? complaint.message : `must be one of ${allowed.map(String).join(', ')}`;
  return [{ in: place, field: parent, message }];
}

/** The error of one wrong value. */
export function invalid(place: FieldError['in'], field: string, message: string): AppError {
  const error: FieldError = { in: place, field, message };
  return new AppError('invalid_input', `${label(error)} ${message}`, {
    details: { errors: [error] },
  });
}

function label({ in: place, field }: FieldError): string {
  return field === '' ? `the ${place}` : `${place} ${field}`;
}
