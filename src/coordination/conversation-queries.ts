import { json, sql, type Sql } from '../database/database.ts';
import type { RunStatus } from './types.ts';

export interface ConversationRow {
  readonly run_id: string;
  readonly workflow: string;
  readonly context_id: string;
}

/** Writes a conversation with its first message, unless the run has one; gives it where it was written. */
export const beginConversation = (
  runId: string,
  principalId: string,
  workflow: string,
  contextId: string,
  messageId: string,
  body: unknown,
): Sql<ConversationRow> =>
  sql`with begun as (
      insert into run_conversations (run_id, principal_id, workflow, context_id)
      values (${runId}::uuid, ${principalId}::uuid, ${workflow}, ${contextId})
      on conflict (run_id) do nothing
      returning run_id, workflow, context_id
    ), said as (
      insert into run_messages (run_id, message_id, body)
      select run_id, ${messageId}, ${json(body)}::json from begun
    )
    select run_id::text, workflow, context_id from begun`;

export const conversationOf = (runId: string, principalId: string): Sql<ConversationRow> =>
  sql`select run_id::text, workflow, context_id from run_conversations
    where run_id = ${runId}::uuid and principal_id = ${principalId}::uuid`;

/** Adds messages that the run does not have, as long as it has fewer than `most`. */
export const addMessages = (
  runId: string,
  ids: readonly string[],
  bodies: readonly string[],
  most: number,
): Sql<never> =>
  sql`insert into run_messages (run_id, message_id, body)
    select ${runId}::uuid, said.id, said.body::json
    from unnest(${ids}::text[], ${bodies}::text[]) with ordinality as said (id, body, nth)
    where (select count(*) from run_messages where run_id = ${runId}::uuid) + said.nth
      <= ${most}::integer
    order by said.nth
    on conflict (run_id, message_id) do nothing`;

/** In the order in which they were said. */
export const messagesOf = (
  runIds: readonly string[],
): Sql<{ run_id: string; message_id: string; body: unknown }> =>
  sql`select run_id::text, message_id, body from run_messages
    where run_id = any(${runIds}::uuid[]) order by run_id, position`;

/** The workflows of which a principal began runs by a message. */
export const conversationWorkflows = (principalId: string): Sql<{ workflow: string }> =>
  sql`select distinct workflow from run_conversations where principal_id = ${principalId}::uuid`;

export interface ConversationFilter {
  readonly principalId: string;
  readonly workflows: readonly string[];
  readonly contextId: string | null;
  readonly statuses: readonly RunStatus[] | null;
  /** Changed then or later. */
  readonly since: Date | null;
  /** Of the last one on the page before. */
  readonly beforeAt: Date | null;
  readonly beforeId: string | null;
  readonly limit: number;
  /** Only so many of the newest are looked at: they are sorted by what only their runs know. */
  readonly latest: number;
}

/** Those whose state changed last come first; `total` counts what the page is a part of. */
export const listConversations = (
  filter: ConversationFilter,
): Sql<ConversationRow & { changed_at: Date; total: number }> =>
  sql`with latest as materialized (
      select run_id, workflow, context_id from run_conversations
      where principal_id = ${filter.principalId}::uuid and workflow = any(${filter.workflows}::text[])
        and (${filter.contextId}::text is null or context_id = ${filter.contextId}::text)
      order by run_id desc limit ${filter.latest}::integer
    ), changed as (
      select l.run_id, l.workflow, l.context_id, r.status,
        date_trunc('milliseconds', coalesce(r.finished_at, r.started_at, r.created_at)) as changed_at
      from latest l join runs r on r.run_id = l.run_id
    ), found as materialized (
      select run_id, workflow, context_id, changed_at from changed
      where (${filter.statuses}::text[] is null or status = any(${filter.statuses}::text[]))
        and (${filter.since}::timestamptz is null or changed_at >= ${filter.since}::timestamptz)
    )
    select run_id::text, workflow, context_id, changed_at,
      (select count(*)::integer from found) as total
    from found
    where ${filter.beforeAt}::timestamptz is null
      or (changed_at, run_id) < (${filter.beforeAt}::timestamptz, ${filter.beforeId}::uuid)
    order by found.changed_at desc, found.run_id desc
    limit ${filter.limit}::integer`;

/** Forgets conversations from before an id whose runs are gone. */
export const deleteOrphanConversations = (before: string, limit: number): Sql<{ run_id: string }> =>
  sql`delete from run_conversations where run_id in (
      select c.run_id from run_conversations c
      where c.run_id < ${before}::uuid
        and not exists (select 1 from runs r where r.run_id = c.run_id)
      order by c.run_id limit ${limit}::integer
    ) returning run_id::text`;
