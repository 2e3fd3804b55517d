/**
 * The tables of pgvector, beside the migrations: those must run on a server without the extension,
 * and `task_embeddings` keeps every vector anyway. An embedder has a partition, and that an index: so a
 * search meets no vector of another one, which an index over all would have to leave out afterwards.
 */
import { createHash } from 'node:crypto';
import type { Database, Session } from '../../database/database.ts';
import { countVectors, indexThere, vectorVersion } from './queries.ts';

/** How many candidates a search of the index keeps: recall against time (docs/decisions/0025). */
export const candidatesKept = 200;
/** So many vectors are searched well with these; of more, more are kept, up to the most that pgvector takes. */
const vectorsSearchedWell = 100_000;
const mostCandidates = 1_000;
/** For the lock of whoever makes tables, and whoever builds an index. */
const lockName = 'centuria task vectors';

/** A build that does not fit into memory is many times slower: 1 KiB of a vector itself, and its neighbours. */
const buildKibPerVector = 2;
const leastBuildKib = 65_536;
const mostBuildKib = 2_097_152;

/** Names of what an embedder has. */
export interface VectorPlace {
  readonly partition: string;
  readonly index: string;
}

export function placeOf(embedder: string): VectorPlace {
  const digits = createHash('sha256').update(embedder).digest('hex').slice(0, 16);
  return { partition: `task_vectors_${digits}`, index: `task_vectors_${digits}_near` };
}

/** Makes what is not there, but for the index. Gives pgvector's version. */
export async function ensureVectorTables(database: Database, embedder: string): Promise<string> {
  return database.session(async (session) => {
    await session.script(`begin; select pg_advisory_xact_lock(hashtextextended('${lockName}', 0))`);
    const version = (await session.query(vectorVersion()))[0]?.version ?? '';
    const { partition } = placeOf(embedder);
    // DDL takes no parameters: the name is digits, the value a quoted literal.
    await session.script(`
      create table if not exists task_vectors (
        task_hash bytea not null references task_texts on delete cascade,
        embedder text not null,
        embedding vector(256) not null,
        primary key (task_hash, embedder)
      ) partition by list (embedder);
      create table if not exists ${partition}
        partition of task_vectors for values in (${literal(embedder)});
      ${nearFunction(version)};
      commit`);
    return version;
  });
}

/**
 * The search as a function, whose settings hold while it runs: otherwise they would cost a transaction
 * of three more statements. It keeps its plan, which is made without knowing `k` and would read all
 * vectors but for the last two settings: of 2,000 in 24 ms instead of 2.
 */
function nearFunction(version: string): string {
  // Before 0.8 a search ends with its candidates, and those of deleted texts are missing.
  const iterates = isAtLeast(version, 0, 8) ? 'set hnsw.iterative_scan = strict_order' : '';
  return `create or replace function near_task_texts(query vector, wanted text, k integer)
    returns table (task_hash bytea, task_type text, description text, distance double precision)
    language plpgsql stable rows 10
    set hnsw.ef_search = ${candidatesKept} ${iterates}
    set enable_seqscan = off set enable_sort = off
    as $body$
    begin
      -- 200 found 0.96 of the ten nearest of 100,000, and 0.83 of those of a million.
      perform set_config('hnsw.ef_search', greatest(${candidatesKept}, least(${mostCandidates},
        ${candidatesKept} * (select max(c.reltuples) from pg_inherits i join pg_class c on c.oid = i.inhrelid
          where i.inhparent = 'task_vectors'::regclass) / ${vectorsSearchedWell})::integer)::text, true);
      return query select n.task_hash, t.task_type, t.description, n.distance
        from (select v.task_hash, v.embedding <=> query as distance from task_vectors v
          where v.embedder = wanted order by v.embedding <=> query limit k) n
        join task_texts t on t.task_hash = n.task_hash;
    end
    $body$`;
}

/** Builds the index of an embedder, where it is not there. Throws `database_failed` while another process does. */
export async function ensureVectorIndex(database: Database, embedder: string): Promise<void> {
  const { index } = placeOf(embedder);
  if ((await database.query(indexThere(index)))[0]?.there === true) return;
  await database.session((session) => buildIndex(session, embedder));
}

async function buildIndex(session: Session, embedder: string): Promise<void> {
  const { partition, index } = placeOf(embedder);
  const [vectors] = await session.query(countVectors(embedder));
  const needed = leastBuildKib + Number(vectors?.count ?? 0) * buildKibPerVector;
  const memoryKib = Math.min(mostBuildKib, needed);
  await session.script(`
    begin;
    set local lock_timeout = '1s';
    set local maintenance_work_mem = '${memoryKib}kB';
    select pg_advisory_xact_lock(hashtextextended('${lockName}', 0));
    create index if not exists ${index} on ${partition} using hnsw (embedding vector_cosine_ops);
    commit;
    analyze ${partition}`);
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function isAtLeast(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number);
  return a > major || (a === major && b >= minor);
}
