/**
 * A client that costs little: raw keep-alive sockets in this process, one request in flight on each,
 * texts made before the clock starts. An answer is read up to its length and no further.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface LoadOptions {
  readonly port: number;
  readonly connections: number;
  /** The whole request; undefined: there is nothing left to ask. */
  readonly next: () => Buffer | undefined;
  readonly forMs: number;
  /** Each connection asks at least so often, also beyond `forMs`; 0 unless given. */
  readonly leastEach?: number;
  /** Called with each status in its order of arrival. */
  readonly onAnswer?: (status: number, atMs: number) => void;
}

export interface Load {
  readonly perSecond: number;
  readonly answers: number;
  /** How often each status was answered. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Milliseconds, sorted. */
  readonly latenciesMs: Float64Array;
  /** The fewest answers that one connection got. */
  readonly leastServed: number;
  readonly bytesRead: number;
}

export interface RequestText {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export function requestText({ method = 'GET', path, headers = {}, body }: RequestText): Buffer {
  const text = body === undefined ? '' : JSON.stringify(body);
  const lines = Object.entries({
    host: '127.0.0.1',
    ...(body === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${text}`);
}

const mostLatencies = 2_000_000;
const stuckMs = 60_000;

/** Throws when a connection is lost or nothing is answered for a minute. */
export async function load(options: LoadOptions): Promise<Load> {
  const sockets = await Promise.all(
    Array.from({ length: options.connections }, () => open(options.port)),
  );
  const latencies = new Float64Array(mostLatencies);
  const statuses = new Map<number, number>();
  let answers = 0;
  let bytesRead = 0;
  let leastServed = Number.POSITIVE_INFINITY;
  const beganMs = performance.now();
  const endMs = beganMs + options.forMs;
  const onAnswer = (status: number, ms: number): void => {
    if (answers < mostLatencies) latencies[answers] = ms;
    answers += 1;
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    options.onAnswer?.(status, performance.now());
  };
  try {
    await Promise.all(
      sockets.map(async (socket) => {
        const served = await ask(socket, { ...options, endMs, onAnswer });
        leastServed = Math.min(leastServed, served);
      }),
    );
  } finally {
    for (const socket of sockets) {
      bytesRead += socket.bytesRead;
      socket.destroy();
    }
  }
  const seconds = (performance.now() - beganMs) / 1_000;
  return {
    perSecond: answers / seconds,
    answers,
    statuses,
    latenciesMs: latencies.slice(0, Math.min(answers, mostLatencies)).toSorted(),
    leastServed,
    bytesRead,
  };
}

/** Of sorted values; `share` 0.99 is p99. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** That all answers had one status: a refusal is quick, and must not be counted as speed. */
export function assertAll({ statuses }: Load, status: number, what: string): void {
  const others = [...statuses].filter(([one]) => one !== status);
  if (others.length === 0) return;
  throw new Error(`${what}: answers other than ${status}: ${JSON.stringify(others)}`);
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  socket.setTimeout(stuckMs, () => socket.destroy(new Error('no answer for a minute')));
  return socket;
}

interface Asking {
  readonly next: () => Buffer | undefined;
  readonly endMs: number;
  readonly leastEach?: number;
  readonly onAnswer: (status: number, ms: number) => void;
}

/** One request after the other on a connection; gives how many were answered. */
function ask(socket: Socket, { next, endMs, leastEach = 0, onAnswer }: Asking): Promise<number> {
  return new Promise((resolve, reject) => {
    let served = 0;
    let sentMs = 0;
    let held: Buffer = Buffer.alloc(0);
    const send = (): void => {
      const isOver = performance.now() >= endMs && served >= leastEach;
      const request = isOver ? undefined : next();
      if (request === undefined) return void resolve(served);
      sentMs = performance.now();
      socket.write(request);
    };
    socket.on('data', (data: Buffer) => {
      held = held.length === 0 ? data : Buffer.concat([held, data]);
      const length = answerLength(held);
      if (length === undefined || held.length < length) return;
      const status = Number(held.toString('latin1', 9, 12));
      held = held.length === length ? Buffer.alloc(0) : held.subarray(length);
      served += 1;
      onAnswer(status, performance.now() - sentMs);
      send();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the server closed a connection')));
    send();
  });
}

/** Head and body together; undefined while that is not known. A chunked one ends with an empty chunk. */
function answerLength(held: Buffer): number | undefined {
  const end = held.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = held.toString('latin1', 0, end).toLowerCase();
  const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1];
  if (length !== undefined) return end + 4 + Number(length);
  if (/^http\/1\.1 (204|304)/.test(head)) return end + 4;
  if (!head.includes('transfer-encoding: chunked')) throw new Error(`no length: ${head}`);
  const last = held.indexOf('\r\n0\r\n\r\n', end);
  return last < 0 ? undefined : last + 7;
}
