import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOutbound, parseAllowed } from '../../src/outbound/outbound.ts';

let server: Server;
let port: number;
const seen: { url: string; method: string; headers: IncomingHttpHeaders }[] = [];
const outbound = createOutbound({ allow: [] });
const base = () => `http://127.0.0.1:${port}`;
const reach = (allow: readonly string[], more: object = {}) =>
  outbound.for({ who: 'agent probe', allow, ...more });

beforeAll(async () => {
  server = createServer((request, response) => {
    const url = request.url ?? '';
    seen.push({ url, method: request.method ?? '', headers: request.headers });
    const to = new URL(url, 'http://x').searchParams.get('to');
    const status = Number(new URL(url, 'http://x').searchParams.get('status') ?? 302);
    if (to !== null) response.writeHead(status, { location: to }).end();
    else if (url === '/status-999') response.writeHead(999).end();
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
    'http://[::7f00:1]/',
    'http://[64:ff9b:1::808:808]/',
    'http://[fec0::1]/',
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
    'http://[64:ff9b::a9fe:a9fe]/',
    'http://[2002:a9fe:a9fe::]/',
    'http://[fd20:ce::254]/',
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
    const headers = { authorization: 'Bearer abc', 'x-own-key': 'abc', accept: 'text/plain' };
    const elsewhere = encodeURIComponent(`http://localhost:${port}/other`);
    seen.length = 0;
    await fetch(`${base()}/?to=/next`, { method: 'POST', body: 'x', headers });
    await fetch(`${base()}/?to=${elsewhere}`, { headers });
    expect(seen).toMatchObject([
      { method: 'POST', headers },
      { url: '/next', method: 'GET', headers },
      { headers },
      { url: '/other', headers: { accept: 'text/plain' } },
    ]);
    expect(Object.keys(seen[3]?.headers ?? {})).not.toContain('authorization');
    expect(Object.keys(seen[3]?.headers ?? {})).not.toContain('x-own-key');
  });

  test('never hand what was sent to another origin', async () => {
    const fetch = reach(['127.0.0.1', 'localhost']);
    const elsewhere = encodeURIComponent(`http://localhost:${port}/other`);
    seen.length = 0;
    const init = { method: 'POST', body: 'secret' };
    for (const status of [307, 308]) {
      await expect(
        fetch(`${base()}/?status=${status}&to=${elsewhere}`, init),
      ).rejects.toMatchObject({ code: 'outbound_refused' });
    }
    expect(seen.map(({ url }) => url)).not.toContain('/other');
    expect((await fetch(`${base()}/?status=307&to=/same`, init)).status).toBe(200);
    expect(seen.at(-1)).toMatchObject({ url: '/same', method: 'POST' });
  });

  test('are refused where a caller wants none, and where they are no address', async () => {
    const fetch = reach(['127.0.0.1']);
    const refused = { code: 'outbound_refused' };
    await expect(fetch(`${base()}/?to=/next`, { redirect: 'error' })).rejects.toMatchObject(
      refused,
    );
    const request = new Request(`${base()}/?to=/next`, { redirect: 'error' });
    await expect(fetch(request)).rejects.toMatchObject(refused);
    await expect(fetch(`${base()}/?to=http://[`)).rejects.toMatchObject(refused);
    const manual = await fetch(`${base()}/?to=/next`, { redirect: 'manual' });
    expect(manual.status).toBe(302);
  });
});

describe('who may reach only what is listed', () => {
  test('reaches no public address beside it, nor what everybody else may', async () => {
    const common = createOutbound({ allow: ['127.0.0.1'] });
    const only = (allow: string[]) => common.for({ who: 'agent probe', allow, listedOnly: true });
    const refused = { code: 'outbound_refused', message: expect.stringContaining('none of those') };
    await expect(only(['127.0.0.1'])('http://192.5.6.30/')).rejects.toMatchObject(refused);
    await expect(only([])(`${base()}/`)).rejects.toMatchObject({ code: 'outbound_refused' });
    expect((await only([`127.0.0.1:${port}`])(`${base()}/`)).status).toBe(200);
    const away = `${base()}/?to=${encodeURIComponent('http://192.5.6.30/')}`;
    await expect(only(['127.0.0.1'])(away)).rejects.toMatchObject(refused);
    await common.close();
  });
});

const probe = (url: string, allow: readonly string[] = ['127.0.0.1', 'localhost']) =>
  outbound.probe(new URL(url), { who: 'agent probe', allow }, AbortSignal.timeout(5_000));

describe('a probe', () => {
  test('connects without a request', async () => {
    seen.length = 0;
    await probe(base());
    await probe(`http://localhost:${port}`);
    expect(seen).toEqual([]);
  });

  test('says why it could not', async () => {
    await expect(probe(base(), [])).rejects.toMatchObject({ code: 'outbound_refused' });
    await expect(probe(`http://localhost:${port}`, [])).rejects.toMatchObject({
      code: 'outbound_refused',
    });
    const free = createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    const closed = (free.address() as AddressInfo).port;
    free.close();
    await once(free, 'close');
    await expect(probe(`http://127.0.0.1:${closed}`)).rejects.toMatchObject({
      code: 'agent_failed',
      message: `http://127.0.0.1:${closed}: nobody listens there`,
    });
    await expect(
      outbound.probe(
        new URL(base()),
        { who: 'agent probe', allow: ['127.0.0.1'] },
        AbortSignal.abort(new Error('enough')),
      ),
    ).rejects.toThrow('enough');
  });
});

test('an answer whose status is none is a failure', async () => {
  await expect(reach(['127.0.0.1'])(`${base()}/status-999`)).rejects.toMatchObject({
    code: 'agent_failed',
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

test.each([
  '',
  'a b',
  '10.1/8',
  'host:99999',
  'http://x',
  '10.0.0.0/33',
  'a..b',
  '-a',
  ':80',
  'a:b:c/1',
])('the list entry %j is refused', (text) => {
  expect(() => parseAllowed(text)).toThrow(/names nothing/);
});
