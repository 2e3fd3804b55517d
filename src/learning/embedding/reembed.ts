/** Vectors for texts that have none of the present embedder, in the background: new texts, and all after a change. */
import { toAppError, type Clock, type Log } from '../../base/base.ts';
import type { Database } from '../../database/database.ts';
import type { Embedder } from '../types.ts';
import {
  countUnembedded,
  deleteOtherEmbeddings,
  insertEmbeddings,
  selectUnembedded,
  type TextRow,
} from './queries.ts';
import { invalid, vectorBytes } from './vectors.ts';

export interface ReembedOptions {
  readonly database: Database;
  readonly embedder: Embedder;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal?: AbortSignal;
  /** Texts a batch, 64 unless given: what is lost when the process ends. */
  readonly batchSize?: number;
  /** Called after each batch with what is kept now: for a neighbourhood that holds vectors in memory. */
  readonly onKept?: (tasks: readonly EmbeddedTask[]) => Promise<void> | void;
}

export interface EmbeddedTask {
  /** Lower-case hex. */
  readonly taskHash: string;
  readonly type: string;
  readonly text: string;
  readonly vector: Float32Array;
}

export interface Reembedded {
  readonly embedded: number;
  /** Texts that this embedder has no vector for; the next call tries them again. */
  readonly refused: number;
  /** Vectors of other embedders that are gone. */
  readonly dropped: number;
}

const defaultBatchSize = 64;
const deletedAtOnce = 1_000;
/** Between batches, so that what people wait for goes first. */
const pauseMs = 1;
const firstHash = new Uint8Array(0);

/**
 * Embeds every text that lacks a vector of the embedder, in batches; what is done stays done when it ends
 * early, and the next call goes on from there. Vectors of other embedders are dropped once every text has
 * one. Throws what the embedder throws, but `embedding_invalid` for one text leaves only that one out.
 */
export async function reembed(options: ReembedOptions): Promise<Reembedded> {
  const { database, embedder, clock, log, signal } = options;
  const { batchSize = defaultBatchSize } = options;
  let [embedded, refused] = [0, 0];
  let after: Uint8Array = firstHash;
  for (;;) {
    signal?.throwIfAborted();
    const rows = await database.query(selectUnembedded(embedder.name, after, batchSize));
    const last = rows.at(-1);
    if (last === undefined) break;
    const tasks = await embedRows(embedder, rows, log, signal);
    await keep(database, embedder.name, tasks);
    await options.onKept?.(tasks);
    embedded += tasks.length;
    refused += rows.length - tasks.length;
    after = last.taskHash;
    await clock.sleep(pauseMs, signal);
  }
  const dropped = refused > 0 ? 0 : await dropOthers(options);
  if (embedded + refused + dropped > 0) {
    const fields = { embedder: embedder.name, embedded, refused, dropped };
    // A few texts every few seconds are the daily round; a whole record anew is worth a line.
    if (dropped > 0 || embedded > batchSize) log.info(fields, 'texts embedded');
    else log.debug(fields, 'texts embedded');
  }
  return { embedded, refused, dropped };
}

/** Texts that have no vector of that embedder. */
export async function unembeddedTexts(database: Database, embedder: string): Promise<number> {
  const [row] = await database.query(countUnembedded(embedder));
  return Number(row?.count ?? 0);
}

async function embedRows(
  embedder: Embedder,
  rows: readonly TextRow[],
  log: Log,
  signal?: AbortSignal,
): Promise<EmbeddedTask[]> {
  try {
    const vectors = await embedder.embed(
      rows.map(({ text }) => text),
      signal,
    );
    return rows.map(({ taskHash, type, text }, index) => {
      const vector = vectors[index];
      if (vector === undefined) throw invalid(`${embedder.name} gave too few vectors`);
      return { taskHash: Buffer.from(taskHash).toString('hex'), type, text, vector };
    });
  } catch (thrown) {
    const { code, message } = toAppError(thrown);
    const [only] = rows;
    if (code !== 'embedding_invalid' || only === undefined) throw thrown;
    if (rows.length === 1) {
      const taskHash = Buffer.from(only.taskHash).toString('hex');
      log.warn({ embedder: embedder.name, taskHash, reason: message }, 'a text was not embedded');
      return [];
    }
    // One of them spoils the batch: each by itself.
    const tasks: EmbeddedTask[] = [];
    for (const row of rows) tasks.push(...(await embedRows(embedder, [row], log, signal)));
    return tasks;
  }
}

async function keep(
  database: Database,
  embedder: string,
  tasks: readonly EmbeddedTask[],
): Promise<void> {
  if (tasks.length === 0) return;
  const hashes = tasks.map(({ taskHash }) => Buffer.from(taskHash, 'hex'));
  const vectors = tasks.map(({ vector }) => vectorBytes(vector));
  await database.query(insertEmbeddings(embedder, hashes, vectors));
}

async function dropOthers({ database, embedder, clock, signal }: ReembedOptions): Promise<number> {
  let dropped = 0;
  for (;;) {
    signal?.throwIfAborted();
    const gone = await database.query(deleteOtherEmbeddings(embedder.name, deletedAtOnce));
    dropped += gone.length;
    if (gone.length < deletedAtOnce) return dropped;
    await clock.sleep(pauseMs, signal);
  }
}
