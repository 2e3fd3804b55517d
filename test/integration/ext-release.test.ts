/** Releases on a target, file by file: what a crash at any moment leaves, and what the way back gives. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waysOf } from '../../src/ext/deploy/sides.ts';
import { openLocalHost } from '../../src/ext/host/local.ts';
import { packBundle, readBundle } from '../../src/ext/package/bundle.ts';
import { layoutOf, livePaths, type Layout } from '../../src/ext/release/layout.ts';
import { lookAt } from '../../src/ext/release/live.ts';
import { apply, type Operation } from '../../src/ext/release/operations.ts';
import { keepLive, metadataOfLive, stage } from '../../src/ext/release/store.ts';
import type { Bundle, Metadata } from '../../src/ext/types.ts';
import { testFolder } from '../support/processes.ts';

const host = openLocalHost();
let folder: string;
let count = 0;

beforeAll(async () => {
  folder = await testFolder();
});
afterAll(async () => {
  await host.run('chmod -R u+w "$1"; rm -rf "$1"', { args: [folder] });
  await rm(folder, { recursive: true, force: true });
});

/** The folders of a server of its own. */
function server(): Layout {
  count += 1;
  const paths = {
    libraryFolder: join(folder, `server ${count}/lib`),
    extensionFolder: join(folder, `server ${count}/share/extension`),
  };
  for (const path of Object.values(paths)) mkdirSync(path, { recursive: true });
  mkdirSync(join(folder, `staging ${count}/17/current`), { recursive: true });
  return layoutOf(join(folder, `staging ${count}`), 17, paths);
}

async function bundleOf(version: string, scripts: readonly string[]): Promise<Bundle> {
  const contents: Record<string, string> = {
    'lib/sample.so': `library ${version}`,
    'extension/sample.control': `default_version = '${version}'\n`,
    'smoke/sample.sql': 'select 1;\n',
  };
  for (const script of scripts) {
    contents[`extension/sample--${script}.sql`] = `-- ${script} in ${version}\n`;
  }
  const files = new Map(Object.entries(contents).map(([path, text]) => [path, Buffer.from(text)]));
  const metadata: Metadata = {
    format: 1,
    name: 'sample',
    version,
    builtAt: '2026-01-01T00:00:00Z',
    compiler: 'none',
    target: { major: 17, version: '17.6', architecture: 'x86_64' },
    extensions: [{ name: 'sample', version }],
    files: [...files]
      .map(([path, data]) => ({
        path,
        sha256: createHash('sha256').update(data).digest('hex'),
        sizeBytes: data.length,
      }))
      .toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    smoke: ['smoke/sample.sql'],
  };
  const packed = await packBundle({ metadata, files });
  return readBundle(packed, 'sample.tar.gz', { trusted: [], requireSignature: false });
}

/** Every name that a server would find, with the content that it would get. */
function visible({ paths }: Layout): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [kind, path] of [
    ['lib', paths.libraryFolder],
    ['extension', paths.extensionFolder],
  ] as const) {
    for (const name of readdirSync(path)) {
      try {
        found[`${kind}/${name}`] = readFileSync(join(path, name), 'utf8');
      } catch {
        // A link that leads nowhere: opening it fails as if it were not there.
      }
    }
  }
  return found;
}

/** All names, dangling ones too, and whether each is a link. */
function names({ paths }: Layout): string[] {
  return [paths.libraryFolder, paths.extensionFolder].flatMap((path) =>
    readdirSync(path).map((name) => {
      const found = lstatSync(join(path, name));
      return `${name} ${found.isSymbolicLink() ? 'link' : (found.mode & 0o777).toString(8)}`;
    }),
  );
}

/** What a bundle gives to a server. */
function given(layout: Layout, { metadata, files }: Bundle): Record<string, string> {
  const paths = livePaths(layout, metadata);
  return Object.fromEntries(paths.map((path) => [path, String(files.get(path))]).toSorted());
}

const old = () => bundleOf('1.0', ['1.0', '0.9--1.0']);
const next = () => bundleOf('1.1', ['1.0', '1.0--1.1', '1.1--1.0']);
const plan = (release: string, from?: string) => ({
  bundle: { name: 'sample', version: '1.1', extensions: [] },
  release,
  ...(from === undefined ? {} : { from }),
  adopted: [],
});

