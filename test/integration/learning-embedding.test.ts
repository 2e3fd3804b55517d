/** Embeddings against a real database and a real server that speaks OpenAI's protocol. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLog, systemClock, type Clock } from '../../src/base/base.ts';
import { sql } from '../../src/database/database.ts';
import { createOfflineEmbedder } from '../../src/learning/embedding/offline.ts';
import { createOpenAiEmbedder, type OpenAiOptions } from '../../src/learning/embedding/openai.ts';
import { reembed, unembeddedTexts } from '../../src/learning/embedding/reembed.ts';
import { vectorBytes } from '../../src/learning/embedding/vectors.ts';
import type { Embedder } from '../../src/learning/types.ts';
import { createOutbound, type Outbound } from '../../src/outbound/outbound.ts';
import { openStore, type TestStore } from '../support/coordination.ts';

interface Asked {
  readonly model: string;
  readonly input: readonly string[];
  readonly dimensions?: number;
}
type Answer = (asked: Asked, response: ServerResponse, request: IncomingMessage) => void;

const log = createLog({ level: 'silent' });
const key = 'sk-test-0123456789abcdef';
const requests: { asked: Asked; authorization: string | undefined }[] = [];
let answer: Answer;
let store: TestStore;
let outbound: Outbound;
let baseUrl = '';

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (part: string) => (body += part));
  request.on('end', () => {
    const asked = JSON.parse(body) as Asked;
    requests.push({ asked, authorization: request.headers.authorization });
    if (request.url !== '/v1/embeddings') response.writeHead(404).end();
    else answer(asked, response, request);
  });
});

/** A direction for each text, of as many numbers as wanted; not of length 1. */
const direction = (text: string, length: number): number[] => {
  const hash = createHash('sha256').update(text).digest();
  return Array.from({ length }, (_, index) => (hash[index % 32] ?? 0) - 127.5);
};
const give = (response: ServerResponse, vectors: readonly unknown[]): void => {
  const data = vectors.map((embedding, index) => ({ object: 'embedding', index, embedding }));
  response.writeHead(200, { 'content-type': 'application/json' });
  // In any order: the index says which is which.
  response.end(JSON.stringify({ object: 'list', data: data.toReversed() }));
};
const giveAll =
  (length = 256): Answer =>
  ({ input }, response) =>
    give(
      response,
      input.map((text) => direction(text, length)),
    );

/** Time that passes at once, so that pauses are counted and not waited for. */
const pauses: number[] = [];
const hurried: Clock = {
  ...systemClock,
  sleep: async (ms, signal) => {
    signal?.throwIfAborted();
    pauses.push(ms);
  },
};

const embedder = (more: Partial<OpenAiOptions> = {}): Embedder =>
  createOpenAiEmbedder({ baseUrl, model: 'm1', key, outbound, clock: hurried, ...more });

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  outbound = createOutbound({ allow: [] });
  store = await openStore('embedded');
});

afterAll(async () => {
  await outbound.close();
  await store.close();
  server.close();
});

test('a server’s vectors come in the order of the texts, 128 texts a request, with the length 1', async () => {
  requests.length = 0;
  answer = giveAll();
  const texts = Array.from({ length: 300 }, (_, index) => `text ${index}`);
  const vectors = await embedder().embed([...texts, '', '\ud800']);
  expect(requests.map(({ asked }) => asked.input.length)).toEqual([128, 128, 46]);
  expect(requests[0]).toMatchObject({
    authorization: `Bearer ${key}`,
    asked: { model: 'm1', dimensions: 256 },
  });
  // Servers refuse empty texts and what is no Unicode.
  expect(requests[2]?.asked.input.slice(-2)).toEqual(['.', '\ufffd']);
  expect(vectors).toHaveLength(302);
  const wanted = direction('text 200', 256);
  const cosine = (vectors[200] ?? new Float32Array(0)).reduce(
    (sum, x, k) => sum + x * (wanted[k] ?? 0),
    0,
  );
  expect(cosine / Math.sqrt(wanted.reduce((sum, x) => sum + x * x, 0))).toBeCloseTo(1, 5);
});

test('another length is refused naming both, unless a longer one may be cut', async () => {
  answer = giveAll(384);
  await expect(embedder().embed(['x'])).rejects.toMatchObject({
    code: 'embedding_invalid',
    message: expect.stringMatching(/has 384 numbers, and embeddings here have 256$/),
  });
  const cut = embedder({ longVectors: 'truncate' });
  const [vector] = await cut.embed(['x']);
  expect(vectorBytes(vector ?? new Float32Array(0))).toHaveLength(1_024);
  expect(cut.name).not.toBe(embedder().name);
  answer = giveAll(128);
  await expect(cut.embed(['x'])).rejects.toThrow('has 128 numbers');
});

test('vectors that are none are refused', async () => {
  const wrong: [unknown[], RegExp][] = [
    [[Array(256).fill(0)], /all zeros/],
    [[[...Array(255).fill(1), null]], /no list of numbers/],
    [['bm90IGE='], /no list of numbers/],
    [[], /gave 0 vectors for 1 texts/],
    [[direction('a', 256), direction('b', 256)], /gave 2 vectors for 1 texts/],
  ];
  for (const [vectors, message] of wrong) {
    answer = (_, response) => give(response, vectors);
    await expect(embedder().embed(['x'])).rejects.toMatchObject({
      code: 'embedding_invalid',
      message: expect.stringMatching(message),
    });
  }
  // JSON has no NaN, but numbers that are larger than any.
  answer = (_, response) =>
    response.end(`{"data":[{"index":0,"embedding":[1e999,${Array(255).fill(1).join()}]}]}`);
  await expect(embedder().embed(['x'])).rejects.toThrow(/Infinity as number 0/);
  answer = (_, response) => response.end('<html>');
  await expect(embedder().embed(['x'])).rejects.toThrow(/no JSON/);
});

