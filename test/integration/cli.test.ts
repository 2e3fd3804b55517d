import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  cleanEnvironment,
  launcher,
  root,
  startProgram,
  testHome,
  type Started,
  type TestHome,
} from '../support/cli.ts';

let home: TestHome;
beforeAll(async () => {
  home = await testHome({
    'workflows/good.yaml':
      'name: good\ndescription: d\nmode: parallel\ntasks:\n  a: {agent: git-history}\n',
  });
});
afterAll(() => home.remove());

describe('exit statuses', () => {
  test.concurrent.each([
    [['--version'], 0, /^\d+\.\d+\.\d+\n$/],
    [['--help'], 0, /Usage: centuria/],
    [['run', 'start', '--help'], 0, /Examples:/],
    [['help', 'run'], 0, /Usage: centuria run/],
    [['config', 'show'], 0, /bridgePort/],
    [['config', 'path'], 0, /config\.yaml\n$/],
  ])('%j ends well with its text on standard output', async (args, status, shown) => {
    const ended = await home.start(args).ended;
    expect(ended).toMatchObject({ status, stderr: '' });
    expect(ended.stdout).toMatch(shown);
  });

  test.concurrent.each([
    [[], 2, /Usage: centuria/],
    [['run'], 2, /Usage: centuria run/],
    [['rnu', 'list'], 2, /^error: unknown command 'rnu'\nhint: Did you mean run\?\n$/],
    [['run', 'strat', 'x'], 2, /hint: Did you mean start\?/],
    [
      ['run', 'list', '--statsu', 'failed'],
      2,
      /unknown option '--statsu'\nhint: Did you mean --status\?/,
    ],
    [['run', 'list', '--status', 'odd'], 2, /Allowed choices are/],
    [['run', 'list', '--limit', '0'], 2, /from 1 to 500/],
    [['run', 'list', 'extra'], 2, /too many arguments/],
    [['run', 'show'], 2, /missing required argument 'run'/],
    [['-o', 'xml', 'config', 'show'], 2, /Allowed choices are table, json, jsonl/],
    [['up', '--only', 'brigde'], 2, /no role brigde/],
    [['up', '--input', 'a=b'], 2, /--input needs --first-run/],
    [['run', 'list'], 6, /^error: no Centuria is running on .*\nhint: Start it: centuria up\n$/],
    [['status'], 6, /no Centuria is running/],
    [['agent', 'lint', 'nowhere.md'], 1, /1 error/],
    [['workflow', 'lint', 'nowhere.yaml'], 1, /1 problem/],
    [['agent', 'diff', './nowhere.md', './other.md'], 4, /nowhere\.md can not be read/],
  ])('%j exits %i and says why on standard error', async (args, status, told) => {
    const ended = await home.cli(args);
    expect(ended.stderr).toMatch(told);
    expect(ended.status).toBe(status);
  });
});

test('a setting that is wrong is named with its place, and nothing is made', async () => {
  const wrong = await testHome({ 'config.yaml': 'bridgePrt: 1\n' });
  const ended = await wrong.start(['up']).ended;
  expect(ended).toMatchObject({ status: 2, stdout: '' });
  expect(ended.stderr).toMatch(
    /config\.yaml: unknown setting bridgePrt\nhint: Did you mean bridgePort\?/,
  );
  await wrong.remove();
});

test('a database URL is not taken as a flag, and its password is not repeated', async () => {
  const flag = ['--database-url', 'postgres://ada:secret-word@127.0.0.1/x'];
  const ended = await home.start(['up', ...flag]).ended;
  expect(ended.status).toBe(2);
  expect(ended.stderr).toContain('CENTURIA_DATABASE_URL_FILE');
  expect(ended.stderr).not.toContain('secret-word');
});

test('config show masks secrets and tells where each value comes from', async () => {
  const { stdout } = await home.cli(['config', 'show', '--bridge-port', '9', '-o', 'json'], {
    env: { CENTURIA_DATABASE_URL: 'postgres://ada:secret-word@127.0.0.1/x' },
  });
  expect(stdout).not.toContain('secret-word');
  const { items } = JSON.parse(stdout) as { items: { name: string }[] };
  const byName = Object.fromEntries(items.map(({ name, ...rest }) => [name, rest]));
  expect(byName).toMatchObject({
    home: { value: home.path, origin: 'environment' },
    databaseUrl: { value: '[set]', origin: 'environment', where: 'CENTURIA_DATABASE_URL' },
    bridgePort: { value: 9, origin: 'flag', where: '--bridge-port' },
    logLevel: { value: 'info', origin: 'default' },
  });
});

test('with -o json an error is one JSON document on standard error, wherever the flag stands', async () => {
  for (const args of [
    ['-o', 'json', 'status'],
    ['status', '-o', 'json'],
  ]) {
    const { stderr, stdout } = await home.cli(args);
    expect(stdout).toBe('');
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: 'server_not_running', retryable: true },
    });
  }
  const { stderr } = await home.cli(['rnu', '-o', 'jsonl']);
  expect(JSON.parse(stderr)).toMatchObject({
    error: { code: 'usage', remedy: 'Did you mean run?' },
  });
});

test.concurrent.each([
  [{}, [], false],
  [{ FORCE_COLOR: '1' }, [], true],
  [{ FORCE_COLOR: '1' }, ['--no-color'], false],
])('with %j and %j colours are %s on both streams', async (env, flags, coloured) => {
  const good = await home.cli([...flags, 'config', 'show'], { env });
  const bad = await home.cli([...flags, 'status'], { env });
  const escape = '\u001B[';
  expect([good.stdout.includes(escape), bad.stderr.includes(escape)]).toEqual([coloured, coloured]);
});

