/** A real browser for tests of the page: the chromium of the system, headless. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';

const names = ['chromium', 'chromium-browser', 'google-chrome'];

function installed(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

const program = installed();

/** Why there is no browser here, or undefined when there is one: `describe.skipIf(browserUnavailable)`. */
export const browserUnavailable: string | undefined =
  program === undefined ? `, skipped: there is no ${names.join(', ')} in PATH` : undefined;

export async function openBrowser(): Promise<Browser> {
  if (program === undefined) throw new Error(browserUnavailable);
  return chromium.launch({
    executablePath: program,
    // Its sandbox wants an ordinary user, which tests in containers seldom are.
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
}
