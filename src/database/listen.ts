import type { Client } from 'pg';
import { AppError, backoffMs, type Clock, type Log } from '../base/base.ts';
import type { Subscription } from './database.ts';
import { connectFailure } from './failure.ts';

interface Listening {
  readonly onPayload: (payload: string) => void;
  readonly onGap: (() => void) | undefined;
}

export interface ListenerOptions {
  readonly target: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly random?: () => number;
}

const limits = {
  /** The first pause is short because the usual cause, a restart of the server, is over quickly. */
  reconnect: { attempts: Number.MAX_SAFE_INTEGER, baseMs: 100, maxMs: 10_000 },
  /**
   * A listener only reads, so a peer that vanished without a word would look like silence for ever.
   * A question every so often, with a limit on the answer, finds it within 25 seconds.
   */
  askEveryMs: 15_000,
  answerMs: 10_000,
} as const;

/**
 * One connection of its own for all channels that are listened to, made at the first `listen`. When
 * it is lost it is made again, for ever, with growing pauses.
 */
export class Listener {
  readonly #makeClient: () => Client;
  readonly #options: ListenerOptions;
  readonly #channels = new Map<string, Set<Listening>>();
  readonly #stop = new AbortController();
  /** The present connection, or the one being made. */
  #client: Promise<Client> | undefined;
  /** `pg` takes one statement at a time. */
  #lastStatement: Promise<unknown> = Promise.resolve();

  constructor(makeClient: () => Client, options: ListenerOptions) {
    this.#makeClient = makeClient;
    this.#options = options;
  }

  /**
   * Resolves when the server listens. Throws `invalid_input` and, when there is no connection,
   * `database_unreachable`; while a lost one is being made again, it waits for that.
   */
  async listen(
    channel: string,
    onPayload: (payload: string) => void,
    onGap?: () => void,
  ): Promise<Subscription> {
    const statement = listenStatement(channel);
    const listening: Listening = { onPayload, onGap };
    const all = this.#channels.get(channel) ?? new Set();
    // Before the statement, so that a reconnection in between knows the channel.
    this.#channels.set(channel, all.add(listening));
    try {
      const client = await (this.#client ??= this.#connectFirst());
      await this.#send(client, statement);
    } catch (error) {
      all.delete(listening);
      throw connectFailure(error, this.#options.target);
    }
    // The connection goes on listening; what nobody wants is dropped here.
    return { close: async () => void all.delete(listening) };
  }

  async close(): Promise<void> {
    this.#stop.abort();
    const client = await this.#client?.catch(() => undefined);
    await client?.end();
  }

  async #connectFirst(): Promise<Client> {
    try {
      return await this.#connect();
    } catch (error) {
      this.#client = undefined;
      throw error;
    }
  }

  /** Connects, listens to all known channels and watches the connection from then on. */
  async #connect(): Promise<Client> {
    const client = this.#makeClient();
    // Without a listener the event would end the process; `end` follows it and does the work.
    client.on('error', () => undefined);
    client.on('notification', ({ channel, payload }) => this.#deliver(channel, payload ?? ''));
    try {
      await client.connect();
      for (const channel of this.#channels.keys()) await client.query(listenStatement(channel));
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
    const watching = new AbortController();
    client.once('end', () => {
      watching.abort();
      if (this.#stop.signal.aborted) return;
      this.#client = this.#reconnect();
      // It only fails because of `close`, and then perhaps nobody waits for it.
      this.#client.catch(() => undefined);
    });
    void this.#askRegularly(client, AbortSignal.any([watching.signal, this.#stop.signal]));
    return client;
  }

  async #reconnect(): Promise<Client> {
    const { clock, log, target, random = Math.random } = this.#options;
    log.warn({ target }, 'the connection that listens was lost; making it again');
    for (let attempt = 1; ; attempt += 1) {
      await clock.sleep(backoffMs(limits.reconnect, attempt, random()), this.#stop.signal);
      try {
        const client = await this.#connect();
        log.info({ target, attempt }, 'listening again');
        for (const all of this.#channels.values()) {
          for (const { onGap } of all) this.#call(() => onGap?.());
        }
        return client;
      } catch (error) {
        log.debug({ err: connectFailure(error, target), attempt }, 'not listening yet');
      }
    }
  }

  async #askRegularly(client: Client, signal: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await this.#options.clock.sleep(limits.askEveryMs, signal);
        await this.#send(client, 'select 1');
      }
    } catch {
      // With a question unanswered this destroys the socket, and `end` follows.
      if (!signal.aborted) await client.end().catch(() => undefined);
    }
  }

  #send(client: Client, text: string): Promise<unknown> {
    const query = { text, query_timeout: limits.answerMs };
    const sent = this.#lastStatement.then(() => client.query(query));
    this.#lastStatement = sent.catch(() => undefined);
    return sent;
  }

  #deliver(channel: string, payload: string): void {
    for (const { onPayload } of this.#channels.get(channel) ?? []) {
      this.#call(() => onPayload(payload));
    }
  }

  #call(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#options.log.error({ err: error }, 'a listener failed');
    }
  }
}

/** LISTEN takes no parameters, so the name is held to what needs no quoting. */
export function listenStatement(channel: string): string {
  if (/^[a-z_][a-z0-9_]{0,62}$/.test(channel)) return `listen "${channel}"`;
  throw new AppError('invalid_input', `${JSON.stringify(channel)} can not be a channel's name`, {
    details: { channel },
    remedy: 'Use lower-case letters, digits and underscores, at most 63, no digit first.',
  });
}
