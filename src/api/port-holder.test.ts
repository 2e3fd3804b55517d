import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { portHolder } from './port-holder.ts';

test.runIf(process.platform === 'linux')('the process that holds a port is found', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    expect(await portHolder(port)).toMatchObject({ pid: process.pid });
  } finally {
    server.close();
    await once(server, 'close');
  }
  expect(await portHolder(port)).toBeUndefined();
});
