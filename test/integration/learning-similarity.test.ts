import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLog } from '../../src/base/base.ts';
import { sql, type Database } from '../../src/database/database.ts';
import type { Evidence } from '../../src/learning/learning.ts';
import {
  openExactNeighbourhood,
  openHnswNeighbourhood,
  openNeighbourhood,
  type FedNeighbourhood,
  type LearnedTask,
} from '../../src/learning/similarity/similarity.ts';
import { openStore, type TestStore } from '../support/coordination.ts';
import { drivers, unavailable } from '../support/databases.ts';
import { clusteredVectors } from '../support/vectors.ts';

const log = createLog({ level: 'silent' });
/** A quote in it shows that its name is no part of any statement. */
const embedder = "test's embedder";

const evidenceOf = (agent: string, tried: number): Evidence => ({
  agent,
  tried,
  succeeded: tried - 1,
  logMs: tried * 2,
  logMsSquares: tried * 5,
  paid: 1,
  microUsd: 10,
});

function taskAt(number: number, vector: Float32Array): LearnedTask & { vector: Float32Array } {
  const [type, text] = [`type ${number % 3}`, `tâche ${number}`];
  const taskHash = createHash('sha256').update(`${type}\0${text}`).digest('hex');
  const evidence = number % 2 === 0 ? [evidenceOf('a', 3), evidenceOf('b', 2)] : [];
  return { taskHash, type, text, vector, evidence };
}

async function write(
  database: Database,
  tasks: readonly LearnedTask[],
  name = embedder,
): Promise<void> {
  await database.query(sql`
    insert into task_texts (task_hash, task_type, description)
    select decode(hash, 'hex'), type, text from unnest(${tasks.map((task) => task.taskHash)}::text[],
      ${tasks.map((task) => task.type)}::text[], ${tasks.map((task) => task.text)}::text[]) as n (hash, type, text)
    on conflict do nothing`);
  const embedded = tasks.filter((task) => task.vector !== undefined);
  await database.query(sql`
    insert into task_embeddings (task_hash, embedder, embedding)
    select decode(hash, 'hex'), ${name}::text, vector
    from unnest(${embedded.map((task) => task.taskHash)}::text[],
      ${embedded.map((task) => new Uint8Array(task.vector?.buffer ?? new ArrayBuffer(0)))}::bytea[]) as n (hash, vector)`);
  const rows = tasks.flatMap((task) => task.evidence.map((one) => ({ hash: task.taskHash, one })));
  await database.query(sql`
    insert into task_evidence (task_hash, agent, tried, succeeded, log_ms, log_ms_squares, paid,
      micro_usd, last_at)
    select decode(hash, 'hex'), agent, tried, tried - 1, tried * 2, tried * 5, 1, 10, now()
    from unnest(${rows.map(({ hash }) => hash)}::text[], ${rows.map(({ one }) => one.agent)}::text[],
      ${rows.map(({ one }) => one.tried)}::integer[]) as n (hash, agent, tried)`);
}

const hashes = (near: readonly { readonly taskHash: string }[]): readonly string[] =>
  near.map(({ taskHash }) => taskHash);

