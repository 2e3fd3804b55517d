import { agentNamed } from './agent-named.ts';
import { acceptToolSchema, agentToolsSchema } from './agent-tool-schemas.ts';
import { answers } from './answers.ts';
import { callerOf, namedInPath } from './callers.ts';
import { sendTagged } from './etag.ts';
import type { Http } from './http.ts';
import { nameParam } from './parameters.ts';
import type { RouteParts } from './parts.ts';

/** What MCP servers say of the tools that agents use, and accepting it. */
export function agentToolRoutes(app: Http, { agents }: RouteParts): void {
  const listed = async (name: string) => {
    const items = [...(await agents.tools(name))];
    return { items, count: items.length };
  };

  app.get(
    '/api/v1/agents/:name/tools',
    {
      config: { action: 'agents.read', resource: namedInPath },
      schema: {
        tags: ['agents'],
        operationId: 'listAgentTools',
        summary: 'The tools of MCP servers that an agent uses, and which of them are quarantined.',
        params: nameParam,
        response: answers({ 200: agentToolsSchema }),
      },
    },
    async (request, reply) =>
      sendTagged(request, reply, await listed(agentNamed(agents, request.params.name).name)),
  );

  app.post(
    '/api/v1/agents/:name/tools/accept',
    {
      config: { action: 'agents.write', resource: namedInPath },
      schema: {
        tags: ['agents'],
        operationId: 'acceptAgentTool',
        summary: 'Accepts what the server of a quarantined tool says of it now.',
        params: nameParam,
        body: acceptToolSchema,
        response: answers({ 200: agentToolsSchema }),
      },
    },
    async (request, reply) => {
      const { name } = agentNamed(agents, request.params.name);
      const { username, userId } = callerOf(request).access;
      await agents.acceptTool(name, { ...request.body, by: { name: username, id: userId } });
      return reply.send(await listed(name));
    },
  );
}
