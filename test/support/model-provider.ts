/**
 * A server that speaks the published protocols of model providers: Anthropic's Messages API and OpenAI's
 * chat completions, both streaming. What it answers is scripted; it refuses requests as the providers do.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Act, Counted, Dialect } from './model-dialect.ts';
import { anthropicDialect } from './model-provider-anthropic.ts';
import { openaiDialect } from './model-provider-openai.ts';

export type Reply =
  | { readonly acts: readonly Act[]; readonly usage?: Counted | 'none' }
  | {
      readonly status: number;
      readonly error: string;
      readonly message: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly body: string; readonly contentType: string };

export interface SeenRequest {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Readonly<Record<string, unknown>>;
  /** All that was sent, for looking something up in it. */
  readonly text: string;
}

export interface ModelProvider {
  readonly url: string;
  readonly requests: SeenRequest[];
  /** What is answered next, one after the other; a request beyond them fails with 500. */
  script(...replies: readonly Reply[]): void;
  /** Resolves when a client has gone while it was being answered. */
  gone(): Promise<void>;
  close(): Promise<void>;
}

export const defaultUsage: Counted = { input: 100, output: 20 };

/** Starts one on a free port. It takes `key`, and no other. */
export async function startModelProvider(key: string): Promise<ModelProvider> {
  const dialects = [anthropicDialect, openaiDialect];
  const requests: SeenRequest[] = [];
  let replies: Reply[] = [];
  let left = Promise.withResolvers<void>();

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [asked] = (request.url ?? '').split('?');
    const dialect = dialects.find(({ path }) => path === asked);
    if (request.method === 'HEAD') return void response.writeHead(404).end();
    const text = await bodyOf(request);
    if (dialect === undefined) return void response.writeHead(404).end();
    const refuse = (status: number, type: string, message: string, headers = {}): void => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(dialect.error(type, message));
    };
    const given = dialect.keyOf(request.headers);
    if (given !== key) {
      // Providers show the beginning, so that people know which one it was.
      return refuse(401, 'authentication_error', `wrong key ${given?.slice(0, 9)}…, ${given}`);
    }
    const body = JSON.parse(text) as SeenRequest['body'];
    requests.push({ path: dialect.path, headers: request.headers, body, text });
    const problem = dialect.problem(body);
    if (problem !== undefined) return refuse(400, 'invalid_request_error', problem);
    const reply = replies.shift();
    if (reply === undefined) return refuse(500, 'api_error', 'the script is at its end');
    if ('status' in reply) return refuse(reply.status, reply.error, reply.message, reply.headers);
    if ('body' in reply) {
      response.writeHead(200, { 'content-type': reply.contentType });
      return void response.end(reply.body);
    }
    response.once('close', () => {
      if (!response.writableFinished) left.resolve();
    });
    await play(dialect, reply, String(body['model']), response);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    requests,
    script(...next) {
      requests.length = 0;
      replies = [...next];
      left = Promise.withResolvers();
    },
    gone: () => left.promise,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function play(
  dialect: Dialect,
  { acts, usage = defaultUsage }: Extract<Reply, { acts: unknown }>,
  model: string,
  response: ServerResponse,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  response.write(dialect.begin(model, usage));
  let reason: Parameters<Dialect['end']>[0] = 'stop';
  const at = { block: 0, call: 0 };
  for (const act of acts) {
    if ('cut' in act) {
      // What was written before must be on its way, or nobody sees it.
      await new Promise((done) => setImmediate(done));
      return void response.socket?.resetAndDestroy();
    }
    if ('fadeOut' in act) return void response.end();
    if ('wait' in act) return;
    if ('stop' in act) reason = act.stop;
    if ('call' in act) reason = 'calls';
    for (const event of dialect.write(act, at)) response.write(event);
    if ('error' in act) return void response.end();
    if ('text' in act || 'call' in act) at.block += 1;
    if ('call' in act) at.call += 1;
  }
  response.end(dialect.end(reason, usage));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
