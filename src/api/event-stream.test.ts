import { createServer, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { createLog, systemClock } from '../base/base.ts';
import { createEventStreams } from './event-stream.ts';

const log = createLog({ level: 'silent' });

test('a reader that takes nothing is cut, and no more is read for it than its socket holds', async () => {
  let asked = 0;
  async function* endless(): AsyncGenerator<string> {
    for (;;) {
      asked += 1;
      yield `data: ${'x'.repeat(100_000)}\n\n`;
    }
  }
  // The moment of patience is over as soon as it is asked for, but the socket may still take more.
  const clock = {
    ...systemClock,
    sleep: (_ms: number, signal?: AbortSignal) => systemClock.sleep(300, signal),
  };
  const closing = new AbortController();
  const streams = createEventStreams({ clock, log, closing: closing.signal });
  const responses: ServerResponse[] = [];
  const finished: Promise<void>[] = [];
  const server = createServer((_request, response) => {
    responses.push(response);
    finished.push(
      streams.send(response, {
        begin: () => undefined,
        frames: endless,
        problem: () => '',
        watch: () => () => undefined,
      }),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(server, 'request');
  expect(streams.open).toBe(1);
  await Promise.all(finished);

  expect(responses[0]?.destroyed).toBe(true);
  expect(streams.open).toBe(0);
  // What both sockets' buffers take; without a bound this would never have ended.
  expect(asked).toBeLessThan(200);
  socket.destroy();
  server.close();
  await once(server, 'close');
});
