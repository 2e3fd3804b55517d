/**
 * Redis or Valkey as a cache and a messenger, never as a truth: it may be absent, go and come back.
 * Nothing here waits for it: a command either has its answer within 250 ms or fails.
 */
import { createHash } from 'node:crypto';
import { AppError, toAppError, type Clock, type Log } from '../base/base.ts';
import { readAddress, reasonOf, RedisConnection } from './redis-connection.ts';
import { RedisListener } from './redis-listener.ts';

export type RedisState =
  | { readonly state: 'absent' }
  | { readonly state: 'connecting' }
  | { readonly state: 'ready' }
  /** `reason` names the server and what went wrong, without the password. */
  | { readonly state: 'down'; readonly reason: string };

export interface RedisSubscription {
  close(): void;
}

/** A Lua script; the server keeps it, so that only its hash is sent after the first time. */
export interface RedisScript {
  readonly text: string;
  readonly sha1: string;
}

export interface Redis {
  /** Whether commands can be sent now. */
  readonly state: RedisState;
  /** Of the connection that listens; `absent` until something is subscribed. */
  readonly subscriptionState: RedisState;
  /**
   * Sends one command and gives its answer. Throws `unavailable` at once when the server is not
   * ready, and after 250 ms without an answer: then it may have been carried out all the same.
   */
  command(...words: readonly string[]): Promise<unknown>;
  /** Runs a script on the keys. Throws as `command` does. */
  run(script: RedisScript, keys: readonly string[], args: readonly string[]): Promise<unknown>;
  /** Sends to whoever is subscribed now. Throws as `command` does. */
  publish(channel: string, payload: string): Promise<void>;
  /**
   * Calls `onPayload` for each message of the channel. `onGap` is called whenever listening begins,
   * the first time as well: what was sent before may have been missed. Never waits or throws.
   */
  subscribe(
    channel: string,
    onPayload: (payload: string) => void,
    onGap: () => void,
  ): RedisSubscription;
  /** Calls `call` each time commands can be sent again, the first time included. */
  onReady(call: () => void): void;
  /** Commands under way fail. Safe to call twice. */
  close(): void;
}

export interface RedisOptions {
  /** `redis://`, `rediss://` or `unix:`; empty: there is none. */
  readonly url: string;
  readonly log: Log;
  readonly clock: Clock;
}

const commandMs = 250;
/** More commands than this under way are no load any more but a stall. */
const mostPending = 10_000;

export function redisScript(text: string): RedisScript {
  return { text, sha1: createHash('sha1').update(text).digest('hex') };
}

/**
 * Begins to connect and returns at once; nothing that the server does or does not do throws here.
 * Throws `config_invalid` for a URL that can not be read.
 */
export function createRedis({ url, log, clock }: RedisOptions): Redis {
  if (url === '') return absentRedis;
  const address = readAddress(url);
  const whenReady = new Set<() => void>();
  const onReady = (): void => {
    for (const call of whenReady) call();
  };
  const connection = new RedisConnection({ address, purpose: 'commands', log, clock, onReady });
  const listener = new RedisListener({ address, log, clock });
  let pending = 0;

  const send = (words: readonly string[]): Promise<unknown> => {
    const { client, state } = connection;
    if (client === undefined) return Promise.reject(unavailable(describe(state)));
    if (pending >= mostPending) {
      return Promise.reject(unavailable(`${mostPending} commands are under way`));
    }
    pending += 1;
    return new Promise((resolve, reject) => {
      let answered = false;
      const settle = (act: () => void): void => {
        if (answered) return;
        answered = true;
        pending -= 1;
        cancel();
        act();
      };
      const giveUp = (): void => {
        // The answers behind it are late as well, and must not be taken for others.
        const reason = `no answer within ${commandMs} ms`;
        connection.lose(client, reason);
        reject(unavailable(reason));
      };
      // An answer that came while this process was busy is read before `setImmediate`.
      const cancel = clock.after(commandMs, () => void setImmediate(() => settle(giveUp)));
      client.sendCommand(words).then(
        (answer) => settle(() => resolve(answer)),
        (error: unknown) => settle(() => reject(unavailable(reasonOf(error)))),
      );
    });
  };

  return {
    get state() {
      return connection.state;
    },
    get subscriptionState() {
      return listener.state;
    },
    command: (...words) => send(words),

    async run({ text, sha1 }, keys, args) {
      const tail = [String(keys.length), ...keys, ...args];
      try {
        return await send(['EVALSHA', sha1, ...tail]);
      } catch (error) {
        // A server that started anew, or whose scripts were flushed, does not know it.
        if (toAppError(error).details['reply'] !== 'NOSCRIPT') throw error;
        return await send(['EVAL', text, ...tail]);
      }
    },

    async publish(channel, payload) {
      await send(['PUBLISH', channel, payload]);
    },
    subscribe: (channel, onPayload, onGap) => listener.subscribe(channel, onPayload, onGap),
    onReady: (call) => void whenReady.add(call),

    close() {
      connection.close();
      listener.close();
    },
  };
}

const noRedis = (): Promise<never> => Promise.reject(unavailable('none is configured'));

const absentRedis: Redis = {
  state: { state: 'absent' },
  subscriptionState: { state: 'absent' },
  command: noRedis,
  run: noRedis,
  publish: noRedis,
  subscribe: () => ({ close: () => undefined }),
  onReady: () => undefined,
  close: () => undefined,
};

function describe(state: RedisState): string {
  return state.state === 'down' ? state.reason : 'still connecting';
}

/** `details.reply` is the first word of the server's answer, where there was one. */
function unavailable(reason: string): AppError {
  const reply = /^[A-Z]+(?= )/.exec(reason)?.[0];
  const details = reply === undefined ? {} : { reply };
  return new AppError('unavailable', `Redis: ${reason}`, { details });
}
