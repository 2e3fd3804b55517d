import { createHash } from 'node:crypto';
import { Script } from 'node:vm';
import { expect, test } from 'vitest';
import { loadPage } from './page.ts';

const { html, contentSecurityPolicy } = loadPage();
const element = (name: string) =>
  new RegExp(`<${name}[^>]*>([\\s\\S]*?)</${name}>`).exec(html)?.[1] ?? '';

test('the policy names the script and the style of the page and nothing else', () => {
  for (const name of ['script', 'style']) {
    const hash = createHash('sha256').update(element(name)).digest('base64');
    expect(contentSecurityPolicy).toContain(`${name}-src 'sha256-${hash}'`);
  }
  expect(contentSecurityPolicy).not.toMatch(/unsafe|\*|https?:/);
  expect(html.match(/<script/g)).toHaveLength(1);
  expect(html).not.toMatch(/ on[a-z]+="| style="/);
});

test('the joined modules are one script without imports that names nothing twice', () => {
  const script = element('script');
  expect(script).not.toMatch(/^\s*(import|export) /m);
  // Compiled and not run: two declarations of one name are a syntax error.
  expect(() => new Script(`(async () => {${script}\n})`)).not.toThrow();
});

test('the page asks for nothing outside this server', () => {
  // The name of a namespace, and an address of this machine that is told to readers.
  const said = /http:\/\/(www\.w3\.org\/2000\/svg|localhost)\b/g;
  expect(html.replaceAll(said, '')).not.toMatch(/https?:\/\//);
});
