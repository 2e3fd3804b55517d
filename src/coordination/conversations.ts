/** Runs that were begun by a message of a protocol: who began them, in which context, and what was said. */
import { AppError, isId } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import * as queries from './conversation-queries.ts';
import type { ConversationRow } from './conversation-queries.ts';
import { cursorOf, textOfCursor } from './cursor.ts';
import type { RunStatus } from './types.ts';

/** Of one run; those beyond are not kept. */
const mostMessages = 200;
/** Of one principal and context: older ones are found by their id alone. */
const mostListed = 10_000;

export interface Conversation {
  readonly runId: string;
  readonly workflow: string;
  /** The client's name for what the run belongs to. */
  readonly contextId: string;
}

/** A message as its protocol writes it. */
export interface SaidMessage {
  /** 1 to 200 characters, unique within the run. */
  readonly id: string;
  readonly body: unknown;
}

export interface ConversationList {
  readonly principalId: string;
  readonly workflows: readonly string[];
  readonly contextId?: string;
  readonly statuses?: readonly RunStatus[];
  /** State changed then or later. */
  readonly since?: Date;
  readonly limit: number;
  readonly cursor?: string;
}

export interface ConversationPage {
  readonly items: readonly Conversation[];
  readonly nextCursor?: string;
  /** How many there are on all pages. */
  readonly total: number;
}

export interface Conversations {
  /** Notes which run a message has begun. What is known of the run stays: a message may come twice. */
  begin(
    conversation: Conversation & { principalId: string },
    first: SaidMessage,
  ): Promise<Conversation>;
  /** Only for who began it. */
  find(runId: string, principalId: string): Promise<Conversation | undefined>;
  /** At most 200 of a run are kept. */
  add(runId: string, messages: readonly SaidMessage[]): Promise<void>;
  /** By run, in the order in which they were said. */
  messages(runIds: readonly string[]): Promise<ReadonlyMap<string, readonly SaidMessage[]>>;
  /** The workflows of which this principal began runs by a message. */
  workflows(principalId: string): Promise<readonly string[]>;
  /** Those whose state changed last come first; the latest 10,000 of them. Throws `invalid_input` for a strange cursor. */
  list(asked: ConversationList): Promise<ConversationPage>;
}

export function openConversations(database: Database): Conversations {
  const find: Conversations['find'] = async (runId, principalId) => {
    if (!isId(runId)) return undefined;
    const [row] = await database.query(queries.conversationOf(runId, principalId));
    return row && conversationView(row);
  };
  return {
    find,
    async begin({ runId, workflow, contextId, principalId }, { id, body }) {
      const [row] = await database.query(
        queries.beginConversation(runId, principalId, workflow, contextId, id, body),
      );
      const begun = row === undefined ? await find(runId, principalId) : conversationView(row);
      // Gone in the meantime, with its run.
      return begun ?? { runId, workflow, contextId };
    },
    async add(runId, messages) {
      await database.query(
        queries.addMessages(
          runId,
          messages.map(({ id }) => id),
          messages.map(({ body }) => JSON.stringify(body)),
          mostMessages,
        ),
      );
    },
    async messages(runIds) {
      const rows = await database.query(queries.messagesOf(runIds));
      const byRun = Map.groupBy(rows, (row) => row.run_id);
      return new Map(
        [...byRun].map(([runId, said]) => [
          runId,
          said.map(({ message_id: id, body }) => ({ id, body })),
        ]),
      );
    },
    async workflows(principalId) {
      const rows = await database.query(queries.conversationWorkflows(principalId));
      return rows.map(({ workflow }) => workflow);
    },
    async list({ principalId, workflows, contextId, statuses, since, limit, cursor }) {
      const before = placeOf(cursor);
      const rows = await database.query(
        queries.listConversations({
          principalId,
          workflows,
          contextId: contextId ?? null,
          statuses: statuses ?? null,
          since: since ?? null,
          beforeAt: before?.at ?? null,
          beforeId: before?.id ?? null,
          limit: limit + 1,
          latest: mostListed,
        }),
      );
      const shown = rows.slice(0, limit);
      const last = shown.at(-1);
      return {
        items: shown.map(conversationView),
        total: rows[0]?.total ?? 0,
        ...cursorOf(rows.length > limit, last && `${last.changed_at.toISOString()} ${last.run_id}`),
      };
    },
  };
}

function conversationView(row: ConversationRow): Conversation {
  return { runId: row.run_id, workflow: row.workflow, contextId: row.context_id };
}

/** Where a page goes on. */
function placeOf(cursor: string | undefined): { at: Date; id: string } | undefined {
  const text = textOfCursor(cursor);
  if (text === null) return undefined;
  const [time = '', id = ''] = text.split(' ');
  const at = new Date(time);
  if (!Number.isNaN(at.getTime()) && isId(id)) return { at, id };
  throw new AppError('invalid_input', 'the cursor is none that a page gave', {
    details: { field: 'cursor' },
  });
}
