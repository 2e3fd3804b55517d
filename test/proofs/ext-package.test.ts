import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readMagic } from '../../src/ext/elf/magic.ts';
import type { Host } from '../../src/ext/host/host.ts';
import { openLocalHost, runProgram } from '../../src/ext/host/local.ts';
import type { Package } from '../../src/ext/package/content.ts';
import { readServerFacts } from '../../src/ext/package/facts.ts';
import { openPackage, type OpenedPackage } from '../../src/ext/package/open-package.ts';
import { packageServer } from '../../src/ext/package/package.ts';
import { testFolder } from '../support/processes.ts';
import { findHeaders, findServer, writePgConfig } from '../support/server-package.ts';

const run = promisify(execFile);
const server = await findServer();
const headers = await findHeaders();

let folder: string;
beforeAll(async () => {
  folder = await testFolder();
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** The files that are fetched from the machine. */
function watched(): { host: Host; fetched: string[] } {
  const local = openLocalHost();
  const fetched: string[] = [];
  const readFileOf = async (path: string): Promise<Buffer> => {
    fetched.push(path);
    return await local.readFile(path);
  };
  return { host: { ...local, readFile: readFileOf }, fetched };
}

describe.skipIf(typeof server === 'string')(`the facts of a server (${skipped(server)})`, () => {
  const install = typeof server === 'string' ? undefined : server;
  const pgConfig = join(install?.binFolder ?? '', 'pg_config');

  test('are those of the program behind the script that runs it, and of its own C library', async () => {
    const facts = await readServerFacts(openLocalHost(), { pgConfig });
    const version = install?.version ?? '';
    expect(facts).toMatchObject({ version, major: 17, origin: 'local', glibc: '2.41' });
    expect(facts.versionNumber).toBe(170_000 + Number(version.split('.')[1]));
    expect(facts.magic).toMatchObject({ major: 17, sizeBytes: 56, abiExtra: 'PostgreSQL' });
    expect(facts.exportedSymbols).toEqual(expect.arrayContaining(['errstart_cold', 'palloc']));
    expect(facts.libraries).toEqual(expect.arrayContaining(['libc.so.6', 'libm.so.6']));
    expect(facts.libraryFiles).toContain('plpgsql.so');
    expect(facts.extensionFiles).toContain('plpgsql.control');
    const program = join(install?.binFolder ?? '', 'postgres.real');
    const { stdout } = await run('sha256sum', [program]);
    expect(facts.serverSha256).toBe(stdout.slice(0, 64));
  });

  test('are the same the second time, and then no binary is fetched', async () => {
    const cacheFolder = join(folder, 'binaries');
    const first = watched();
    const facts = await readServerFacts(first.host, { pgConfig }, { cacheFolder });
    expect(first.fetched).toHaveLength(3);
    const second = watched();
    // By its paths alone, as a running server says them.
    const again = await readServerFacts(second.host, { paths: facts.paths }, { cacheFolder });
    expect(second.fetched).toEqual([]);
    expect(again).toEqual({ ...facts, config: {} });
  });

  test('are not guessed where there is no server', async () => {
    const host = openLocalHost();
    const failure = { code: 'not_found', remedy: expect.stringContaining('--pg-config') };
    const nowhere = { pgConfig: join(folder, 'none/pg_config') };
    await expect(readServerFacts(host, nowhere)).rejects.toMatchObject(failure);
    const { paths } = await readServerFacts(
      host,
      { pgConfig },
      { cacheFolder: join(folder, 'binaries') },
    );
    const empty = { ...paths, binFolder: folder };
    await expect(readServerFacts(host, { paths: empty })).rejects.toMatchObject({
      ...failure,
      message: expect.stringContaining(`${folder}/postgres`),
    });
    await expect(readServerFacts(host, { pgConfig: '/bin/true' })).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('/bin/true is no pg_config'),
    });
  });

  test('of a server without headers make no package, but say what to install', async () => {
    const failure = {
      code: 'not_found',
      message: expect.stringContaining('/server/postgres.h'),
      remedy: expect.stringContaining('postgresql-server-dev-17'),
    };
    const cached = { cacheFolder: folder };
    await expect(packageServer(openLocalHost(), { pgConfig }, cached)).rejects.toMatchObject(
      failure,
    );
    // What Debian's libpq-dev leaves: the folder without the file.
    if (install === undefined) return;
    const root = join(folder, 'without');
    await mkdir(join(root, 'usr/include/postgresql/17/server'), { recursive: true });
    const other = await writePgConfig(root, install, root);
    await expect(packageServer(openLocalHost(), { pgConfig: other }, cached)).rejects.toMatchObject(
      failure,
    );
  });

  test.skipIf(process.getuid?.() !== 0)('that a user may not read are denied to them', async () => {
    const local = openLocalHost();
    const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-c'];
    const nobody: Host = {
      ...local,
      run: (script, options = {}) =>
        runProgram('setpriv', [...asNobody, script, 'sh', ...(options.args ?? [])], options),
    };
    const { paths } = await readServerFacts(
      local,
      { pgConfig },
      { cacheFolder: join(folder, 'binaries') },
    );
    const closed = join(folder, 'closed');
    await mkdir(closed);
    await chmod(closed, 0o700);
    await chmod(folder, 0o755);
    const where = { paths: { ...paths, extensionFolder: closed } };
    await expect(readServerFacts(nobody, where)).rejects.toMatchObject({
      code: 'denied',
      message: expect.stringContaining(closed),
      remedy: expect.stringContaining('postgres or root'),
    });
  });
});

