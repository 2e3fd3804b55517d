import { sql, type Sql } from '../../database/database.ts';

export interface TextRow {
  readonly taskHash: Uint8Array;
  readonly type: string;
  readonly text: string;
}

/** Texts without a vector of the embedder, after that hash (empty for the first), in the order of hashes. */
export const selectUnembedded = (
  embedder: string,
  after: Uint8Array,
  limit: number,
): Sql<TextRow> => sql`
  select t.task_hash as "taskHash", t.task_type as type, t.description as text
  from task_texts t
  where t.task_hash > ${after}::bytea and not exists (
    select from task_embeddings e
    where e.embedder = ${embedder}::text and e.task_hash = t.task_hash)
  order by t.task_hash limit ${limit}::integer`;

export const countUnembedded = (embedder: string): Sql<{ count: bigint }> => sql`
  select count(*) as count from task_texts t where not exists (
    select from task_embeddings e
    where e.embedder = ${embedder}::text and e.task_hash = t.task_hash)`;

/** Those of texts that are gone, or that another process has embedded meanwhile, are left out. */
export const insertEmbeddings = (
  embedder: string,
  hashes: readonly Uint8Array[],
  vectors: readonly Uint8Array[],
): Sql => sql`
  insert into task_embeddings (task_hash, embedder, embedding)
  select t.task_hash, ${embedder}::text, n.embedding
  from unnest(${hashes}::bytea[], ${vectors}::bytea[]) as n (task_hash, embedding)
  join task_texts t on t.task_hash = n.task_hash
  on conflict do nothing`;

/** Some vectors of other embedders, of texts that have one of this. */
export const deleteOtherEmbeddings = (embedder: string, limit: number): Sql<{ one: number }> => sql`
  delete from task_embeddings d using (
    select e.embedder, e.task_hash from task_embeddings e
    where e.embedder <> ${embedder}::text and exists (
      select from task_embeddings n
      where n.embedder = ${embedder}::text and n.task_hash = e.task_hash)
    limit ${limit}::integer) as old
  where d.embedder = old.embedder and d.task_hash = old.task_hash
  returning 1 as one`;
