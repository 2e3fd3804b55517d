import { lookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { AppError } from '../base/base.ts';
import { holdsAddress, namesHost, type Allowed } from './allowed.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/**
 * What hands out credentials of the machine to whoever asks, beside all link-local addresses: metadata
 * services of Amazon (IPv6), Alibaba, Azure and Oracle. No list opens them.
 */
const neverReached = new Set(['fd00:ec2::254', '100.100.100.200', '168.63.129.16', '192.0.0.192']);

/** Throws `outbound_refused` where a URL can be refused without asking for its name's addresses. */
export function assertReachable(url: URL, allowed: readonly Allowed[]): void {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw refused(url.protocol, 'only http and https are spoken');
  }
  if (url.username !== '' || url.password !== '') {
    throw refused(url.host, 'a URL must not hold a password: give it in a header, by reference');
  }
  const host = hostOf(url);
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  if (isIP(host) === 0) return;
  const why = refusal(host, host, port, allowed);
  if (why !== undefined) throw refused(url.host, why);
}

/** Without the brackets of an IPv6 address and the dot of a full name. */
function hostOf(url: URL): string {
  return url.hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
}

/**
 * A look-up for sockets that gives only addresses that may be reached, so that what was checked is
 * what is connected to, whatever the name's server says the next time.
 */
export function guardedLookup(allowed: readonly Allowed[], port: number): LookupFunction {
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, found: LookupAddress[]) => {
      if (error !== null) return callback(error, '');
      const name = host.replace(/\.$/, '').toLowerCase();
      // One private address among public ones is a trick as well: all or nothing.
      for (const { address } of found) {
        const why = refusal(address, name, port, allowed);
        if (why !== undefined) return callback(refused(host, why), '');
      }
      const [first] = found;
      if (options.all === true) return callback(null, found);
      return callback(null, first?.address ?? '', first?.family);
    });
  };
}

/** Why an address may not be connected to; undefined when it may. */
function refusal(
  text: string,
  host: string,
  port: number,
  allowed: readonly Allowed[],
): string | undefined {
  const address = plain(text);
  const range = address.range();
  if (range === 'linkLocal' || neverReached.has(address.toString())) {
    return 'its address is one that hands out credentials of a machine';
  }
  if (range === 'unicast') return undefined;
  const isAllowed = allowed.some(
    (entry) => namesHost(entry, host, port) || holdsAddress(entry, address, port),
  );
  return isAllowed ? undefined : `its address is not public (${range})`;
}

/** The IPv4 address where IPv6 only carries it: mapped, or translated (RFC 6052, RFC 6145). */
function plain(text: string): Address {
  const address = ipaddr.process(text.split('%')[0] ?? text);
  if (address.kind() === 'ipv4') return address;
  const carries = ['rfc6052', 'rfc6145'].includes(address.range());
  if (!carries) return address;
  return ipaddr.fromByteArray(address.toByteArray().slice(12));
}

function refused(host: string, why: string): AppError {
  return new AppError('outbound_refused', `${host} is not asked: ${why}`, {
    details: { host },
    remedy:
      'If it is meant, add it to `allow` of the agent’s runtime, or to CENTURIA_OUTBOUND_ALLOW.',
  });
}
