import { sql, type Sql } from '../database/database.ts';

export interface DefinitionRow {
  readonly hash: string;
  readonly name: string;
  readonly source: Uint8Array;
}

/** Stores definitions by their hash; those that are there already stay as they are. */
export function insertDefinitions(
  rows: readonly { readonly hash: string; readonly name: string; readonly source: string }[],
): Sql<never> {
  return sql<never>`
    insert into agent_definitions (hash, name, source)
    select hash, name, decode(source, 'base64')
    from unnest(
      ${rows.map((row) => row.hash)}::text[],
      ${rows.map((row) => row.name)}::text[],
      ${rows.map((row) => Buffer.from(row.source, 'utf8').toString('base64'))}::text[]
    ) as fresh (hash, name, source)
    on conflict (hash) do nothing
  `;
}

export function selectDefinition(hash: string): Sql<DefinitionRow> {
  return sql<DefinitionRow>`
    select hash, name, source from agent_definitions where hash = ${hash}
  `;
}
