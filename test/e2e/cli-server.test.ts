import { execFileSync } from 'node:child_process';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  cleanEnvironment,
  launcher,
  startProgram,
  testHome,
  type Started,
  type TestHome,
} from '../support/cli.ts';
import { fleetFiles } from '../support/cli-fleet.ts';
import { freshDatabase, postgresUnavailable, type TestDatabase } from '../support/postgres.ts';

const ready = /serves (http:\S+)/;

/** Rows of `-o jsonl`. */
function rows(text: string): Record<string, unknown>[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe.skipIf(postgresUnavailable !== undefined)('with a server', () => {
  let database: TestDatabase;
  let home: TestHome;
  let server: Started;
  let env: Record<string, string>;

  beforeAll(async () => {
    database = await freshDatabase();
    env = { CENTURIA_DATABASE_URL: database.url, CENTURIA_BRIDGE_PORT: '0' };
    home = await testHome(fleetFiles, { seeded: true });
    server = home.start(['up'], { env });
    await server.until('stdout', ready);
  });
  afterAll(async () => {
    server.child.kill('SIGTERM');
    const ended = await server.ended;
    await database.drop();
    await home.remove();
    if (ended.status !== 0)
      throw new Error(`the server ended with ${ended.status}: ${ended.stderr}`);
  });

  test('a run is started, awaited, shown, and told event by event', async () => {
    const started = await home.cli(['run', 'start', 'two-steps', '--input', 'ms=20', '--wait']);
    expect(started.status).toBe(0);
    expect(JSON.parse(started.stdout)).toEqual({ first: { waited: 20 }, second: { waited: 20 } });
    expect(started.stderr).toMatch(/completed first[^]*completed second[^]*run completed/);

    const [run] = rows((await home.cli(['run', 'list', '--limit', '1', '-o', 'jsonl'])).stdout);
    const id = String(run?.['id']);
    const shown = await home.cli(['run', 'show', id.slice(-8)]);
    expect(shown.stdout).toContain(id);
    expect(shown.stdout).toMatch(/^✓ second +\d/m);

    const events = rows((await home.cli(['run', 'events', 'latest', '-o', 'jsonl'])).stdout);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
    expect(events.at(-1)).toMatchObject({ body: { type: 'run.completed' } });
    const followed = await home.cli(['run', 'events', id, '-f', '--after', '3', '-o', 'jsonl']);
    expect(rows(followed.stdout)).toEqual(events.slice(3));
  });

  test('on a terminal the run is drawn in place, within its width, and the cursor comes back', async () => {
    const command = `stty cols 50 rows 20; exec '${process.execPath}' '${launcher}' run start two-steps --wait`;
    const { status, stdout } = await startProgram('script', ['-qefc', command, '/dev/null'], {
      env: cleanEnvironment(home.path, { CENTURIA_HOME: home.path, TERM: 'xterm-256color' }),
    }).ended;
    expect(status).toBe(0);
    const hidden = stdout.lastIndexOf('\u001B[?25l');
    expect(hidden).toBeGreaterThan(-1);
    expect(stdout.lastIndexOf('\u001B[?25h')).toBeGreaterThan(hidden);
    const lines = stripVTControlCharacters(stdout).split(/[\r\n]+/);
    expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThan(50);
    expect(lines).toContainEqual(expect.stringMatching(/^✓ second /));
    expect(lines).toContainEqual(expect.stringMatching(/^2 of 2 tasks done · \d/));
  });

  test('Ctrl-C on a terminal lets go of the run and gives the cursor back', async () => {
    const command = `stty cols 80 rows 24; exec '${process.execPath}' '${launcher}' run start two-steps --input ms=60000 --wait`;
    const terminal = startProgram('script', ['-qefc', command, '/dev/null'], {
      env: cleanEnvironment(home.path, { CENTURIA_HOME: home.path, TERM: 'xterm-256color' }),
      stdin: null,
    });
    await terminal.until('stdout', /working/);
    terminal.child.stdin?.write('\u0003');
    const { status, stdout } = await terminal.ended;
    expect(status).toBe(130);
    expect(stdout).toMatch(/Let go of run \w{8}; it goes on\./);
    expect(stdout.lastIndexOf('\u001B[?25h')).toBeGreaterThan(stdout.lastIndexOf('\u001B[?25l'));
    expect((await home.cli(['run', 'cancel', 'latest'])).status).toBe(0);
  });

  test('a run that fails exits 1 with its error, and a retry keeps what completed', async () => {
    const failed = await home.cli(['run', 'start', 'two-steps', '--input', 'code=3', '--wait']);
    expect(failed.status).toBe(1);
    expect(failed.stderr).toMatch(/error: run \w{8} failed.*\nhint: .*centuria run retry/);
    expect((await home.cli(['run', 'retry', 'latest'])).status).toBe(0);
    const again = await home.cli(['run', 'wait', 'latest', '-o', 'json']);
    expect(again.status).toBe(1);
    const { taskList } = JSON.parse(again.stdout) as {
      taskList: { id: string; attempts: number }[];
    };
    expect(taskList.map(({ id, attempts }) => [id, attempts])).toEqual([
      ['first', 1],
      ['second', 2],
    ]);
  });

  test('a review ends with its summary and its report is printed', async () => {
    const done = await home.cli(['run', 'start', 'review', '--wait']);
    expect(done.status).toBe(0);
    expect(done.stdout).toMatch(/^1 finding in 1 file: 1 high \(1 agent\)\n/);
    expect(done.stdout).toMatch(/high +a\.ts:3 +lint +a finding/);
    expect(done.stdout).toContain('types: no tsconfig.json');
    expect((await home.cli(['run', 'report', 'latest'])).stdout).toBe('# Report\n');
  });

  test('a path is taken from the folder in which the command is typed', async () => {
    const repository = join(home.path, 'code');
    await mkdir(join(repository, 'deeper'), { recursive: true });
    execFileSync('git', ['init', '-q', repository]);
    const { status, stdout } = await home.cli(['run', 'start', 'on-a-repository', '--wait'], {
      cwd: join(repository, 'deeper'),
    });
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ repo: repository });
    const elsewhere = await home.cli(['run', 'start', 'on-a-repository'], { cwd: home.path });
    expect(elsewhere.status).toBe(2);
    expect(elsewhere.stderr).toMatch(/error: input repo: .*git/);
  });

  test.each([
    [['run', 'start', 'two-stpes'], 4, /no workflow two-stpes.*\nhint: Did you mean two-steps\?/],
    [['run', 'start', 'two-steps', '--input', 'mss=1'], 2, /no input mss\nhint: Did you mean ms\?/],
    [['run', 'start', 'two-steps', '--input', 'ms=soon'], 2, /"soon" is no integer/],
    [['run', 'show', '01935f6e-0000-7000-8000-00000000abcd'], 4, /no run/],
    [['run', 'show', 'abcdef'], 4, /no run ends with abcdef/],
    [['run', 'show', 'ab'], 2, /no run id/],
    [['agent', 'show', 'stp'], 4, /hint: Did you mean step\?/],
    [['workflow', 'show', 'nothing-like-it'], 4, /no workflow/],
  ])('%j exits %i', async (args, status, told) => {
    const ended = await home.cli(args);
    expect(ended.stderr).toMatch(told);
    expect(ended).toMatchObject({ status, stdout: '' });
  });

  test('a run that has ended can not be cancelled, which is a conflict', async () => {
    await home.cli(['run', 'start', 'two-steps', '--wait']);
    expect((await home.cli(['run', 'cancel', 'latest'])).status).toBe(5);
  });

  test('Ctrl-C lets go of a run, says how to stop it, and that works', async () => {
    const waiting = home.start(['run', 'start', 'two-steps', '--input', 'ms=60000', '--wait']);
    await waiting.until('stderr', /started first/);
    waiting.child.kill('SIGINT');
    const { status, stderr } = await waiting.ended;
    expect(status).toBe(130);
    const cancel = /centuria (run cancel \w{8})/.exec(stderr)?.[1] ?? '';
    const asked = await home.cli([...cancel.split(' '), '-o', 'json']);
    expect(asked.status).toBe(0);
    const ended = await home.cli(['run', 'wait', 'latest']);
    expect(ended.status).toBe(1);
    expect(ended.stderr).toMatch(/was cancelled/);
  });

  test('the same key gives the same run', async () => {
    const start = ['run', 'start', 'two-steps', '--idempotency-key', 'once', '-o', 'json'];
    const [first, second] = [await home.cli(start), await home.cli(start)];
    expect((JSON.parse(second.stdout) as { id: string }).id).toBe(
      (JSON.parse(first.stdout) as { id: string }).id,
    );
  });

  test('an agent is called by hand', async () => {
    const called = await home.cli([
      'agent',
      'invoke',
      'step',
      '--input',
      'ms:=5',
      '--input',
      'code:=0',
    ]);
    expect(JSON.parse(called.stdout)).toEqual({ waited: 5 });
    expect(called.stderr).toMatch(/^step took /);
    const failed = await home.cli(['agent', 'invoke', 'step', '--input-json', '-'], {
      stdin: '{"ms": 1, "code": 9}',
    });
    expect(failed).toMatchObject({ status: 1, stdout: '' });
  });

  test('a plan shows the waves and starts nothing', async () => {
    const before = (await home.cli(['run', 'list', '-o', 'jsonl'])).stdout;
    const plan = await home.cli(['run', 'start', 'two-steps', '--plan']);
    expect(plan.stdout).toMatch(
      /Wave 1\n {2}first by step\nWave 2\n {2}second by step {2}needs first\n/,
    );
    expect((await home.cli(['run', 'list', '-o', 'jsonl'])).stdout).toBe(before);
  });

  test('status, the link, doctor and completion ask the server', async () => {
    expect((await home.cli(['status'])).stdout).toMatch(
      /Database +PostgreSQL .*server, with pgvector: ok/,
    );
    const link = (await home.cli(['open'])).stdout.trim();
    const page = await fetch(link, { redirect: 'manual' });
    expect(page.status).toBe(303);
    const { items } = JSON.parse((await home.cli(['doctor', '-o', 'json'], { env })).stdout) as {
      items: { check: string; state: string; message: string }[];
    };
    expect(items.find(({ check }) => check === 'server')).toMatchObject({ state: 'ok' });
    expect((await home.cli(['__complete', 'workflow'])).stdout).toContain('two-steps\n');
    expect((await home.cli(['__complete', 'run'])).stdout).toMatch(/^latest\n\w{8}\n/);
  });

  test('a file that breaks later is told, and the rest goes on', async () => {
    await writeFile(join(home.path, 'workflows/broken.yaml'), 'name: broken\ntasks: [\n');
    const listed = await home.cli(['workflow', 'list']);
    expect(listed.stdout).toMatch(/^two-steps /m);
    expect(listed.stderr).toMatch(/\d+ problems? in other files: centuria workflow lint/);
    const started = await home.cli(['run', 'start', 'broken']);
    expect(started.status).toBe(2);
    expect(started.stderr).toMatch(/broken\.yaml:\d+:\d+/);
  });

  test('the token is for its owner only', async () => {
    const { mode } = await stat(join(home.path, 'token'));
    expect((mode & 0o777).toString(8)).toBe('600');
    const token = await readFile(join(home.path, 'token'), 'utf8');
    expect(server.output.stdout + server.output.stderr).not.toContain(token);
  });
});

