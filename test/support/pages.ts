/** The page of a real server in a real browser, each page in a browser that knows nothing of the others. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import type { BrowserContext, Locator, Page } from 'playwright-core';
import { openBrowser } from './browser.ts';
import { fleetFiles } from './cli-fleet.ts';
import { testHome, type TestHome } from './cli.ts';

/** What users of `addUser` sign in with. */
export const password = 'violet otter paints the harbour';

export interface Pages {
  readonly url: string;
  readonly home: TestHome;
  open(path: string): Promise<Page>;
  addUser(name: string, role: string): Promise<void>;
  /** A new user, signed in at his account. */
  atAccount(name: string, role: string): Promise<Page>;
  /** Closes the pages. What a browser complained of in them; a refused request is no complaint. */
  closePages(): Promise<readonly string[]>;
  end(): Promise<void>;
}

export async function startPages(): Promise<Pages> {
  const port = await freePort();
  // By name, since no browser makes a passkey for an address in digits.
  const url = `http://localhost:${port}`;
  const home = await testHome(fleetFiles, { seeded: true });
  const env = { CENTURIA_PUBLIC_URL: url, CENTURIA_BRIDGE_PORT: String(port) };
  const server = home.start(['up'], { env });
  const [browser] = await Promise.all([openBrowser(), server.until('stdout', /serves http:/)]);
  const opened: BrowserContext[] = [];
  const complaints: string[] = [];

  const pages: Pages = {
    url,
    home,
    async open(path) {
      const context = await browser.newContext();
      context.setDefaultTimeout(20_000);
      opened.push(context);
      const page = await context.newPage();
      page.on('pageerror', ({ message }) => complaints.push(message));
      page.on('console', (message) => {
        const isRefusal = message.text().startsWith('Failed to load resource');
        if (message.type() === 'error' && !isRefusal) complaints.push(message.text());
      });
      await page.goto(url + path);
      return page;
    },
    async addUser(name, role) {
      const asked = ['user', 'create', name, '--role', role, '--password-stdin'];
      const { status, stderr } = await home.cli(asked, { stdin: password });
      if (status !== 0) throw new Error(stderr);
    },
    async atAccount(name, role) {
      await pages.addUser(name, role);
      const page = await pages.open('/#/account');
      await signIn(page, name);
      await title(page, name).waitFor();
      return page;
    },
    async closePages() {
      await Promise.all(opened.splice(0).map((context) => context.close()));
      return complaints.splice(0);
    },
    async end() {
      await browser.close();
      server.child.kill('SIGTERM');
      const ended = await server.ended;
      await home.remove();
      if (ended.status !== 0) throw new Error(`the server ended: ${ended.stderr}`);
    },
  };
  return pages;
}

export async function signIn(page: Page, name: string, given = password): Promise<void> {
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Password', { exact: true }).fill(given);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

/** The heading of what is shown. */
export function title(page: Page, name: string): Locator {
  return page.getByRole('heading', { name, level: 1 });
}

async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
