import { connect } from 'node:net';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openOAuthBridge, type OAuthBridge } from '../support/oauth.ts';

let bridge: OAuthBridge;
beforeAll(async () => {
  bridge = await openOAuthBridge();
});
afterAll(async () => {
  await bridge.end();
});

const paths = ['/oauth/token', '/oauth/device_authorization', '/oauth/revoke'] as const;

test('the metadata names every endpoint below the issuer, and no registration', async () => {
  const answer = await fetch(`${bridge.url}/.well-known/oauth-authorization-server`);
  const metadata = (await answer.json()) as Record<string, unknown>;
  expect(metadata['issuer']).toBe(bridge.url);
  for (const [name, value] of Object.entries(metadata)) {
    if (name.endsWith('_endpoint') || name === 'jwks_uri') {
      const path = String(value).slice(bridge.url.length);
      expect(String(value).startsWith(bridge.url)).toBe(true);
      const there = await bridge.fetch(path);
      expect([200, 400, 405]).toContain(there.status);
    }
  }
  expect(metadata).not.toHaveProperty('registration_endpoint');
  expect(metadata['code_challenge_methods_supported']).toEqual(['S256']);
});

test('each protected resource names itself and this server', async () => {
  for (const path of ['', '/mcp']) {
    const answer = await fetch(`${bridge.url}/.well-known/oauth-protected-resource${path}`);
    expect(await answer.json()).toMatchObject({
      resource: `${bridge.url}${path}`,
      authorization_servers: [bridge.url],
    });
  }
});

test('the published keys are public', async () => {
  const answer = await fetch(`${bridge.url}/oauth/jwks`);
  expect(answer.headers.get('cache-control')).toBe('public, max-age=300');
  const { keys } = (await answer.json()) as { keys: Record<string, unknown>[] };
  expect(keys.length).toBeGreaterThan(0);
  for (const key of keys) expect(key).not.toHaveProperty('d');
});

test.for([
  ['grant_type=client_credentials&grant_type=client_credentials', 'invalid_request'],
  ['grant_type=refresh_token&client_id=centuria-cli&client_id=', 'invalid_request'],
  [
    'grant_type=refresh_token&client_id=centuria-cli&refresh_token=x&scope=agents.read&scope=runs.read',
    'invalid_request',
  ],
  ['grant_type=%zz', 'invalid_request'],
  ['grant_type=%ff', 'invalid_request'],
  ['grant_type=refresh_token&client_id=a%00b', 'invalid_request'],
  ['grant_type=', 'invalid_request'],
  ['', 'invalid_request'],
  ['grant_type=password&username=ada&password=x', 'unsupported_grant_type'],
  ['grant_type=authorization_code&client_id=nobody&code=x', 'invalid_client'],
  [Array.from({ length: 60 }, (_, index) => `p${index}=1`).join('&'), 'invalid_request'],
] as const)('the form %s is answered with %s', async ([form, error]) => {
  const { status, body, headers } = await bridge.post('/oauth/token', form);
  expect(body['error']).toBe(error);
  expect(status).toBe(error === 'invalid_client' ? 401 : 400);
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('content-type')).toContain('application/json');
});

test('JSON, no type and an oversized form are refused in the words of the protocol', async () => {
  for (const path of paths) {
    const json = await bridge.post(path, '{"token":"x","grant_type":"client_credentials"}', {
      'content-type': 'application/json',
    });
    expect(json).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    const large = await bridge.post(path, `token=${'x'.repeat(100_000)}`);
    expect(large).toMatchObject({ status: 413, body: { error: 'invalid_request' } });
  }
});

test('two proofs in two headers are none', async () => {
  const answer = await raw(
    'POST /oauth/token HTTP/1.1',
    ['DPoP: a.b.c', 'DPoP: a.b.c'],
    'grant_type=refresh_token&client_id=centuria-cli&refresh_token=x',
  );
  expect(answer).toContain('HTTP/1.1 400');
  expect(answer).toContain('invalid_dpop_proof');
});

test('whatever a form holds, the answer is one of the protocol', async () => {
  const word = fc.constantFrom(
    'grant_type',
    'client_id',
    'client_secret',
    'code',
    'refresh_token',
    'device_code',
    'scope',
    'resource',
    'subject_token',
    'actor_token',
    'authorization_code',
    'urn:ietf:params:oauth:grant-type:token-exchange',
    'client_credentials',
    'centuria-cli',
    'agents.read',
    'http://127.0.0.1',
  );
  const text = fc.oneof(word, fc.string({ unit: 'grapheme', maxLength: 40 }));
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths),
      fc.array(fc.tuple(text, text), { maxLength: 8 }),
      fc.string({ maxLength: 60 }),
      async (path, pairs, noise) => {
        const form = `${new URLSearchParams(pairs).toString()}&${noise}`;
        const { status, body } = await bridge.post(path, form);
        expect(status).toBeLessThan(500);
        expect(JSON.stringify(body)).not.toMatch(/at .*\.ts|node_modules|select /);
        if (status >= 400) expect(Object.keys(body)).toEqual(['error', 'error_description']);
      },
    ),
    { numRuns: 150 },
  );
});

/** A request with headers as no library sends them. */
function raw(first: string, headers: readonly string[], body: string): Promise<string> {
  const lines = [
    first,
    `Host: 127.0.0.1:${bridge.port}`,
    'Connection: close',
    'Content-Type: application/x-www-form-urlencoded',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers,
  ];
  return new Promise((resolve, reject) => {
    const socket = connect(bridge.port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => (text += String(chunk)));
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
    socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
  });
}