for (const driver of drivers) {
  describe.skipIf(unavailable(driver))(`on the ${driver} database`, () => {
    const next = clusteredVectors(7, 20);
    const tasks = Array.from({ length: 2_000 }, (_, number) => taskAt(number, next()));
    let store: TestStore;
    let exact: FedNeighbourhood;
    let hnsw: Awaited<ReturnType<typeof openHnswNeighbourhood>>;

    beforeAll(async () => {
      store = await openStore(driver);
      const { database } = store;
      await write(database, tasks);
      // Vectors of another embedder are no neighbours, however near they are.
      await write(database, [{ ...taskAt(0, next()), evidence: [] }], 'another embedder');
      exact = await openExactNeighbourhood({ database, embedder });
      hnsw = await openHnswNeighbourhood({ database, embedder, log });
      await hnsw.filled;
    });
    afterAll(async () => {
      await exact?.close();
      await hnsw?.close();
      await store?.close();
    });

    test('the index of pgvector finds what the exact search finds, with the same texts and evidence', async () => {
      expect(hnsw.status()).toMatchObject({
        kind: 'hnsw',
        reason: expect.stringMatching(/^pgvector \d+\.\d+.* complete$/) as string,
      });
      let same = 0;
      for (let asked = 0; asked < 25; asked += 1) {
        const query = next();
        const [expected, found] = [await exact.near(query, 10), await hnsw.near(query, 10)];
        expect(found).toHaveLength(10);
        same += hashes(found).filter((hash) => hashes(expected).includes(hash)).length;
        for (const { similarity, ...rest } of found) {
          const twin = expected.find(({ taskHash }) => taskHash === rest.taskHash);
          if (twin === undefined) continue;
          expect({ ...twin, similarity: undefined }).toEqual({ ...rest, similarity: undefined });
          expect(similarity).toBeCloseTo(twin.similarity, 5);
        }
      }
      expect(same / 250).toBeGreaterThanOrEqual(0.95);
    });

    test('the nearest to the vector of a task is the task, as it was written', async () => {
      const task = tasks[100];
      for (const neighbourhood of [exact, hnsw]) {
        const [nearest] = await neighbourhood.near(task?.vector ?? next(), 1);
        const { vector: _, ...written } = task ?? taskAt(0, next());
        expect(nearest).toEqual({ ...written, similarity: expect.closeTo(1, 5) as number });
      }
    });

    test('a new task is found when it has its vector, with evidence that is added up', async () => {
      const vector = next();
      const { evidence, vector: _, ...task } = taskAt(5_000, vector);
      await write(store.database, [{ ...task, vector, evidence }]);
      for (const neighbourhood of [exact, hnsw]) {
        const nearest = async (): Promise<unknown> => (await neighbourhood.near(vector, 1))[0];
        await neighbourhood.learned([{ ...task, evidence: [evidenceOf('b', 2)] }]);
        expect(await nearest()).not.toMatchObject({ taskHash: task.taskHash });
        await neighbourhood.learned([{ ...task, vector, evidence: [] }]);
        await neighbourhood.learned([{ ...task, evidence: [evidenceOf('a', 1)] }]);
        await neighbourhood.learned([{ ...task, vector, evidence: [evidenceOf('a', 2)] }]);
        const b = evidenceOf('b', 2);
        const a =
          neighbourhood === exact
            ? { ...evidenceOf('a', 3), succeeded: 1, paid: 2, microUsd: 20 }
            : // There it is what the database has.
              evidenceOf('a', 3);
        expect(await nearest()).toMatchObject({ ...task, evidence: [a, b] });
      }
    });

    test('a vector that is none is refused, and what came with it is not taken', async () => {
      const refused = expect.objectContaining({ code: 'embedding_invalid' }) as Error;
      const vector = next();
      const good = taskAt(6_000, vector);
      await write(store.database, [{ ...good, evidence: [] }]);
      const broken = new Float32Array(256).fill(Number.NaN);
      for (const neighbourhood of [exact, hnsw]) {
        const both = [good, { ...taskAt(6_001, broken), vector: broken }];
        await expect(neighbourhood.learned(both)).rejects.toThrow(refused);
        await expect(neighbourhood.near(new Float32Array(256), 1)).rejects.toThrow(refused);
        await expect(neighbourhood.near(new Float32Array(3).fill(1), 1)).rejects.toThrow(refused);
        expect(hashes(await neighbourhood.near(vector, 1))).not.toEqual([good.taskHash]);
      }
    });

    test('what is opened is what serves the database best, and it says why', async () => {
      const opened = await openNeighbourhood({ database: store.database, embedder, log });
      expect(opened.status()).toEqual(
        driver === 'server'
          ? { kind: 'hnsw', reason: expect.stringContaining('pgvector 0.') as string }
          : { kind: 'exact', reason: expect.stringContaining('faster') as string },
      );
      expect(opened.readUpTo.tx).toMatch(/^\d+$/);
      await opened.close();
    });
  });
}
