/**
 * Makes a fresh clone ready, and says what it installs: `npm start` and `npm test` run it first.
 * Plain JavaScript for Node 18 or later, with no dependency, since it runs before there are any.
 * What it prints goes to standard error.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const stamp = join(modules, '.centuria-installed');
const lockFolder = join(root, '.prepare.lock');
/** npm ci took 25 s on two cores; ten minutes is a slow line, more is a lock that nobody holds. */
const lockWaitMs = 600_000;
const least = [22, 18];

const say = (text) => process.stderr.write(`prepare: ${text}\n`);

function stop(text) {
  say(text);
  process.exit(1);
}

/** The path of a program, looked for outside node_modules, or undefined. */
function findProgram(...names) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (folder === '' || folder.includes(`${sep}node_modules${sep}.bin`)) continue;
    for (const name of names) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // Not here: the next folder may have it.
      }
    }
  }
  return undefined;
}

/** PATH without node_modules/.bin: npm must not run on the node that it is about to replace. */
function outsidePath() {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes(`${sep}node_modules${sep}.bin`))
    .join(delimiter);
}

function wantedStamp() {
  const hash = createHash('sha256').update(readFileSync(join(root, 'package-lock.json')));
  return `${hash.digest('hex')} ${process.platform}-${process.arch}\n`;
}

function isCurrent() {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === wantedStamp();
}

/** Whether a list such as `["linux"]` or `["!win32"]` of the lock file allows the value. */
function fits(list, value) {
  if (list === undefined) return true;
  return list.some((item) => !item.startsWith('!'))
    ? list.includes(value)
    : !list.includes(`!${value}`);
}

/** Whether a package of the lock file is meant for this machine. */
function isForThisMachine(entry) {
  return (
    fits(entry.os, process.platform) &&
    fits(entry.cpu, process.arch) &&
    (entry.libc === undefined || process.platform !== 'linux' || fits(entry.libc, libc()))
  );
}

function libc() {
  return process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
}

function readLock(path) {
  return JSON.parse(readFileSync(path, 'utf8')).packages;
}

/**
 * Packages of the lock file that this machine needs and that are not there in the locked version.
 * npm 10 leaves native packages out in some states and still ends with 0.
 */
function missingPackages() {
  const missing = [];
  for (const [path, entry] of Object.entries(readLock(join(root, 'package-lock.json')))) {
    if (path === '' || entry.link || !isForThisMachine(entry)) continue;
    // An optional package with no platform of its own may fail to build, and that is allowed.
    if (entry.optional && entry.os === undefined && entry.cpu === undefined) continue;
    const manifest = join(root, path, 'package.json');
    const found = existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version;
    if (found !== entry.version) missing.push(path.slice('node_modules/'.length));
  }
  return missing;
}

/** Runs npm under the node that the host has. */
function runNpm(args, env = {}) {
  const npm = process.env.npm_execpath;
  const hostNode = process.env.npm_node_execpath;
  const environment = { ...process.env, PATH: outsidePath(), ...env };
  // Inside a script npm sets the settings of that run; they are not meant for another.
  delete environment.npm_config_workspace;
  const viaHost = npm?.endsWith('.js') && hostNode && existsSync(hostNode);
  const result = viaHost
    ? spawnSync(hostNode, [npm, ...args], { cwd: root, stdio: ['ignore', 2, 2], env: environment })
    : spawnSync('npm', args, { cwd: root, stdio: ['ignore', 2, 2], env: environment });
  if (result.error)
    stop(`npm can not be run: ${result.error.message}. Install npm, then try again.`);
  return result.status;
}

function sleep(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/**
 * Runs `work` while no other call of this program does. The lock is a folder that holds one file
 * named by the process. Moving a full folder onto an empty or absent one is atomic, and onto a full
 * one it fails; a dead holder's file is removed by its name, so nobody removes a living holder's.
 */
function alone(work) {
  const mine = `${lockFolder}.${process.pid}`;
  mkdirSync(mine, { recursive: true });
  writeFileSync(join(mine, String(process.pid)), '');
  const until = Date.now() + lockWaitMs;
  for (let told = false; ;) {
    try {
      renameSync(mine, lockFolder);
      break;
    } catch (error) {
      if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(error.code)) throw error;
    }
    const [holder] = existsSync(lockFolder) ? readdirSync(lockFolder) : [];
    if (holder === undefined) continue;
    if (!isAlive(Number(holder))) {
      rmSync(join(lockFolder, holder), { force: true });
      continue;
    }
    if (Date.now() > until) {
      rmSync(mine, { recursive: true, force: true });
      stop(
        `process ${holder} has held ${lockFolder} for ten minutes. If it is not an installation, remove that folder.`,
      );
    }
    if (!told) say(`process ${holder} is installing already; waiting for it`);
    told = true;
    sleep(200);
  }
  const release = () => rmSync(lockFolder, { recursive: true, force: true });
  // `stop` leaves by exit, past any finally.
  process.once('exit', release);
  try {
    work();
  } finally {
    process.off('exit', release);
    release();
  }
}

