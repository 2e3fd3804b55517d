import { Type } from 'typebox';
import { answers } from './answers.ts';
import {
  agentCard,
  agentPath,
  fleetPath,
  ownCard,
  publicCard,
  visibleAgents,
} from './a2a-cards.ts';
import { sendTagged } from './etag.ts';
import type { Http } from './http.ts';
import { nameParam, plainText } from './parameters.ts';
import type { RouteParts } from './parts.ts';
import { oneOf, record, text, texts } from './schema-terms.ts';

const cardSchema = Type.Object(
  {
    name: text,
    description: text,
    version: text,
    supportedInterfaces: Type.Array(
      Type.Object({
        url: text,
        protocolBinding: oneOf(['JSONRPC']),
        protocolVersion: text,
      }),
    ),
    capabilities: record,
    securitySchemes: record,
    securityRequirements: Type.Array(record),
    defaultInputModes: texts,
    defaultOutputModes: texts,
    skills: Type.Array(record),
  },
  { title: 'A2aAgentCard' },
);

const cardPageSchema = Type.Object(
  {
    items: Type.Array(Type.Object({ name: text, url: text, cardUrl: text, card: cardSchema })),
    nextCursor: Type.Optional(text),
  },
  { title: 'A2aAgentCardPage' },
);

/** Agent cards: the fleet's for anybody, and those of its agents for who may see them. */
export function a2aCardRoutes(app: Http, parts: RouteParts): void {
  app.get(
    '/.well-known/agent-card.json',
    {
      config: { open: true },
      schema: {
        tags: ['a2a'],
        operationId: 'getA2aCard',
        summary: 'The card of the fleet (A2A 1.0, section 8.2). Needs no credential.',
        security: [],
        response: answers({ 200: cardSchema }),
      },
    },
    async (request, reply) => sendTagged(request, reply, publicCard(parts)),
  );
  listRoute(app, parts);

  const schema = {
    tags: ['a2a'],
    params: nameParam,
    response: answers({ 200: cardSchema }),
  };
  const config = { action: 'agents.read', some: true } as const;
  app.get(
    `${fleetPath}/agents/:name/agent-card.json`,
    {
      config,
      schema: { ...schema, operationId: 'getA2aAgentCard', summary: 'The card of an agent.' },
    },
    async (request, reply) =>
      sendTagged(request, reply, ownCard(parts, request, request.params.name)),
  );
  app.get(
    `${fleetPath}/agents/:name/.well-known/agent-card.json`,
    {
      config,
      schema: {
        ...schema,
        operationId: 'getA2aAgentCardBelow',
        summary: 'The same, where clients look that know the address of an agent only.',
      },
    },
    async (request, reply) =>
      sendTagged(request, reply, ownCard(parts, request, request.params.name)),
  );
}

function listRoute(app: Http, parts: RouteParts): void {
  app.get(
    `${fleetPath}/agents`,
    {
      config: { action: 'agents.read', some: true },
      schema: {
        tags: ['a2a'],
        operationId: 'listA2aAgents',
        summary: 'The cards of all agents that the caller may see, by name.',
        querystring: Type.Object(
          {
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
            cursor: Type.Optional(plainText),
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: cardPageSchema }),
      },
    },
    async (request, reply) => {
      const { limit = 50, cursor = '' } = request.query;
      const after = visibleAgents(parts, request).filter(({ name }) => name > cursor);
      const base = parts.publicAddress.url();
      const items = after.slice(0, limit).map((agent) => ({
        name: agent.name,
        url: `${base}${agentPath(agent.name)}`,
        cardUrl: `${base}${agentPath(agent.name)}/agent-card.json`,
        card: agentCard(parts, agent),
      }));
      const last = items.at(-1);
      const more = after.length > limit && last !== undefined ? { nextCursor: last.name } : {};
      return sendTagged(request, reply, { items, ...more });
    },
  );
}
