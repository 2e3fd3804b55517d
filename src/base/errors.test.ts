import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { AppError, errorCodes, errorRecord, toAppError, type ErrorCode } from './base.ts';

const codes = Object.keys(errorCodes) as ErrorCode[];

test('every code has a client or server status, an exit status from 1 to 6 and a title', () => {
  for (const code of codes) {
    const { status, exit, title } = errorCodes[code];
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect([1, 2, 3, 4, 5, 6]).toContain(exit);
    expect(title).toMatch(/^[A-Z].*[^.]$/);
  }
});

test('exit statuses agree with what the HTTP status says', () => {
  const exitOfStatus: Record<number, number> = { 401: 3, 403: 3, 404: 4, 400: 2, 422: 2, 503: 6 };
  const odd = codes.filter((code) => {
    const { status, exit } = errorCodes[code];
    return exit !== (exitOfStatus[status] ?? exit);
  });
  expect(odd).toEqual([]);
});

test('an error takes status, exit and retryable from the registry unless it says otherwise', () => {
  const error = new AppError('timeout', 'slow');
  expect([error.status, error.exitCode, error.retryable]).toEqual([408, 1, true]);
  expect(new AppError('timeout', 'slow', { retryable: false }).retryable).toBe(false);
});

test('whatever is thrown becomes an AppError and keeps its cause', () => {
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true, withBigInt: true }), (thrown) => {
      const error = toAppError(thrown);
      expect(error).toBeInstanceOf(AppError);
      expect(error.code).toBe('internal');
      expect(error.cause).toBe(thrown);
    }),
  );
});

test('an AppError stays itself', () => {
  const error = new AppError('conflict', 'there already');
  expect(toAppError(error)).toBe(error);
});

test('an abort is a cancellation, or the error that it was aborted with', () => {
  const plain = new DOMException('stopped', 'AbortError');
  expect(toAppError(plain).code).toBe('cancelled');
  const cause = new AppError('timeout', 'too slow');
  expect(toAppError(Object.assign(new Error('x', { cause }), { name: 'AbortError' }))).toBe(cause);
});

test('the reason of a timed-out signal is a timeout', async () => {
  const signal = AbortSignal.timeout(1);
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  expect(toAppError(signal.reason).code).toBe('timeout');
});

test('a record holds neither stack nor cause, and leaves out what is empty', () => {
  const error = new AppError('not_found', 'no such run', { cause: new Error('secret') });
  expect(errorRecord(error)).toEqual({
    code: 'not_found',
    message: 'no such run',
    retryable: false,
  });
  const full = new AppError('invalid_input', 'bad', { remedy: 'good', details: { field: 'a' } });
  expect(errorRecord(full)).toEqual({
    code: 'invalid_input',
    message: 'bad',
    retryable: false,
    remedy: 'good',
    details: { field: 'a' },
  });
});
