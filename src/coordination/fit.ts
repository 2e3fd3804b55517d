import Schema from 'typebox/schema';

/** What keeps a value from fitting a JSON Schema (2020-12), or undefined. */
export function fitProblem(schema: unknown, value: unknown): string | undefined {
  const [fits, errors] = Schema.Errors(
    schema as Parameters<typeof Schema.Errors>[0],
    value ?? null,
  );
  if (fits) return undefined;
  const first = errors[0];
  const where = first?.instancePath ? `at ${first.instancePath} ` : '';
  return `it ${where}${first?.message ?? 'does not fit the schema'}`;
}
