/** The command line of the pipeline, with a bundle that needs no compiler, on a server of its own. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packBundle } from '../../src/ext/package/bundle.ts';
import type { Metadata } from '../../src/ext/types.ts';
import { testHome, type Ended, type TestHome } from '../support/cli.ts';
import {
  extensionServerUnavailable,
  startExtensionServer,
  type ExtensionServer,
} from '../support/extension-servers.ts';

function says(own: string): string {
  return `create or replace function said() returns text language sql as $$ select '${own}' $$;\n`;
}

/** An extension in SQL alone: what is deployed, updated and taken back are its files and its catalogue. */
function filesOf(version: string): Map<string, Buffer> {
  const control = `comment = 'says its version'\ndefault_version = '${version}'\nrelocatable = true\n`;
  const files = new Map([
    ['extension/said.control', control],
    ['extension/said--1.0.sql', says('1.0')],
    ['smoke/said.sql', `select 1 / (said() = '${version}')::int;\n`],
  ]);
  if (version === '1.1') {
    files.set('extension/said--1.0--1.1.sql', says('1.1'));
    files.set('extension/said--1.1--1.0.sql', says('1.0'));
  }
  return new Map([...files].toSorted().map(([path, text]) => [path, Buffer.from(text)]));
}

async function writeBundle(folder: string, version: string, major = 17): Promise<string> {
  const files = filesOf(version);
  const metadata: Metadata = {
    format: 1,
    name: 'said',
    version,
    builtAt: '2026-01-01T00:00:00.000Z',
    compiler: 'none',
    target: {
      major,
      version: `${major}.1`,
      architecture: process.arch === 'arm64' ? 'aarch64' : 'x86_64',
    },
    extensions: [{ name: 'said', version }],
    files: [...files].map(([path, data]) => ({
      path,
      sha256: createHash('sha256').update(data).digest('hex'),
      sizeBytes: data.length,
    })),
    smoke: ['smoke/said.sql'],
  };
  const path = join(folder, `said-${version}-pg${major}.tar.gz`);
  await writeFile(path, await packBundle({ metadata, files }));
  return path;
}

describe('without a server', () => {
  let home: TestHome;
  beforeAll(async () => {
    home = await testHome();
  });
  afterAll(() => home.remove());

  test.each([
    [['deploy'], 2, /no bundle is named/],
    [['deploy', '--resume', '--dry-run'], 2, /--resume goes on and --dry-run does nothing/],
    [['build', '.'], 2, /for which server . is to be built\nhint: Add --pg-dev-package/],
    [['build', '.', '--pg-dev-package', 'x', '--set', 'odd'], 2, /--set odd is not NAME=VALUE/],
    [['package', '--debian', '17', '--host', 'db1'], 2, /--debian and --host .* different servers/],
    [['check', 'absent.tar.gz'], 4, /bundle: absent\.tar\.gz is not there\nhint: .*ext build/],
    [['matrix', '.', '--majors', '9-12'], 2, /versions from 12 on/],
    [['trust', 'absent.pub'], 4, /absent\.pub is not there/],
    [['status', '--socket', '/a', '--server-host', 'b'], 2, /two ways to one server/],
    [['status', '--socket', '/nowhere'], 6, /can not be connected to/],
  ])('ext %j exits %i and says why', async (args, status, told) => {
    const ended = await home.cli(['ext', ...args]);
    expect(ended.stderr).toMatch(told);
    expect(ended).toMatchObject({ status, stdout: '' });
  });

  test('--pg-config is taken wherever a server is named', async () => {
    const commands = [
      'package',
      'check',
      'stage',
      'plan',
      'deploy',
      'verify',
      'rollback',
      'status',
    ];
    for (const command of commands) {
      const { stdout } = await home.cli(['ext', command, '--help']);
      expect(`${command} ${stdout}`).toContain('--pg-config <path>');
    }
  });

  test('a key is made once and shown, and that of another installation is trusted', async () => {
    expect(await home.cli(['ext', 'key', 'show'])).toMatchObject({
      status: 0,
      stdout: '',
      stderr: expect.stringContaining('There is no key'),
    });
    const made = await home.cli(['ext', 'key', 'create']);
    expect(made).toMatchObject({ status: 0, stderr: '' });
    expect((await home.cli(['ext', 'key', 'create'])).stdout).toBe(made.stdout);
    const other = await testHome();
    const trusted = await other.cli(['ext', 'trust', made.stdout.trim()]);
    const shown = await other.cli(['ext', 'key', 'show', '-o', 'jsonl']);
    const { keyId } = JSON.parse(shown.stdout) as { keyId: string };
    expect(JSON.parse(shown.stdout)).toEqual({ keyId, what: 'trusted' });
    expect(trusted.stdout).toBe(`Trusted: ${keyId}\n`);
    await other.remove();
  });

  test('what nobody signed is refused before any server is asked', async () => {
    const path = await writeBundle(home.path, '1.0');
    const ended = await home.cli(['ext', 'check', path]);
    expect(ended.stderr).toMatch(/said-1\.0-pg17\.tar\.gz is not signed/);
    expect(ended).toMatchObject({ status: 3, stdout: '' });
  });
});

