import { isIP } from 'node:net';
import type { Clock } from '../base/base.ts';
import type { LimitPolicy } from './limit-window.ts';
import { createMemoryLimiter } from './limits-memory.ts';

const windowMs = 10_000;
const timesBaseline = 5;
const blockMs = 300_000;
const mostAddresses = 10_000;

export type AddressVerdict =
  | { readonly allowed: true }
  | {
      readonly allowed: false;
      readonly retryAfterMs: number;
      /** The moment it was detected: the caller records `ddos_detected` once. */
      readonly first: boolean;
    };

export interface AddressGuard {
  /** Counts one request of a remote address. */
  check(address: string): AddressVerdict;
}

export interface AddressGuardOptions {
  /** Requests in 10 s that one address is expected to make at most; five times as many pass. */
  readonly baseline: number;
  readonly clock: Clock;
  /** For tests: the time of a check, whole milliseconds. */
  readonly nowMs?: () => number;
}

const passed: AddressVerdict = { allowed: true };

/**
 * Blocks an address for 300 s once it makes more than five times the baseline in 10 s. In this
 * process and without waiting, since it stands before everything else; 10,000 addresses at most.
 */
export function createAddressGuard(options: AddressGuardOptions): AddressGuard {
  const { baseline, clock, nowMs } = options;
  const limiter = createMemoryLimiter({
    clock,
    mostIds: mostAddresses,
    ...(nowMs === undefined ? {} : { nowMs }),
  });
  const policy: LimitPolicy = {
    name: 'address',
    limit: baseline * timesBaseline,
    windowMs,
    blockMs,
    onStoreDown: 'refuse',
  };

  return {
    check(address) {
      const { allowed, retryAfterMs, blockBegan } = limiter.takeNow(policy, addressKey(address));
      return allowed ? passed : { allowed, retryAfterMs, first: blockBegan };
    },
  };
}

/**
 * What counts as one address: an IPv4 address itself, also where IPv6 carries it (mapped, or
 * translated by NAT64, where a /64 would be everybody); of IPv6 the /64, which one customer has to
 * himself and can walk through.
 */
export function addressKey(address: string): string {
  if (!address.includes(':')) return address;
  const plain = address.includes('%') ? address.slice(0, address.indexOf('%')) : address;
  if (isIP(plain) !== 6) return address;
  const groups = groupsOf(plain);
  const head = groups.slice(0, 6).join(':');
  if (head === '0:0:0:0:0:ffff' || head === '64:ff9b:0:0:0:0') {
    const [high = 0, low = 0] = groups.slice(6).map((group) => Number.parseInt(group, 16));
    return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  return `${groups.slice(0, 4).join(':')}::`;
}

/** The eight groups of a valid IPv6 address, without leading zeros, in lower case. */
function groupsOf(address: string): string[] {
  const [before = '', after] = address.toLowerCase().split('::', 2).map(hexadecimalTail);
  const front = before === '' ? [] : before.split(':');
  const back = after === undefined || after === '' ? [] : after.split(':');
  const zeros = Array.from({ length: 8 - front.length - back.length }, () => '0');
  return [...front, ...zeros, ...back].map((group) => group.replace(/^0+(?=.)/, ''));
}

/** `1.2.3.4` at the end of an IPv6 address, as two groups. */
function hexadecimalTail(text: string): string {
  const tail = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (tail === null) return text;
  const [a = 0, b = 0, c = 0, d = 0] = tail.slice(1).map(Number);
  const groups = [a * 256 + b, c * 256 + d].map((group) => group.toString(16));
  return text.slice(0, tail.index) + groups.join(':');
}
