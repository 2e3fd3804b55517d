import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPublicAddress, startBridge } from '../../src/api/api.ts';
import { createLog, loadConfig, systemClock } from '../../src/base/base.ts';
import { createClient } from '../../src/client/client.ts';
import type { RunEvent } from '../../src/coordination/coordination.ts';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';
import { release } from '../support/fleet.ts';

let bridge: TestBridge;
beforeAll(async () => {
  bridge = await openTestBridge();
});
afterAll(async () => {
  await bridge.end();
});

test('a stream has numbered events and says when the run has ended', async () => {
  const { id } = await bridge.client.startRun({ workflow: 'hello' });
  const answer = await bridge.fetch(`/api/v1/runs/${id}/events`, {
    headers: { accept: 'text/event-stream' },
  });
  expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  const body = await answer.text();
  const { lastSeq } = await bridge.client.run(id);
  expect(body).toMatch(/^retry: 1000\n\nid: 1\nevent: run\.created\ndata: \{"runId":/);
  expect([...body.matchAll(/^id: (\d+)$/gm)].map(([, seq]) => Number(seq))).toEqual(
    Array.from({ length: lastSeq }, (_, index) => index + 1),
  );
  expect(body).toContain(`event: end\ndata: {"status":"completed","lastSeq":${lastSeq}}\n\n`);
});

test('a stream goes on after Last-Event-ID', async () => {
  const { id } = await bridge.client.startRun({ workflow: 'hello' });
  const { lastSeq } = await bridge.client.waitForRun(id);
  const resumed = await bridge.fetch(`/api/v1/runs/${id}/events?after=1`, {
    headers: { accept: 'text/event-stream', 'last-event-id': String(lastSeq - 1) },
  });
  expect((await resumed.text()).match(/^id: .*$/gm)).toEqual([`id: ${lastSeq}`]);
  const wrong = await bridge.fetch(`/api/v1/runs/${id}/events`, {
    headers: { accept: 'text/event-stream', 'last-event-id': 'seven' },
  });
  expect(wrong.status).toBe(422);
});

test('a follower whose connection is cut again and again sees every event once', async () => {
  const { id } = await bridge.client.startRun({ workflow: 'hello' });
  const { lastSeq } = await bridge.client.waitForRun(id);
  const proxy = await cuttingProxy(bridge.port, 1_600);
  try {
    const client = createClient({ baseUrl: proxy.url, token: testToken });
    const seen: number[] = [];
    for await (const { seq } of client.follow(id)) seen.push(seq);
    expect(seen).toEqual(Array.from({ length: lastSeq }, (_, index) => index + 1));
    expect(proxy.connections()).toBeGreaterThan(2);
  } finally {
    await proxy.close();
  }
});

test('a follower outlives the server: it waits, comes back and misses nothing', async () => {
  const { id } = await bridge.client.startRun({ workflow: 'gated', input: { name: 'restart' } });
  const seen: RunEvent[] = [];
  let refused: unknown;
  for await (const event of bridge.client.follow(id)) {
    seen.push(event);
    if (event.body.type === 'attempt.started' && event.body.task === 'wait') {
      await bridge.close();
      refused = await bridge.client.run(id).catch((error: unknown) => error);
      await release(bridge.home, 'restart');
      await bridge.restart();
    }
  }
  expect(refused).toMatchObject({
    code: 'server_not_running',
    remedy: 'Start it: centuria up',
  });
  const { lastSeq, status } = await bridge.client.run(id);
  expect(status).toBe('completed');
  expect(seen.map(({ seq }) => seq)).toEqual(
    Array.from({ length: lastSeq }, (_, index) => index + 1),
  );
});

test('a follower that is told to stop stops, and the server lets its stream go', async () => {
  const { id } = await bridge.client.startRun({ workflow: 'gated', input: { name: 'leave' } });
  const leaving = new AbortController();
  const follow = async () => {
    for await (const { body } of bridge.client.follow(id, { signal: leaving.signal })) {
      if (body.type === 'attempt.started' && body.task === 'wait') leaving.abort();
    }
  };
  await expect(follow()).rejects.toMatchObject({ name: 'AbortError' });
  const streams = async () => (await bridge.client.systemStatus()).bridge.eventStreams;
  await expect.poll(streams).toBe(0);
  await release(bridge.home, 'leave');
});

test('a server that closes ends streams with when to come back, and answers those that wait', async () => {
  const { id } = await bridge.client.startRun({ workflow: 'gated', input: { name: 'close' } });
  const stream = await bridge.fetch(`/api/v1/runs/${id}/events`, {
    headers: { accept: 'text/event-stream' },
  });
  const wait = bridge.fetch(`/api/v1/runs/${id}/wait?timeoutSeconds=100`);
  const polls = async () => (await bridge.client.systemStatus()).bridge.longPolls;
  await expect.poll(polls).toBe(1);
  const closed = bridge.close();
  expect(await stream.text()).toMatch(/: the server closes\nretry: 1000\n\n$/);
  expect((await wait).status).toBe(202);
  await closed;
  await bridge.restart();
  await release(bridge.home, 'close');
});

test('a call that does not end is cut when the grace is over, and its agent is told', async () => {
  const { url } = bridge;
  const call = bridge.client.invokeAgent('gate', { input: { name: 'cut' } });
  const calls = async () => (await bridge.client.systemStatus()).bridge.invocations;
  await expect.poll(calls).toBe(1);
  const outcome = call.catch((error: unknown) => error);
  await bridge.close();
  expect(await outcome).toMatchObject({ code: 'unavailable' });
  await bridge.restart();
  expect(bridge.url).toBe(url);
  await expect.poll(calls).toBe(0);
});

test('a caller that goes away cancels its call', async () => {
  const leaving = new AbortController();
  const call = bridge.client.invokeAgent(
    'gate',
    { input: { name: 'gone' } },
    { signal: leaving.signal },
  );
  const calls = async () => (await bridge.client.systemStatus()).bridge.invocations;
  await expect.poll(calls).toBe(1);
  leaving.abort();
  await expect(call).rejects.toMatchObject({ name: 'AbortError' });
  await expect.poll(calls).toBe(0);
});

test('a port that is taken is refused with who holds it and what to do', async () => {
  const config = loadConfig({
    flags: { home: bridge.home, bridgePort: bridge.port },
    env: {},
    cwd: bridge.home,
  });
  const second = startBridge({
    coordination: bridge.coordination.runs,
    workStatus: () => bridge.coordination.status(),
    breakers: bridge.breakers,
    budgets: bridge.budgets,
    ...bridge.work,
    agents: bridge.registry,
    database: bridge.database,
    config,
    identity: bridge.identity,
    publicAddress: createPublicAddress(''),
    version: '0.0.0-test',
    log: createLog({ level: 'silent' }),
    clock: systemClock,
    startedAt: new Date(),
  });
  await expect(second).rejects.toMatchObject({
    code: 'port_in_use',
    message: expect.stringContaining(`port ${bridge.port} is taken`),
    details: { port: bridge.port, pid: process.pid },
    remedy: expect.stringContaining('--bridge-port'),
  });
});

test('what listens and is not Centuria is told from it', async () => {
  const server = createServer((socket) => {
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = createClient({ baseUrl: `http://127.0.0.1:${port}`, token: testToken });
  await expect(client.runs()).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('is not Centuria'),
  });
  server.close();
});

/** Forwards to `port`, and cuts a connection once it has brought `mostBytes` back. */
async function cuttingProxy(port: number, mostBytes: number) {
  let count = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((inward) => {
    count += 1;
    const outward = connect(port, '127.0.0.1');
    let brought = 0;
    for (const socket of [inward, outward]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    inward.pipe(outward);
    outward.on('data', (bytes: Buffer) => {
      const room = mostBytes - brought;
      brought += bytes.length;
      inward.write(bytes.subarray(0, Math.max(0, room)), () => {
        if (brought >= mostBytes) inward.destroy();
      });
    });
    outward.on('end', () => inward.end());
    inward.on('close', () => outward.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${own}`,
    connections: () => count,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
