import { BlockList } from 'node:net';
import { expect, test } from 'vitest';
import { checkNetwork } from './networks.ts';

test('networks and single addresses of both kinds are kept as they are', () => {
  const good = ['192.0.2.0/24', '192.0.2.7', '0.0.0.0/0', '2001:db8::/32', '::1', '::/0', '::ffff:192.0.2.0/120']; // prettier-ignore
  expect(good.map(checkNetwork)).toStrictEqual(good);
  expect(checkNetwork('2001:DB8::/32')).toBe('2001:db8::/32');
  const list = new BlockList();
  list.addSubnet('192.0.2.0', 24, 'ipv4');
  expect(list.check('192.0.2.9')).toBe(true);
});

test('what is no network is refused, and so is one that opens more than it says', () => {
  const bad = ['', 'host', '192.0.2.0/33', '192.0.2.0/-1', '192.0.2.0/024', '192.0.2.0/', '192.0.2/24', '1.2.3.4/5/6', 'fe80::1%eth0', '::/129', '::1/x']; // prettier-ignore
  for (const text of bad) expect(() => checkNetwork(text)).toThrow('is no network');
  for (const text of ['192.0.2.1/24', '2001:db8::1/64', '10.0.0.0/4']) {
    expect(() => checkNetwork(text)).toThrow('bits beside its prefix');
  }
});
