/**
 * Tasks of before that are like a new one, by the vectors of their texts. Found in PostgreSQL by an
 * HNSW index where pgvector is, and in the memory of this process, exactly, otherwise. Both give the same
 * neighbours, as far as an index that may miss some does (docs/decisions/0025-neighbours.md).
 */
import { toAppError, type Log } from '../../base/base.ts';
import type { Database } from '../../database/database.ts';
import type { LearningStatus } from '../learning.ts';
import type { Evidence, Neighbourhood } from '../types.ts';
import { openExactNeighbourhood } from './exact-neighbourhood.ts';
import { openHnswNeighbourhood } from './hnsw-neighbourhood.ts';
import type { ReadUpTo } from './queries.ts';

export { createNeighbourhood, openExactNeighbourhood } from './exact-neighbourhood.ts';
export { openHnswNeighbourhood } from './hnsw-neighbourhood.ts';

/** What has come to a text: its vector when it has got one, and evidence to be added to that of before. */
export interface LearnedTask {
  readonly taskHash: string;
  readonly type: string;
  readonly text: string;
  readonly vector?: Float32Array;
  readonly evidence: readonly Evidence[];
}

/** A neighbourhood that is told what has been learned since it was opened. */
export interface FedNeighbourhood extends Neighbourhood {
  /** Up to which execution its evidence counts: `learned` is to be given what comes after. */
  readonly readUpTo: ReadUpTo;
  status(): LearningStatus['similarity'];
  /** Throws `embedding_invalid`, and then has taken none of them; `limit_exceeded`. */
  learned(tasks: readonly LearnedTask[]): Promise<void>;
  close(): Promise<void>;
}

/** Opens the one that serves this database best; `status` of it says which it is, and why. */
export async function openNeighbourhood(options: {
  readonly database: Database;
  /** Its name: only its vectors are compared. */
  readonly embedder: string;
  readonly log: Log;
}): Promise<FedNeighbourhood> {
  const { driver, capabilities } = options.database;
  if (driver === 'embedded') {
    const reason = 'in the process it is faster than pgvector in the embedded database';
    return openExactNeighbourhood({ ...options, reason });
  }
  if (!capabilities.vector) {
    return openExactNeighbourhood({ ...options, reason: 'the server has no pgvector' });
  }
  try {
    return await openHnswNeighbourhood(options);
  } catch (error) {
    const { code, message } = toAppError(error);
    if (code !== 'database_failed') throw error;
    // An owner who lets nobody make tables, for instance: the same tasks are found without them.
    const reason = `pgvector is there, but its tables are not to be had: ${message}`;
    return openExactNeighbourhood({ ...options, reason });
  }
}