test('a release is complete, read-only and laid out once', async () => {
  const layout = server();
  const bundle = await old();
  const release = await stage(host, layout, bundle);
  expect(release).toBe(`sample-1.0-${bundle.digest.slice(0, 12)}`);
  expect(await stage(host, layout, bundle)).toBe(release);
  expect(readdirSync(layout.releases)).toEqual([release]);
  const library = join(layout.releases, release, 'lib/sample.so');
  expect(lstatSync(library).mode & 0o222).toBe(0);
  chmodSync(library, 0o644);
  writeFileSync(library, 'library 6.6');
  await expect(stage(host, layout, bundle)).rejects.toMatchObject({
    code: 'ext_failed',
    message: expect.stringContaining('lib/sample.so'),
  });
});

test('at every moment between two releases a server sees the one or the other, and the way back leads to the first', async () => {
  const [first, second] = [await old(), await next()];
  const layout = server();
  const from = await stage(host, layout, first);
  const to = await stage(host, layout, second);
  const there = { before: [], after: livePaths(layout, first.metadata) };
  const begin = waysOf(layout, plan(from), there, undefined);
  await apply(host, 'a', [...begin.link, ...begin.change, ...begin.prune]);
  expect(visible(layout)).toEqual(given(layout, first));

  const paths = { before: there.after, after: livePaths(layout, second.metadata) };
  const ways = waysOf(layout, plan(to, from), paths, undefined);
  const steps = [...ways.link, ...ways.change, ...ways.prune];
  await walk(layout, steps, ways.back, [given(layout, first), given(layout, second)]);
});

test('files that were there by hand stay readable throughout, and come back as they were', async () => {
  const layout = server();
  const second = await next();
  const { libraryFolder, extensionFolder } = layout.paths;
  writeFileSync(join(libraryFolder, 'sample.so'), 'library 0.5', { mode: 0o755 });
  writeFileSync(join(extensionFolder, 'sample.control'), `default_version = '0.5'\n`);
  writeFileSync(join(folder, 'elsewhere.sql'), '-- 0.5\n');
  symlinkSync(join(folder, 'elsewhere.sql'), join(extensionFolder, 'sample--0.5.sql'));
  const before = visible(layout);

  const to = await stage(host, layout, second);
  const own = ['lib/sample.so', 'extension/sample.control', 'extension/sample--0.5.sql'];
  const adopted = await lookAt(host, layout, own);
  const live = metadataOfLive(second.metadata, adopted, '0.5');
  const kept = await keepLive(host, layout, live, adopted);
  expect(await keepLive(host, layout, live, adopted)).toBe(kept);
  const paths = { before: own, after: livePaths(layout, second.metadata) };
  const ways = waysOf(layout, { ...plan(to), adopted }, paths, kept);
  const steps = [...ways.adopt, ...ways.link, ...ways.change, ...ways.prune];
  await walk(layout, steps, ways.back, [before, given(layout, second)]);
});

test('a first deployment goes away without a trace', async () => {
  const layout = server();
  const bundle = await old();
  const to = await stage(host, layout, bundle);
  const paths = { before: [], after: livePaths(layout, bundle.metadata) };
  const ways = waysOf(layout, plan(to), paths, undefined);
  await walk(layout, [...ways.link, ...ways.change, ...ways.prune], ways.back, [
    {},
    given(layout, bundle),
  ]);
  expect(readdirSync(layout.current)).toEqual([]);
});

/** Stops after each operation, looks, goes back and looks again; at last goes all the way. */
async function walk(
  layout: Layout,
  steps: readonly Operation[],
  back: readonly Operation[],
  [before, after]: readonly [Record<string, string>, Record<string, string>],
): Promise<void> {
  const untouched = names(layout);
  for (let done = 0; done <= steps.length; done += 1) {
    for (const step of steps.slice(0, done)) await apply(host, 'b', [step]);
    const seen = visible(layout);
    const isNew = seen['lib/sample.so'] === after['lib/sample.so'];
    expect(seen, `after ${done} of ${steps.length}`).toEqual(isNew ? after : before);
    if (done < steps.length) {
      await apply(host, 'b', back);
      expect(visible(layout)).toEqual(before);
      expect(names(layout)).toEqual(untouched);
    }
  }
  expect(visible(layout)).toEqual(after);
  await apply(host, 'b', [...steps, ...back]);
  expect(names(layout)).toEqual(untouched);
}
