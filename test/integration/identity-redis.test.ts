import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/base.ts';
import { createRedis, redisScript, type Redis } from '../../src/identity/redis.ts';
import { recordedLog, silentLog, until } from '../support/databases.ts';
import {
  cuttingProxy,
  redisUnavailable,
  startRedis,
  type CuttingProxy,
  type TestRedis,
} from '../support/redis.ts';

const clock = systemClock;

test('without a URL it is absent, and says so to whoever asks', async () => {
  const redis = createRedis({ url: '', log: silentLog, clock });
  expect(redis.state).toStrictEqual({ state: 'absent' });
  await expect(redis.command('PING')).rejects.toMatchObject({ code: 'unavailable' });
  redis
    .subscribe(
      'channel',
      () => undefined,
      () => undefined,
    )
    .close();
  redis.close();
});

test.for(['http://host', 'redis://:hunter2@host:99999', 'redis://u:hunter2@[x', 'nonsense'])(
  'a URL that can not be read is a wrong configuration, and is not repeated: %s',
  (url) => {
    let thrown: unknown;
    try {
      createRedis({ url, log: silentLog, clock }).close();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'config_invalid' });
    expect(JSON.stringify(thrown) + String(thrown)).not.toContain('hunter2');
  },
);

test('a server that is not there is down with a reason, and the start goes on', async () => {
  const { log, lines } = recordedLog();
  const redis = createRedis({ url: 'redis://:hunter2@127.0.0.1:1', log, clock });
  expect(redis.state).toStrictEqual({ state: 'connecting' });
  await expect(redis.command('PING')).rejects.toMatchObject({ code: 'unavailable' });
  await until(() => redis.state.state === 'down');
  expect(redis.state).toMatchObject({ reason: expect.stringContaining('127.0.0.1:1: ') as string });
  await expect(redis.command('PING')).rejects.toThrow(/ECONNREFUSED/);
  redis.close();
  expect(lines.join('') + JSON.stringify(redis.state)).not.toContain('hunter2');
});

describe.skipIf(redisUnavailable)('a connection to Redis', () => {
  let server: TestRedis;
  let redis: Redis;
  const connected: Redis[] = [];
  const open = (url = server.url): Redis => {
    const made = createRedis({ url, log: silentLog, clock });
    connected.push(made);
    return made;
  };
  const ready = (which = redis) => until(() => which.state.state === 'ready');

  beforeEach(async () => {
    server = await startRedis();
    redis = open();
    await ready();
  });
  afterEach(async () => {
    for (const each of connected.splice(0)) each.close();
    await server.remove();
  });

  test('sends commands and runs scripts', async () => {
    expect(await redis.command('SET', 'key', 'value')).toBe('OK');
    expect(await redis.command('GET', 'key')).toBe('value');
    const script = redisScript("return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1])}");
    expect(await redis.run(script, ['key'], ['a'])).toStrictEqual(['key', 'a', 'value']);
  });

  test('gives the refusal of the server as an error and goes on', async () => {
    await expect(redis.command('INCR')).rejects.toMatchObject({ details: { reply: 'ERR' } });
    expect(redis.state.state).toBe('ready');
  });

  test('goes down with the server and comes back with it', async () => {
    let readies = 0;
    redis.onReady(() => void (readies += 1));
    await server.kill();
    await until(() => redis.state.state === 'down');
    await expect(redis.command('PING')).rejects.toMatchObject({ code: 'unavailable' });
    await server.start();
    await ready();
    expect(await redis.command('PING')).toBe('PONG');
    expect(readies).toBe(1);
  });

  test('fails what is under way when the server is killed', async () => {
    server.pause();
    const waiting = Promise.allSettled(Array.from({ length: 50 }, () => redis.command('PING')));
    await server.kill();
    const answers = await waiting;
    expect(answers.every(({ status }) => status === 'rejected')).toBe(true);
  });

  test('gives a silent server up instead of waiting, and takes no late answer for another', async () => {
    await redis.command('SET', 'a', 'of a');
    await redis.command('SET', 'b', 'of b');
    server.pause();
    await expect(redis.command('GET', 'a')).rejects.toThrow('no answer within 250 ms');
    await new Promise((resolve) => setImmediate(resolve));
    expect(redis.state.state).toBe('down');
    // It takes connections and still says nothing: that is no connection.
    await systemClock.sleep(500);
    expect(redis.state.state).toBe('down');
    server.resume();
    await ready();
    expect(await redis.command('GET', 'b')).toBe('of b');
  });

  test('is not given up when this process itself was busy for a while', async () => {
    const answer = redis.command('PING');
    // The answer arrives meanwhile, and the time limit passes, too.
    await new Promise((resolve) => setImmediate(resolve));
    const end = performance.now() + 600;
    while (performance.now() < end);
    expect(await answer).toBe('PONG');
    expect(redis.state.state).toBe('ready');
  });

  test('fails a command whose connection is cut before the answer, though it was carried out', async () => {
    const proxy: CuttingProxy = await cuttingProxy(server.port);
    try {
      const through = open(`redis://127.0.0.1:${proxy.port}`);
      await ready(through);
      proxy.cutNextAnswer();
      await expect(through.command('INCR', 'count')).rejects.toMatchObject({ code: 'unavailable' });
      await ready(through);
      expect(await through.command('GET', 'count')).toBe('1');
    } finally {
      await proxy.close();
    }
  });

  test('says which password was wrong by not saying it', async () => {
    const locked = await startRedis({ password: 'open-sesame' });
    try {
      const right = open(locked.url);
      await ready(right);
      const wrong = open(locked.url.replace('open-sesame', 'hunter2'));
      await until(() => wrong.state.state === 'down');
      expect(JSON.stringify(wrong.state)).toMatch(/WRONGPASS/);
      expect(JSON.stringify(wrong.state)).not.toContain('hunter2');
    } finally {
      await locked.remove();
    }
  });
});

