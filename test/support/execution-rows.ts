/** Executions as the learner reads them, for tests of what it makes of them. */
import type { ExecutionRow } from '../../src/learning/projections/projections.ts';

/** A success of `ada` with a review, in a second, unless told otherwise. */
export function executionRow(fields: Partial<ExecutionRow> = {}): ExecutionRow {
  return {
    tx: '1',
    attempt_id: '00000000-0000-7000-8000-000000000000',
    run_id: null,
    task: null,
    workflow: null,
    mode: null,
    agent: 'ada',
    definition_hash: null,
    task_type: 'review',
    task_hash: 'ff',
    description: null,
    complexity: null,
    input_bytes: null,
    context: null,
    started_at_ms: 0,
    ended_at_ms: 1_000,
    result: 'succeeded',
    own_fault: null,
    error_code: null,
    ms: 1_000,
    tokens: null,
    micro_usd: null,
    partners: null,
    propensity: null,
    candidates: null,
    reported_by: null,
    reports_before: 0,
    ...fields,
  };
}
