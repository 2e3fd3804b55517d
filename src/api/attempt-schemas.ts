/** Attempts as they go over HTTP between a worker and the bridge that runs their agents. */
import { Type, type Static } from 'typebox';
import { plainText } from './parameters.ts';
import { usageSchema } from './run-event-schemas.ts';
import { errorRecordSchema, id, maybe, text } from './schema-terms.ts';

export const attemptSchema = Type.Object(
  {
    agent: plainText,
    hash: Type.String({
      pattern: '^[0-9a-f]{64}$',
      description:
        'SHA-256 of the definition that is meant: a loaded one, or one that a run pinned',
    }),
    input: Type.Unknown(),
    attemptId: id,
    idempotencyKey: Type.String({
      minLength: 1,
      maxLength: 4_096,
      description: 'The same for every attempt of one task',
    }),
    attempt: Type.Integer({ minimum: 1, description: 'Which try this is' }),
    timeoutMs: Type.Number({ exclusiveMinimum: 0, maximum: 604_800_000 }),
    partial: maybe(Type.Unknown({ description: 'What the try before had given' })),
    budget: maybe(
      Type.Object(
        {
          tokens: maybe(Type.Integer({ minimum: 0 })),
          microUsd: maybe(Type.Integer({ minimum: 0 })),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { title: 'AttemptRequest', additionalProperties: false },
);
export type AttemptRequest = Static<typeof attemptSchema>;

export const attemptLineSchema = Type.Union(
  [
    Type.Object({ progress: text }),
    Type.Object({ result: Type.Object({ output: Type.Unknown(), usage: usageSchema }) }),
    Type.Object({
      problem: errorRecordSchema,
      usage: maybe(usageSchema),
      partial: maybe(Type.Unknown()),
    }),
  ],
  { title: 'AttemptLine' },
);
export type AttemptLine = Static<typeof attemptLineSchema>;

export const attemptParam = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 200, description: 'The id of the attempt' }),
});
