import { lookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { AppError } from '../base/base.ts';
import { holdsAddress, namesHost, type Allowed } from './allowed.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/**
 * What hands out credentials of the machine to whoever asks, beside all link-local addresses: metadata
 * services of Amazon, Google, Oracle and Scaleway (IPv6), Alibaba, Azure and Oracle. No list opens them.
 */
const neverReached = new Set([
  'fd00:ec2::254',
  'fd20:ce::254',
  'fd00:c1::a9fe:a9fe',
  'fd00:42::42',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
]);

/** What one agent may dial. */
export interface Rules {
  /** What may be reached although it is private. */
  readonly allowed: readonly Allowed[];
  /** Whether public addresses are reached only where they are allowed, too. */
  readonly listedOnly: boolean;
}

/** Throws `outbound_refused` where a URL can be refused without asking for its name's addresses. */
export function assertReachable(url: URL, rules: Rules): void {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw refused(url.protocol, 'only http and https are spoken');
  }
  if (url.username !== '' || url.password !== '') {
    throw refused(url.host, 'a URL must not hold a password: give it in a header, by reference');
  }
  const host = hostOf(url);
  if (isIP(host) === 0) return;
  const why = refusal(host, host, portOf(url), rules);
  if (why !== undefined) throw refused(url.host, why);
}

/** The port that is dialled. */
export function portOf(url: URL): number {
  return Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
}

/** Without the brackets of an IPv6 address and the dot of a full name. */
export function hostOf(url: URL): string {
  return url.hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
}

/**
 * A look-up for sockets that gives only addresses that may be reached, so that what was checked is
 * what is connected to, whatever the name's server says the next time.
 */
export function guardedLookup(rules: Rules, port: number): LookupFunction {
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, found: LookupAddress[]) => {
      if (error !== null) return callback(error, '');
      const name = host.replace(/\.$/, '').toLowerCase();
      // One private address among public ones is a trick as well: all or nothing.
      for (const { address } of found) {
        const why = refusal(address, name, port, rules);
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
  { allowed, listedOnly }: Rules,
): string | undefined {
  const address = plain(text);
  const range = address.range();
  if (range === 'linkLocal' || neverReached.has(address.toString())) {
    return 'its address is one that hands out credentials of a machine';
  }
  if (range === 'unicast' && !listedOnly) return undefined;
  const isAllowed = allowed.some(
    (entry) => namesHost(entry, host, port) || holdsAddress(entry, address, port),
  );
  if (isAllowed) return undefined;
  return range === 'unicast'
    ? 'it is none of those that the agent was given'
    : `its address is not public (${range})`;
}

/**
 * Where IPv6 only carries an IPv4 address, and where in it: translated (RFC 6052, RFC 6145), compatible
 * (RFC 4291), 6to4 (RFC 3056). The local prefix of RFC 8215 is none: where the address stands in it is
 * known to its network alone.
 */
const carriers = [
  { network: '64:ff9b::/96', at: 12 },
  { network: '::ffff:0:0:0/96', at: 12 },
  { network: '::/96', at: 12 },
  { network: '2002::/16', at: 2 },
];

/** The IPv4 address that an address stands for; otherwise the address itself. */
function plain(text: string): Address {
  const address = ipaddr.process(text.split('%')[0] ?? text);
  if (address.kind() === 'ipv4') return address;
  if (['unspecified', 'loopback'].includes(address.range())) return address;
  const carrier = carriers.find(({ network }) => address.match(ipaddr.IPv6.parseCIDR(network)));
  if (carrier === undefined) return address;
  return ipaddr.fromByteArray(address.toByteArray().slice(carrier.at, carrier.at + 4));
}

function refused(host: string, why: string): AppError {
  return new AppError('outbound_refused', `${host} is not asked: ${why}`, {
    details: { host },
    remedy:
      'If it is meant, add it to `allow` of the agent’s runtime, or to CENTURIA_OUTBOUND_ALLOW.',
  });
}
