import { sql, type Sql } from '../../database/database.ts';
import type { Evidence, Neighbour } from '../types.ts';

/** A text with what came of it, and its vector where it has one of the embedder. */
export interface TaskRow {
  readonly taskHash: string;
  readonly type: string;
  readonly text: string;
  readonly vector: Uint8Array | null;
  readonly evidence: readonly Evidence[];
}

/** Texts after that hash (hex; empty for the first), in the order of hashes. */
export const taskPage = (embedder: string, after: string, limit: number): Sql<TaskRow> =>
  sql`select encode(t.task_hash, 'hex') as "taskHash", t.task_type as type, t.description as text,
      e.embedding as vector,
      coalesce((select json_agg(json_build_object('agent', v.agent, 'tried', v.tried,
          'succeeded', v.succeeded, 'logMs', v.log_ms, 'logMsSquares', v.log_ms_squares,
          'paid', v.paid, 'microUsd', v.micro_usd) order by v.agent)
        from task_evidence v where v.task_hash = t.task_hash), '[]'::json) as evidence
    from task_texts t
    left join task_embeddings e on e.embedder = ${embedder}::text and e.task_hash = t.task_hash
    where t.task_hash > decode(${after}::text, 'hex')
    order by t.task_hash limit ${limit}::integer`;

/** How far the evidence that a transaction sees has been read from the executions. */
export interface ReadUpTo {
  readonly tx: string;
  readonly attemptId: string;
}

export const readUpTo = (): Sql<ReadUpTo> =>
  sql`select read_tx::text as tx, read_attempt::text as "attemptId" from learning_state`;

export const vectorVersion = (): Sql<{ version: string }> =>
  sql`select extversion as version from pg_extension where extname = 'vector'`;

/** Whether there is a valid index of that name. */
export const indexThere = (name: string): Sql<{ there: boolean }> =>
  sql`select exists (select from pg_index i join pg_class c on c.oid = i.indexrelid
    where c.relname = ${name}::text and c.relnamespace = current_schema()::regnamespace
      and i.indisvalid) as there`;

/** What an embedder has given and the vectors of the index lack, after that hash. */
export const missingVectors = (
  embedder: string,
  after: string,
  limit: number,
): Sql<{ taskHash: string; vector: Uint8Array }> =>
  sql`select encode(e.task_hash, 'hex') as "taskHash", e.embedding as vector
    from task_embeddings e
    where e.embedder = ${embedder}::text and e.task_hash > decode(${after}::text, 'hex')
      and not exists (select from task_vectors v
        where v.task_hash = e.task_hash and v.embedder = e.embedder)
    order by e.task_hash limit ${limit}::integer`;

export const countVectors = (embedder: string): Sql<{ count: bigint }> =>
  sql`select count(*) as count from task_vectors where embedder = ${embedder}::text`;

/** Vectors as pgvector writes them. Those of texts that are gone, or there already, are left out. */
export const addVectors = (
  embedder: string,
  hashes: readonly string[],
  vectors: readonly string[],
): Sql =>
  sql`insert into task_vectors (task_hash, embedder, embedding)
    select t.task_hash, ${embedder}::text, n.vector::vector
    from unnest(${hashes}::text[], ${vectors}::text[]) as n (hash, vector)
    join task_texts t on t.task_hash = decode(n.hash, 'hex')
    on conflict do nothing`;

/** The nearest by the index, with their evidence as it is now. */
export const nearTasks = (embedder: string, vector: string, k: number): Sql<Neighbour> =>
  sql`select encode(n.task_hash, 'hex') as "taskHash", n.task_type as type, n.description as text,
      1 - n.distance as similarity,
      coalesce((select json_agg(json_build_object('agent', v.agent, 'tried', v.tried,
          'succeeded', v.succeeded, 'logMs', v.log_ms, 'logMsSquares', v.log_ms_squares,
          'paid', v.paid, 'microUsd', v.micro_usd) order by v.agent)
        from task_evidence v where v.task_hash = n.task_hash), '[]'::json) as evidence
    from near_task_texts(${vector}::vector, ${embedder}::text, ${k}::integer) n
    order by n.distance, n.task_hash`;