describe.skipIf(redisUnavailable)('subscriptions', () => {
  let server: TestRedis;
  let sender: Redis;
  let receiver: Redis;
  const heard: string[] = [];

  beforeEach(async () => {
    heard.length = 0;
    server = await startRedis();
    sender = createRedis({ url: server.url, log: silentLog, clock });
    receiver = createRedis({ url: server.url, log: silentLog, clock });
    await until(() => sender.state.state === 'ready');
  });
  afterEach(async () => {
    sender.close();
    receiver.close();
    await server.remove();
  });

  const listen = (channel: string, name = channel) =>
    receiver.subscribe(
      channel,
      (payload) => heard.push(`${name} ${payload}`),
      () => heard.push(`${name} gap`),
    );

  test('hear every message after the first gap', async () => {
    listen('revoked');
    await until(() => heard.length === 1);
    await sender.publish('revoked', '1');
    await sender.publish('revoked', '2');
    await until(() => heard.length === 3);
    expect(heard).toStrictEqual(['revoked gap', 'revoked 1', 'revoked 2']);
  });

  test('of one connection keep their channels apart, and each hears of its own gap', async () => {
    listen('a');
    await until(() => heard.length === 1);
    listen('a', 'second');
    const third = listen('b');
    await until(() => heard.length === 3);
    await sender.publish('a', '1');
    await sender.publish('b', '2');
    await until(() => heard.length === 6);
    expect(heard.slice(1, 3).toSorted()).toStrictEqual(['b gap', 'second gap']);
    expect(heard.slice(3)).toStrictEqual(['a 1', 'second 1', 'b 2']);
    third.close();
    await sender.publish('b', '3');
    await sender.publish('a', '4');
    await until(() => heard.includes('second 4'));
    expect(heard).not.toContain('b 3');
  });

  test('go on after a restart of the server, and tell of the gap', async () => {
    listen('revoked');
    await until(() => heard.length === 1);
    await server.kill();
    await until(() => receiver.subscriptionState.state === 'down');
    listen('made while it was down');
    await server.start();
    await until(() => heard.length === 3 && sender.state.state === 'ready');
    expect(heard.slice(1)).toStrictEqual(['revoked gap', 'made while it was down gap']);
    await sender.publish('revoked', 'after');
    await until(() => heard.includes('revoked after'));
  });

  test('find out that the server says nothing any more', async () => {
    listen('revoked');
    await until(() => heard.length === 1);
    server.pause();
    await until(() => receiver.subscriptionState.state === 'down');
    server.resume();
    await until(() => heard.length === 2);
    expect(heard).toStrictEqual(['revoked gap', 'revoked gap']);
  });

  test('survive a listener that throws', async () => {
    receiver.subscribe(
      'revoked',
      () => {
        throw new Error('of the listener');
      },
      () => {
        throw new Error('of the listener');
      },
    );
    listen('revoked');
    await until(() => heard.length === 1);
    await sender.publish('revoked', '1');
    await until(() => heard.includes('revoked 1'));
    expect(receiver.subscriptionState.state).toBe('ready');
  });
});
