/** What is not taken of reports and ratings: each refusal names the field, what it was, and what it may be. */
import { AppError, isId, redact } from '../../base/base.ts';
import type { GivenFeedback, Rater, ReportedOutcome } from '../learning.ts';
import { taskTextLength, type TaskFacts } from '../types.ts';

const typeLength = 200;
const codeLength = 100;
export const commentLength = 2_000;
const maxMs = 366 * 86_400_000;
/** A million dollars, and as many tokens as nobody uses for one task. */
const mostUsed = 1e12;
const results: readonly string[] = ['succeeded', 'failed', 'cancelled'];
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Throws `invalid_input` and `denied`. */
export function checkReport(
  reported: ReportedOutcome,
  by: Rater,
  { known, nowMs }: { readonly known: (agent: string) => boolean; readonly nowMs: number },
): { readonly facts: TaskFacts; readonly endedAtMs: number } {
  const { agent, type, text, complexity, inputBytes, attemptId } = reported;
  if (typeof agent !== 'string' || !known(agent)) {
    throw refusal('agent', agent, 'the name of a registered agent');
  }
  if (by.name === agent) {
    throw new AppError('denied', `agent ${agent} can not report its own outcomes`);
  }
  checkText('type', type, typeLength);
  checkText('text', text, taskTextLength);
  if (!results.includes(reported.result)) {
    throw refusal('result', reported.result, results.join(', '));
  }
  if (reported.errorCode !== undefined) checkText('errorCode', reported.errorCode, codeLength);
  checkNumber('ms', reported.ms, maxMs);
  if (complexity !== undefined) checkNumber('complexity', complexity, 1);
  for (const field of ['microUsd', 'tokens'] as const) checkWhole(field, reported[field], mostUsed);
  checkWhole('inputBytes', inputBytes, Number.MAX_SAFE_INTEGER);
  if (attemptId !== undefined && !uuid.test(attemptId)) {
    throw refusal('attemptId', attemptId, 'a UUID');
  }
  return {
    facts: {
      type: withoutSecrets(type, typeLength),
      text: withoutSecrets(text, taskTextLength),
      ...(complexity === undefined ? {} : { complexity }),
      ...(inputBytes === undefined ? {} : { inputBytes }),
    },
    endedAtMs: endedAt(reported.endedAt, nowMs),
  };
}

/** Throws `invalid_input`. */
export function checkFeedback({ of, score, comment }: GivenFeedback): void {
  if (!Number.isInteger(score) || score < 1 || score > 10) {
    throw refusal('score', score, 'a whole number from 1 (useless) to 10');
  }
  if (comment !== undefined && comment !== '') checkText('comment', comment, commentLength);
  if ('attemptId' in of) {
    if (!uuid.test(of.attemptId)) throw refusal('attemptId', of.attemptId, 'the id of an attempt');
  } else if (!isId(of.runId)) throw refusal('runId', of.runId, 'the id of a run');
}

/** What stands in place of a secret can be longer than it. */
export function withoutSecrets(text: string, length: number): string {
  return redact(text.trim()).slice(0, length).toWellFormed().trim();
}

function endedAt(text: string | undefined, nowMs: number): number {
  if (text === undefined) return nowMs;
  const ms = Date.parse(text);
  if (!Number.isFinite(ms) || ms < 0) {
    throw refusal('endedAt', text, 'a time such as 2027-03-01T12:00:00Z');
  }
  if (ms > nowMs) throw refusal('endedAt', text, 'not later than now');
  return ms;
}

function checkText(field: string, value: unknown, length: number): asserts value is string {
  if (typeof value !== 'string' || value.trim() === '') {
    throw refusal(field, value, `a text of 1 to ${length} characters`);
  }
  if (value.length > length) {
    throw refusal(field, `${value.length} characters`, `at most ${length} characters`);
  }
  if (/[^\P{Cc}\n\r\t]/u.test(value) || !value.isWellFormed()) {
    throw refusal(field, value, 'a text without NUL and other control characters');
  }
}

function checkNumber(field: string, value: unknown, most: number): void {
  if (typeof value === 'number' && value >= 0 && value <= most) return;
  throw refusal(field, value, `a number from 0 to ${most}`);
}

function checkWhole(field: string, value: unknown, most: number): void {
  if (value === undefined) return;
  if (Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= most) return;
  throw refusal(field, value, `a whole number from 0 to ${most}`);
}

function refusal(field: string, value: unknown, right: string): AppError {
  const shown = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? 'nothing');
  return new AppError('invalid_input', `${field} is ${shown.slice(0, 100)}, and must be ${right}`, {
    details: { field },
  });
}
