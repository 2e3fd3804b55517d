/** Tools of MCP servers as they go over HTTP. */
import { Type, type Static } from 'typebox';
import type { AgentTool } from '../agents/agents.ts';
import { count, describes, maybe, oneOf, text, time } from './schema-terms.ts';

const agentToolSchema = describes<AgentTool>()(
  Type.Object({
    server: text,
    tool: text,
    state: oneOf<AgentTool['state']>(['trusted', 'quarantined']),
    reason: maybe(text),
    hash: text,
    firstSeenAt: time,
    changedAt: time,
    acceptedBy: maybe(text),
    acceptedAt: maybe(time),
    definition: Type.Unknown({
      description: 'What its server says now, hidden characters escaped',
    }),
    trusted: Type.Optional(
      Type.Unknown({ description: 'What was accepted, where that is another' }),
    ),
  }),
  'AgentTool',
);
export const agentToolsSchema = Type.Object(
  { items: Type.Array(agentToolSchema), count },
  { title: 'AgentTools' },
);
export const acceptToolSchema = Type.Object(
  {
    hash: Type.String({
      pattern: '^[0-9a-f]{64}$',
      description: '`hash` of what was looked at: another definition is not accepted',
    }),
    tool: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
  },
  { additionalProperties: false, title: 'AcceptToolRequest' },
);
export type AgentTools = Static<typeof agentToolsSchema>;
export type AcceptToolRequest = Static<typeof acceptToolSchema>;