function installPackages() {
  if (existsSync(modules) && lstatSync(modules).isSymbolicLink()) {
    // npm ci would empty the folder that it points to, which others use.
    say('node_modules is a symbolic link: it is left as it is');
    return;
  }
  if (isCurrent()) return;
  alone(() => {
    if (isCurrent()) return;
    if (existsSync(join(modules, '.package-lock.json')) && missingPackages().length === 0) {
      writeFileSync(stamp, wantedStamp());
      return;
    }
    const count = Object.values(readLock(join(root, 'package-lock.json'))).filter(
      (entry) => !entry.optional || isForThisMachine(entry),
    ).length;
    say(`installing ${count} npm packages and Node 24 into node_modules (npm ci), about 400 MB`);
    const begun = Date.now();
    const status = runNpm(['ci', '--no-audit', '--no-fund', '--loglevel=error']);
    if (status !== 0)
      stop(`npm ci ended with status ${status}; nothing was started. Its message is above.`);
    const missing = missingPackages();
    if (missing.length > 0) {
      stop(
        `npm ci left out packages that this machine needs: ${missing.join(', ')}. ` +
          'Remove node_modules and try again with npm 11 or later: npx npm@11 ci',
      );
    }
    writeFileSync(stamp, wantedStamp());
    say(`installed in ${Math.round((Date.now() - begun) / 1000)} s`);
  });
}

function nodeVersion(program) {
  const result = spawnSync(program, ['--version'], { encoding: 'utf8' });
  const match = /^v(\d+)\.(\d+)\./.exec(result.stdout ?? '');
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

const isEnough = (version) =>
  version !== undefined &&
  (version[0] > least[0] || (version[0] === least[0] && version[1] >= least[1]));

/** The package `node` brings its program by an install script, which npm may be told not to run. */
function checkNode() {
  const own = join(modules, '.bin', 'node');
  if (isEnough(nodeVersion(own))) return;
  // The policy that skipped the script is the user's, so it is not overridden here.
  const repair = 'npm rebuild node --ignore-scripts=false --foreground-scripts';
  const host = nodeVersion(findProgram('node') ?? 'node');
  const text =
    'node_modules/.bin/node does not run: the install script of the package node was skipped. ' +
    `To have it: ${repair} (npm 12 or later: npm approve-scripts node first).`;
  if (!isEnough(host)) {
    stop(
      `${text} Or install Node ${least.join('.')} or later; this machine has ${host?.join('.') ?? 'none'}.`,
    );
  }
  say(`${text} Going on with the Node ${host.join('.')} of this machine.`);
}

/** What the programs below are for; `packages` are Debian's names. */
const programs = [
  {
    names: ['git'],
    packages: ['git'],
    needed: true,
    why: 'every run reviews a git repository',
  },
  {
    names: ['dpkg-deb'],
    packages: ['dpkg'],
    tests: true,
    why: 'integration tests unpack a real PostgreSQL with it',
  },
  {
    names: ['apt-get'],
    packages: ['apt'],
    tests: true,
    why: 'integration tests find the packages of a real PostgreSQL with it',
  },
  {
    names: ['chromium', 'chromium-browser', 'google-chrome'],
    packages: ['chromium'],
    tests: true,
    why: 'page tests run in a real browser',
  },
];

function checkPrograms(forTests) {
  const absent = programs.filter(
    (program) => (program.needed || forTests) && findProgram(...program.names) === undefined,
  );
  if (absent.length === 0) return;
  const packages = absent.flatMap((program) => program.packages);
  if (process.getuid?.() === 0 && findProgram('apt-get') !== undefined) installDebian(packages);
  for (const program of absent) {
    if (findProgram(...program.names) !== undefined) continue;
    const remedy = `apt-get install ${program.packages.join(' ')}`;
    const text = `${program.names[0]} is missing: ${program.why}. As root: ${remedy}`;
    if (program.needed) stop(text);
    say(`${text}. Going on; those tests say that they are skipped.`);
  }
}

function installDebian(packages) {
  say(`installing Debian packages: ${packages.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = { stdio: ['ignore', 2, 2], env, timeout: 600_000 };
  // Lists may be absent (fresh container) or old; an update is cheap beside the packages.
  spawnSync('apt-get', ['-qq', 'update'], options);
  const result = spawnSync(
    'apt-get',
    ['-qq', '-y', '--no-install-recommends', 'install', ...packages],
    options,
  );
  if (result.status !== 0) say(`apt-get install ended with status ${result.status}`);
}

installPackages();
checkNode();
checkPrograms(process.env.npm_lifecycle_event === 'pretest');