describe('what keeps a server from starting', () => {
  test('a port that is taken: the port, the remedy, and nothing left behind', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const { port } = holder.address() as { port: number };
    const home = await testHome({}, { seeded: true });
    const ended = await home.start(['up', '--bridge-port', String(port)]).ended;
    expect(ended.status).toBe(5);
    expect(ended.stderr).toMatch(new RegExp(`error: .*${port}.*\nhint: `));
    // The same folder starts at once: the lock and the database were given back.
    const again = home.start(['up', '--bridge-port', '0']);
    await again.until('stdout', ready);

    const second = await home.start(['up', '--bridge-port', '0']).ended;
    expect(second.status).toBe(5);
    expect(second.stderr).toMatch(new RegExp(`error: process ${again.child.pid} holds .*\nhint: `));
    const migrate = await home.cli(['migrate']);
    expect(migrate).toMatchObject({ status: 5, stdout: '' });

    again.child.kill('SIGINT');
    expect((await again.ended).status).toBe(0);
    expect((await home.cli(['status'])).status).toBe(6);
    await home.remove();
    holder.close();
  });

  test('a database that does not answer: its place without the password', async () => {
    const home = await testHome();
    const ended = await home.start(['up'], {
      env: { CENTURIA_DATABASE_URL: 'postgres://ada:secret-word@127.0.0.1:1/none' },
    }).ended;
    expect(ended.status).toBe(6);
    expect(ended.stderr).toMatch(/error: .*127\.0\.0\.1:1/);
    expect(ended.stderr).not.toContain('secret-word');
    await home.remove();
  });
});

