/** The page in a real browser against a real server: signing in, one's account, everybody's access. */
import { TOTP } from 'otpauth';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { browserUnavailable } from '../support/browser.ts';
import { password, signIn, startPages, title, type Pages } from '../support/pages.ts';

const otherPassword = 'seven lamps over quiet water';

describe.skipIf(browserUnavailable !== undefined)(`in a browser${browserUnavailable ?? ''}`, () => {
  let pages: Pages;
  beforeAll(async () => {
    pages = await startPages();
  });
  // oxlint-disable-next-line vitest/no-standalone-expect -- Holds for every page that a test opened.
  afterEach(async () => expect(await pages.closePages()).toEqual([]));
  afterAll(() => pages.end());

  test('where there are no users it says how to make one, and then lets him in where he was', async () => {
    const page = await pages.open('/#/agents');
    await title(page, 'Nobody can sign in yet').waitFor();
    expect(await page.locator('pre').textContent()).toBe('centuria user create NAME --role admin');
    await pages.addUser('first', 'admin');
    await page.reload();
    await signIn(page, 'first');
    await title(page, 'Agents').waitFor();
    expect(new URL(page.url()).hash).toBe('#/agents');
    expect(await page.getByRole('link', { name: 'first' }).isVisible()).toBe(true);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await title(page, 'Sign in').waitFor();
    expect(await page.context().cookies()).toEqual([]);
  });

  test('ten wrong passwords lock the name for a while that is counted down, and unlocking ends it', async () => {
    await pages.addUser('clumsy', 'guest');
    const page = await pages.open('/');
    const submit = page.locator('form[data-form=password] [type=submit]');
    for (let tries = 0; tries < 10; tries += 1) {
      const answered = page.waitForResponse(`${pages.url}/api/v1/login`);
      await signIn(page, 'clumsy', `wrong password ${tries}`);
      await answered;
      await page
        .getByRole('alert')
        .getByText(/is not right|too many/i)
        .waitFor();
      if (await submit.isDisabled()) break;
    }
    if (!(await submit.isDisabled())) await signIn(page, 'clumsy');
    await page.getByText('Too many wrong passwords for this name').waitFor();
    expect(await submit.textContent()).toMatch(/^Try again in \d/);
    expect(await submit.isDisabled()).toBe(true);
    expect((await pages.home.cli(['user', 'unlock', 'clumsy'])).status).toBe(0);
    await page.reload();
    await signIn(page, 'clumsy');
    await title(page, 'No run yet').waitFor();
    expect(await page.getByRole('link', { name: 'clumsy' }).isVisible()).toBe(true);
  });

  test('an authenticator is set up by its secret, asked for afterwards, and stood in for by a recovery code', async () => {
    const page = await pages.atAccount('tara', 'guest');
    await page.getByRole('button', { name: 'Set up' }).click();
    await page.getByRole('img', { name: 'QR code' }).waitFor();
    const secret = (await page.locator('form[data-form=confirm-totp] .mono').textContent()) ?? '';
    const totp = new TOTP({ secret: secret.replaceAll(' ', '') });
    await page.getByLabel('2. Type the code').fill('000000');
    await page.getByRole('button', { name: 'Turn on' }).click();
    await page.getByText('The code is wrong').waitFor();
    // A code of the last half minute counts too, so that the next one is left for signing in.
    await page
      .getByLabel('2. Type the code')
      .fill(totp.generate({ timestamp: Date.now() - 30_000 }));
    await page.getByRole('button', { name: 'Turn on' }).click();
    const codes = ((await page.locator('#once').textContent()) ?? '').split('\n');
    expect(codes).toHaveLength(10);
    const saved = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download' }).click();
    expect((await saved).suggestedFilename()).toBe('centuria-recovery-codes.txt');
    await page.getByRole('button', { name: 'I have kept it' }).click();
    await page.locator('#once').waitFor({ state: 'detached' });

    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await signIn(page, 'tara');
    await page.getByLabel('One-time code').fill(totp.generate());
    await page.getByRole('button', { name: 'Go on' }).click();
    await title(page, 'tara').waitFor();

    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await signIn(page, 'tara');
    await page.getByRole('button', { name: 'Use a recovery code' }).click();
    await page.getByLabel('Recovery code').fill(codes[0] ?? '');
    await page.getByRole('button', { name: 'Go on' }).click();
    await title(page, 'tara').waitFor();
    expect(await page.getByText('by password+recovery code').count()).toBe(1);
  });

  test('a passkey is added, signs in without a password, and is removed', async () => {
    const page = await pages.atAccount('petra', 'guest');
    await addAuthenticator(page);
    await page.getByLabel('Name of a new one').fill('This laptop');
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByText('This laptop').waitFor();
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await title(page, 'petra').waitFor();
    await page.getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('button', { name: 'Remove passkey' }).click();
    await page.getByText('None. A passkey signs you in').waitFor();
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
    await page.getByRole('alert').getByText('The passkey is not known here').waitFor();
    expect(await title(page, 'Sign in').isVisible()).toBe(true);
  });

  test('at an address in digits it says why there are no passkeys', async () => {
    const page = await pages.open('/');
    await page.goto(pages.url.replace('localhost', '127.0.0.1'));
    await page.getByText(`Passkeys work at ${pages.url}.`).waitFor();
    expect(await page.getByRole('button', { name: /passkey/ }).count()).toBe(0);
  });

  test('a changed password ends the other sessions, and a wrong present one ends nothing', async () => {
    const page = await pages.atAccount('pam', 'guest');
    const elsewhere = await pages.open('/#/account');
    await signIn(elsewhere, 'pam');
    await title(elsewhere, 'pam').waitFor();

    const change = async (present: string, next: string) => {
      await page.getByLabel('Present password').fill(present);
      await page.getByLabel('New password').fill(next);
      await page.getByRole('button', { name: 'Change password' }).click();
    };
    await change('not the present one', otherPassword);
    await page.getByText('The present password is wrong').waitFor();
    await change(password, 'short');
    await page
      .getByRole('alert')
      .getByText(/15 characters/)
      .waitFor();
    await change(password, otherPassword);
    await page.getByText('It is changed.').waitFor();
    await elsewhere.reload();
    await signIn(elsewhere, 'pam', otherPassword);
    await title(elsewhere, 'pam').waitFor();
    expect(await title(page, 'pam').isVisible()).toBe(true);
  });

  test('an API key works within its scope until it is revoked, and is shown once', async () => {
    const page = await pages.atAccount('kay', 'admin');
    await page.getByText('Make a key').click();
    const form = page.locator('form[data-form=create-key]');
    await form.getByLabel('Name', { exact: true }).fill('nightly');
    await form.getByRole('button', { name: 'Make key' }).click();
    await page.getByText('No permission is ticked').waitFor();
    await form.getByLabel('runs.read').check();
    await form.getByRole('button', { name: 'Make key' }).click();
    const key = (await page.locator('#once').textContent()) ?? '';
    const ask = async (path: string) =>
      (await fetch(pages.url + path, { headers: { authorization: `Bearer ${key}` } })).status;
    expect(await ask('/api/v1/runs')).toBe(200);
    expect(await ask('/api/v1/principals')).toBe(403);
    await page.getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('button', { name: 'Go back' }).click();
    expect(await ask('/api/v1/runs')).toBe(200);
    await page.getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('button', { name: 'Revoke key' }).click();
    await page.getByText('1 revoked.').waitFor();
    expect(await ask('/api/v1/runs')).toBe(401);
    await page.reload();
    await title(page, 'kay').waitFor();
    expect(await page.content()).not.toContain(key);
    const ids = await page.evaluate('[...document.querySelectorAll("[id]")].map(({ id }) => id)');
    expect(ids).toEqual([...new Set(ids as string[])]);
  });

  test('signing out everywhere else leaves this browser signed in and shows the other the way in', async () => {
    const page = await pages.atAccount('sam', 'guest');
    const elsewhere = await pages.open('/#/runs');
    await signIn(elsewhere, 'sam');
    await title(elsewhere, 'No run yet').waitFor();
    await page.reload();
    await page.getByRole('button', { name: 'Sign out everywhere else' }).click();
    await page.locator('#confirm-yes').click();
    await elsewhere.getByText('Your session has ended.').waitFor();
    expect(await title(page, 'sam').isVisible()).toBe(true);
  });

  test('an administrator finds somebody, gives a role until a day, disables and enables him', async () => {
    await pages.addUser('victim', 'guest');
    const page = await pages.atAccount('boss', 'admin');
    await page.getByRole('link', { name: 'Access' }).click();
    await page.getByRole('searchbox').fill('vict');
    await page.waitForURL(`${pages.url}/#/access?q=vict`);
    await page.getByRole('link', { name: 'victim' }).click();
    await page.getByText('everywhere, role guest by read').first().waitFor();
    await page.getByLabel('Give a role').selectOption('monitor');
    await page.getByLabel('Until').fill('2099-01-31T12:00');
    await page.getByRole('button', { name: 'Give', exact: true }).click();
    await page.getByText('role monitor by monitor').first().waitFor();

    const his = await pages.open('/#/runs');
    await signIn(his, 'victim');
    await title(his, 'No run yet').waitFor();
    await page.getByRole('button', { name: 'Disable' }).click();
    await page.locator('#confirm-yes').click();
    await page.getByText('It is disabled, so nothing of this counts now.').waitFor();
    await his.getByText('Your session has ended.').waitFor();
    await page.getByRole('button', { name: 'Enable' }).click();
    await page.getByRole('button', { name: 'Disable' }).waitFor();
    await page.getByRole('link', { name: 'Security events about it' }).click();
    await page.getByText('role assigned').waitFor();
    expect(new URL(page.url()).hash).toBe('#/events?user=victim');
  });

  test('who may look but change nothing sees why, and who may not look sees what he lacks', async () => {
    const page = await pages.atAccount('gwen', 'guest');
    await page.goto(`${pages.url}/#/access`);
    await page.getByText('You lack the permission users.read').waitFor();
    await page.goto(`${pages.url}/#/access/first`);
    await page.getByText('denied').waitFor();
    expect(await page.getByRole('link', { name: 'Access' }).count()).toBe(0);

    expect((await pages.home.cli(['role', 'create', 'lookers'])).status).toBe(0);
    expect((await pages.home.cli(['role', 'allow', 'lookers', 'users.read'])).status).toBe(0);
    expect((await pages.home.cli(['user', 'grant', 'gwen', 'lookers'])).status).toBe(0);
    await page.reload();
    await page.getByText('You can look, and change nothing').waitFor();
    expect(await page.getByRole('button', { name: 'Disable' }).isDisabled()).toBe(true);
    expect(await page.getByText('You lack roles.write').isVisible()).toBe(true);
  });

  test('a link that was used says so and offers the way in', async () => {
    const page = await pages.open('/login?code=used');
    await page.getByText('The link was used already').waitFor();
    await signIn(page, 'first');
    await title(page, 'No run yet').waitFor();
    expect(new URL(page.url()).pathname).toBe('/');
  });

  test('nothing is wider than the screen of a phone, and everything is reached by the keyboard', async () => {
    const page = await pages.atAccount('mobi', 'admin');
    await page.setViewportSize({ width: 320, height: 640 });
    for (const view of ['account', 'access', 'access/mobi', 'events', 'runs', 'agents']) {
      await page.goto(`${pages.url}/#/${view}`);
      await page.locator('main h1').first().waitFor();
      const wide = await page.evaluate('document.documentElement.scrollWidth');
      expect({ view, wide }).toEqual({ view, wide: 320 });
    }
    await page.goto(`${pages.url}/#/account`);
    await page.getByLabel('Present password').focus();
    await page.keyboard.type(password);
    await page.keyboard.press('Tab');
    await page.keyboard.type(otherPassword);
    await page.keyboard.press('Enter');
    await page.getByText('It is changed.').waitFor();
  });
});

/** An authenticator of the browser itself, which says yes whenever it is asked. */
async function addAuthenticator(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send('WebAuthn.enable');
  await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
}
