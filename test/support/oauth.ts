/** A bridge with people at browsers and clients of other makers, for tests of the OAuth server. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import * as oauth from 'oauth4webapi';
import { sql } from '../../src/database/database.ts';
import { openTestBridge, type TestBridge, type TestBridgeOptions } from './bridge.ts';

export interface Person {
  readonly userId: string;
  readonly username: string;
  readonly sessionId: string;
  /** `fetch` as the page of this server does it. */
  fetch(path: string, init?: { method?: string; body?: unknown }): Promise<Response>;
}

export interface OAuthBridge extends TestBridge {
  readonly as: oauth.AuthorizationServer;
  /** A principal with these roles, signed in at a browser. */
  person(username: string, roles: readonly string[]): Promise<Person>;
  /** An agent or user with an API key. */
  principal(
    username: string,
    kind: 'user' | 'agent',
    roles: readonly string[],
  ): Promise<{ readonly userId: string; readonly key: string }>;
  /** Registers a client that people may let in. */
  register(id: string, redirectUris: readonly string[]): Promise<oauth.Client>;
  /** A form as any program would send it. */
  post(path: string, form: Form, headers?: Record<string, string>): Promise<Answer>;
  /** As if the client had waited its interval. */
  forgetPolls(): Promise<void>;
  sessionsOf(username: string): Promise<{ id: string; active: boolean; method: string }[]>;
}

export type Form = Readonly<Record<string, string>> | string;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

/** The library refuses plain HTTP unless told that this is wanted. */
export const insecure = { [oauth.allowInsecureRequests]: true } as const;
export const none = oauth.None();
export const cli: oauth.Client = { client_id: 'centuria-cli' };

export async function openOAuthBridge(options: TestBridgeOptions = {}): Promise<OAuthBridge> {
  const bridge = await openTestBridge(options);
  const issuer = new URL(bridge.url);
  const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure });
  const as = await oauth.processDiscoveryResponse(issuer, found);
  const owner = await bridge.identity.callers.owner();

  async function userId(username: string, kind: 'user' | 'agent', roles: readonly string[]) {
    const made = await bridge.identity.principals.create({ username, kind, roles }, owner);
    return made.id;
  }

  return {
    ...bridge,
    as,
    async person(username, roles) {
      const id = await userId(username, 'user', roles);
      const tokens = await bridge.identity.signIn.open(id, 'password', {
        address: '127.0.0.1',
        userAgent: 'a browser',
        as: 'browser',
      });
      const cookie = `centuria_session_${bridge.port}=${tokens.accessToken}`;
      return {
        userId: id,
        username,
        sessionId: tokens.sessionId,
        fetch: (path, { method = 'GET', body } = {}) =>
          fetch(`${bridge.url}${path}`, {
            method,
            headers: {
              cookie,
              'sec-fetch-site': 'same-origin',
              ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            },
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          }),
      };
    },
    async principal(username, kind, roles) {
      const id = await userId(username, kind, roles);
      const { key } = await bridge.identity.apiKeys.create(username, { name: 'a test' }, owner);
      return { userId: id, key };
    },
    async register(id, redirectUris) {
      await bridge.identity.oauth.clients.create({ id, name: `Client ${id}`, redirectUris }, owner);
      return { client_id: id };
    },
    async post(path, form, headers = {}) {
      const answer = await fetch(`${bridge.url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
      });
      const body = (await answer.json()) as Record<string, unknown>;
      return { status: answer.status, headers: answer.headers, body };
    },
    async forgetPolls() {
      await bridge.database.query(sql`update device_codes set last_polled_at = null`);
    },
    sessionsOf: (username) =>
      bridge.database.query(sql<{ id: string; active: boolean; method: string }>`
        select session_id as id, is_active as active, login_method as method
        from user_sessions join users using (user_id)
        where username = ${username} and login_method <> 'password' order by session_id`),
  };
}

export const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';
export const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const accessTokenUrn = 'urn:ietf:params:oauth:token-type:access_token';

export interface StartedDevice {
  readonly deviceCode: string;
  readonly userCode: string;
}

/** Begins a device login as a program does. */
export async function startDevice(
  bridge: OAuthBridge,
  form: Readonly<Record<string, string>> = {},
): Promise<StartedDevice> {
  const { body, status } = await bridge.post('/oauth/device_authorization', {
    client_id: 'centuria-cli',
    ...form,
  });
  if (status !== 200) throw new Error(`no device login: ${JSON.stringify(body)}`);
  return { deviceCode: String(body['device_code']), userCode: String(body['user_code']) };
}

export async function approveDevice(person: Person, userCode: string): Promise<void> {
  const looked = await person.fetch(`/api/v1/device/${userCode}`);
  const decided = await person.fetch(`/api/v1/device/${userCode}`, {
    method: 'POST',
    body: { approve: true },
  });
  if (looked.status !== 200 || decided.status !== 204) {
    throw new Error(`not let in: ${looked.status} ${decided.status} ${await decided.text()}`);
  }
}

/** Tokens of a client that a person has let in. */
export async function deviceTokens(
  bridge: OAuthBridge,
  person: Person,
  form: Readonly<Record<string, string>> = {},
): Promise<{ accessToken: string; refreshToken: string; body: Answer['body'] }> {
  const { deviceCode, userCode } = await startDevice(bridge, form);
  await approveDevice(person, userCode);
  const { body, status } = await bridge.post('/oauth/token', {
    grant_type: deviceGrant,
    client_id: form['client_id'] ?? 'centuria-cli',
    device_code: deviceCode,
  });
  if (status !== 200) throw new Error(`no tokens: ${JSON.stringify(body)}`);
  return {
    accessToken: String(body['access_token']),
    refreshToken: String(body['refresh_token']),
    body,
  };
}

/** A verifier and its challenge (RFC 7636). */
export function pkce(): { readonly verifier: string; readonly challenge: string } {
  const verifier = randomBytes(32).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

export interface Key {
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}
export const newKey = (): Promise<Key> => generateKeyPair('ES256', { extractable: true });

/** A proof as RFC 9449, 4.2 describes it, of a request for tokens unless it is changed. */
export async function proofFor(
  bridge: { readonly url: string },
  key: Key,
  change: Record<string, unknown> = {},
): Promise<string> {
  return new SignJWT({
    htm: 'POST',
    htu: `${bridge.url}/oauth/token`,
    jti: randomUUID(),
    iat: Math.floor(Date.now() / 1_000),
    ...change,
  })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(key.publicKey) })
    .sign(key.privateKey);
}

/** Headers of a GET with a bound token. */
export async function bound(
  bridge: { readonly url: string },
  accessToken: string,
  key: Key,
  path: string,
  change: Record<string, unknown> = {},
): Promise<Record<string, string>> {
  const ath = createHash('sha256').update(accessToken).digest('base64url');
  const dpop = await proofFor(bridge, key, {
    htm: 'GET',
    htu: `${bridge.url}${path}`,
    ath,
    ...change,
  });
  return { authorization: `DPoP ${accessToken}`, dpop };
}

/** A client's name and secret as RFC 6749, 2.3.1 sends them. */
export function basic(id: string, secret: string): Record<string, string> {
  const pair = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}
