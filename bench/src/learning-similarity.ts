/**
 * How long the ten nearest of many vectors take, and how many of them are found: the exact index in
 * this process, HNSW of pgvector on PostgreSQL 17 and in the embedded database, beside a plain loop. Vectors are
 * a mixture on the sphere (learning-similarity-data.ts), searched for by further draws from it.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, systemClock } from '../../src/base/base.ts';
import { migrate, openDatabase, sql, type Database } from '../../src/database/database.ts';
import { ExactIndex } from '../../src/learning/similarity/exact-index.ts';
import { openHnswNeighbourhood } from '../../src/learning/similarity/similarity.ts';
import { ensureVectorTables, placeOf } from '../../src/learning/similarity/vector-tables.ts';
import { withServer } from './coordination-server.ts';
import {
  embedder,
  hashAt,
  makeVectors,
  plainSearch,
  vectorAt,
  writeVectors,
  type VectorSet,
} from './learning-similarity-data.ts';
import type { Measured, MeasureOptions } from './report.ts';

const neighbours = 10;
const defaultSizes = [1_000, 100_000];
const defaultRounds = 3;
/** Searches of a round. */
const searches = 200;
/** Each vector takes the embedded database about 2 ms, in which nothing else runs. */
const mostEmbedded = 10_000;

const log = createLog({ level: 'error' });
const migrations = join(import.meta.dirname, '../../migrations');

type Progress = MeasureOptions['progress'];
type Ids = readonly string[];

