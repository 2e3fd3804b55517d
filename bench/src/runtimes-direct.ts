/** The peers called as one would without Centuria: by the client that its makers offer, kept open. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { json } from 'node:stream/consumers';
import { randomUUID } from 'node:crypto';
import { Role, type SendMessageRequest } from '@a2a-js/sdk';
import { ClientFactory } from '@a2a-js/sdk/client';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { streamText } from 'ai';
import { modelKey, payload, type Addresses } from './runtimes-payload.ts';

export interface Direct {
  /** As figures name it. */
  readonly name: string;
  call(): Promise<unknown>;
  close?(): Promise<void>;
}

export function spawning(file: string, args: readonly string[]): Direct {
  return {
    name: 'child_process.spawn',
    async call() {
      const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
      const closed = once(child, 'close');
      child.stderr.resume();
      child.stdin.end(JSON.stringify(payload));
      const output = await json(child.stdout);
      const [status] = await closed;
      if (status !== 0) throw new Error(`${file} ended with ${status}`);
      return output;
    },
  };
}

export function fetching({ http }: Addresses): Direct {
  const body = JSON.stringify(payload);
  const headers = { 'content-type': 'application/json' };
  return {
    name: 'fetch',
    call: async () => (await fetch(http, { method: 'POST', headers, body })).json(),
  };
}

export async function mcpClient(
  server: { readonly url: string } | { readonly command: string },
  lists: boolean,
): Promise<Direct> {
  const client = new Client({ name: 'bench', version: '1' });
  await client.connect(
    'url' in server
      ? new StreamableHTTPClientTransport(new URL(server.url))
      : new StdioClientTransport({ command: server.command, args: ['stdio'], stderr: 'ignore' }),
  );
  return {
    name: lists ? 'MCP client, list and call' : 'MCP client, call',
    async call() {
      if (lists) await client.listTools(undefined, { cacheMode: 'bypass' });
      const { content } = await client.callTool({ name: 'echo', arguments: payload });
      const [first] = content;
      return first?.type === 'text' ? first.text : undefined;
    },
    close: () => client.close(),
  };
}

export async function a2aClient({ a2a }: Addresses): Promise<Direct> {
  const client = await new ClientFactory().createFromUrl(a2a);
  return {
    name: 'A2A client',
    async call() {
      let output: unknown;
      for await (const event of client.sendMessageStream(messageOf(payload))) {
        if (event.payload?.$case !== 'message') continue;
        const [part] = event.payload.value.parts;
        output = part?.content?.value;
      }
      return output;
    },
  };
}

function messageOf(value: unknown): SendMessageRequest {
  const content = { $case: 'data', value } as const;
  return {
    tenant: '',
    configuration: undefined,
    metadata: undefined,
    message: {
      messageId: randomUUID(),
      contextId: '',
      taskId: '',
      role: Role.ROLE_USER,
      parts: [{ content, metadata: undefined, filename: '', mediaType: '' }],
      metadata: undefined,
      extensions: [],
      referenceTaskIds: [],
    },
  };
}

export function aiSdk({ model: baseURL }: Addresses): Direct {
  const provider = createOpenAICompatible({
    name: 'provider',
    baseURL,
    apiKey: modelKey,
    includeUsage: true,
  });
  const model = provider('local-1');
  return {
    name: 'AI SDK',
    async call() {
      const result = streamText({ model, instructions: 'Answer.', prompt: payload.message });
      const text = await result.text;
      const { outputTokens } = await result.usage;
      if (outputTokens === undefined) throw new Error('the provider has not counted');
      return text;
    },
  };
}
