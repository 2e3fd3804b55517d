/** The page asks before a program is let in: a device by its code, and an OAuth client by its request. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { browserUnavailable } from '../support/browser.ts';
import { password, signIn, startPages, title, type Pages } from '../support/pages.ts';

describe.skipIf(browserUnavailable !== undefined)(`in a browser${browserUnavailable ?? ''}`, () => {
  let pages: Pages;
  let client: Server;
  /** Where the client hears of it. */
  let callback: string;
  beforeAll(async () => {
    client = createServer((_request, response) => response.end('back at the client'));
    client.listen(0, '127.0.0.1');
    [pages] = await Promise.all([startPages(), once(client, 'listening')]);
    callback = `http://127.0.0.1:${(client.address() as AddressInfo).port}/callback`;
    await pages.addUser('ines', 'admin');
    await register();
  });
  // oxlint-disable-next-line vitest/no-standalone-expect -- Holds for every page that a test opened.
  afterEach(async () => expect(await pages.closePages()).toEqual([]));
  afterAll(async () => {
    client.closeAllConnections();
    client.close();
    await pages.end();
  });

  async function post(path: string, body: unknown, token?: string): Promise<Response> {
    const headers = {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    };
    return fetch(pages.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  }

  async function register(): Promise<void> {
    const login = await post('/api/v1/login', { username: 'ines', password, as: 'client' });
    const { tokens } = (await login.json()) as { tokens: { accessToken: string } };
    const wanted = { id: 'report-tool', name: 'Report tool', redirectUris: [callback] };
    const made = await post('/api/v1/clients', wanted, tokens.accessToken);
    if (made.status !== 201) throw new Error(await made.text());
  }

  function authorizeUrl(changes: Record<string, string> = {}): { path: string; verifier: string } {
    const verifier = randomBytes(32).toString('base64url');
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: 'report-tool',
      redirect_uri: callback,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      scope: 'runs.read agents.read',
      state: 'as it was',
      ...changes,
    });
    return { path: `/oauth/authorize?${query}`, verifier };
  }

  test('centuria login waits for the page, where a person signs in, sees who asks, and agrees', async () => {
    const login = pages.home.start(['login', '--server', pages.url, '-o', 'json']);
    const [link = ''] = await login.until('stderr', /http:\S+code=\S+/);
    const page = await pages.open(link.slice(pages.url.length));
    await signIn(page, 'ines');
    await title(page, 'Let a device in').waitFor();
    const code = new URL(link).searchParams.get('code') ?? '';
    expect(await page.getByLabel('Code').inputValue()).toBe(code);
    await page.getByRole('button', { name: 'Go on' }).click();
    expect(await page.locator('p.code').textContent()).toBe(code);
    expect(await page.getByText('127.0.0.1').isVisible()).toBe(true);
    await page.getByRole('button', { name: 'Let it in' }).click();
    await page.getByText('is let in').waitFor();
    const ended = await login.ended;
    expect(ended.stderr).toContain('Waiting');
    expect([ended.status, JSON.parse(ended.stdout)]).toEqual([
      0,
      { server: pages.url, username: 'ines' },
    ]);
  });

  test('a device that is denied hears so, and a code that nobody has is none', async () => {
    const login = pages.home.start(['login', '--server', pages.url]);
    const [, code = ''] = await login.until('stderr', /enter ([A-Z-]{9})/);
    const page = await pages.open('/device');
    await signIn(page, 'ines');
    await page.getByLabel('Code').fill('BCDF-GHJK');
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByRole('alert').getByText('No device waits with this code').waitFor();
    await page.getByLabel('Code').fill(code.toLowerCase());
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.getByText('is not let in').waitFor();
    const ended = await login.ended;
    expect([ended.status, ended.stdout]).toEqual([3, '']);
  });

  test('an OAuth client is named with what it could do, and gets a code once a person agrees', async () => {
    const { path, verifier } = authorizeUrl();
    const page = await pages.open(path);
    await signIn(page, 'ines');
    await title(page, 'Let Report tool in?').waitFor();
    expect(await page.getByText(new URL(callback).host).isVisible()).toBe(true);
    expect(await page.locator('.asked li').count()).toBe(2);
    await page.getByRole('button', { name: 'Let it in' }).click();
    await page.waitForURL(/\/callback\?/);
    const given = new URL(page.url()).searchParams;
    expect([given.get('state'), given.get('iss')]).toEqual(['as it was', pages.url]);
    const response = await fetch(`${pages.url}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        client_id: 'report-tool',
        redirect_uri: callback,
        code: given.get('code') ?? '',
        code_verifier: verifier,
      }),
    });
    expect([response.status, await response.json()]).toMatchObject([
      200,
      { scope: 'agents.read runs.read' },
    ]);
  });

  test('a client that is denied is told so and gets no code', async () => {
    const page = await pages.open(authorizeUrl().path);
    await signIn(page, 'ines');
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.waitForURL(/\/callback\?/);
    const given = new URL(page.url()).searchParams;
    expect([given.get('error'), given.get('code')]).toEqual(['access_denied', null]);
  });

  test('where the address to go back to is not the client’s, the page says so and goes nowhere', async () => {
    const bad = authorizeUrl({ redirect_uri: 'https://elsewhere.example/callback' }).path;
    const page = await pages.open(bad.replace('/oauth/authorize', '/authorize'));
    await signIn(page, 'ines');
    await title(page, 'The program asked in a wrong way').waitFor();
    expect(await page.getByRole('button', { name: /Let it in|Back/ }).count()).toBe(0);
    expect(new URL(page.url()).origin).toBe(pages.url);
  });
});
