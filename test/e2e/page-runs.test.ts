/** A run on the page in a real browser: its groups, how votes came out, and a question that is answered there. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserUnavailable } from '../support/browser.ts';
import { signIn, startPages, title, type Pages } from '../support/pages.ts';

const workflow = `name: decide
description: Votes, and asks.
mode: parallel
tasks:
  vote:
    mode: consensus
    quorum: 2
    agreement: 0.9
    tasks:
      ada: { agent: step, input: { ms: 1, code: 0 } }
      bea: { agent: step, input: { ms: 1, code: 0 } }
  ok: { approval: 'Go on?', needs: [vote], timeoutSeconds: 300 }
  behind: { agent: step, needs: [ok], input: { ms: 1, code: 0 } }
`;

describe.skipIf(browserUnavailable !== undefined)(`in a browser${browserUnavailable ?? ''}`, () => {
  let pages: Pages;
  beforeAll(async () => {
    pages = await startPages();
    await writeFile(join(pages.home.path, 'workflows/decide.yaml'), workflow);
  });
  afterAll(() => pages.end());

  test('a run shows its groups and how they decided, and goes on with the answer that is given there', async () => {
    await pages.addUser('ada', 'admin');
    const started = await pages.home.cli(['run', 'start', 'decide', '-o', 'json']);
    const { id } = JSON.parse(started.stdout) as { id: string };
    const page = await pages.open(`/#/runs/${id}`);
    await signIn(page, 'ada');
    await title(page, 'decide').waitFor();
    await page.getByText('asks: Go on?').waitFor();
    const rows = page.locator('ol.tasks > li');
    await rows.getByText('Taken: 100 % (ada, bea)').waitFor();
    expect(await rows.locator('.name').allTextContents()).toEqual([
      'vote consensus',
      'ada step',
      'bea step',
      'ok approval',
      'behind step',
    ]);
    expect(await rows.and(page.locator('[data-level="1"]')).count()).toBe(2);
    await page.getByRole('button', { name: 'Approve' }).click();
    await page.locator('.head .chip', { hasText: 'completed' }).waitFor();
    expect(await page.getByText('asks: Go on?').count()).toBe(0);
    const events = await pages.home.cli(['run', 'events', id]);
    expect(events.stdout).toMatch(/question\.answered +approved by ada \[ok\]$/m);
    expect(await pages.closePages()).toEqual([]);
  });
});
