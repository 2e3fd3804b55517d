import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Relay {
  readonly port: number;
  /** Cuts what is open, and refuses what comes. */
  refuse(): Promise<void>;
  /** Keeps connections and passes nothing on. */
  freeze(): void;
  resume(): Promise<void>;
  close(): Promise<void>;
}

/** A way to a server that can be cut like a cable or grow silent like a frozen machine. */
export async function openRelay(target: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  let isFrozen = false;
  const join = (client: Socket): void => {
    const upstream = connect(target, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
    if (isFrozen) for (const socket of [client, upstream]) freezeOne(socket);
  };
  const server = createServer(join).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const cut = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    if (!server.listening) return;
    server.close();
    await once(server, 'close');
  };
  return {
    port,
    refuse: cut,
    freeze() {
      isFrozen = true;
      for (const socket of sockets) freezeOne(socket);
    },
    async resume() {
      isFrozen = false;
      for (const socket of sockets) socket.destroy();
      if (server.listening) return;
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
    close: cut,
  };
}

function freezeOne(socket: Socket): void {
  socket.unpipe();
  socket.pause();
}
