/** Messages of the Model Context Protocol, written by hand. */
import { testToken, type TestBridge } from './bridge.ts';
import { modern } from './mcp-clients.ts';

export const tasksExtension = 'io.modelcontextprotocol/tasks';

type At = Pick<TestBridge, 'url'>;

export interface Sent {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The JSON-RPC answer: the last message of a stream. */
  readonly message: {
    readonly id?: unknown;
    readonly result?: Readonly<Record<string, unknown>>;
    readonly error?: { code: number; message: string; data?: Record<string, unknown> };
  };
}

export interface SendOptions {
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** What the client says that it can. */
  readonly capabilities?: object;
}

/** A request of 2026-07-28 as it goes over the wire. */
export async function send(
  { url }: At,
  method: string,
  params: Readonly<Record<string, unknown>> = {},
  { token = testToken, headers = {}, capabilities = {} }: SendOptions = {},
): Promise<Sent> {
  const name = params['name'] ?? params['uri'] ?? params['taskId'];
  const all = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': modern,
    'mcp-method': method,
    ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
    ...headers,
  };
  const body = {
    jsonrpc: '2.0',
    id: 1,
    method,
    params: {
      ...params,
      _meta: {
        'io.modelcontextprotocol/protocolVersion': modern,
        'io.modelcontextprotocol/clientInfo': { name: 'a test', version: '1' },
        'io.modelcontextprotocol/clientCapabilities': capabilities,
        ...(params['_meta'] as object | undefined),
      },
    },
  };
  return read(
    await fetch(new URL('/mcp', url), {
      method: 'POST',
      headers: Object.entries(all).filter(
        (entry): entry is [string, string] => entry[1] !== undefined,
      ),
      body: JSON.stringify(body),
    }),
  );
}

export async function read(answer: Response): Promise<Sent> {
  const text = await answer.text();
  const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream') === true;
  const last = isStream ? messagesOf(text).at(-1) : text === '' ? {} : JSON.parse(text);
  return { status: answer.status, headers: answer.headers, text, message: last as Sent['message'] };
}

/** The messages of an event stream. */
export function messagesOf(text: string): { method?: string; params?: Record<string, unknown> }[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => JSON.parse(line.slice('data: '.length)));
}

/** A client that has Tasks. */
export const withTasks = { capabilities: { extensions: { [tasksExtension]: {} } } };
export const withTasksAndForms = {
  capabilities: { ...withTasks.capabilities, elicitation: { form: {} } },
};