test('a reader that closes the pipe early is no error', async () => {
  const child = spawn(process.execPath, [launcher, '--help'], {
    env: cleanEnvironment(home.path),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [status] = (await once(child, 'close')) as [number];
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

test('workflow lint tells the place and the right word, and exits 1', async () => {
  const file = join(home.path, 'bad.yaml');
  await writeFile(
    file,
    'name: bad\ndescription: d\nmode: parallel\ntasks:\n  a: {agnet: git-history}\n',
  );
  const ended = await home.cli(['workflow', 'lint', 'bad.yaml', '-o', 'jsonl']);
  expect(ended.status).toBe(1);
  const problems = ended.stdout
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
  expect(problems).toContainEqual(
    expect.objectContaining({ file, line: 5, suggestion: expect.stringContaining('agent') }),
  );
});

test('YAML that does not parse is told with its line', async () => {
  await writeFile(join(home.path, 'broken.yaml'), 'name: broken\ntasks: [\n');
  const ended = await home.cli(['workflow', 'lint', 'broken.yaml']);
  expect(ended.status).toBe(1);
  expect(ended.stdout).toMatch(/broken\.yaml:\d+:\d+/);
});

test('doctor works without a server, and a data folder open to others is a warning', async () => {
  await chmod(home.path, 0o755);
  const { stdout } = await home.cli(['doctor', '-o', 'json', '--bridge-port', '0']);
  await chmod(home.path, 0o700);
  const { items } = JSON.parse(stdout) as { items: { check: string; state: string }[] };
  const states = Object.fromEntries(items.map(({ check, state }) => [check, state]));
  expect(states).toMatchObject({
    node: 'ok',
    settings: 'ok',
    'data folder': 'warn',
    lock: 'ok',
    database: 'unavailable',
    git: 'ok',
  });
});

test('doctor exits 1 when something fails, and names the remedy', async () => {
  const wrong = await testHome({ 'config.yaml': 'bridgePort: seven\n' });
  const ended = await wrong.cli(['doctor']);
  expect(ended.status).toBe(1);
  expect(ended.stdout).toMatch(/✗ fail\s+settings\s+.*bridgePort/);
  await wrong.remove();
});

test('migrate --plan on a data folder without a database lists everything and makes nothing', async () => {
  const ended = await home.cli(['migrate', '--plan', '-o', 'jsonl']);
  expect(ended.status).toBe(0);
  const rows = ended.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { migration: string; state: string });
  expect(rows[0]).toEqual({ migration: '000001_coordination.sql', state: 'pending' });
  expect((await home.cli(['migrate', '--plan'])).stderr).toMatch(/does not exist yet/);
});

test('names are asked for in silence where no server runs', async () => {
  const ended = await home.cli(['__complete', 'workflow']);
  expect(ended).toMatchObject({ status: 0, stdout: '', stderr: '' });
});

/** A copy of the launcher; with `code`, beside a Node that is new enough and a program for it. */
async function launcherFolder(code?: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'centuria-launcher-'));
  await mkdir(join(folder, 'bin'));
  await mkdir(join(folder, 'node_modules/node/bin'), { recursive: true });
  await copyFile(join(root, 'package.json'), join(folder, 'package.json'));
  const source = join(folder, 'bin/centuria.mjs');
  await copyFile(launcher, source);
  if (code !== undefined) {
    await mkdir(join(folder, 'src/cli'), { recursive: true });
    await writeFile(
      join(folder, 'src/cli/cli.ts'),
      `export async function runProcess() { ${code} }`,
    );
    await symlink(process.execPath, join(folder, 'node_modules/node/bin/node'));
  }
  return folder;
}
// Pretends an old version from the outside: the launcher reads nothing else of it.
const pretend =
  'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.20.2"})';

function startOld(folder: string): Started {
  const args = ['--import', pretend, join(folder, 'bin/centuria.mjs'), 'status'];
  return startProgram(process.execPath, args, { env: cleanEnvironment(folder) });
}

describe('the launcher under an old Node', () => {
  test('without a new enough one beside it, it says what to do', async () => {
    const folder = await launcherFolder();
    const ended = await startOld(folder).ended;
    expect(ended.status).toBe(6);
    expect(ended.stderr).toMatch(
      /^error: Centuria needs Node 22\.18 or later.*\nhint: .*nodejs\.org/,
    );
    await rm(folder, { recursive: true });
  });

  test.each([
    ['process.exit(7)', { status: 7, signal: null }],
    ['process.kill(process.pid, "SIGKILL")', { status: null, signal: 'SIGKILL' }],
  ])('ends as the one beside it: %s', async (code, expected) => {
    const folder = await launcherFolder(code);
    expect(await startOld(folder).ended).toMatchObject(expected);
    await rm(folder, { recursive: true });
  });

  test('passes signals on to the one beside it', async () => {
    const folder = await launcherFolder(`
      process.on('SIGTERM', () => { console.log('told'); process.exit(0); });
      setInterval(() => {}, 1000);
      console.log('ready');`);
    const started = startOld(folder);
    await started.until('stdout', /ready/);
    started.child.kill('SIGTERM');
    expect(await started.ended).toMatchObject({ status: 0, stdout: 'ready\ntold\n' });
    await rm(folder, { recursive: true });
  });
});