describe.skipIf(postgresUnavailable !== undefined)('stopping and going on', () => {
  test('a second Ctrl-C forces the end, and the run goes on after the next start', async () => {
    const database = await freshDatabase();
    const env = { CENTURIA_DATABASE_URL: database.url, CENTURIA_BRIDGE_PORT: '0' };
    const home = await testHome(fleetFiles, { seeded: true });
    const first = home.start(['up'], { env });
    await first.until('stdout', ready);
    await home.cli(['run', 'start', 'two-steps', '--input', 'ms=4000']);
    const watching = home.start(['run', 'events', 'latest', '-f']);
    await watching.until('stdout', /attempt\.started/);
    first.child.kill('SIGINT');
    await first.until('stderr', /Again to force it/);
    // Apart by more than what counts as one key press.
    await new Promise((resolve) => setTimeout(resolve, 700));
    first.child.kill('SIGINT');
    expect((await first.ended).status).toBe(130);
    watching.child.kill('SIGKILL');
    await watching.ended;

    const second = home.start(['up', '--first-run', 'two-steps'], { env });
    await second.until('stdout', ready);
    expect((await home.cli(['run', 'wait', 'latest'])).status).toBe(0);
    // It has had a run, so there is no first one.
    expect(rows((await home.cli(['run', 'list', '-o', 'jsonl'])).stdout)).toHaveLength(1);
    second.child.kill('SIGTERM');
    expect((await second.ended).status).toBe(0);
    await database.drop();
    await home.remove();
  });

  test('the first run is done once, told, and the server goes on', async () => {
    const database = await freshDatabase();
    const env = { CENTURIA_DATABASE_URL: database.url, CENTURIA_BRIDGE_PORT: '0' };
    const home = await testHome(fleetFiles, { seeded: true });
    const server = home.start(['up', '--first-run', 'review'], { env });
    await server.until('stdout', /1 finding in 1 file[^]*Report: .*report\.md/);
    await server.until('stderr', /run completed/);
    expect((await home.cli(['status'])).status).toBe(0);
    server.child.kill('SIGTERM');
    const ended = await server.ended;
    expect(ended.status).toBe(0);
    expect(ended.stderr).toMatch(/SIGTERM: stopping[^]*Stopped\.\n$/);
    await database.drop();
    await home.remove();
  });
});
