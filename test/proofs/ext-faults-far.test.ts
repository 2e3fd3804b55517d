/** Faults on the way to another machine, and a server that has a standby. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual, promisify } from 'node:util';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLog, systemClock } from '../../src/base/base.ts';
import {
  startPostgres,
  type LocalPostgres,
  type PostgresInstall,
} from '../../src/database/database.ts';
import { deploy } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import { statusOf } from '../../src/ext/deploy/status.ts';
import { openTarget, planDeployment, type Target } from '../../src/ext/deploy/target.ts';
import { until } from '../support/databases.ts';
import {
  creating,
  openDeployments,
  plainly,
  whichRuns,
  type Deployments,
} from '../support/ext-deployments.ts';
import { assertAsBefore, seen } from '../support/ext-faults.ts';
import { extensionServerUnavailable, mirrorSuiteInstall } from '../support/extension-servers.ts';
import { testFolder } from '../support/processes.ts';
import { sshdUnavailable, startSshd, type Sshd } from '../support/sshd.ts';

const reason = await extensionServerUnavailable();
const isBash = userInfo().shell?.endsWith('/bash') === true;
const actor = { actor: 'test' };
const log = createLog({ level: 'silent' });

describe.skipIf(reason ?? sshdUnavailable)('over ssh, to a user whose shell is talkative', () => {
  let on: Deployments;
  let sshd: Sshd;
  let first: string;
  beforeAll(async () => {
    on = await openDeployments(['1.0', '1.1']);
    // What bash reads when sshd starts it, at home.
    await writeFile(join(on.folder, '.bashrc'), 'echo welcome; echo /opt/not/a/path\n');
    sshd = await startSshd([`SetEnv HOME=${on.folder}`]);
    await deploy(on.target, on.bundle('1.0'), creating);
    first = await seen(on);
  });
  afterAll(async () => {
    await sshd?.stop();
    await on?.stop();
  });

  const open = (): Promise<Target> =>
    openTarget(
      { host: sshd.to, address: on.server.address, stagingFolder: join(on.folder, 'staging') },
      { clock: systemClock, log, sshOptions: sshd.options },
    );
  /** Deploys, and cuts the connection at that line of the journal. */
  const cutAt = async (line: string): Promise<void> => {
    const far = await open();
    // The parent of the shell is the part of sshd that serves this connection.
    const session = Number((await far.host.check('echo $PPID')).toString().split('\n').at(-2));
    const failing = deploy(far, on.bundle('1.1'), {
      ...plainly,
      onStep(step, event) {
        if (`${step} ${event}` === line) process.kill(session, 'SIGKILL');
      },
    });
    await expect(failing).rejects.toMatchObject({
      code: 'target_unreachable',
      details: { state: 'unfinished' },
      remedy: expect.stringContaining('--resume'),
    });
    await far.close();
  };

  // Of the shells that sshd may start, this one reads a file although nobody logs in.
  test.skipIf(!isBash)('what the shell says gets into no path', async () => {
    const words = sshd.options.flatMap((option) => ['-o', option]);
    const said = await promisify(execFile)('ssh', [...words, `ssh://${sshd.to}`, 'true']);
    expect(said.stdout).toContain('/opt/not/a/path');
    const far = await open();
    await deploy(far, on.bundle('1.1'), plainly);
    expect(on.files()).not.toContain('not/a/path');
    const { bundles, deployments } = await statusOf(far);
    expect(bundles[0]).toMatchObject({ release: deployments[0]?.release, drift: [] });
    await rollBack(far, actor);
    await far.close();
    await assertAsBefore(on, first);
  });

  test.each(['stage begins', 'switch ends', 'catalogue begins', 'verify ends'])(
    'a connection that is cut at “%s” is gone on from, or taken back',
    async (line) => {
      await cutAt(line);
      let far = await open();
      await deploy(far, line === 'stage begins' ? on.bundle('1.1') : undefined, plainly);
      expect(await on.sql(whichRuns)).toEqual([{ sql: '1.1', library: '1.1' }]);
      await rollBack(far, actor);
      await far.close();
      await assertAsBefore(on, first);

      await cutAt(line);
      far = await open();
      await rollBack(far, actor);
      await far.close();
      await assertAsBefore(on, first);
    },
  );
});

describe.skipIf(reason !== undefined)('a server with a standby', () => {
  let on: Deployments;
  let folder: string;
  let standby: LocalPostgres;
  let far: Target;
  beforeAll(async () => {
    on = await openDeployments(['1.0', '1.1']);
    folder = await testFolder();
    await deploy(on.target, on.bundle('1.0'), creating);
    const paths = await mirrorSuiteInstall(folder);
    standby = await startStandby(on, folder, paths.binFolder);
    const { hostname, port, username, password } = new URL(standby.url);
    const address = {
      host: hostname,
      port: Number(port),
      user: username,
      password,
      database: 'postgres',
    };
    far = await openTarget(
      { address, stagingFolder: join(folder, 'staging') },
      { clock: systemClock, log },
    );
    await until(async () => (await on.target.server.state()).standbys.length === 1);
  });
  afterAll(async () => {
    await far?.close();
    await standby?.stop('immediate');
    await on?.stop();
    await promisify(execFile)('sh', ['-c', 'chmod -R u+w "$1"; rm -rf "$1"', 'sh', folder]);
  });

  test('gets files alone on the standby; the primary wants to be told that they are there', async () => {
    const before = await seen(on);
    const plan = await planDeployment(far, on.bundle('1.1'), plainly);
    expect(plan.catalogue).toEqual([]);
    expect(plan.findings).toContainEqual(expect.objectContaining({ rule: 'standby' }));
    await expect(deploy(on.target, on.bundle('1.1'), plainly)).rejects.toMatchObject({
      code: 'ext_refused',
      details: { findings: [expect.objectContaining({ rule: 'standby-first' })] },
      remedy: expect.stringContaining('--standbys-ready'),
    });
    await assertAsBefore(on, before);

    expect((await deploy(far, on.bundle('1.1'), plainly)).state).toBe('deployed');
    await deploy(on.target, on.bundle('1.1'), { ...plainly, acceptStandbys: true });
    // As soon as it has replayed what the primary did.
    const expected = [{ sql: '1.1', library: '1.1' }];
    await until(async () => isDeepStrictEqual(await query(standby.url, whichRuns), expected));
    await rollBack(on.target, actor);
    await rollBack(far, actor);
    await assertAsBefore(on, before);
    expect((await statusOf(far)).bundles).toEqual([]);
  });
});

/** From a backup of the primary, with an install of its own. */
async function startStandby(
  on: Deployments,
  folder: string,
  binFolder: string,
): Promise<LocalPostgres> {
  const place = join(folder, 'server');
  const script = `set -eu
mkdir -p "$1"
chmod 711 "$1"
cp "$4/password" "$4/user" "$1"
"$2/pg_basebackup" -R -X stream -c fast -d "$3" -D "$1/data"
chown -R --reference="$4/data" "$1/data"
chown --reference="$4/password" "$1/password"`;
  const primary = join(on.server.folder, 'server');
  await promisify(execFile)('sh', ['-c', script, 'sh', place, binFolder, on.server.url, primary]);
  const install: PostgresInstall = {
    binFolder,
    major: 17,
    version: '17',
    origin: 'cache',
    packages: [],
    hasVector: false,
  };
  return await startPostgres(install, { folder: place, settings: { fsync: 'off' }, log });
}

async function query(connectionString: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}
