import { existsSync } from 'node:fs';
import { lstat, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  extensionServerUnavailable,
  startExtensionServer,
  type ExtensionServer,
} from '../support/extension-servers.ts';

describe.skipIf(await extensionServerUnavailable())('a private install', () => {
  let server: ExtensionServer;

  beforeAll(async () => {
    server = await startExtensionServer();
  });
  afterAll(async () => await server.stop());

  const ask = async (text: string): Promise<Record<string, unknown>[]> => {
    const client = new Client({ ...server.address });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  };

  test('is the one that its server reports', async () => {
    const rows = await ask('select name, setting from pg_config');
    const config = new Map(rows.map(({ name, setting }) => [name, setting]));
    expect(config.get('BINDIR')).toBe(server.paths.binFolder);
    expect(config.get('PKGLIBDIR')).toBe(server.paths.libraryFolder);
    expect(config.get('SHAREDIR')).toBe(server.paths.shareFolder);
  });

  test('has its own folders of links, which lead to what was mirrored', async () => {
    for (const path of [server.paths.libraryFolder, server.paths.extensionFolder]) {
      expect((await lstat(path)).isDirectory()).toBe(true);
      const names = await readdir(path);
      expect(names).not.toEqual([]);
      const kinds = await Promise.all(names.map(async (name) => await lstat(join(path, name))));
      expect(names.filter((_, at) => kinds[at]?.isSymbolicLink() !== true)).toEqual([]);
      expect(names.filter((name) => !existsSync(join(path, name)))).toEqual([]);
    }
  });

  test('offers what is put into it, and nothing of pgvector before', async () => {
    const offered = "select name from pg_available_extensions where name in ('vector', 'mine')";
    expect(await ask(offered)).toEqual([]);
    const { extensionFolder } = server.paths;
    await symlink(join(extensionFolder, 'plpgsql.control'), join(extensionFolder, 'mine.control'));
    expect(await ask(offered)).toEqual([{ name: 'mine' }]);
  });

  test('starts again where it was, with new settings', async () => {
    const before = server.pid();
    await server.restart({ work_mem: '7MB' });
    expect(server.pid()).not.toBe(before);
    expect(await ask('show work_mem')).toEqual([{ work_mem: '7MB' }]);
  });
});
