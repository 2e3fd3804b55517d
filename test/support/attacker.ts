/** Requests to a bridge as somebody without our client sends them, and the people that are attacked. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect } from 'vitest';
import type { TestBridge } from './bridge.ts';

export const password = 'violet otter paints the harbour';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

export interface Sent {
  readonly body?: unknown;
  readonly token?: string;
  readonly headers?: Record<string, string>;
}

export interface Attacker {
  send(method: string, path: string, sent?: Sent): Promise<Answer>;
  /** A user with a password and roles, and his access token. */
  user(name: string, roles?: readonly string[]): Promise<string>;
  tokenOf(name: string): Promise<string>;
  /** What comes back for these bytes, which need be no HTTP. */
  raw(bytes: string): Promise<string>;
}

export function attackerOf(bridge: TestBridge): Attacker {
  const send: Attacker['send'] = async (method, path, { body, token, headers } = {}) => {
    const response = await fetch(`${bridge.url}${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return {
      status: response.status,
      headers: response.headers,
      text: answer,
      body: isJson ? (JSON.parse(answer) as Record<string, unknown>) : {},
    };
  };

  async function tokenOf(username: string): Promise<string> {
    const { status, body } = await send('POST', '/api/v1/login', {
      body: { username, password, as: 'client' },
    });
    expect(status).toBe(200);
    return (body['tokens'] as { accessToken: string }).accessToken;
  }

  return {
    send,
    tokenOf,
    async user(name, roles = []) {
      await bridge.client.createPrincipal({ username: name, password, roles: [...roles] });
      return tokenOf(name);
    },
    raw(bytes) {
      const socket = connect({ host: '127.0.0.1', port: bridge.port, allowHalfOpen: true });
      socket.end(bytes);
      return text(socket);
    },
  };
}
