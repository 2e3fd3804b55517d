/** Networks as API keys are held to them: `192.0.2.0/24`, `2001:db8::/32`, or a single address. */
import { isIP } from 'node:net';
import { AppError } from '../base/base.ts';

/**
 * A network in CIDR form (RFC 4632, RFC 4291), checked. Throws `invalid_input` also for one with bits
 * beside its prefix, which most likely is a slip of the pen that would open far more than was meant.
 */
export function checkNetwork(text: string): string {
  const [address = '', length, ...rest] = text.split('/');
  const family = isIP(address);
  const bits = family === 4 ? 32 : 128;
  const isLength =
    length === undefined || (/^(0|[1-9]\d{0,2})$/.test(length) && Number(length) <= bits);
  // A zone names an interface of one machine, and means nothing on another.
  if (family === 0 || address.includes('%') || !isLength || rest.length > 0) {
    throw wrong(text, 'is no network', 'Write it as 192.0.2.0/24, 2001:db8::/32 or one address.');
  }
  const prefix = length === undefined ? bits : Number(length);
  const value = family === 4 ? valueOf4(address) : valueOf6(address);
  if ((value & ((1n << BigInt(bits - prefix)) - 1n)) !== 0n) {
    throw wrong(text, 'has bits beside its prefix', 'Give the first address of the network.');
  }
  return length === undefined ? address.toLowerCase() : `${address.toLowerCase()}/${prefix}`;
}

function wrong(text: string, what: string, remedy: string): AppError {
  return new AppError('invalid_input', `${JSON.stringify(text.slice(0, 80))} ${what}`, {
    details: { field: 'allowedNetworks' },
    remedy,
  });
}

function valueOf4(address: string): bigint {
  return address.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

/** The URL parser knows every spelling of an IPv6 address; what it gives has hexadecimal groups only. */
function valueOf6(address: string): bigint {
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const [before, after] = [groups(head), groups(tail ?? '')];
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...Array.from({ length: zeros }, () => '0'), ...after];
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

function groups(text: string): readonly string[] {
  return text === '' ? [] : text.split(':');
}
