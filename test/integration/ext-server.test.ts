import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createLog, systemClock } from '../../src/base/base.ts';
import { sql } from '../../src/database/database.ts';
import { openLocalHost } from '../../src/ext/host/local.ts';
import { openServer, preloadedLibraries, type TargetServer } from '../../src/ext/server/server.ts';
import { emptyDatabase, postgresUnavailable, type TestDatabase } from '../support/postgres.ts';
import { databaseName, openSuiteServer, suiteAddress } from '../support/target.ts';

test('preloaded libraries are named without folder and ending', () => {
  const setting = '$libdir/auto_explain, "pg_stat_statements",/opt/x/timescaledb.so , "a,""b"';
  expect(preloadedLibraries(setting)).toEqual([
    'auto_explain',
    'pg_stat_statements',
    'timescaledb',
    'a,"b',
  ]);
  expect(preloadedLibraries('')).toEqual([]);
});

describe.skipIf(postgresUnavailable)('the running server of a target', () => {
  let place: TestDatabase;
  let server: TargetServer;
  let name: string;

  beforeAll(async () => {
    place = await emptyDatabase();
    name = databaseName(place.url);
    server = await openSuiteServer(name);
  });
  afterAll(async () => {
    await server?.close();
    await place?.drop();
  });

  test('says its version, its databases and what each has installed', async () => {
    await server.inDatabase(name, (client) => client.script('create extension vector'));
    const state = await server.state();
    expect(Math.floor(state.versionNumber / 10_000)).toBe(17);
    expect(state).toMatchObject({ isStandby: false, standbys: [], preloaded: [] });
    expect(state.startedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(state.databases).toContain(name);
    expect(state.databases).not.toContain('template1');
    const here = state.installed.filter(({ database }) => database === name);
    expect(here.map((extension) => extension.name)).toEqual(['plpgsql', 'vector']);
  });

  test('says where its folders are', async () => {
    const { libraryFolder, extensionFolder, shareFolder, binFolder } = await server.paths();
    expect(binFolder).toBe(inject('postgresBinFolder'));
    expect(extensionFolder).toBe(`${shareFolder}/extension`);
    await openLocalHost().check('test -f "$1/plpgsql.so" && test -f "$2/plpgsql.control"', {
      args: [libraryFolder, extensionFolder],
    });
  });

  test('a function of a database can not take the place of one that is asked', async () => {
    const other = await server.inDatabase(name, async (client) => {
      await client.script(`create operator public.|| (leftarg = text, rightarg = text, function = texteq);
        create function public.quote_ident(name) returns text language sql as $$ select 'mine' $$`);
      return await client.query<{ path: string; is: string }>(
        sql`select current_setting('search_path') as path, quote_ident('x'::name) as is`,
      );
    });
    expect(other).toEqual([{ path: 'pg_catalog, pg_temp', is: 'x' }]);
  });

  test('a database or server that is not there is named, and no password is told', async () => {
    await expect(server.inDatabase('no such', async () => 1)).rejects.toMatchObject({
      code: 'not_found',
    });
    const options = { log: createLog({ level: 'silent' }), clock: systemClock };
    const address = suiteAddress(name);
    const wrong = openServer(openLocalHost(), { ...address, password: 'n0t-this' }, options);
    const error = await wrong.catch((refusal: unknown) => refusal);
    expect(error).toMatchObject({ code: 'target_unreachable', details: { sqlstate: '28P01' } });
    expect(JSON.stringify(error)).not.toContain('n0t-this');
    const { password: _, ...without } = address;
    await expect(openServer(openLocalHost(), without, options)).rejects.toThrow(
      'asks for a password',
    );
    await expect(
      openServer(openLocalHost(), { ...address, port: 1 }, options),
    ).rejects.toMatchObject({ code: 'target_unreachable', details: { database: name } });
  });

  test('a failing statement tells its SQLSTATE, and ends no more than itself', async () => {
    const after = await server.inDatabase(name, async (client) => {
      await expect(client.script('select 1; select 1/0')).rejects.toMatchObject({
        code: 'ext_failed',
        details: { sqlstate: '22012', database: name },
      });
      return await client.query<{ one: number }>(sql`select 1 as one`);
    });
    expect(after).toEqual([{ one: 1 }]);
  });

  test('a lock is held by one, whom the next one is told, until it is released', async () => {
    const lock = await server.lock('deploy');
    const refusal: unknown = await server.lock('deploy').catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: 'ext_busy',
      details: { user: suiteAddress(name).user, application: 'centuria ext', name: 'deploy' },
    });
    const other = await server.lock('another');
    await other.release();
    await lock.release();
    const again = await server.lock('deploy');
    expect(again.lost.aborted).toBe(false);
    await again.release();
    expect(again.lost.aborted).toBe(false);
  });

  test('a lock whose session is ended says that it is lost', async () => {
    const lock = await server.lock('ended');
    const lost = once(lock.lost, 'abort');
    const holder: unknown = await server.lock('ended').catch((error: unknown) => error);
    const { pid } = (holder as { details: { pid: number } }).details;
    await server.inDatabase(name, (client) =>
      client.query(sql`select pg_terminate_backend(${pid}::int)`),
    );
    await lost;
    expect(lock.lost.reason).toMatchObject({ code: 'target_unreachable' });
    await lock.release();
  });
});
