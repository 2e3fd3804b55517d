/**
 * The peers, in a process of their own so that their work is in no figure but as waiting: an HTTP
 * server, an MCP server over streamable HTTP, an A2A server and a model provider. It writes its
 * addresses as one line of JSON and ends when its standard input does.
 */
import { randomUUID } from 'node:crypto';
import { json } from 'node:stream/consumers';
import { Role } from '@a2a-js/sdk';
import { AgentEvent, type AgentExecutor } from '@a2a-js/sdk/server';
import { startA2aPeer } from '../../test/support/a2a-peer.ts';
import { serveEverything } from '../../test/support/mcp-everything.ts';
import { servePeer } from '../../test/support/mcp.ts';
import { startModelProvider } from '../../test/support/model-provider.ts';
import { modelKey, type Addresses } from './runtimes-payload.ts';

/** More than any measurement asks for: a provider answers from its script only. */
const replies = 50_000;

/** Gives a message's first part back. */
const echo: AgentExecutor = {
  async execute({ userMessage, contextId }, bus) {
    const message = { ...userMessage, messageId: randomUUID(), contextId, taskId: '' };
    bus.publish(AgentEvent.message({ ...message, role: Role.ROLE_AGENT }));
  },
  async cancelTask() {},
};

const http = await servePeer(async (request, response) => {
  const body = await json(request);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
});
const mcp = await serveEverything();
const a2a = await startA2aPeer({ executor: echo, streaming: true });
const model = await startModelProvider(modelKey);
model.script(...Array.from({ length: replies }, () => ({ acts: [{ text: 'All is well.' }] })));

const addresses: Addresses = { http: http.url, mcp: mcp.url, a2a: a2a.url, model: model.url };
process.stdout.write(`${JSON.stringify(addresses)}\n`);
process.stdin.resume().once('end', () => process.exit(0));
