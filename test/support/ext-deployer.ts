/**
 * A process that deploys and is killed: `node ext-deployer.ts OPTIONS.json`. It ends itself by SIGKILL where
 * the options say so; who kills it from outside is told by `opened` on its output when it begins.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createLog, systemClock, toAppError } from '../../src/base/base.ts';
import type { ServerAddress } from '../../src/ext/deployment-types.ts';
import { deploy } from '../../src/ext/deploy/deploy.ts';
import { rollBack } from '../../src/ext/deploy/rollback.ts';
import { openTarget } from '../../src/ext/deploy/target.ts';
import { readBundle } from '../../src/ext/package/bundle.ts';

export interface DeployerOptions {
  readonly address: ServerAddress;
  readonly stagingFolder: string;
  /** A path. */
  readonly bundle: string;
  readonly host?: string;
  readonly sshOptions?: readonly string[];
  readonly databases?: readonly string[];
  /** `switch begins`: after which line of the journal it ends. */
  readonly killAt?: string;
  readonly adopt?: boolean;
  readonly rehearse?: boolean;
  /** Takes the last deployment back instead. */
  readonly rollBack?: boolean;
  /** Says `opened` on its output when it begins. */
  readonly announces?: boolean;
  /** By line of the journal: what sh runs there, such as the remounting of a folder. */
  readonly at?: Readonly<Record<string, string>>;
}

const file = process.argv[2] ?? '';
// Written by the test that starts this.
const options = JSON.parse(readFileSync(file, 'utf8')) as DeployerOptions;
const { address, stagingFolder, killAt, host, sshOptions } = options;
const bytes = readFileSync(options.bundle);
const bundle = await readBundle(bytes, options.bundle, { trusted: [], requireSignature: false });
const log = createLog({ level: 'error' });
const target = await openTarget(
  { address, stagingFolder, ...(host === undefined ? {} : { host }) },
  { clock: systemClock, log, ...(sshOptions === undefined ? {} : { sshOptions }) },
);
const onStep = (step: string, event: string): void => {
  const line = `${step} ${event}`;
  const command = options.at?.[line];
  if (command !== undefined) execFileSync('sh', ['-ec', command], { stdio: 'ignore' });
  if (line === killAt) process.kill(process.pid, 'SIGKILL');
};
if (options.announces === true) process.stdout.write('opened\n');
if (options.rollBack === true) {
  await rollBack(target, { actor: 'test', onStep });
  await target.close();
  process.exit();
}
const deploying = deploy(target, bundle, {
  adopt: options.adopt ?? false,
  acceptOneWay: false,
  acceptStandbys: false,
  mayRestart: false,
  create: [],
  ...(options.databases === undefined ? {} : { databases: options.databases }),
  rehearse: options.rehearse ?? false,
  actor: 'test',
  onStep,
});
try {
  const { state } = await deploying;
  process.stdout.write(JSON.stringify({ state }));
} catch (error) {
  const { code, message, details, remedy } = toAppError(error);
  process.stdout.write(JSON.stringify({ code, message, details, remedy }));
  if (options.announces === true) process.exitCode = 1;
} finally {
  await target.close();
}