const unavailable = await extensionServerUnavailable();

describe.skipIf(unavailable !== undefined)('on a server', () => {
  let home: TestHome;
  let server: ExtensionServer;
  let staging: string;
  let first: string;
  let second: string;
  beforeAll(async () => {
    home = await testHome();
    server = await startExtensionServer();
    staging = join(server.folder, 'staging');
    first = await writeBundle(home.path, '1.0');
    second = await writeBundle(home.path, '1.1');
  }, 120_000);
  afterAll(async () => {
    await server.stop();
    await home.remove();
  });

  const ext = (args: readonly string[], staged = staging): Promise<Ended> =>
    home.cli(['ext', ...args], {
      env: {
        PGHOST: server.address.host,
        PGPORT: String(server.address.port),
        PGPASSWORD: server.address.password ?? '',
        CENTURIA_EXT_STAGING_FOLDER: staged,
      },
    });
  const deployed = ['--allow-unsigned', '--yes', '--no-rehearsal'];

  test('a refused plan exits 2 with each reason and its remedy, and nothing is written', async () => {
    const wrong = await writeBundle(home.path, '1.0', 16);
    const names = await readdir(server.paths.extensionFolder);
    for (const command of ['plan', 'deploy', 'stage']) {
      const more = command === 'deploy' ? ['--yes'] : [];
      const ended = await ext([command, wrong, '--allow-unsigned', ...more]);
      expect([command, ended.status]).toEqual([command, 2]);
      expect(ended.stdout + ended.stderr).toMatch(/refuse +wrong-major: .*\n +→ /);
      expect(ended.stderr).toMatch(/error: refused for .*; nothing was written/);
    }
    const { stderr } = await ext(['deploy', wrong, '--allow-unsigned', '--yes', '-o', 'json']);
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: 'ext_refused', details: { findings: [{ rule: 'wrong-major' }] } },
    });
    expect(existsSync(staging)).toBe(false);
    expect(await readdir(server.paths.extensionFolder)).toEqual(names);
  });

  test('a dry run writes nothing and deletes nothing, and without a yes nothing is deployed', async () => {
    const planned = await ext(['deploy', first, '--allow-unsigned', '--dry-run', '-o', 'json']);
    const { items } = JSON.parse(planned.stdout) as { items: { added: string[] }[] };
    expect(items[0]?.added).toContain('extension/said.control');
    expect(planned).toMatchObject({ status: 0, stderr: '' });
    expect(await ext(['deploy', first, '--allow-unsigned'])).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining('Look first: --dry-run. Then add --yes.'),
    });
    expect(existsSync(staging)).toBe(false);
    expect(existsSync(first)).toBe(true);
  });

  test('stage prints the release and nothing else', async () => {
    const ended = await ext(
      ['stage', first, '--allow-unsigned', '-v'],
      join(server.folder, 'other'),
    );
    expect(ended).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^said-1\.0-\w{12}\n$/),
    });
  });

  test('goes from the first deployment over an update back to nothing', async () => {
    const at = ['--database', 'postgres', '--create'];
    expect(await ext(['deploy', first, ...deployed, ...at])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^Deployed said 1\.0: said-1\.0-\w+ is live on local\.\n$/),
      stderr: expect.stringMatching(
        /create said 1\.0; back: it is dropped again[^]*✓ switch [^]*To take it back: centuria ext rollback said\n$/,
      ),
    });
    const updated = await ext(['deploy', second, ...deployed, '-o', 'json']);
    expect(JSON.parse(updated.stdout)).toMatchObject({
      items: [{ state: 'deployed', rollback: 'centuria ext rollback said' }],
    });
    expect(await ext(['verify'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^said: said-1\.1-\w+ is live, whole, and works\./),
    });
    const dry = await ext(['rollback', '--dry-run']);
    expect(dry.stdout).toMatch(/to +said-1\.0-\w+\n +catalogue +postgres: update said 1\.1 → 1\.0/);
    for (const [now, left] of [
      ['said-1.0', 1],
      ['nothing of it', 0],
    ] as const) {
      const back = await ext(['rollback', '--yes']);
      expect(back).toMatchObject({ status: 0, stdout: expect.stringContaining(now) });
      const { stdout } = await ext(['status', '-o', 'json']);
      expect((JSON.parse(stdout) as { bundles: unknown[] }).bundles).toHaveLength(left);
    }
    expect(await ext(['rollback', '--yes'])).toMatchObject({ status: 4, stdout: '' });
  });

  test('drift is shown with its file, and status says so with its exit', async () => {
    await ext(['deploy', first, ...deployed]);
    const path = join(server.paths.extensionFolder, 'said--9.9.sql');
    await mkdir(server.paths.extensionFolder, { recursive: true });
    await writeFile(path, '');
    const drifted = await ext(['status']);
    expect(drifted.stdout).toMatch(/said +1\.0 +said-1\.0-\w+ +none +1 file/);
    expect(drifted.stdout).toContain(path);
    expect(drifted.status).toBe(1);
    expect(await readFile(path, 'utf8')).toBe('');
  });
});
