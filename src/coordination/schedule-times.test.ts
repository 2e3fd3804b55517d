import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  cronTiming,
  describeTime,
  everyTiming,
  newestTimes,
  nextTimes,
  type Timing,
} from './schedule-times.ts';

const berlin = (cron: string): Timing => cronTiming(cron, 'Europe/Berlin');
const after = (timing: Timing, from: string, count: number): string[] =>
  nextTimes(timing, Date.parse(from), count).map((ms) => new Date(ms).toISOString());

describe('on the day on which the clock is put forward', () => {
  test('a time that does not exist comes right after the gap, and it is said', () => {
    const timing = berlin('30 2 * * *');
    expect(after(timing, '2027-03-27T12:00:00Z', 2)).toEqual([
      '2027-03-28T01:00:00.000Z',
      '2027-03-29T00:30:00.000Z',
    ]);
    expect(describeTime(timing, Date.parse('2027-03-28T01:00:00Z'))).toEqual({
      at: '2027-03-28T01:00:00.000Z',
      local: '2027-03-28 03:00 UTC+2',
      note: 'the clock is put forward from 02:00 to 03:00: the first time after what is left out',
    });
  });

  test('a list of hours loses none of them', () => {
    expect(after(berlin('30 2,14 * * *'), '2027-03-28T00:00:00Z', 2)).toEqual([
      '2027-03-28T01:00:00.000Z',
      '2027-03-28T12:30:00.000Z',
    ]);
  });

  test('a step goes on without a hole or a repetition', () => {
    expect(after(berlin('*/30 * * * *'), '2027-03-28T00:15:00Z', 3)).toEqual([
      '2027-03-28T00:30:00.000Z',
      '2027-03-28T01:00:00.000Z',
      '2027-03-28T01:30:00.000Z',
    ]);
  });
});

describe('on the day on which the clock is put back', () => {
  test('a time that there is twice comes once, the first time, and it is said', () => {
    const timing = berlin('30 2 * * *');
    expect(after(timing, '2027-10-30T12:00:00Z', 2)).toEqual([
      '2027-10-31T00:30:00.000Z',
      '2027-11-01T01:30:00.000Z',
    ]);
    expect(describeTime(timing, Date.parse('2027-10-31T00:30:00Z')).note).toBe(
      'the clock is put back and shows 02:30 twice: this is the first time',
    );
    expect(describeTime(timing, Date.parse('2027-11-01T01:30:00Z')).note).toBeUndefined();
  });

  test('a step runs through both hours', () => {
    const timing = berlin('0 * * * *');
    expect(after(timing, '2027-10-30T23:30:00Z', 3)).toEqual([
      '2027-10-31T00:00:00.000Z',
      '2027-10-31T01:00:00.000Z',
      '2027-10-31T02:00:00.000Z',
    ]);
    expect(describeTime(timing, Date.parse('2027-10-31T01:00:00Z')).note).toContain('second time');
  });

  test('an interval is not moved by it', () => {
    const from = Date.parse('2027-10-30T20:00:00Z');
    expect(after(everyTiming(7_200, from), '2027-10-30T23:00:00Z', 2)).toEqual([
      '2027-10-31T00:00:00.000Z',
      '2027-10-31T02:00:00.000Z',
    ]);
  });
});

test('times and offsets are said as clocks show them', () => {
  const at = Date.parse('2027-01-01T00:00:00Z');
  const local = (zone: string) => describeTime(cronTiming('0 0 * * *', zone), at).local;
  expect(local('Asia/Kolkata')).toBe('2027-01-01 05:30 UTC+5:30');
  expect(local('America/New_York')).toBe('2026-12-31 19:00 UTC-5');
  expect(local('UTC')).toBe('2027-01-01 00:00 UTC');
});

test.each([
  ['61 * * * *', /^cron: the minute, "61", can not be read/],
  ['* 24 * * *', /^cron: the hour, "24"/],
  ['* * 0 * *', /^cron: the day of month, "0"/],
  ['* * * 13 *', /^cron: the month, "13"/],
  ['* * * * 8', /^cron: the day of week, "8"/],
  ['*/0 * * * *', /^cron: the minute/],
  ['a * * * *', /^cron: the minute/],
  ['* * * *', /^cron: a cron expression has five fields/],
  ['0 * * * * *', /^cron: a cron expression has five fields/],
  ['', /^cron: a cron expression has five fields/],
  ['2030-01-01T00:00:00', /^cron: a cron expression has five fields/],
  ['@reboot', /^cron: @reboot is no nickname/],
  ['@sometimes', /^cron: @sometimes is no nickname/],
  ['0 0 30 2 *', /^cron: 0 0 30 2 \* never comes/],
])('the expression %j is refused by the name of what is wrong', (cron, message) => {
  expect(() => cronTiming(cron, 'UTC')).toThrowError(
    expect.objectContaining({ code: 'invalid_input', message: expect.stringMatching(message) }),
  );
});

test('a zone that there is not is refused, with the one that may be meant', () => {
  expect(() => cronTiming('@daily', 'Europe/Berlim')).toThrowError(
    expect.objectContaining({ code: 'invalid_input', remedy: 'Did you mean Europe/Berlin?' }),
  );
});

test.each([0, -1, 1.5, Number.NaN, 40_000_000])('an interval of %d seconds is refused', (n) => {
  expect(() => everyTiming(n, 0)).toThrowError(expect.objectContaining({ code: 'invalid_input' }));
});

test('looking back finds the times that looking forward passed, in any zone and season', () => {
  const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata'];
  const crons = ['*/20 * * * *', '30 2 * * *', '0 1,2,3 * * *', '15 */6 * * *', '0 6 * * 1-5'];
  const year = Date.parse('2027-01-01T00:00:00Z');
  fc.assert(
    fc.property(
      fc.oneof(
        fc.record({ cron: fc.constantFrom(...crons), zone: fc.constantFrom(...zones) }),
        fc.integer({ min: 1, max: 100_000 }),
      ),
      fc.integer({ min: 0, max: 365 * 86_400_000 }),
      fc.integer({ min: 1, max: 12 }),
      (shape, offset, most) => {
        const timing =
          typeof shape === 'number'
            ? everyTiming(shape, year - 86_400_000)
            : cronTiming(shape.cron, shape.zone);
        const ahead = nextTimes(timing, year + offset, 12);
        const [first = 0, last = 0] = [ahead[0], ahead.at(-1)];
        expect(newestTimes(timing, first, last, most)).toEqual({
          times: ahead.slice(-most),
          more: most < ahead.length,
        });
        expect(newestTimes(timing, first, last + 999, 12).times).toEqual(ahead);
        expect(newestTimes(timing, first + 1, last, 12).times).toEqual(ahead.slice(1));
      },
    ),
    { numRuns: 300 },
  );
});
