import { toAppError, type Log } from '../../base/base.ts';
import type { Database } from '../../database/database.ts';
import type { Neighbour } from '../types.ts';
import { addVectors, missingVectors, nearTasks, readUpTo, type ReadUpTo } from './queries.ts';
import type { FedNeighbourhood, LearnedTask } from './similarity.ts';
import { vectorFromBytes } from '../embedding/vectors.ts';
import { vectorText } from './vectors.ts';
import { ensureVectorIndex, ensureVectorTables } from './vector-tables.ts';

/** Vectors of one statement: the embedded database takes about 2 ms for each, and does nothing else meanwhile. */
const pageLength = 200;

/**
 * Tasks of before in PostgreSQL, found by an HNSW index of pgvector. What the index lacks is filled in
 * in the background; until then it is not found, and `status` says so.
 */
export async function openHnswNeighbourhood(options: {
  readonly database: Database;
  /** Its name. */
  readonly embedder: string;
  readonly log: Log;
}): Promise<FedNeighbourhood & { readonly filled: Promise<void> }> {
  const { database, embedder } = options;
  const version = await ensureVectorTables(database, embedder);
  const [position] = await database.query(readUpTo());
  return new HnswNeighbourhood(options, version, position ?? { tx: '0', attemptId: '' });
}

class HnswNeighbourhood implements FedNeighbourhood {
  readonly #database: Database;
  readonly #embedder: string;
  readonly #log: Log;
  readonly #version: string;
  readonly readUpTo: ReadUpTo;
  readonly filled: Promise<void>;
  #filling: Promise<void> | undefined;
  #state: 'filling' | 'building' | 'complete' | 'incomplete' = 'filling';
  #isClosed = false;

  constructor(
    { database, embedder, log }: Parameters<typeof openHnswNeighbourhood>[0],
    version: string,
    position: ReadUpTo,
  ) {
    this.#database = database;
    this.#embedder = embedder;
    this.#log = log;
    this.#version = version;
    this.readUpTo = position;
    this.filled = this.#fill();
  }

  status(): ReturnType<FedNeighbourhood['status']> {
    const reasons = {
      filling: 'vectors are still being brought in: not all tasks are found yet',
      building: 'its index is being built: searches look at every vector until then',
      complete: 'its index is complete',
      incomplete: 'bringing vectors in failed: some tasks are not found until that is tried again',
    };
    return { kind: 'hnsw', reason: `pgvector ${this.#version} is there; ${reasons[this.#state]}` };
  }

  async near(vector: Float32Array, k: number): Promise<readonly Neighbour[]> {
    return this.#database.query(nearTasks(this.#embedder, vectorText(vector), k));
  }

  /** Evidence is read where the learner writes it; only vectors are brought in. */
  async learned(tasks: readonly LearnedTask[]): Promise<void> {
    const [hashes, vectors]: [string[], string[]] = [[], []];
    for (const { taskHash, vector } of tasks) {
      if (vector === undefined) continue;
      hashes.push(taskHash);
      vectors.push(vectorText(vector));
    }
    if (hashes.length > 0) {
      await this.#database.query(addVectors(this.#embedder, hashes, vectors));
    }
    // What failed before, because of another process's build for instance, is caught up with.
    if (this.#state === 'incomplete') void this.#fill();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#filling;
  }

  #fill(): Promise<void> {
    this.#filling ??= this.#bringIn()
      .catch((error: unknown) => {
        this.#state = 'incomplete';
        this.#log.warn({ err: toAppError(error) }, 'vectors were not brought into pgvector');
      })
      .finally(() => {
        this.#filling = undefined;
      });
    return this.#filling;
  }

  async #bringIn(): Promise<void> {
    this.#state = 'filling';
    for (let after: string | undefined = ''; after !== undefined && !this.#isClosed;) {
      const missing: readonly { taskHash: string; vector: Uint8Array }[] =
        await this.#database.query(missingVectors(this.#embedder, after, pageLength));
      if (missing.length > 0) {
        const vectors = missing.map(({ vector }) => vectorText(vectorFromBytes(vector)));
        const hashes = missing.map(({ taskHash }) => taskHash);
        await this.#database.query(addVectors(this.#embedder, hashes, vectors));
      }
      after = missing.length < pageLength ? undefined : missing.at(-1)?.taskHash;
    }
    if (this.#isClosed) return;
    // Building after the first filling takes a fraction of inserting each into an index.
    this.#state = 'building';
    await ensureVectorIndex(this.#database, this.#embedder);
    this.#state = 'complete';
  }
}
