import { Type, type Static } from 'typebox';

/** From the most to the least pressing. */
export const severities = ['critical', 'high', 'medium', 'low', 'info'] as const;
export type Severity = (typeof severities)[number];

/** Strict, so that a misspelled optional field is a complaint and not a lost position. */
export const findingSchema = Type.Object(
  {
    severity: Type.Union([
      Type.Literal('critical'),
      Type.Literal('high'),
      Type.Literal('medium'),
      Type.Literal('low'),
      Type.Literal('info'),
    ]),
    /** What was broken, as the tool names it: `no-unused-vars`, `SC2086`. */
    rule: Type.String({ minLength: 1 }),
    message: Type.String({ minLength: 1 }),
    /** Relative to the repository, with `/` between folders. */
    file: Type.Optional(Type.String({ minLength: 1 })),
    /** From 1. */
    line: Type.Optional(Type.Integer({ minimum: 1 })),
    /** From 1. */
    column: Type.Optional(Type.Integer({ minimum: 1 })),
    /** What was seen: an excerpt, a figure. */
    evidence: Type.Optional(Type.String()),
    /** What would put it right. */
    fix: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);

/** One thing that a tool found in a repository. */
export type Finding = Static<typeof findingSchema>;

/** What every tool agent prints as JSON and nothing else. */
export const toolReportSchema = Type.Object(
  {
    tool: Type.String({ minLength: 1 }),
    /** One sentence for people. */
    summary: Type.String({ minLength: 1 }),
    findings: Type.Array(findingSchema),
    /** Findings before truncation. */
    total: Type.Integer({ minimum: 0 }),
    truncated: Type.Boolean(),
    metrics: Type.Record(Type.String(), Type.Number()),
    /** What a reader must know to trust it: files skipped, history cut short. */
    notes: Type.Array(Type.String()),
  },
  { additionalProperties: false },
);

export type ToolReport = Static<typeof toolReportSchema>;
