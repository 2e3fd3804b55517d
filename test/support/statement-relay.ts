/**
 * A way to PostgreSQL that knows where one statement ends and the next begins (frontend/backend
 * protocol 3.0), and can hold, lose or answer late exactly the k-th of them.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * `before`: the statement has left the client and not reached the server. `sent`: it has reached the
 * server. `answered`: the server has done it, which the client does not know.
 */
export type Moment = 'before' | 'sent' | 'answered';
export const moments: readonly Moment[] = ['before', 'sent', 'answered'];

export interface Trap {
  /** Counts from now on: 1 is the next statement. */
  readonly at: number;
  readonly moment: Moment;
  /** While it runs, the statement or its answer is held; then it goes on, or its connection is cut. */
  readonly act: () => Promise<'pass' | 'cut'> | 'pass' | 'cut';
}

export interface StatementRelay {
  readonly port: number;
  /** Statements so far. */
  readonly count: number;
  /** Only one trap is set at a time; it springs once. */
  set(trap: Trap): void;
  /** Takes the trap away if it has not sprung; true when it has. */
  clear(): boolean;
  close(): Promise<void>;
}

export async function openStatementRelay(target: number): Promise<StatementRelay> {
  const relay = new Relay(target);
  await relay.listen();
  return relay;
}

class Relay implements StatementRelay {
  port = 0;
  count = 0;
  readonly #target: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #trap: { readonly statement: number; readonly trap: Trap } | undefined;

  constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  set(trap: Trap): void {
    this.#trap = { statement: this.count + trap.at, trap };
  }

  clear(): boolean {
    const sprung = this.#trap === undefined;
    this.#trap = undefined;
    return sprung;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(client: Socket): void {
    const upstream = connect(this.#target, '127.0.0.1');
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        cut();
      });
    }
    // One trap for each answer that is still to come; the first answer is that of the start-up.
    const awaited: (Trap | undefined)[] = [undefined];
    void this.#forward(client, upstream, cut, awaited);
    void this.#back(client, upstream, cut, awaited);
  }

  /** Statements, to the server. */
  async #forward(
    client: Socket,
    upstream: Socket,
    cut: () => void,
    awaited: (Trap | undefined)[],
  ): Promise<void> {
    let group: Buffer[] = [];
    for await (const { kind, bytes } of messages(client, true)) {
      group.push(bytes);
      // A statement is one simple query, or what is sent up to a Sync.
      const isStatement = kind === 'Q' || kind === 'S';
      if (!isStatement && kind !== '' && kind !== 'p' && kind !== 'X') continue;
      const trap = isStatement ? this.#next() : undefined;
      if (isStatement) awaited.push(trap);
      if (trap?.moment === 'before' && (await trap.act()) === 'cut') return cut();
      if (upstream.destroyed) return undefined;
      upstream.write(Buffer.concat(group));
      group = [];
      if (trap?.moment === 'sent' && (await trap.act()) === 'cut') return cut();
    }
    return undefined;
  }

  /** Answers, to the client. */
  async #back(
    client: Socket,
    upstream: Socket,
    cut: () => void,
    awaited: (Trap | undefined)[],
  ): Promise<void> {
    let answer: Buffer[] = [];
    for await (const { kind, bytes } of messages(upstream, false)) {
      answer.push(bytes);
      const held = awaited[0]?.moment === 'answered' ? awaited[0] : undefined;
      const isReady = kind === 'Z';
      if (held !== undefined && !isReady) continue;
      if (isReady) awaited.shift();
      if (held !== undefined && (await held.act()) === 'cut') return cut();
      if (client.destroyed) return undefined;
      client.write(Buffer.concat(answer));
      answer = [];
    }
    return undefined;
  }

  #next(): Trap | undefined {
    this.count += 1;
    if (this.#trap?.statement !== this.count) return undefined;
    const { trap } = this.#trap;
    this.#trap = undefined;
    return trap;
  }
}

/** Cuts a stream into messages; the first one of a client has a length and no kind. */
async function* messages(
  socket: Socket,
  fromClient: boolean,
): AsyncGenerator<{ readonly kind: string; readonly bytes: Buffer }> {
  let rest: Buffer = Buffer.alloc(0);
  let isFirst = fromClient;
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      for (;;) {
        const headBytes = isFirst ? 4 : 5;
        if (rest.length < headBytes) break;
        const totalBytes = rest.readUInt32BE(headBytes - 4) + headBytes - 4;
        if (rest.length < totalBytes) break;
        const kind = isFirst ? '' : String.fromCharCode(rest[0] ?? 0);
        yield { kind, bytes: rest.subarray(0, totalBytes) };
        rest = rest.subarray(totalBytes);
        isFirst = false;
      }
    }
  } catch {
    // A connection that breaks ends the stream; its other half is closed by `close`.
  }
}
