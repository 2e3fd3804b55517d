import type { TSchema } from 'typebox';
import { problemSchema } from './schema-terms.ts';

const problem = {
  description: 'What went wrong, as a problem document (RFC 9457)',
  content: { 'application/problem+json': { schema: problemSchema } },
};

/** The answers of a route for the reference: its good ones by status, and the problem document for all others. `streamed` is what each event of a stream holds. */
export function answers(
  good: Readonly<Record<number, TSchema>>,
  streamed?: TSchema,
): Record<string, unknown> {
  return {
    ...Object.fromEntries(
      Object.entries(good).map(([status, schema]) => [
        status,
        {
          description: descriptions[status] ?? 'Done',
          content: {
            'application/json': { schema },
            ...(streamed === undefined ? {} : { 'text/event-stream': { schema: streamed } }),
          },
        },
      ]),
    ),
    default: problem,
  };
}

const descriptions: Readonly<Record<string, string>> = {
  200: 'The answer',
  201: 'Created; Location names it',
  202: 'Accepted; not ended yet',
  503: 'Not able to work now; the fields say why',
};
