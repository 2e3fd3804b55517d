/** Failed runs by how they failed, and what is forgotten, as they go over HTTP. */
import { Type } from 'typebox';
import type {
  FailureGroup,
  Page,
  PruneReport,
  RetriedFailures,
} from '../coordination/coordination.ts';
import {
  count,
  describes,
  errorRecordSchema,
  id,
  maybe,
  text,
  texts,
  time,
} from './schema-terms.ts';

export const failureGroupSchema = describes<FailureGroup>()(
  Type.Object({
    fingerprint: text,
    count: Type.Integer({ minimum: 0, description: 'At most 10,000' }),
    isMore: Type.Boolean({ description: 'Whether there are more than are counted' }),
    firstAt: time,
    lastAt: time,
    workflows: texts,
    lastRun: id,
    error: errorRecordSchema,
    dismissedAt: maybe(time),
    dismissedBy: maybe(text),
  }),
  'FailureGroup',
);

export const failurePageSchema = describes<Page<FailureGroup>>()(
  Type.Object({ items: Type.Array(failureGroupSchema), nextCursor: maybe(text) }),
  'FailurePage',
);

export const retriedFailuresSchema = describes<RetriedFailures>()(
  Type.Object({
    retried: Type.Array(id),
    refused: Type.Array(Type.Object({ run: id, error: errorRecordSchema })),
    isMore: Type.Boolean({ description: 'Whether some were left for another call' }),
  }),
  'RetriedFailures',
);

export const retryFailuresSchema = Type.Object(
  {
    workflow: maybe(Type.String({ minLength: 1, maxLength: 200 })),
    limit: maybe(Type.Integer({ minimum: 1, maximum: 500 })),
  },
  { title: 'RetryFailuresRequest', additionalProperties: false },
);

export const pruneReportSchema = describes<PruneReport>()(
  Type.Object({
    before: time,
    planned: Type.Boolean(),
    months: Type.Array(
      Type.Object({
        month: text,
        runs: count,
        bytes: count,
        tables: texts,
        keptBecause: maybe(text),
        keptBy: maybe(texts),
      }),
    ),
    strays: Type.Object({ runs: count, keptOpen: count }),
    keys: count,
    definitions: count,
  }),
  'PruneReport',
);

export const pruneSchema = Type.Object(
  { olderThanDays: Type.Integer({ minimum: 1, maximum: 36_500 }) },
  { title: 'PruneRequest', additionalProperties: false },
);

export type FailurePage = Page<FailureGroup>;
export type RetryFailuresRequest = { readonly workflow?: string; readonly limit?: number };
