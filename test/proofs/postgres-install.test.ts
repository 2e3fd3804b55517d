import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import lock from '../../src/database/postgres-17.lock.json' with { type: 'json' };
import { createLog, type Log } from '../../src/base/base.ts';
import {
  cacheFolder,
  installPostgres,
  listInstalls,
  type InstallOptions,
  type PostgresInstall,
} from '../../src/database/database.ts';
import type { PostgresLock } from '../../src/database/postgres-packages.ts';
import { startDebianMirror, type DebianMirror } from '../support/debian-mirror.ts';
import { postgresUnavailable } from '../support/postgres.ts';
import { testFolder } from '../support/processes.ts';

// Each reads Debian's index, some 10 MB, and one installs: that takes long where machines are shared.
const timeoutMs = 300_000;

/** The lock with one package changed. */
const changedLock = (change: { version?: string; sha256?: string }): PostgresLock => ({
  ...lock,
  packages: Object.fromEntries(
    Object.entries(lock.packages).map(([architecture, packages]) => [
      architecture,
      packages.map((each) => (each.name === 'tzdata' ? { ...each, ...change } : each)),
    ]),
  ),
});

describe.skipIf(postgresUnavailable)('installing PostgreSQL', { timeout: timeoutMs }, () => {
  let folder: string;
  let cache: string;
  let mirror: DebianMirror;
  let lines: string[];
  let log: Log;

  beforeEach(async () => {
    folder = await testFolder();
    cache = join(folder, 'cache');
    const kept = join(cacheFolder(process.env), 'test-mirror');
    mirror = await startDebianMirror({ folder, cache: kept, suite: 'trixie' });
    vi.stubEnv('APT_CONFIG', mirror.aptConfig);
    lines = [];
    log = createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } });
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await mirror.close();
    await rm(folder, { recursive: true, force: true });
  });

  const install = async (options: Partial<InstallOptions> = {}): Promise<PostgresInstall> =>
    await installPostgres({ major: 17, cacheFolder: cache, log, ...options });
  const own = async (): Promise<PostgresInstall[]> =>
    (await listInstalls(cache)).filter(({ origin }) => origin === 'cache');
  const halves = async (): Promise<string[]> =>
    (await readdir(join(cache, 'postgres'))).filter((name) => name.startsWith('.new-'));

  /** Another process that installs into the same cache and prints the folder of the programs. */
  function installElsewhere(): { child: ChildProcess; printed: Promise<string> } {
    const module = new URL('../../src/database/database.ts', import.meta.url).href;
    const text = `
      const { installPostgres } = await import(${JSON.stringify(module)});
      const log = { warn() {}, info() {}, error() {}, debug() {} };
      const done = await installPostgres({ major: 17, cacheFolder: ${JSON.stringify(cache)}, log });
      console.log(done.binFolder);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let printed = '';
    child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    return { child, printed: once(child, 'close').then(() => printed.trim()) };
  }

  test('a killed install leaves nothing that counts, and of two at once one works while the other waits', async () => {
    const killed = installElsewhere();
    const asked = new Promise<void>((seen) => {
      mirror.onSend(async (path, body) => {
        if (!path.endsWith('.deb')) return body;
        seen();
        return await new Promise<Buffer>(() => {});
      });
    });
    await asked;
    killed.child.kill('SIGKILL');
    await killed.printed;
    expect(await own()).toEqual([]);
    expect(await halves()).toHaveLength(1);

    mirror.onSend((_path, body) => body);
    const both = [installElsewhere(), installElsewhere()];
    const [one, two] = await Promise.all(both.map(({ printed }) => printed));
    expect(one).toMatch(/postgresql.17.bin$/);
    expect(two).toBe(one);
    expect(await own()).toHaveLength(1);
    expect(await halves()).toEqual([]);

    const asking = mirror.packagesAsked.length;
    const again = await install();
    expect(again).toMatchObject({ binFolder: one, major: 17, hasVector: true, origin: 'cache' });
    expect(mirror.packagesAsked).toHaveLength(asking);
  });

  test('a package that was changed on the way is refused and nothing is kept', async () => {
    mirror.onSend((path, body) => {
      if (!path.includes('/postgresql-17_')) return body;
      const changed = Buffer.from(body);
      const middle = changed.length >> 1;
      changed.writeUInt8(changed.readUInt8(middle) ^ 1, middle);
      return changed;
    });
    await expect(install()).rejects.toMatchObject({
      code: 'postgres_install_failed',
      details: { reason: 'hash_mismatch' },
    });
    expect(await own()).toEqual([]);
    expect(await halves()).toEqual([]);
  });

  test('an index that was changed on the way is refused', async () => {
    mirror.onSend((path, body) =>
      path.endsWith('/debian/dists/trixie/InRelease')
        ? Buffer.from(
            body.toString('latin1').replace('Origin: Debian', 'Origin: Elsewhere'),
            'latin1',
          )
        : body,
    );
    await expect(install()).rejects.toMatchObject({ details: { reason: 'signature' } });
    expect(mirror.packagesAsked).toEqual([]);
  });

  test('a pinned version with another hash is refused before anything is fetched', async () => {
    const pins = changedLock({ sha256: '0'.repeat(64) });
    const refused = install({ lock: pins });
    await expect(refused).rejects.toMatchObject({ details: { reason: 'hash_mismatch' } });
    await expect(refused).rejects.toThrow('tzdata');
    expect(mirror.packagesAsked).toEqual([]);
    expect(await halves()).toEqual([]);
  });

  test('a pinned version that the mirror dropped is told, and the newest is taken', async () => {
    const stopping = new AbortController();
    const stopped = install({
      lock: changedLock({ version: '1999a-1' }),
      signal: stopping.signal,
      // What would be fetched is known by now; another test fetches it.
      onProgress: ({ phase }) => void (phase === 'download' && stopping.abort()),
    });
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
    expect(lines.join('')).toContain('tzdata 1999a-1');
    expect(await own()).toEqual([]);
    expect(await halves()).toEqual([]);
  });

  test('a mirror that can not be reached is named as the reason', async () => {
    await mirror.close();
    await expect(install()).rejects.toMatchObject({
      code: 'postgres_install_failed',
      retryable: true,
      details: { reason: 'network' },
    });
    mirror = await startDebianMirror({ folder, cache: join(folder, 'kept'), suite: 'trixie' });
  });
});