export async function measure(options: MeasureOptions): Promise<Measured[]> {
  const { repeats = defaultRounds, vectors, progress } = options;
  const home = mkdtempSync(join(tmpdir(), 'centuria-similarity-'));
  // The server runs as another user when this one is root.
  chmodSync(home, 0o755);

  const settings = { shared_buffers: '2GB', max_wal_size: '8GB' };
  try {
    return await withServer(home, settings, async (place) => {
      const measured: Measured[] = [];
      for (const count of vectors === undefined ? defaultSizes : [vectors]) {
        progress(`${count} vectors are made`);
        const set = makeVectors(count, searches);
        const { figures, ids } = await measureExact(set, repeats, progress);
        measured.push(...figures);
        const own = await place.fresh(`similarity_${count}`);
        const server = await own.open();
        measured.push(...(await measureHnsw('server', server, set, ids, repeats, progress)));
        await server.close();
        await own.drop();
        measured.push(
          ...(await measureEmbedded(join(home, `${count}`), set, ids, repeats, progress)),
        );
      }
      return measured;
    });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function measureExact(
  set: VectorSet,
  rounds: number,
  progress: Progress,
): Promise<{ figures: Measured[]; ids: readonly Ids[] }> {
  progress(`the exact index of ${set.count}`);
  const before = process.memoryUsage().rss;
  const index = new ExactIndex();
  const began = performance.now();
  for (let at = 0; at < set.count; at += 1) index.set(hashAt(at), vectorAt(set, at));
  const buildS = (performance.now() - began) / 1_000;
  const rssMib = (process.memoryUsage().rss - before) / 2 ** 20;
  const ids: Ids[] = [];
  for (const query of set.queries) {
    ids.push((await index.near(query, neighbours)).map(({ id }) => id));
  }
  const mine = await timed(rounds, set.queries, (query) => index.near(query, neighbours));
  const loop = await timed(rounds, set.queries.slice(0, 20), (query) =>
    plainSearch(set, query, neighbours),
  );
  const peer = { name: 'plain JavaScript loop' };
  const name = `exact_${set.count}`;
  const figures: Measured[] = [
    { metric: `${name}_p50`, unit: 'ms', values: mine.p50, peer: { ...peer, values: loop.p50 } },
    { metric: `${name}_p99`, unit: 'ms', values: mine.p99, peer: { ...peer, values: loop.p99 } },
    {
      metric: `${name}_longest_hold`,
      unit: 'ms',
      values: [await longestHold(index, set.queries.slice(0, 50))],
    },
    { metric: `${name}_build`, unit: 's', values: [buildS] },
    { metric: `${name}_memory`, unit: 'MiB', values: [index.memoryBytes / 2 ** 20] },
    { metric: `${name}_rss`, unit: 'MiB', values: [rssMib] },
    { metric: `${name}_recall`, unit: 'of 10', values: [recallOf(ids, plainIds(set))] },
  ];
  return { figures, ids };
}

/** Of the first 20 searches, by a loop over everything. */
function plainIds(set: VectorSet): Ids[] {
  return set.queries
    .slice(0, 20)
    .map((query) => plainSearch(set, query, neighbours).map((index) => hashAt(index)));
}

/** How long nothing else in the process could run, at the most. */
async function longestHold(index: ExactIndex, queries: readonly Float32Array[]): Promise<number> {
  let [last, longest, isOver] = [performance.now(), 0, false];
  const beat = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (!isOver) setImmediate(beat);
  };
  setImmediate(beat);
  for (const query of queries) {
    await index.near(query, neighbours);
    // A search that never pauses holds the process for its whole time: the next beat tells.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  isOver = true;
  return longest;
}

async function measureHnsw(
  kind: 'server' | 'embedded',
  database: Database,
  set: VectorSet,
  ids: readonly Ids[],
  rounds: number,
  progress: Progress,
): Promise<Measured[]> {
  const name = `hnsw_${kind}_${set.count}`;
  await migrate(database, { folder: migrations, log, clock: systemClock });
  await ensureVectorTables(database, embedder);
  progress(`${name}: vectors are written`);
  await writeVectors(database, set, progress);
  progress(`${name}: the index is built`);
  const began = performance.now();
  const near = await openHnswNeighbourhood({ database, embedder, log });
  await near.filled;
  const buildS = (performance.now() - began) / 1_000;
  const found: Ids[] = [];
  progress(`${name}: searches`);
  for (const query of set.queries) {
    found.push((await near.near(query, neighbours)).map(({ taskHash }) => taskHash));
  }
  const { p50, p99 } = await timed(rounds, set.queries, (query) => near.near(query, neighbours));
  const [size] = await database.query(
    sql<{ bytes: bigint }>`select pg_relation_size(${placeOf(embedder).index}::regclass) as bytes`,
  );
  await near.close();
  return [
    {
      metric: `${name}_recall`,
      unit: 'of 10',
      values: [recallOf(found, ids)],
      target: { atLeast: 0.95 },
    },
    { metric: `${name}_p50`, unit: 'ms', values: p50 },
    { metric: `${name}_p99`, unit: 'ms', values: p99 },
    { metric: `${name}_build`, unit: 's', values: [buildS] },
    { metric: `${name}_index`, unit: 'MiB', values: [Number(size?.bytes ?? 0) / 2 ** 20] },
  ];
}

async function measureEmbedded(
  home: string,
  set: VectorSet,
  ids: readonly Ids[],
  rounds: number,
  progress: Progress,
): Promise<Measured[]> {
  if (set.count > mostEmbedded) {
    const unavailable = `building it would hold the process for about ${Math.round((set.count * 2) / 60_000)} minutes`;
    return [
      {
        metric: `hnsw_embedded_${set.count}_p50`,
        unit: 'ms',
        values: [],
        peer: { name: 'pgvector in the embedded database', unavailable },
      },
    ];
  }
  const database = await openDatabase({ home, poolSize: 1, log, clock: systemClock });
  try {
    return await measureHnsw('embedded', database, set, ids, rounds, progress);
  } finally {
    await database.close();
  }
}

/** The share of the ids of each search that the other one found too. */
function recallOf(found: readonly Ids[], expected: readonly Ids[]): number {
  let [same, all] = [0, 0];
  for (const [index, ids] of found.entries()) {
    const others = expected[index];
    if (others === undefined) continue;
    all += others.length;
    same += ids.filter((id) => others.includes(id)).length;
  }
  return same / all;
}

async function timed(
  rounds: number,
  queries: readonly Float32Array[],
  search: (query: Float32Array) => unknown,
): Promise<{ p50: number[]; p99: number[] }> {
  const [p50, p99]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    const took: number[] = [];
    for (const query of queries) {
      const began = performance.now();
      await search(query);
      took.push(performance.now() - began);
    }
    took.sort((a, b) => a - b);
    p50.push(took[Math.floor(took.length * 0.5)] ?? 0);
    p99.push(took[Math.floor(took.length * 0.99)] ?? 0);
  }
  return { p50, p99 };
}
