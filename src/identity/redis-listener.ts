import type { RedisClientType } from '@redis/client';
import { errorRecord, type Clock, type Log } from '../base/base.ts';
import { RedisConnection, type RedisAddress } from './redis-connection.ts';
import type { RedisState, RedisSubscription } from './redis.ts';

interface Listening {
  readonly onPayload: (payload: string) => void;
  readonly onGap: () => void;
}

export interface RedisListenerOptions {
  readonly address: RedisAddress;
  readonly log: Log;
  readonly clock: Clock;
}

/** The connection for all channels that are listened to, made at the first `subscribe`. */
export class RedisListener {
  readonly #options: RedisListenerOptions;
  readonly #channels = new Map<string, Set<Listening>>();
  /** Channels that the present connection listens to. */
  readonly #live = new Set<string>();
  #connection: RedisConnection | undefined;
  #closed = false;

  constructor(options: RedisListenerOptions) {
    this.#options = options;
  }

  get state(): RedisState {
    return this.#connection?.state ?? { state: 'absent' };
  }

  subscribe(
    channel: string,
    onPayload: (payload: string) => void,
    onGap: () => void,
  ): RedisSubscription {
    const listening: Listening = { onPayload, onGap };
    const others = this.#channels.get(channel);
    const all = others ?? new Set();
    this.#channels.set(channel, all.add(listening));
    const client = this.#connection?.client;
    if (this.#connection === undefined) this.#connect();
    // While it is being connected, the channel is taken up with the others.
    else if (client !== undefined) void this.#begin(client, channel, [listening]);
    return { close: () => this.#unsubscribe(channel, listening) };
  }

  close(): void {
    this.#closed = true;
    this.#channels.clear();
    this.#connection?.close();
  }

  #connect(): void {
    if (this.#closed) return;
    this.#connection = new RedisConnection({
      ...this.#options,
      purpose: 'subscriptions',
      setUp: async (client) => {
        this.#live.clear();
        for (const channel of this.#channels.keys()) await this.#listen(client, channel);
      },
      onReady: () => {
        const client = this.#connection?.client;
        if (client === undefined) return;
        for (const [channel, all] of this.#channels) void this.#begin(client, channel, all);
      },
    });
  }

  /** Listens to the channel unless it does already, and then says that there was a gap. */
  async #begin(
    client: RedisClientType,
    channel: string,
    listenings: Iterable<Listening>,
  ): Promise<void> {
    try {
      // Answers come in order: after this one, a subscription under way is made as well.
      if (this.#live.has(channel)) await client.ping();
      else await this.#listen(client, channel);
    } catch {
      // The connection was lost; the next one takes the channel up and tells then.
      return;
    }
    for (const listening of listenings) {
      if (this.#channels.get(channel)?.has(listening) === true) this.#tell(listening.onGap);
    }
  }

  async #listen(client: RedisClientType, channel: string): Promise<void> {
    this.#live.add(channel);
    await client.subscribe(channel, (payload) => {
      for (const { onPayload } of this.#channels.get(channel) ?? []) {
        this.#tell(() => onPayload(payload));
      }
    });
  }

  #unsubscribe(channel: string, listening: Listening): void {
    const all = this.#channels.get(channel);
    if (all?.delete(listening) !== true || all.size > 0) return;
    this.#channels.delete(channel);
    this.#live.delete(channel);
    this.#connection?.client?.unsubscribe(channel).catch(() => undefined);
  }

  /** What a listener throws would end up in the library's reader and break the connection. */
  #tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#options.log.error({ error: errorRecord(error) }, 'A Redis listener failed');
    }
  }
}
