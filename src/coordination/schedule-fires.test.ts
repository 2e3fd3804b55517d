import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decideFires, mostMadeUp, type Due } from './schedule-fires.ts';
import { cronTiming, everyTiming, nextTimes } from './schedule-times.ts';

const minute = 60_000;
const at = (text: string): number => Date.parse(text);
const daily: Due = {
  timing: cronTiming('0 6 * * *', 'UTC'),
  nextMs: at('2027-05-01T06:00:00Z'),
  nowMs: at('2027-05-01T06:00:00.200Z'),
  untilMs: undefined,
  missed: 'skip',
  overlap: 'allow',
  isOpen: false,
};
const shown = (due: Due) =>
  decideFires(due).fires.map(({ atMs, status, fires }) => [
    new Date(atMs).toISOString().slice(0, 16),
    status,
    fires,
  ]);

test('a time that has just come is started, and the next one is after now', () => {
  expect(shown(daily)).toEqual([['2027-05-01T06:00', 'starting', 1]]);
  expect(decideFires(daily).nextMs).toBe(at('2027-05-02T06:00:00Z'));
});

const late = (ms: number) => shown({ ...daily, nowMs: daily.nextMs + ms });
const statuses = (due: Due) => decideFires(due).fires.map(({ status }) => status);

test('less than a minute late is on time, more is missed', () => {
  expect(late(minute)).toEqual([['2027-05-01T06:00', 'starting', 1]]);
  expect(late(minute + 1)).toEqual([['2027-05-01T06:00', 'skipped', 1]]);
});

const threeDaysLater = { ...daily, nowMs: at('2027-05-04T09:00:00Z') };

test('skip makes up for none of the missed times, and says how many there were', () => {
  expect(decideFires(threeDaysLater).fires).toEqual([
    {
      atMs: at('2027-05-04T06:00:00Z'),
      status: 'skipped',
      fires: 4,
      reason:
        'missed 4 from 2027-05-01T06:00:00.000Z on, when nothing was running: missed times are not made up for',
    },
  ]);
});

test('once makes up for the newest alone', () => {
  expect(shown({ ...threeDaysLater, missed: 'once' })).toEqual([
    ['2027-05-03T06:00', 'skipped', 3],
    ['2027-05-04T06:00', 'starting', 1],
  ]);
});

test('once starts one run, not two, when a time has come right now as well', () => {
  const nowMs = at('2027-05-04T06:00:10Z');
  expect(shown({ ...daily, nowMs, missed: 'once' })).toEqual([
    ['2027-05-03T06:00', 'skipped', 3],
    ['2027-05-04T06:00', 'starting', 1],
  ]);
  expect(shown({ ...daily, nowMs, missed: 'skip' })).toEqual([
    ['2027-05-03T06:00', 'skipped', 3],
    ['2027-05-04T06:00', 'starting', 1],
  ]);
});

test('all makes up for each, up to its limit, and says what was left out', () => {
  expect(shown({ ...threeDaysLater, missed: 'all' })).toHaveLength(4);
  const minutes = { ...daily, timing: cronTiming('* * * * *', 'UTC'), missed: 'all' as const };
  const year = decideFires({ ...minutes, nowMs: daily.nextMs + 365 * 86_400_000 });
  expect(year.fires).toHaveLength(mostMadeUp + 1);
  expect(year.fires[0]).toMatchObject({
    status: 'skipped',
    reason: expect.stringMatching(/^missed at least 1 .* only the newest 100 missed times/),
  });
  expect(year.fires.slice(1).every(({ status }) => status === 'starting')).toBe(true);
});

test('an overlapping time is skipped, started or takes the place of the others, as it was told', () => {
  const all = { ...threeDaysLater, missed: 'all' as const };
  expect(statuses({ ...daily, overlap: 'skip', isOpen: true })).toEqual(['skipped']);
  expect(statuses({ ...daily, overlap: 'allow', isOpen: true })).toEqual(['starting']);
  expect(statuses({ ...daily, overlap: 'cancel', isOpen: true })).toEqual(['starting']);
  expect(statuses({ ...all, overlap: 'skip' })).toEqual([
    'starting',
    'skipped',
    'skipped',
    'skipped',
  ]);
  expect(statuses({ ...all, overlap: 'cancel' })).toEqual([
    'skipped',
    'skipped',
    'skipped',
    'starting',
  ]);
});

test('nothing fires after its end', () => {
  const untilMs = at('2027-05-02T12:00:00Z');
  expect(decideFires({ ...daily, untilMs }).nextMs).toBe(at('2027-05-02T06:00:00Z'));
  const over = decideFires({ ...threeDaysLater, untilMs, missed: 'all' });
  expect(over.fires.map(({ atMs }) => atMs)).toEqual([
    at('2027-05-01T06:00:00Z'),
    at('2027-05-02T06:00:00Z'),
  ]);
  expect(over.nextMs).toBeUndefined();
});

test('however late and however often it is looked at, each time is decided on exactly once', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 500 }),
      fc.array(fc.integer({ min: 0, max: 20_000_000 }), { minLength: 1, maxLength: 20 }),
      fc.constantFrom('skip', 'once', 'all'),
      fc.constantFrom('allow', 'skip', 'cancel'),
      (seconds, waits, missed, overlap) => {
        const timing = everyTiming(seconds, 0);
        let nextMs = nextTimes(timing, 0, 1)[0] ?? 0;
        let nowMs = 0;
        let decided = 0;
        const seen: number[] = [];
        for (const wait of waits) {
          nowMs += wait;
          if (nextMs > nowMs) continue;
          const due = { timing, nextMs, nowMs, untilMs: undefined, missed, overlap };
          const { fires, nextMs: next } = decideFires({ ...due, isOpen: false });
          const passed = Math.floor(nowMs / (seconds * 1_000)) - nextMs / (seconds * 1_000) + 1;
          const stoodFor = fires.reduce((sum, each) => sum + each.fires, 0);
          expect(stoodFor).toBe(Math.min(passed, mostMadeUp + 1));
          for (const each of fires) {
            seen.push(each.atMs);
            if (each.status === 'starting') decided += 1;
          }
          expect(next).toBe((Math.floor(nowMs / (seconds * 1_000)) + 1) * seconds * 1_000);
          nextMs = next ?? 0;
        }
        expect(new Set(seen).size).toBe(seen.length);
        expect(seen).toEqual(seen.toSorted((a, b) => a - b));
        expect(decided).toBeLessThanOrEqual(seen.length);
      },
    ),
  );
});
