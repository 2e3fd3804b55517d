import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeAskingWorkflows } from '../support/asking-workflows.ts';
import { openTestBridge, testToken, type TestBridge } from '../support/bridge.ts';
import {
  cleanEnvironment,
  launcher,
  runHere,
  startProgram,
  type CliOptions,
  type Ended,
} from '../support/cli.ts';
import { until } from '../support/databases.ts';

let bridge: TestBridge;
beforeAll(async () => {
  bridge = await openTestBridge();
  await writeAskingWorkflows(bridge.home);
});
afterAll(async () => {
  await bridge.end();
});

function environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return cleanEnvironment(bridge.home, {
    CENTURIA_SERVER: bridge.url,
    CENTURIA_API_KEY: testToken,
    ...more,
  });
}

function cli(args: readonly string[], options: CliOptions = {}): Promise<Ended> {
  return runHere(args, { cwd: bridge.home, ...options, env: environment(options.env) });
}

/** A run of `asking` that waits for its answer. */
async function asked(): Promise<string> {
  const { id } = await bridge.client.startRun({ workflow: 'asking' });
  await expect
    .poll(async () => (await bridge.client.run(id)).status, { timeout: 20_000 })
    .toBe('waiting');
  return id;
}

test('questions are listed with how to answer, and a yes lets the run go on', async () => {
  const none = await cli(['run', 'questions']);
  expect(none).toMatchObject({ status: 0, stdout: '', stderr: 'No run asks anything.\n' });
  const id = await asked();
  const listed = await cli(['run', 'questions']);
  expect(listed.stdout).toMatch(new RegExp(`${id.slice(-8)} +asking +approval +ok +Publish it\\?`));
  expect(listed.stderr).toContain('centuria run approve');
  const answered = await cli(['run', 'approve', id, '--comment', 'fine']);
  expect(answered).toMatchObject({ status: 0, stderr: '' });
  const waited = await cli(['run', 'wait', id]);
  expect(waited.status).toBe(0);
  const events = await cli(['run', 'events', id]);
  expect(events.stdout).toMatch(/question\.answered +approved by owner \[ok\], fine$/m);
});

test('a wait that takes too long ends with what the run waits for, and the run goes on', async () => {
  const id = await asked();
  const late = await cli(['run', 'wait', id, '--timeout', '1s']);
  expect(late.status).toBe(1);
  expect(late.stderr).toMatch(/asks: Publish it\?; answer: centuria run approve/);
  expect(late.stderr).toMatch(
    /error: run \w{8} has not ended yet: it is waiting; it asks something/,
  );
  expect((await cli(['run', 'reject', id])).status).toBe(0);
  expect((await cli(['run', 'wait', id])).stderr).toMatch(/error: run \w{8} failed/);
});

test('on a terminal a key answers, and the terminal is left as it was', async () => {
  const id = await asked();
  const command = `stty cols 70 rows 24; '${process.execPath}' '${launcher}' run watch ${id}; stty -a`;
  const started = startProgram('script', ['-qefc', command, '/dev/null'], {
    env: environment({ TERM: 'xterm-256color' }),
    cwd: bridge.home,
    stdin: null,
  });
  await started.until('stdout', /press y to approve, n to reject/);
  started.child.stdin?.write('y');
  const { stdout } = await started.ended;
  const text = stripVTControlCharacters(stdout);
  expect(text).toMatch(/✓ ok /);
  expect(text).toMatch(/asking \w{8} {2}completed/);
  expect(text).toMatch(/ icanon/);
  expect(await bridge.client.run(id)).toMatchObject({ status: 'completed' });
});

test('a run is paused, resumed, signalled and forked by hand', async () => {
  const id = await asked();
  expect((await cli(['run', 'pause', id, '--reason', 'lunch'])).stdout).toMatch(
    /starts nothing new/,
  );
  // It is asked for here, and done by the worker.
  await until(async () => /asking \w{8} {2}paused/.test((await cli(['run', 'show', id])).stdout));
  expect((await cli(['run', 'resume', id])).status).toBe(0);
  const forked = await cli(['run', 'fork', id, '--from', 'ok', '--input', 'what=b', '-o', 'json']);
  expect(JSON.parse(forked.stdout)).toMatchObject({ forkedFrom: id });
  const { id: waiting } = await bridge.client.startRun({ workflow: 'signalled' });
  const signalled = await cli(['run', 'signal', waiting, 'go', '--data', '@-'], {
    stdin: '{"a":1}',
  });
  expect(signalled.status).toBe(0);
  expect(await bridge.client.waitForRun(waiting)).toMatchObject({ status: 'completed' });
  await bridge.client.cancelRun(id);
});

test('an undo is shown first, and not done without a yes where nobody can be asked', async () => {
  const { id } = await bridge.client.startRun({ workflow: 'signalled' });
  const shown = await cli(['run', 'undo', id, '--plan']);
  expect(shown).toMatchObject({ status: 0, stderr: '' });
  expect(shown.stdout).toMatch(/changed nothing/);
  const refused = await cli(['run', 'undo', id]);
  expect(refused.status).toBe(2);
  expect(refused.stderr).toMatch(/hint: Look first: .*--plan\. Then add --yes\./);
  expect(await bridge.client.run(id)).not.toHaveProperty('undo');
  const done = await cli(['run', 'undo', id, '--yes', '-o', 'json']);
  expect(JSON.parse(done.stdout)).toMatchObject({ id, undo: 'undone', status: 'cancelled' });
});

test.each([
  [['run', 'approve', 'latest', '--add', 'usd=much'], /usd=much is no amount\nhint: Write usd=5/],
  [['run', 'approve', 'latest', '--choose', 'a'], /whole number/],
  [['run', 'signal', 'latest', 'go', '--data', 'yes'], /--data: .*\nhint: .*quotes of its own/],
  [['run', 'fork', 'latest'], /--from/],
  [['run', 'wait', 'latest', '--timeout', 'soon'], /--timeout soon is no length of time/],
])('%j exits 2 and says what would be right', async (args, told) => {
  const ended = await cli(args);
  expect(ended.status).toBe(2);
  expect(ended.stderr).toMatch(told);
});
