import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createLog, newId, systemClock } from '../../src/base/base.ts';
import { sql } from '../../src/database/database.ts';
import type { CatalogueStep, Plan } from '../../src/ext/deployment-types.ts';
import { openLocalHost } from '../../src/ext/host/local.ts';
import {
  applyCatalogue,
  runSmoke,
  undoCatalogue,
  type ApplyOptions,
  type CatalogueEvent,
} from '../../src/ext/server/catalogue.ts';
import { describeExtensions, fingerprint } from '../../src/ext/server/fingerprint.ts';
import { openServer, type TargetServer } from '../../src/ext/server/server.ts';
import {
  extensionServerUnavailable,
  startExtensionServer,
  type ExtensionServer,
} from '../support/extension-servers.ts';

/** 1.0 and 1.1 have ways to and fro; from 1.2 none leads back, and to `bad` none arrives. */
const scripts = {
  'probe.control': `default_version = '1.1'\nrelocatable = true\n`,
  'probe--1.0.sql': `create function probe_says() returns int language sql as 'select 10';
    create table probe_notes (note text);`,
  'probe--1.0--1.1.sql': `create or replace function probe_says() returns int language sql as 'select 11';
    alter table probe_notes add column rank int;`,
  'probe--1.1--1.0.sql': `create or replace function probe_says() returns int language sql as 'select 10';
    alter table probe_notes drop column rank;`,
  'probe--1.1--1.2.sql': `create function probe_more() returns int language sql as 'select 12';`,
  'probe--1.1--bad.sql': `select no_such_function();`,
  'probe_top.control': `default_version = '1.0'\nrequires = 'probe'\n`,
  'probe_top--1.0.sql': `create function probe_top() returns int language sql as 'select 1';`,
};
const options: ApplyOptions = { smoke: new Map() };

async function failureOf(running: Promise<unknown>): Promise<unknown> {
  return await running.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error,
  );
}

