import { expect, test } from 'vitest';
import { momentAfter, momentBefore } from './times.ts';

const now = Date.parse('2030-01-10T12:00:00Z');

test.each([
  ['90s', '2030-01-10T12:01:30.000Z'],
  ['15m', '2030-01-10T12:15:00.000Z'],
  ['30d', '2030-02-09T12:00:00.000Z'],
  ['2w', '2030-01-24T12:00:00.000Z'],
  ['2030-12-31', '2030-12-31T00:00:00.000Z'],
  ['2030-12-31T10:00:00+02:00', '2030-12-31T08:00:00.000Z'],
])('%s from now is %s', (text, moment) => {
  expect(momentAfter('--expires', text, now)).toBe(moment);
});

test('a length of time ago is counted back', () => {
  expect(momentBefore('--since', '1h', now)).toBe('2030-01-10T11:00:00.000Z');
});

test.each(['', 'soon', '5', '5y', '-5d', '1e3d', '2030-13-01', '2030', '5d '])(
  '%j is refused with what would be right',
  (text) => {
    expect(() => momentAfter('--expires', text, now)).toThrow(`--expires ${text} is no time`);
  },
);

test('a moment that is over is no expiry', () => {
  expect(() => momentAfter('--expires', '2029-12-31', now)).toThrow('is over');
});
