import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOutbound, parseAllowed } from '../../src/outbound/outbound.ts';

let server: Server;
let port: number;
const seen: { url: string; method: string; authorization: string | undefined }[] = [];
const outbound = createOutbound({ allow: [] });
const base = () => `http://127.0.0.1:${port}`;
const reach = (allow: readonly string[], more: object = {}) =>
  outbound.for({ who: 'agent probe', allow, ...more });

beforeAll(async () => {
  server = createServer((request, response) => {
    const url = request.url ?? '';
    seen.push({
      url,
      method: request.method ?? '',
      authorization: request.headers.authorization,
    });
    const to = new URL(url, 'http://x').searchParams.get('to');
    if (to !== null) response.writeHead(302, { location: to }).end();
    else if (url === '/large') response.end(Buffer.alloc(100_000, 'x'));
    else response.end('here');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});
afterAll(async () => {
  await outbound.close();
  server.close();
});

describe('what may be reached', () => {
  test.each([
    'http://127.0.0.1/',
    'http://2130706433/',
    'http://0x7f.1/',
    'http://127.1/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[64:ff9b::7f00:1]/',
    'http://[::]/',
    'http://0.0.0.0/',
    'http://10.1.2.3/',
    'http://172.31.0.1/',
    'http://192.168.1.1/',
    'http://100.64.0.1/',
    'http://[fc00::1]/',
    'http://[2002:7f00:1::]/',
    'http://224.0.0.1/',
    'http://255.255.255.255/',
    'http://localhost/',
  ])('%s is refused before anything is sent', async (url) => {
    await expect(reach([])(url)).rejects.toMatchObject({ code: 'outbound_refused' });
  });

  test.each(['ftp://example.org/', 'file:///etc/passwd', 'http://user:secret@example.org/'])(
    '%s is refused',
    async (url) => {
      await expect(reach([])(url)).rejects.toMatchObject({
        code: 'outbound_refused',
        message: expect.not.stringContaining('secret'),
      });
    },
  );

  test.each([
    'http://169.254.169.254/latest/meta-data/',
    'http://[fe80::1]/',
    'http://[fd00:ec2::254]/',
    'http://100.100.100.200/',
    'http://[::ffff:169.254.169.254]/',
  ])('%s is refused whatever is allowed', async (url) => {
    const open = reach(['0.0.0.0/0', '::/0', '169.254.169.254', new URL(url).hostname]);
    await expect(open(url)).rejects.toMatchObject({ code: 'outbound_refused' });
  });

  test('a private address is reached where it is allowed by name, address, network or port', async () => {
    const url = `http://127.0.0.1:${port}/`;
    for (const allow of ['127.0.0.1', `127.0.0.1:${port}`, '127.0.0.0/8']) {
      expect(await (await reach([allow])(url)).text()).toBe('here');
    }
    expect(await (await reach([`localhost:${port}`])(`http://localhost:${port}/`)).text()).toBe(
      'here',
    );
    for (const allow of [`127.0.0.1:${port + 1}`, '10.0.0.0/8', 'localhost']) {
      await expect(reach([allow])(url)).rejects.toMatchObject({ code: 'outbound_refused' });
    }
  });

  test('what everybody may reach is given once', async () => {
    const common = createOutbound({ allow: ['127.0.0.1'] });
    const fetch = common.for({ who: 'agent probe', allow: [] });
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
    await common.close();
  });
});

describe('redirects', () => {
  test('lead nowhere that could not be reached at once', async () => {
    for (const to of ['http://169.254.169.254/latest/', 'http://10.0.0.1/', 'file:///etc/passwd']) {
      const url = `${base()}/?to=${encodeURIComponent(to)}`;
      await expect(reach(['127.0.0.1'])(url)).rejects.toMatchObject({ code: 'outbound_refused' });
    }
  });

  test('end after a few', async () => {
    const url = `${base()}/?to=${encodeURIComponent('/?to=%2F')}`;
    expect(await (await reach(['127.0.0.1'])(url)).text()).toBe('here');
    await expect(reach(['127.0.0.1'], { maxRedirects: 1 })(url)).rejects.toThrow(/more than 1/);
  });

  test('keep secrets with the origin that they were meant for, and post only once', async () => {
    const fetch = reach(['127.0.0.1', 'localhost']);
    const headers = { authorization: 'Bearer abc' };
    seen.length = 0;
    await fetch(`${base()}/?to=/next`, { method: 'POST', body: 'x', headers });
    await fetch(`${base()}/?to=${encodeURIComponent(`http://localhost:${port}/other`)}`, {
      headers,
    });
    expect(seen).toMatchObject([
      { method: 'POST', authorization: 'Bearer abc' },
      { url: '/next', method: 'GET', authorization: 'Bearer abc' },
      { authorization: 'Bearer abc' },
      { url: '/other', authorization: undefined },
    ]);
  });
});

test('an answer is cut at its limit', async () => {
  const fetch = reach(['127.0.0.1'], { maxBytes: 50_000 });
  const response = await fetch(`http://127.0.0.1:${port}/large`);
  await expect(response.text()).rejects.toMatchObject({ code: 'agent_output_too_large' });
});

test('a cancelled request ends', async () => {
  const fetch = reach(['127.0.0.1']);
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(fetch(`http://127.0.0.1:${port}/`, { signal })).rejects.toThrow('enough');
});

test.each(['', 'a b', 'host:99999', 'http://x', '10.0.0.0/33', 'a..b', '-a', ':80', 'a:b:c/1'])(
  'the list entry %j is refused',
  (text) => {
    expect(() => parseAllowed(text)).toThrow(/names nothing/);
  },
);
