/** Faults that a deployment must survive: of bundles, of releases on the target, of what others do. */
import { appendFileSync, chmodSync, readFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { deploy } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import { statusOf } from '../../src/ext/deploy/status.ts';
import { planDeployment } from '../../src/ext/deploy/target.ts';
import { verify } from '../../src/ext/deploy/verify.ts';
import {
  creating,
  openDeployments,
  plainly,
  whichRuns,
  type Deployments,
} from '../support/ext-deployments.ts';
import {
  assertAsBefore,
  deployer,
  everything,
  libraryOf,
  seen,
  withFile,
  withMetadata,
} from '../support/ext-faults.ts';
import { extensionServerUnavailable } from '../support/extension-servers.ts';
import { contentsOf } from '../support/folders.ts';

const reason = await extensionServerUnavailable();
const actor = { actor: 'test' };
/** Given to node, with an address. */
const dropOther = `import pg from "pg"; const client = new pg.Client(process.argv[1]);
  await client.connect(); await client.query("drop database other"); await client.end()`;

describe.skipIf(reason !== undefined)('with 1.0 live', () => {
  let on: Deployments;
  let first: string;
  beforeAll(async () => {
    on = await openDeployments(['1.0', '1.1', '1.2'], {
      settings: { max_prepared_transactions: '2' },
      builds: {
        other: ['preloaded', { RELEASE: '1.0' }],
        'no function': ['counter', { RELEASE: '1.1', DROP_ADD: 'yes' }],
      },
    });
    await deploy(on.target, on.bundle('1.0'), creating);
    first = await seen(on);
  });
  afterAll(() => on?.stop());
  // Each test leaves it as it was, and nothing unfinished.
  afterEach(() => assertAsBefore(on, first));

  const releases = (): string => join(on.folder, 'staging/17/releases');
  const live = async (): Promise<string> => {
    const { bundles } = await statusOf(on.target);
    return join(releases(), bundles[0]?.release ?? '');
  };

  test('a build of the same version lies beside the live one, which is kept byte by byte', async () => {
    const folder = await live();
    const before = contentsOf(folder);
    const { path, bytes } = libraryOf(on.bundle('1.0'));
    const rebuilt = withFile(on.bundle('1.0'), path, Buffer.concat([bytes, Buffer.from('again')]));
    await deploy(on.target, rebuilt, plainly);
    expect(await live()).not.toBe(folder);
    expect(contentsOf(folder)).toEqual(before);
    await deploy(on.target, on.bundle('1.1'), plainly);
    expect(contentsOf(folder)).toEqual(before);
    await rollBack(on.target, actor);
    await rollBack(on.target, actor);
    expect(await live()).toBe(folder);
  });

  test('plans and dry runs write nothing', async () => {
    const before = everything(on);
    await planDeployment(on.target, on.bundle('1.1'), plainly);
    await rollBack(on.target, { ...actor, dryRun: true });
    await verify(on.target);
    expect(everything(on)).toBe(before);
  });

  test('libraries for another server, cut short or with flipped bits are refused before the first write', async () => {
    const before = everything(on);
    const bundle = on.bundle('1.1');
    const { path, bytes } = libraryOf(bundle);
    const edited = (edit: (copy: Buffer) => void) => {
      const copy = Buffer.from(bytes);
      edit(copy);
      return withFile(bundle, path, copy);
    };
    const dynamic = dynamicSection(bytes);
    const { target } = bundle.metadata;
    const wrong = {
      'another major': withMetadata(bundle, { target: { ...target, major: 16, version: '16.9' } }),
      'cut in half': withFile(bundle, path, bytes.subarray(0, bytes.length / 2)),
      'without its end': withFile(bundle, path, bytes.subarray(0, -1_000)),
      empty: withFile(bundle, path, Buffer.alloc(0)),
      'another processor': edited((copy) => copy.writeUInt16LE(copy.readUInt16LE(18) ^ 0xff, 18)),
      'no symbols': edited((copy) => flip(copy, dynamic, 6)),
      'no strings': edited((copy) => flip(copy, dynamic, 5)),
      'a function missing': on.bundle('no function'),
    };
    const codes: Record<string, unknown> = {};
    for (const [name, given] of Object.entries(wrong)) {
      codes[name] = await deploy(on.target, given, plainly).catch(({ code }) => code);
    }
    const refused = Object.fromEntries(Object.keys(wrong).map((name) => [name, 'ext_refused']));
    expect(codes).toEqual(refused);
    expect(everything(on)).toBe(before);
  });

  test('a library that loads and is another one is found by the smoke test and taken back', async () => {
    const { path, bytes } = libraryOf(on.bundle('1.2'));
    const lying = withFile(on.bundle('1.1'), path, bytes);
    await expect(deploy(on.target, lying, plainly)).rejects.toMatchObject({
      code: 'ext_failed',
      message: expect.stringMatching(/the library is of 1.2, the catalogue says 1.1.*taken back/s),
    });
  });

  test('content that changes behind a link is found, and is nothing to go back to', async () => {
    const script = 'extension/centuria_counter--1.0.sql';
    const file = join(await live(), script);
    await deploy(on.target, on.bundle('1.1'), plainly);
    const before = await seen(on);
    const text = readFileSync(file);
    chmodSync(file, 0o644);
    appendFileSync(file, '-- a friend was here\n');
    await expect(rollBack(on.target, actor)).rejects.toMatchObject({
      code: 'ext_failed',
      message: expect.stringContaining('centuria_counter--1.0.sql'),
    });
    expect(await seen(on)).toBe(before);
    await on.target.host.check('cat > "$1"; chmod 444 "$1"', { args: [file], input: text });
    await rollBack(on.target, actor);

    chmodSync(file, 0o644);
    appendFileSync(file, '-- a friend was here\n');
    const [found] = await verify(on.target);
    expect(found?.findings).toEqual([
      expect.objectContaining({ level: 'refuse', rule: 'release-changed' }),
      expect.objectContaining({ level: 'refuse', rule: 'not-live', file: script }),
    ]);
    await on.target.host.check('cat > "$1"; chmod 444 "$1"', { args: [file], input: text });
  });

  test('a release that somebody has removed is told, and can be deployed over', async () => {
    await deploy(on.target, on.bundle('1.1'), plainly);
    const folder = await live();
    await rename(folder, join(on.folder, 'removed'));
    const [found] = await verify(on.target);
    expect(found?.findings).toMatchObject([{ level: 'refuse', rule: 'release-missing' }]);
    const plan = await planDeployment(on.target, on.bundle('1.1'), plainly);
    expect(plan.findings).toContainEqual(expect.objectContaining({ rule: 'release-missing' }));
    await deploy(on.target, on.bundle('1.1'), plainly);
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.1', library: '1.1' }]);
    // The deployment that has mended it leads back to itself, the one before it to the first.
    await rollBack(on.target, actor);
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.1', library: '1.1' }]);
    await rollBack(on.target, actor);
  });

  test(
    'of two deployers at the same time one is told who the other is',
    { timeout: 240_000 },
    async () => {
      for (let round = 0; round < 10; round += 1) {
        const ends = await Promise.all(['1.1', '1.1'].map((release) => deployer(on, release)));
        expect(
          ends.filter(({ state }) => state === 'deployed'),
          `${round}`,
        ).toHaveLength(1);
        expect(
          ends.filter(({ code }) => code === 'ext_busy'),
          `${round}`,
        ).toHaveLength(1);
        expect(await on.sql(whichRuns)).toEqual([{ sql: '1.1', library: '1.1' }]);
        await rollBack(on.target, actor);
      }
    },
  );

  test('databases at different versions each go back to their own', async () => {
    await on.sql('create database other');
    await on.sql('create extension centuria_counter', 'other');
    await deploy(on.target, on.bundle('1.1'), { ...plainly, databases: ['other'] });
    const between = [await seen(on), await seen(on, 'other')];
    await deploy(on.target, on.bundle('1.1'), plainly);
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.1', library: '1.1' }]);
    await rollBack(on.target, actor);
    expect([await seen(on), await seen(on, 'other')]).toEqual(between);
    await rollBack(on.target, actor);
    expect(await on.sql(whichRuns, 'other')).toEqual([{ sql: '1.0', library: '1.0' }]);
    await on.sql('drop database other');
  });

  test('a database that is dropped in between stops a deployment, and no rollback', async () => {
    const makeOther = async (): Promise<void> => {
      await on.sql('create database other');
      await on.sql('create extension centuria_counter', 'other');
    };
    const dropAt = (line: string) => ({
      at: {
        [line]: `"${process.execPath}" --input-type=module -e '${dropOther}' "${on.server.url}"`,
      },
    });
    await makeOther();
    expect(await deployer(on, '1.1', dropAt('catalogue begins'))).toMatchObject({
      code: 'ext_failed',
      message: expect.stringMatching(/no database “other”.*taken back/s),
    });
    expect(await seen(on)).toBe(first);
    await makeOther();
    await deploy(on.target, on.bundle('1.1'), plainly);
    await on.sql('drop database other');
    await rollBack(on.target, actor);
  });

  test('what others have built upon an extension stays, and is named; then there is a way back', async () => {
    await deploy(on.target, on.bundle('1.1'), plainly);
    await on.sql('create view built_upon as select counter_add(1, 2)');
    const before = await seen(on);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await expect(rollBack(on.target, actor)).rejects.toMatchObject({
        code: 'ext_failed',
        message: expect.stringContaining('built_upon'),
      });
      expect(await seen(on)).toBe(before);
      expect((await statusOf(on.target)).deployments[0]?.state).toBe('deployed');
    }
    await on.sql('drop view built_upon');
    await rollBack(on.target, actor);
  });

  test('a prepared transaction that holds a lock is named', async () => {
    await on.sql(`begin; select * from counters; prepare transaction 'left by an app'`);
    try {
      await expect(deploy(on.target, on.bundle('1.1'), plainly)).rejects.toMatchObject({
        code: 'ext_failed',
        message: expect.stringContaining('the prepared transaction “left by an app” of “postgres”'),
        remedy: expect.stringContaining('rollback prepared'),
      });
    } finally {
      await on.sql(`rollback prepared 'left by an app'`);
    }
  });

  test('of two bundles the older can be taken back, and the other stays', async () => {
    await deploy(on.target, on.bundle('1.1'), plainly);
    await deploy(on.target, on.bundle('other'), plainly);
    await expect(rollBack(on.target, actor)).rejects.toMatchObject({ code: 'invalid_input' });
    await rollBack(on.target, { ...actor, bundle: 'centuria_counter' });
    expect(await on.sql(whichRuns)).toEqual([{ sql: '1.0', library: '1.0' }]);
    const { bundles } = await statusOf(on.target);
    expect(bundles.map(({ name, drift }) => [name, drift])).toEqual([
      ['centuria_counter', []],
      ['centuria_preloaded', []],
    ]);
    await rollBack(on.target, { ...actor, bundle: 'centuria_preloaded' });
  });

  test('a rollback that is killed is found, and stands in the way until it has ended', async () => {
    await deploy(on.target, on.bundle('1.1'), plainly);
    const ended = await deployer(on, '1.1', { rollBack: true, killAt: 'rollback begins' });
    expect(ended.exit).toBe('SIGKILL');
    expect((await statusOf(on.target)).deployments[0]?.state).toBe('unfinished');
    for (const release of ['1.1', '1.2']) {
      await expect(
        deploy(on.target, on.bundle(release), { ...plainly, acceptOneWay: true }),
      ).rejects.toMatchObject({ code: 'ext_busy' });
    }
    await rollBack(on.target, actor);
  });
});

/** Where PT_DYNAMIC of an ELF file for 64 bits lies. */
function dynamicSection(bytes: Buffer): { offset: number; size: number } {
  const table = Number(bytes.readBigUInt64LE(32));
  for (let entry = 0; entry < bytes.readUInt16LE(56); entry += 1) {
    const at = table + entry * 56;
    if (bytes.readUInt32LE(at) !== 2) continue;
    return {
      offset: Number(bytes.readBigUInt64LE(at + 8)),
      size: Number(bytes.readBigUInt64LE(at + 32)),
    };
  }
  throw new Error('it has no dynamic section');
}

/** Lets an entry of the dynamic section lead out of the file. */
function flip(
  bytes: Buffer,
  { offset, size }: { offset: number; size: number },
  tag: number,
): void {
  for (let at = offset; at < offset + size; at += 16) {
    if (Number(bytes.readBigUInt64LE(at)) === tag) bytes.writeUInt32LE(0x7fff_0000, at + 8);
  }
}
