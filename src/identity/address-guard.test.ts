import { describe, expect, test } from 'vitest';
import { systemClock } from '../base/base.ts';
import { addressKey, createAddressGuard } from './address-guard.ts';

function held(baseline = 20) {
  const time = { ms: 5_000 };
  const guard = createAddressGuard({ baseline, clock: systemClock, nowMs: () => time.ms });
  const passes = (address: string, times: number): number =>
    Array.from({ length: times }, () => guard.check(address)).filter((v) => v.allowed).length;
  return { time, guard, passes };
}

test('five times the baseline passes in ten seconds; one more is detected, once, and blocks 300 s', () => {
  const { time, guard, passes } = held();
  expect(passes('192.0.2.1', 100)).toBe(100);
  expect(guard.check('192.0.2.1')).toStrictEqual({
    allowed: false,
    retryAfterMs: 300_000,
    first: true,
  });
  time.ms += 299_999;
  expect(guard.check('192.0.2.1')).toStrictEqual({ allowed: false, retryAfterMs: 1, first: false });
  time.ms += 1;
  expect(guard.check('192.0.2.1')).toStrictEqual({ allowed: true });
});

test('an address that stays below is never blocked, and no other pays for one that is', () => {
  const { time, passes } = held();
  for (let second = 0; second < 100; second += 1) {
    expect(passes('192.0.2.1', 9)).toBe(9);
    passes('192.0.2.2', 50);
    time.ms += 1_000;
  }
});

test('a customer can not get past by walking through his /64', () => {
  const { guard } = held();
  for (let host = 1; host <= 100; host += 1) {
    expect(guard.check(`2001:db8:1:2::${host.toString(16)}`).allowed).toBe(true);
  }
  expect(guard.check('2001:db8:1:2:ffff::1').allowed).toBe(false);
  expect(guard.check('2001:db8:1:3::1').allowed).toBe(true);
});

describe('an address counts', () => {
  test.for([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:0201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
    ['64:ff9b::192.0.2.33', '192.0.2.33'],
    ['::1', '0:0:0:0::'],
    ['2001:DB8:0001:2::5', '2001:db8:1:2::'],
    ['2001:db8::5', '2001:db8:0:0::'],
    ['fe80::1%eth0', 'fe80:0:0:0::'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4::'],
    ['::2:3:4:5:6:7:8', '0:2:3:4::'],
    ['not an address: at all', 'not an address: at all'],
  ] as const)('%s as %s', ([address, key]) => {
    expect(addressKey(address)).toBe(key);
  });
});