describe.skipIf(await extensionServerUnavailable())('the catalogue of a deployment', () => {
  let extensions: ExtensionServer;
  let server: TargetServer;
  let database: string;

  beforeAll(async () => {
    extensions = await startExtensionServer();
    for (const [name, text] of Object.entries(scripts)) {
      await writeFile(join(extensions.paths.extensionFolder, name), text);
    }
    const log = createLog({ level: 'silent' });
    server = await openServer(openLocalHost(), extensions.address, { log, clock: systemClock });
  });
  afterAll(async () => {
    await server?.close();
    await extensions?.stop();
  });
  beforeEach(async () => {
    database = await makeDatabase();
  });

  async function makeDatabase(): Promise<string> {
    const name = `d${randomUUID().slice(0, 8)}`;
    await server.inDatabase(server.recordDatabase, (client) =>
      client.script(`create database ${name} strategy wal_log`),
    );
    await server.inDatabase(name, (client) =>
      client.script(
        `create extension probe schema public version '1.0'; insert into public.probe_notes values ('kept')`,
      ),
    );
    return name;
  }

  const versions = async (name = database): Promise<string[]> =>
    await server.inDatabase(name, async (client) => {
      const rows = await client.query<{ is: string }>(
        sql`select extname || ' ' || extversion as is from pg_extension order by 1`,
      );
      return rows.map((row) => row.is).filter((is) => is.startsWith('probe'));
    });
  const update = (to: string, back?: readonly string[], at = database): CatalogueStep => ({
    database: at,
    extension: 'probe',
    action: 'update',
    from: '1.0',
    to,
    ...(back === undefined ? {} : { back }),
  });
  const create = (): CatalogueStep => ({
    database,
    extension: 'probe_top',
    action: 'create',
    to: '1.0',
  });

  test('goes to the new version and back, with rows kept, as often as it is asked to', async () => {
    const steps = [update('1.1', ['1.1', '1.0']), create()];
    const events: CatalogueEvent[] = [];
    const smoke = new Map([['probe', 'do $$ begin assert probe_says() = 11; end $$']]);
    const onStep = (_: CatalogueStep, event: CatalogueEvent): number => events.push(event);
    const print = (): Promise<string> =>
      server.inDatabase(database, (client) => fingerprint(client));
    const before = await print();
    await applyCatalogue(server, steps, { ...options, smoke, onStep });
    expect(await versions()).toEqual(['probe 1.1', 'probe_top 1.0']);
    expect(await print()).not.toBe(before);
    await applyCatalogue(server, steps, { ...options, smoke, onStep });
    const both = ['committed', 'committed'];
    expect(events).toEqual(
      ['applied', 'smoked', 'applied', both, 'already', 'smoked', 'already', both].flat(),
    );

    const undone = await undoCatalogue(server, steps);
    expect(undone.map(({ extension }) => extension)).toEqual(['probe_top', 'probe']);
    expect(await versions()).toEqual(['probe 1.0']);
    expect(await print()).toBe(before);
    expect(await undoCatalogue(server, steps)).toEqual([]);
    const notes = await server.inDatabase(database, (client) =>
      client.query(sql`select * from public.probe_notes`),
    );
    expect(notes).toEqual([{ note: 'kept' }]);
  });

  test('a dry run does everything and leaves nothing, and so does a smoke test', async () => {
    const smoke = new Map([
      [
        'probe',
        `insert into probe_notes values ('smoke', probe_says()); create table left_over ()`,
      ],
    ]);
    await applyCatalogue(server, [update('1.1')], { ...options, smoke, dryRun: true });
    expect(await versions()).toEqual(['probe 1.0']);
    await applyCatalogue(server, [update('1.1')], { ...options, smoke });
    const left = await server.inDatabase(database, (client) =>
      client.query(
        sql`select note, to_regclass('public.left_over') as table from public.probe_notes`,
      ),
    );
    expect(left).toEqual([{ note: 'kept', table: null }]);
    const ending = new Map([['probe', 'select 1;\ncommit;']]);
    expect(
      await failureOf(applyCatalogue(server, [update('1.1')], { ...options, smoke: ending })),
    ).toMatchObject({ code: 'invalid_input', details: { line: 2 } });
  });

  test('no database is changed when the smoke test or the script of one fails', async () => {
    const other = await makeDatabase();
    const smoke = new Map([
      ['probe', `select 1 / (current_database() = '${database}')::int from probe_notes`],
    ]);
    const steps = [update('1.1'), update('1.1', undefined, other)];
    expect(await failureOf(applyCatalogue(server, steps, { ...options, smoke }))).toMatchObject({
      code: 'ext_failed',
      message: expect.stringContaining('the smoke test of probe: database'),
      details: { database: other, sqlstate: '22012' },
    });
    expect([await versions(), await versions(other)]).toEqual([['probe 1.0'], ['probe 1.0']]);
    const bad = [update('1.1'), update('bad', undefined, other)];
    expect(await failureOf(applyCatalogue(server, bad, options))).toMatchObject({
      message: expect.stringContaining('no_such_function'),
      details: { database: other, sqlstate: '42883' },
    });
    expect(await versions()).toEqual(['probe 1.0']);
  });

  test('a lock that is not to be had names who holds it', async () => {
    await server.inDatabase(database, async (holder) => {
      await holder.script('begin; lock table public.probe_notes');
      const failing = applyCatalogue(server, [update('1.1')], { ...options, lockTimeoutMs: 300 });
      expect(await failureOf(failing)).toMatchObject({
        code: 'ext_failed',
        message: expect.stringContaining(`it waited for backend ${holder.pid} of`),
        details: { sqlstate: '55P03', blockedBy: [{ pid: holder.pid }] },
      });
    });
    expect(await versions()).toEqual(['probe 1.0']);
  });

  test('a smoke test by itself leaves nothing either, and says what is wrong', async () => {
    const asked = { database, extension: 'probe' };
    const writing = 'insert into probe_notes values (probe_says())';
    expect(await runSmoke(server, { ...asked, sql: writing })).toEqual([]);
    expect(await runSmoke(server, { ...asked, sql: 'select 1 / (probe_says() - 10)' })).toEqual([
      expect.objectContaining({
        level: 'refuse',
        rule: 'smoke-failed',
        message: expect.stringContaining('division by zero'),
      }),
    ]);
    const notes = await server.inDatabase(database, (client) =>
      client.query(sql`select note from public.probe_notes`),
    );
    expect(notes).toEqual([{ note: 'kept' }]);
  });

  test('who gives up waiting leaves nothing behind', async () => {
    await server.inDatabase(database, async (holder) => {
      await holder.script('begin; lock table public.probe_notes');
      const stop = new AbortController();
      const onStep = (): void => stop.abort(new Error('enough'));
      const smoke = new Map([['probe_top', 'select 1']]);
      const steps = [{ ...create(), action: 'none', from: '1.0' } as CatalogueStep, update('1.1')];
      await server.inDatabase(database, (client) =>
        client.script('create extension probe_top schema public'),
      );
      const failing = applyCatalogue(server, steps, { smoke, onStep, signal: stop.signal });
      expect(await failureOf(failing)).toMatchObject({ message: 'enough' });
    });
    expect(await versions()).toEqual(['probe 1.0', 'probe_top 1.0']);
  });

  test('what has changed since the plan is not touched', async () => {
    const steps = [{ ...update('1.2'), from: '1.1' }];
    expect(await failureOf(applyCatalogue(server, steps, options))).toMatchObject({
      code: 'conflict',
      details: { version: '1.0' },
    });
  });

  test('what can not be undone says why, and the rest is undone', async () => {
    const steps = [update('1.2'), create()];
    await applyCatalogue(server, steps, options);
    await server.inDatabase(database, (client) =>
      client.script('create view public.mine as select public.probe_top() as is'),
    );
    expect(await failureOf(undoCatalogue(server, steps))).toMatchObject({
      code: 'ext_failed',
      details: {
        undone: [],
        left: [
          {
            why: expect.stringContaining('view public.mine depends on function public.probe_top()'),
          },
          { why: 'no scripts lead from 1.2 back to 1.0' },
        ],
      },
    });
    expect(await versions()).toEqual(['probe 1.2', 'probe_top 1.0']);
    await server.inDatabase(database, (client) => client.script('drop view public.mine'));
    expect(await failureOf(undoCatalogue(server, steps))).toMatchObject({
      details: { undone: [{ extension: 'probe_top' }], left: [{ step: { extension: 'probe' } }] },
    });
    expect(await versions()).toEqual(['probe 1.2']);
  });

  test('extensions are made in the order in which they need each other', async () => {
    await server.inDatabase(database, (client) => client.script('drop extension probe'));
    const steps: CatalogueStep[] = [
      create(),
      { database, extension: 'probe', action: 'create', to: '1.0' },
    ];
    await applyCatalogue(server, steps, options);
    expect(await versions()).toEqual(['probe 1.0', 'probe_top 1.0']);
    const undone = await undoCatalogue(server, steps);
    expect(undone.map(({ extension }) => extension)).toEqual(['probe_top', 'probe']);
  });

  test('a server that goes away in the middle is told as such, and nothing is committed', async () => {
    const failing = applyCatalogue(server, [update('1.1')], {
      ...options,
      smoke: new Map([['probe', 'select pg_terminate_backend(pg_backend_pid())']]),
    });
    expect(await failureOf(failing)).toMatchObject({ code: 'target_unreachable' });
    expect(await versions()).toEqual(['probe 1.0']);
  });

  test('processes that go on with an older library are found, and no others', async () => {
    const { folder, paths } = extensions;
    const live = join(paths.libraryFolder, 'hstore.so');
    const release = async (name: string): Promise<string> => {
      await mkdir(join(folder, name), { mode: 0o755 });
      await copyFile(await realpath(original), join(folder, name, 'hstore.so'));
      return join(folder, name, 'hstore.so');
    };
    const original = await realpath(live);
    const [first, second] = [await release('one'), await release('two')];
    const pointTo = async (to: string): Promise<void> => {
      await symlink(to, `${live}.new`);
      await rename(`${live}.new`, live);
    };
    await pointTo(first);
    const stale = (): Promise<unknown> => server.stale(new Map([[live, first]]));
    await server.inDatabase(database, async (old) => {
      await old.script(`load 'hstore'`);
      expect(await stale()).toEqual({ value: [] });
      await pointTo(second);
      await server.inDatabase(database, async (young) => {
        await young.script(`load 'hstore'`);
        const user = extensions.address.user;
        const found = { pid: old.pid, kind: 'client backend', user, database };
        expect(await stale()).toEqual({
          value: [{ ...found, libraries: [first], since: expect.any(String) }],
        });
        await rm(first);
        expect(await stale()).toMatchObject({
          value: [{ pid: old.pid, libraries: [`${first} (deleted)`] }],
        });
      });
    });
    expect(await stale()).toEqual({ value: [] });
  });

  test('functions in C that a catalogue expects are listed by library', async () => {
    await server.inDatabase(database, (client) =>
      client.script(`create extension citext schema public; create function public.own(text) returns int
        language c as '$libdir/citext', 'citext_hash'`),
    );
    const functions = await server.catalogueFunctions(['citext', 'probe']);
    expect(functions).toContainEqual({ library: 'citext', symbol: 'citext_eq' });
    expect(functions.filter(({ symbol }) => symbol === 'citext_hash')).toHaveLength(1);
    expect(new Set(functions.map(({ library }) => library))).toEqual(new Set(['citext']));
  });

  test('an extension is described object by object, whatever kind they are', async () => {
    const lines = await server.inDatabase(database, async (client) => {
      await client.script(
        'create extension hstore schema public; create extension cube schema public',
      );
      return await describeExtensions(client, 'hstore');
    });
    expect(lines.length).toBeGreaterThan(80);
    expect(
      lines.filter((line) => line.includes('CREATE OR REPLACE FUNCTION')).length,
    ).toBeGreaterThan(40);
    const operators = lines.filter((line) => line.startsWith('hstore: operator public.'));
    expect(operators.length).toBeGreaterThan(10);
    expect(lines.filter((line) => !line.startsWith('hstore: '))).toEqual([]);
  });

  test('a deployment is a row with its last state that everybody may read', async () => {
    const id = newId();
    const bundle = { name: 'probe', version: '1.1', extensions: [] };
    const plan = {
      id,
      bundle,
      host: 'local',
      release: 'probe-1.1-abc',
      server: { version: '17.6' },
    };
    const noted = plan as unknown as Plan;
    const steps = [{ step: 'switch' }];
    const running = { state: 'running', actor: 'ann', steps } as const;
    expect(await server.record(noted, running)).toEqual({ value: true });
    await server.record(noted, { state: 'deployed', actor: 'ann' });
    const rows = await server.inDatabase(server.recordDatabase, async (client) => {
      await client.script('create role reader; set role reader');
      return await client.query(
        sql`select state, release, previous, ended_at is not null as ended, steps, plan->>'host' as host
          from centuria_ext.deployments where id = ${id}`,
      );
    });
    expect(rows).toEqual([
      {
        state: 'deployed',
        release: 'probe-1.1-abc',
        previous: null,
        ended: true,
        steps,
        host: 'local',
      },
    ]);
  });
});
