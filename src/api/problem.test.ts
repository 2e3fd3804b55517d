import { expect, test } from 'vitest';
import { AppError } from '../base/base.ts';
import { presentable, problemDocument } from './problem.ts';

const request = { path: '/api/v1/runs', id: 'request-1' };

test('an error becomes a problem document with its remedy and the fields that are wrong', () => {
  const error = new AppError('invalid_input', 'input repo does not exist', {
    details: { input: 'repo' },
    remedy: 'Give a path.',
  });
  expect(problemDocument(error, request)).toEqual({
    type: 'urn:centuria:problem:invalid_input',
    title: 'A value is not acceptable',
    status: 422,
    detail: 'input repo does not exist',
    instance: '/api/v1/runs',
    code: 'invalid_input',
    retryable: false,
    requestId: 'request-1',
    remedy: 'Give a path.',
    details: { input: 'repo' },
    errors: [{ in: 'body', field: 'input.repo', message: 'input repo does not exist' }],
  });
});

test('what a defect said stays in the log', () => {
  const error = presentable(new TypeError('reading secret of undefined at /srv/x.ts'));
  expect(error.code).toBe('internal');
  expect(JSON.stringify(problemDocument(error, request))).not.toContain('secret');
  expect(error.cause).toBeInstanceOf(TypeError);
});

test('passwords in addresses never reach an answer', () => {
  const url = 'postgres://centuria:hunter2@db:5432/centuria';
  const error = new AppError('database_unreachable', `${url} does not answer`, {
    details: { url },
    remedy: `Check ${url}.`,
  });
  expect(JSON.stringify(problemDocument(error, request))).not.toContain('hunter2');
});