describe.skipIf(typeof headers === 'string')(`a package (${skipped(headers)})`, () => {
  let pgConfig: string;
  let made: Package;
  let opened: OpenedPackage;
  const lenient = { trusted: [], requireSignature: false };

  beforeAll(async () => {
    if (typeof headers === 'string') return;
    pgConfig = await writePgConfig(folder, headers.install, headers.root);
    made = await packageServer(openLocalHost(), { pgConfig }, { cacheFolder: folder });
    opened = await openPackage(made.bytes, { ...lenient, into: join(folder, 'open') });
  });

  test('is the same bytes for the same server', async () => {
    const again = await packageServer(openLocalHost(), { pgConfig }, { cacheFolder: folder });
    expect(again.bytes.equals(made.bytes)).toBe(true);
    expect(opened.facts).toEqual(made.facts);
    expect(opened.digest).toBe(made.digest);
  });

  test.skipIf(spawnSync('cc', ['--version']).status !== 0)(
    'builds an extension that lands where the server looks for it',
    async () => {
      const source = join(folder, 'source');
      await mkdir(source);
      await writeFile(
        join(source, 'Makefile'),
        'MODULES = one\nEXTENSION = one\nDATA = one--1.sql\nPGXS := $(shell $(PG_CONFIG) --pgxs)\ninclude $(PGXS)\n',
      );
      await writeFile(join(source, 'one.control'), "default_version = '1'\n");
      await writeFile(join(source, 'one--1.sql'), 'select 1;\n');
      await writeFile(
        join(source, 'one.c'),
        '#include "postgres.h"\n#include "fmgr.h"\nPG_MODULE_MAGIC;\n',
      );
      const destination = join(folder, 'destination');
      const words = [`PG_CONFIG=${opened.pgConfig}`, 'with_llvm=no', 'CC=cc'];
      await run('make', ['-s', ...words, `DESTDIR=${destination}`, 'all', 'install'], {
        cwd: source,
      });
      const { libraryFolder, extensionFolder } = opened.facts.paths;
      const built = await readFile(join(destination, libraryFolder, 'one.so'));
      expect(readMagic(built, 'one.so')).toEqual(opened.facts.magic);
      expect(await readdir(join(destination, extensionFolder))).toEqual([
        'one--1.sql',
        'one.control',
      ]);
    },
  );
});

/** Why a group is skipped, in its name, so that a report shows it. */
function skipped(found: unknown): string {
  return typeof found === 'string' ? `skipped: ${found}` : 'PostgreSQL 17';
}