test('a busy server is asked again as it wishes, and a server that refuses is not', async () => {
  let count = 0;
  pauses.length = 0;
  answer = (asked, response, request) => {
    count += 1;
    if (count === 1) response.writeHead(429, { 'retry-after': '7' }).end('slow down');
    else if (count === 2) response.writeHead(503).end();
    else giveAll()(asked, response, request);
  };
  await embedder().embed(['x']);
  expect(count).toBe(3);
  expect(pauses).toContain(7_000);

  requests.length = 0;
  answer = (_, response) => response.writeHead(401).end(`wrong key ${key}`);
  const refused = embedder().embed(['x']);
  await expect(refused).rejects.toMatchObject({ code: 'unavailable', details: { status: 401 } });
  await expect(refused).rejects.toThrow(/401 wrong key \[redacted\]/);
  expect(requests).toHaveLength(1);

  answer = (_, response) => response.writeHead(400).end('too many tokens');
  await expect(embedder().embed(['x'])).rejects.toMatchObject({ code: 'embedding_invalid' });

  requests.length = 0;
  answer = (_, response) => response.writeHead(500).end();
  await expect(embedder().embed(['x'])).rejects.toMatchObject({ code: 'unavailable' });
  expect(requests).toHaveLength(4);
});

test('a server that is silent or away does not hold anybody up for ever', async () => {
  answer = () => {};
  const single = { retry: { attempts: 1, baseMs: 1, maxMs: 1 } };
  await expect(embedder({ timeoutMs: 50, ...single }).embed(['x'])).rejects.toMatchObject({
    code: 'timeout',
  });
  const stopping = new AbortController();
  const stopped = embedder().embed(['x'], stopping.signal);
  stopping.abort(new Error('stopped'));
  await expect(stopped).rejects.toThrow('stopped');
  const away = embedder({ baseUrl: 'http://127.0.0.1:1/v1', ...single });
  await expect(away.embed(['x'])).rejects.toMatchObject({ code: 'unavailable' });
  expect(() => embedder({ baseUrl: 'ftp://x/v1' })).toThrow(/embeddingBaseUrl/);
});

const insertText = (text: string) => sql`
  insert into task_texts (task_hash, task_type, description)
  values (${createHash('sha256').update(text).digest()}::bytea, 'review', ${text})`;
const countBy = sql<{ embedder: string; count: bigint }>`
  select embedder, count(*) as count from task_embeddings group by 1 order by 1`;

test('texts are embedded in batches, go on after an end, and replace the vectors of before', async () => {
  const { database } = store;
  for (let index = 0; index < 10; index += 1) await database.query(insertText(`task ${index}`));
  const offline = await createOfflineEmbedder();
  const options = { database, embedder: offline, clock: hurried, log, batchSize: 4 };

  // Ends in the middle: the first batch is kept.
  const ending = new AbortController();
  const ended = reembed({ ...options, signal: ending.signal, onKept: () => ending.abort() });
  await expect(ended).rejects.toMatchObject({ name: 'AbortError' });
  expect(await unembeddedTexts(database, offline.name)).toBe(6);

  const told: string[] = [];
  const rest = await reembed({
    ...options,
    onKept: (tasks) => void told.push(...tasks.map(({ text }) => text)),
  });
  expect(rest).toEqual({ embedded: 6, refused: 0, dropped: 0 });
  expect(told).toHaveLength(6);
  expect(await unembeddedTexts(database, offline.name)).toBe(0);

  // Another embedder, which has nothing for one text: the old vectors stay as long as it lacks one.
  answer = ({ input }, response) =>
    give(
      response,
      input.map((text) => (text === 'task 3' ? Array(256).fill(0) : direction(text, 256))),
    );
  const other = embedder();
  const partly = await reembed({ ...options, embedder: other });
  expect(partly).toEqual({ embedded: 9, refused: 1, dropped: 0 });
  answer = giveAll();
  const whole = await reembed({ ...options, embedder: other });
  expect(whole).toEqual({ embedded: 1, refused: 0, dropped: 10 });
  expect(await database.query(countBy)).toEqual([{ embedder: other.name, count: 10n }]);
  expect(await reembed({ ...options, embedder: other })).toEqual({
    embedded: 0,
    refused: 0,
    dropped: 0,
  });
});

test('a server that fails ends the work with its error, and what is done stays', async () => {
  const { database } = store;
  for (let index = 0; index < 6; index += 1) await database.query(insertText(`more ${index}`));
  let count = 0;
  answer = (asked, response, request) => {
    count += 1;
    if (count > 1) response.writeHead(401).end();
    else giveAll()(asked, response, request);
  };
  const options = { database, embedder: embedder(), clock: hurried, log, batchSize: 4 };
  await expect(reembed(options)).rejects.toMatchObject({ code: 'unavailable' });
  expect(await unembeddedTexts(database, options.embedder.name)).toBe(2);
});
