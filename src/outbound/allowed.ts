import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { AppError } from '../base/base.ts';

/** One entry of a list of what may be reached although it is private. */
export type Allowed =
  | { readonly kind: 'host'; readonly host: string; readonly port?: number }
  | { readonly kind: 'network'; readonly network: string; readonly port?: number };

const hostName =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/** Reads `host`, `host:port`, `address`, `[v6]:port` or `network/bits`. Throws `config_invalid`. */
export function parseAllowed(text: string): Allowed {
  const network =
    /^\[?([0-9a-fA-F:.]+)\]?(\/\d+)?(?:(?<=\]):(\d{1,5})|(?<=^[\d.]+):(\d{1,5}))?$/.exec(
      text.trim(),
    );
  const [, address = '', bits, portAfterBracket, portAfterDigits] = network ?? [];
  // Shorter forms are read in several ways: 10.1 is 10.0.0.1 for some and 10.1.0.0 for others. Node's own
  // reader refuses them, and each call of an agent reads its list: the library's took a sixth of a short call's processor time.
  const family = isIP(address);
  if (family !== 0) {
    const canonical = family === 4 ? address : ipaddr.parse(address).toString();
    const most = family === 4 ? 32 : 128;
    const length = bits === undefined ? most : Number(bits.slice(1));
    if (length <= most) {
      const port = portAfterBracket ?? portAfterDigits;
      return { kind: 'network', network: `${canonical}/${length}`, ...portOf(port, text) };
    }
  }
  const [, host = '', port] = /^([^:/\s]+)(?::(\d{1,5}))?$/.exec(text.trim().toLowerCase()) ?? [];
  if (hostName.test(host)) return { kind: 'host', host, ...portOf(port, text) };
  throw wrong(text);
}

function portOf(port: string | undefined, text: string): { port?: number } {
  if (port === undefined) return {};
  if (Number(port) >= 1 && Number(port) <= 65_535) return { port: Number(port) };
  throw wrong(text);
}

function wrong(text: string): AppError {
  return new AppError(
    'config_invalid',
    `${JSON.stringify(text)} names nothing that can be reached`,
    {
      remedy: 'Give a host, host:port, an address or a network such as 10.0.0.0/8.',
    },
  );
}

/** Whether an entry is for this host by name, whatever address the name has. */
export function namesHost(entry: Allowed, host: string, port: number): boolean {
  return entry.kind === 'host' && entry.host === host && isPort(entry, port);
}

/** Whether an entry is for this address. */
export function holdsAddress(
  entry: Allowed,
  address: ipaddr.IPv4 | ipaddr.IPv6,
  port: number,
): boolean {
  if (entry.kind !== 'network' || !isPort(entry, port)) return false;
  const [base, bits] = ipaddr.parseCIDR(entry.network);
  return base.kind() === address.kind() && address.match(base, bits);
}

function isPort(entry: Allowed, port: number): boolean {
  return entry.port === undefined || entry.port === port;
}
