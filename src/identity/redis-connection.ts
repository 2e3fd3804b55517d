import { ErrorReply, RedisClient, createClient, type RedisClientType } from '@redis/client';
import { AppError, backoffMs, redact, type Clock, type Log } from '../base/base.ts';
import type { RedisState } from './redis.ts';

export interface RedisAddress {
  readonly options: ReturnType<typeof RedisClient.parseURL>;
  /** Host and port, or the socket's path: what may be shown. */
  readonly shown: string;
}

const limits = {
  /** From the first packet to the answer to a PING. */
  connectMs: 2_000,
  /** Short at first, since the usual cause is a restart; 2 s at most, since writes are refused meanwhile. */
  reconnect: { attempts: Number.MAX_SAFE_INTEGER, baseMs: 50, maxMs: 2_000 },
  /** A server that vanished without a word is found out when it is asked and does not answer. */
  askEveryMs: 5_000,
  answerMs: 1_000,
} as const;

/** Reads a URL. Throws `config_invalid`, which does not repeat it: it may hold a password. */
export function readAddress(url: string): RedisAddress {
  try {
    const options = RedisClient.parseURL(url);
    const { socket } = options;
    const shown =
      'path' in socket
        ? String(socket.path)
        : `${'host' in socket ? socket.host : ''}:${('port' in socket ? socket.port : undefined) ?? 6379}`;
    return { options, shown };
  } catch {
    throw new AppError('config_invalid', 'the URL of Redis can not be read', {
      remedy: 'Write redis://[[user]:password@]host[:port][/database], or rediss:// for TLS.',
    });
  }
}

export interface ConnectionOptions {
  readonly address: RedisAddress;
  /** Says in the log which of ours it is. */
  readonly purpose: 'commands' | 'subscriptions';
  readonly log: Log;
  readonly clock: Clock;
  /** Runs on every new connection before it counts as ready. */
  readonly setUp?: (client: RedisClientType) => Promise<void>;
  readonly onReady: () => void;
}

/**
 * One connection, made again for ever with growing pauses when it is lost. The library's own way to
 * reconnect is not used: it waits without limit for a server that takes connections and is silent.
 */
export class RedisConnection {
  readonly #options: ConnectionOptions;
  readonly #stop = new AbortController();
  #state: RedisState = { state: 'connecting' };
  #client: RedisClientType | undefined;
  #lose: ((reason: string) => void) | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    void this.#keep();
  }

  get state(): RedisState {
    return this.#state;
  }

  /** The client that is connected now, or undefined. */
  get client(): RedisClientType | undefined {
    return this.#client;
  }

  /** Gives the connection of this client up and makes another; commands under way fail. */
  lose(client: RedisClientType, reason: string): void {
    if (client === this.#client) this.#lose?.(reason);
  }

  close(): void {
    this.#stop.abort();
    this.#lose?.('closed');
  }

  async #keep(): Promise<void> {
    const { clock } = this.#options;
    for (let attempt = 1; !this.#stop.signal.aborted; attempt += 1) {
      const { reason, wasReady } = await this.#serve();
      if (wasReady) attempt = 1;
      this.#goDown(reason);
      const pauseMs = backoffMs(limits.reconnect, attempt, Math.random());
      // Aborting means that it was closed, and the loop ends.
      await clock.sleep(pauseMs, this.#stop.signal).catch(() => undefined);
    }
  }

  /** Makes a connection and keeps it until it is lost; gives the reason. */
  async #serve(): Promise<{ reason: string; wasReady: boolean }> {
    const { address, clock, onReady } = this.#options;
    const lost = Promise.withResolvers<string>();
    this.#lose = lost.resolve;
    const client = createClient({
      ...address.options,
      name: 'centuria',
      socket: {
        ...address.options.socket,
        reconnectStrategy: false,
        connectTimeout: limits.connectMs,
      },
      disableOfflineQueue: true,
      maintNotifications: 'disabled',
    }) as unknown as RedisClientType;
    client.on('error', (error) => lost.resolve(reasonOf(error)));
    client.on('end', () => lost.resolve('the connection ended'));
    const silent = clock.after(limits.connectMs, () =>
      lost.resolve(`no answer within ${limits.connectMs / 1_000} s`),
    );
    const opened = this.#open(client).then(
      () => undefined,
      (error: unknown) => reasonOf(error),
    );
    const failure = await Promise.race([opened, lost.promise]);
    silent();
    if (failure !== undefined || this.#stop.signal.aborted) {
      destroy(client);
      return { reason: failure ?? 'closed', wasReady: false };
    }
    this.#goReady(client);
    onReady();
    const stopAsking = this.#ask(client);
    const reason = await lost.promise;
    stopAsking();
    this.#client = undefined;
    this.#goDown(reason);
    destroy(client);
    return { reason, wasReady: true };
  }

  async #open(client: RedisClientType): Promise<void> {
    await client.connect();
    // Refused while the server still loads its data, which HELLO is not.
    await client.ping();
    await this.#options.setUp?.(client);
  }

  /** Asks every so often; a server that does not answer in time has lost the connection. */
  #ask(client: RedisClientType): () => void {
    const { clock } = this.#options;
    let stopped = false;
    let cancel: () => void;
    const pause = (): void => {
      if (!stopped) cancel = clock.after(limits.askEveryMs, ask);
    };
    const ask = (): void => {
      let answered = false;
      const lose = (): void => {
        if (!answered) this.lose(client, 'no answer to a PING');
      };
      // An answer that came while this process was busy is read before `setImmediate`.
      const answerInTime = clock.after(limits.answerMs, () => void setImmediate(lose));
      cancel = answerInTime;
      const settle = (): void => {
        answered = true;
        answerInTime();
        pause();
      };
      // A failure means that the connection is lost, which has been told already.
      client.ping().then(settle, settle);
    };
    pause();
    return () => {
      stopped = true;
      cancel();
    };
  }

  #goReady(client: RedisClientType): void {
    const { address, log, purpose } = this.#options;
    this.#client = client;
    this.#state = { state: 'ready' };
    log.info({ redis: address.shown, purpose }, 'Redis is ready');
  }

  #goDown(why: string): void {
    const { address, log, purpose } = this.#options;
    const reason = `${address.shown}: ${why}`;
    const known = this.#state.state === 'down' && this.#state.reason === reason;
    this.#state = { state: 'down', reason };
    if (!known && !this.#stop.signal.aborted) {
      log.warn({ redis: address.shown, purpose, reason: why }, 'Redis is down');
    }
  }
}

/** The library throws when a client that never opened is destroyed. */
function destroy(client: RedisClientType): void {
  if (client.isOpen) client.destroy();
}

/** What went wrong, on one line and without secrets. */
export function reasonOf(error: unknown): string {
  if (error instanceof ErrorReply) return redact(error.message.slice(0, 200));
  const { code, message } = error as { code?: unknown; message?: unknown };
  // A host of several addresses fails with an empty message and a code.
  const text = typeof message === 'string' && message !== '' ? message : String(code ?? error);
  return redact(text.replaceAll(/\s+/g, ' ').slice(0, 200));
}
