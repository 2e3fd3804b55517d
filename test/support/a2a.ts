/** The official client of A2A at a test bridge, for somebody. */
import { randomUUID } from 'node:crypto';
import type { Message, SendMessageRequest, StreamResponse, Task } from '@a2a-js/sdk';
import {
  ClientFactory,
  DefaultAgentCardResolver,
  JsonRpcTransportFactory,
  type Client,
} from '@a2a-js/sdk/client';
import type { TestBridge } from './bridge.ts';

const password = 'eleven boats below the bridge';

/** A principal with these roles, and a token of his. */
export async function signIn(
  bridge: TestBridge,
  username: string,
  roles: readonly string[],
): Promise<string> {
  const owner = await bridge.identity.callers.owner();
  await bridge.identity.principals.create({ username, password, roles }, owner);
  const response = await fetch(`${bridge.url}/api/v1/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username, password, as: 'browser' }),
  });
  const [, token] = /=([^;]+);/.exec(response.headers.get('set-cookie') ?? '') ?? [];
  if (token === undefined) throw new Error(`${username} could not sign in: ${response.status}`);
  return token;
}

/** The client that the card below this path makes. */
export function clientAt(bridge: TestBridge, path: string, token: string): Promise<Client> {
  const fetchImpl: typeof fetch = (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set('authorization', `Bearer ${token}`);
    return fetch(input, { ...init, headers });
  };
  const factory = new ClientFactory({
    transports: [new JsonRpcTransportFactory({ fetchImpl })],
    cardResolver: new DefaultAgentCardResolver({ fetchImpl }),
  });
  return factory.createFromUrl(`${bridge.url}${path}`, '');
}

export interface Saying {
  readonly text?: string;
  readonly data?: unknown;
  readonly messageId?: string;
  readonly contextId?: string;
  readonly taskId?: string;
  readonly skill?: string;
  readonly now?: boolean;
}

export function saying(what: Saying): SendMessageRequest {
  const common = { metadata: undefined, filename: '', mediaType: '' };
  const message: Message = {
    messageId: what.messageId ?? randomUUID(),
    contextId: what.contextId ?? '',
    taskId: what.taskId ?? '',
    role: 1,
    parts: [
      ...(what.text === undefined
        ? []
        : [{ ...common, content: { $case: 'text' as const, value: what.text } }]),
      ...(what.data === undefined
        ? []
        : [{ ...common, content: { $case: 'data' as const, value: what.data } }]),
    ],
    metadata: undefined,
    extensions: [],
    referenceTaskIds: [],
  };
  return {
    tenant: '',
    message,
    configuration: {
      acceptedOutputModes: [],
      taskPushNotificationConfig: undefined,
      returnImmediately: what.now ?? false,
    },
    metadata: what.skill === undefined ? undefined : { skill: what.skill },
  };
}

/** The result of a task as what it holds. */
export function resultOf(task: Task): unknown {
  const part = task.artifacts[0]?.parts[0]?.content;
  return part?.value;
}

/** What a stream has brought, in short. */
export function inShort({ payload }: StreamResponse): string {
  switch (payload?.$case) {
    case 'task':
      return `task ${payload.value.status?.state}`;
    case 'statusUpdate': {
      const { state, message } = payload.value.status ?? {};
      const said = message?.parts[0]?.content;
      return `status ${state}${said === undefined ? '' : `: ${String(said.value)}`}`;
    }
    case 'artifactUpdate':
      return `artifact ${JSON.stringify(payload.value.artifact?.parts[0]?.content?.value)}`;
    default:
      return 'something else';
  }
}
