import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parseAgent, type Invocation } from '../../src/agents/agents.ts';
import { processesOf } from '../../src/agents/processes.ts';
import { createCallDoor } from '../../src/agents/call-door.ts';
import { createCommandRuntime } from '../../src/agents/runtimes/command.ts';
import type { Runtime } from '../../src/agents/runtime.ts';
import { AppError, newId, systemClock, toAppError } from '../../src/base/base.ts';
import { silentLog } from '../support/databases.ts';
import { testFolder } from '../support/processes.ts';

const behave = resolve(import.meta.dirname, '../fixtures/commands/behave.mjs');
let folder: string;
let runtime: Runtime;

beforeAll(async () => {
  folder = await testFolder();
  runtime = await createCommandRuntime({
    callDoor: createCallDoor(silentLog),
    packageRoot: folder,
    clock: systemClock,
    environment: {
      PATH: process.env['PATH'],
      HOME: '/h/somebody',
      WANTED: 'yes',
      OTHER: 'no',
      CENTURIA_DATABASE_URL: 'postgres://me:secret@host/db',
      https_proxy: 'http://proxy:3128',
    },
  });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Made {
  readonly arguments: readonly unknown[];
  readonly runtime?: Readonly<Record<string, unknown>>;
  readonly own?: Readonly<Record<string, unknown>>;
}
/** An agent that runs the fixture; JSON is YAML, too. */
function agentOf(made: Made) {
  const own = {
    runtime: {
      kind: 'command',
      program: process.execPath,
      arguments: [behave, ...made.arguments],
      ...made.runtime,
    },
    ...made.own,
  };
  const text = `---\nname: fixture\ndescription: x\ncenturia: ${JSON.stringify(own)}\n---\n`;
  const { definition, problems } = parseAgent(text, 'fixture.md');
  if (definition === undefined) throw new Error(JSON.stringify(problems));
  return definition;
}
function invocationOf(made: Made, more: Partial<Invocation> = {}): Invocation {
  return {
    agent: agentOf(made),
    input: {},
    attemptId: newId(),
    idempotencyKey: 'run/task',
    timeoutMs: 30_000,
    signal: new AbortController().signal,
    ...more,
  };
}
const run = (made: Made, more: Partial<Invocation> = {}) => runtime.run(invocationOf(made, more));
const ask = (made: Made) => runtime.check(agentOf(made), AbortSignal.timeout(10_000));
const check = (...parts: string[]) => ({ check: { arguments: [behave, ...parts] } });
async function failure(promise: Promise<unknown>): Promise<AppError> {
  try {
    await promise;
  } catch (thrown) {
    return toAppError(thrown);
  }
  throw new Error('it succeeded');
}
/** Waits for a process of the fixture to say that it is there. */
async function pidFrom(path: string): Promise<number> {
  while (!existsSync(path) || readFileSync(path, 'utf8') === '') await delay(10);
  return Number(readFileSync(path, 'utf8'));
}
function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A zombie that init has not collected yet has ended.
  return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}
async function gone(pid: number): Promise<void> {
  while (lives(pid)) await delay(10);
}

describe('what a program is given', () => {
  test('each array element is exactly one argument, whatever it holds', async () => {
    const input = { text: 'a b; $(touch x) "q" \'s\' *\n-x', list: [1, 'two'], n: 5, no: false };
    const made = {
      arguments: [
        'arguments',
        '${input.text}',
        '--n=${input.n}',
        '${input.list}',
        '${input.no}',
        '',
        7,
        '${attempt.key}',
      ],
      runtime: { stdout: 'json' },
    };
    expect((await run(made, { input })).output).toEqual([
      input.text,
      '--n=5',
      '[1,"two"]',
      'false',
      '',
      '7',
      'run/task',
    ]);
  });

  test('only the variables that it may have, and its attempt', async () => {
    const invocation = invocationOf({
      arguments: ['environment'],
      runtime: { stdout: 'json', environment: ['WANTED'] },
    });
    const { output } = await runtime.run(invocation);
    const { PATH, ...rest } = output as Record<string, string>;
    expect(rest).toEqual({
      HOME: '/h/somebody',
      WANTED: 'yes',
      https_proxy: 'http://proxy:3128',
      CENTURIA_ATTEMPT_ID: invocation.attemptId,
      CENTURIA_ATTEMPT_KEY: 'run/task',
    });
    expect(PATH?.startsWith(`${join(folder, 'bin')}:`)).toBe(true);
  });

  test('its directory, when the input names one that exists', async () => {
    const made = { arguments: ['directory'], runtime: { directory: '${input.repo}' } };
    expect((await run(made, { input: { repo: folder } })).output).toBe(`${folder}\n`);
    for (const repo of [join(folder, 'none'), 'relative', 5, '']) {
      const error = await failure(run(made, { input: { repo } }));
      expect(error.code).toBe('invalid_input');
    }
  });

  test('an input that a template needs and is not there is named', async () => {
    const error = await failure(run({ arguments: ['arguments', '${input.repo}'] }));
    expect(error.code).toBe('invalid_input');
    expect(error.message).toContain('there is no repo');
  });

  test('an argument with NUL is refused before anything starts', async () => {
    const made = { arguments: ['arguments', '${input.x}'] };
    expect((await failure(run(made, { input: { x: 'a\0b' } }))).code).toBe('invalid_input');
  });

  test('the input on standard input as JSON or as text', async () => {
    const json = { arguments: ['echo'], runtime: { stdin: 'json', stdout: 'json' } };
    expect((await run(json, { input: { a: [1, 'ü'] } })).output).toEqual({ a: [1, 'ü'] });
    const text = { arguments: ['echo'], runtime: { stdin: 'text' } };
    expect((await run(text, { input: 'plain 😀' })).output).toBe('plain 😀');
  });

  test('a large input arrives whole at a program that reads slowly', async () => {
    const made = { arguments: ['count-stdin'], runtime: { stdin: 'text' } };
    const input = '😀'.repeat(1_500_000);
    expect((await run(made, { input })).output).toBe(`${4 * 1_500_000}\n`);
  });

  test('a program may close its input early', async () => {
    const made = { arguments: ['close-stdin'], runtime: { stdin: 'text' } };
    expect((await run(made, { input: 'x'.repeat(5_000_000) })).output).toBe('closed\n');
  });

  test('a shell only when asked for, with values that never become code', async () => {
    const shell = { shell: true, command: 'printf "%s|" "$0" "$@"', program: undefined };
    const made = { arguments: ['${input.x}'], runtime: { ...shell, arguments: ['${input.x}'] } };
    const { output } = await run(made, { input: { x: '$(echo bad); `ls`' } });
    expect(output).toBe('fixture|$(echo bad); `ls`|');
  });

  test('a script of the package is found by its name and run by this Node', async () => {
    await mkdir(join(folder, 'bin'), { recursive: true });
    await writeFile(join(folder, 'bin', 'my-tool.mjs'), 'console.log(process.execPath)');
    const made = { arguments: [], runtime: { program: 'my-tool', arguments: [] } };
    expect((await run(made)).output).toBe(`${process.execPath}\n`);
  });
});

describe('how a program ends', () => {
  test.each([
    [1, 'agent_failed', true],
    [2, 'agent_failed', false],
    [64, 'agent_failed', false],
    [66, 'agent_failed', false],
    [69, 'agent_unavailable', false],
    [75, 'agent_failed', true],
    [126, 'agent_failed', false],
    [127, 'agent_failed', false],
    [200, 'agent_failed', true],
  ])('exit status %i is %s, retryable: %s', async (status, code, retryable) => {
    const error = await failure(run({ arguments: ['exit', String(status), 'why\nand how'] }));
    expect(error).toMatchObject({ code, retryable });
    expect(error.details).toMatchObject({ exit: status, stderr: 'why\nand how' });
  });

  test('exit status 69 gives the last line as the reason', async () => {
    const error = await failure(run({ arguments: ['exit', '69', 'starting\nno network here'] }));
    expect(error.message).toBe('agent fixture can not work here: no network here');
  });

  test('a good exit status other than 0 may be declared, and 0 fails then', async () => {
    const own = { verify: { exit: 1 } };
    expect((await run({ arguments: ['exit', '1'], own })).output).toBe('');
    expect((await failure(run({ arguments: ['exit', '0'], own }))).code).toBe('agent_failed');
  });

  test('by a signal it crashed', async () => {
    const error = await failure(run({ arguments: ['signal', 'SIGSEGV'] }));
    expect(error).toMatchObject({ code: 'agent_crashed', retryable: true });
    expect(error.details['signal']).toBe('SIGSEGV');
  });

  test('secrets in its last lines are redacted', async () => {
    const made = { arguments: ['exit', '1', 'at postgres://me:hunter2@host/db'] };
    const error = await failure(run(made));
    expect(JSON.stringify([error.message, error.details])).not.toContain('hunter2');
  });

  test('a program that is not there makes the agent unavailable', async () => {
    const made = { arguments: [], runtime: { program: 'no-such-program', arguments: [] } };
    expect(await failure(run(made))).toMatchObject({ code: 'agent_unavailable' });
    const script = join(folder, 'broken');
    await writeFile(script, '#!/no/such/interpreter\n', { mode: 0o755 });
    const broken = { arguments: [], runtime: { program: script, arguments: [] } };
    expect(await failure(run(broken))).toMatchObject({ code: 'agent_unavailable' });
  });
});

describe('what a program writes', () => {
  const json = { stdout: 'json' };

  test.each([
    ['rubbish', 'rubbish', 'line 1, column 1; it begins "rubbish"'],
    ['half of it', '{\n"a": [1,', 'line 2, column 9; it begins'],
    ['nothing', '', 'line 1, column 1; it wrote nothing'],
    ['two values', '{} {}', 'line 1, column 4; it begins'],
    ['a comment', '/* x */ {}', 'line 1, column 1; it begins'],
  ])('as JSON must not be %s', async (_what, text, place) => {
    const error = await failure(run({ arguments: ['print', text], runtime: json }));
    expect(error.code).toBe('agent_output_invalid');
    expect(error.message).toContain(place);
  });

  test('as JSON must be UTF-8', async () => {
    const error = await failure(run({ arguments: ['bytes', '22ff22'], runtime: json }));
    expect(error.message).toContain('not UTF-8');
  });

  test('above the limit ends it: a gigabyte is not read', async () => {
    const made = { arguments: ['flood'], runtime: { limits: { outputMb: 1 } } };
    const error = await failure(run(made));
    expect(error).toMatchObject({ code: 'agent_output_too_large', retryable: false });
    expect(error.message).toContain('more than 1 MiB');
  });

  test('at the limit is all there', async () => {
    const made = {
      arguments: [],
      runtime: {
        program: 'head',
        arguments: ['-c', '1048576', '/dev/zero'],
        limits: { outputMb: 1 },
      },
    };
    const { output, usage } = await run(made);
    expect(String(output).length).toBe(1_048_576);
    expect(usage.outputBytes).toBe(1_048_576);
  });

  test('on standard error is told as progress, at a bounded rate and with the last line', async () => {
    const lines: string[] = [];
    const more = { onProgress: (text: string) => void lines.push(text) };
    await run({ arguments: ['complain', '100000'] }, more);
    expect(lines[0]).toBe('line 1');
    expect(lines.at(-1)).toBe('line 100000');
    expect(lines.length).toBeLessThan(1_000);
  });
});

describe('what a program uses', () => {
  test('is measured over the whole group', async () => {
    const { usage } = await run({ arguments: ['work', '700'] });
    expect(usage.cpuMs).toBeGreaterThan(0);
    expect(usage.peakMemoryBytes).toBeGreaterThan(10_000_000);
    expect(usage.wallMs).toBeGreaterThanOrEqual(700);
  });

  test('is absent, not zero, when it was too short to be seen', async () => {
    const made = { arguments: [], runtime: { program: 'true', arguments: [] } };
    const { usage } = await run(made);
    expect([undefined, true]).toContain(usage.peakMemoryBytes && usage.peakMemoryBytes > 0);
  });

  test('above the memory limit ends it', async () => {
    const made = { arguments: ['allocate'], runtime: { limits: { memoryMb: 300 } } };
    const error = await failure(run(made));
    expect(error).toMatchObject({ code: 'agent_memory_exceeded', retryable: false });
  });
});

describe('stopping a program', () => {
  test('that hangs, when its time is over', async () => {
    const path = join(folder, newId());
    const error = await failure(run({ arguments: ['hang', path] }, { timeoutMs: 500 }));
    expect(error).toMatchObject({ code: 'timeout', retryable: true });
  });

  test('that was cancelled, with the reason that was given', async () => {
    const path = join(folder, newId());
    const stop = new AbortController();
    const running = failure(run({ arguments: ['hang', path] }, { signal: stop.signal }));
    const pid = await pidFrom(path);
    stop.abort(new AppError('fenced', 'another worker has it'));
    expect((await running).code).toBe('fenced');
    expect(lives(pid)).toBe(false);
  });

  test('before it began starts nothing', async () => {
    const path = join(folder, newId());
    const error = await failure(
      run({ arguments: ['hang', path] }, { signal: AbortSignal.abort('stop') }),
    );
    expect(error.code).toBe('cancelled');
    expect(existsSync(path)).toBe(false);
  });

  test('that ignores SIGTERM ends its children and those that left its group, too', async () => {
    const path = join(folder, newId());
    const stop = new AbortController();
    const running = failure(run({ arguments: ['family', path] }, { signal: stop.signal }));
    const pids = [await pidFrom(`${path}.near`), await pidFrom(`${path}.far`)];
    expect(pids.map(lives)).toEqual([true, true]);
    stop.abort();
    expect((await running).code).toBe('cancelled');
    await Promise.all(pids.map(gone));
  });

  test('that ended well ends what it left behind', async () => {
    const path = join(folder, newId());
    const invocation = invocationOf({ arguments: ['leaver', path] });
    expect((await runtime.run(invocation)).output).toBe('done\n');
    expect(processesOf([invocation.attemptId])).toEqual([]);
  });
});

describe('a check', () => {
  test('is fine when all is here', async () => {
    expect(await ask({ arguments: [], own: { requires: { binaries: ['sh'] } } })).toEqual({
      ok: true,
    });
    expect(await ask({ arguments: [], runtime: check('exit', '0') })).toEqual({ ok: true });
  });

  test('names the binary that is missing, with what to do', async () => {
    const own = { requires: { binaries: ['sh', 'no-such-program'] } };
    expect(await ask({ arguments: [], own })).toEqual({
      ok: false,
      state: 'unavailable',
      reason: 'the program no-such-program was not found: install it, or add its folder to PATH',
    });
  });

  test('names the variable that is not set', async () => {
    const own = { requires: { environment: ['WANTED', 'UNSET'] } };
    expect(await ask({ arguments: [], own })).toEqual({
      ok: false,
      state: 'unavailable',
      reason: 'the environment variable UNSET is not set',
    });
  });

  test('runs the program that is declared for it', async () => {
    expect(await ask({ arguments: [], runtime: check('exit', '69', 'no network') })).toMatchObject({
      state: 'unavailable',
      reason: 'its check: agent fixture can not work here: no network',
    });
    expect(await ask({ arguments: [], runtime: check('exit', '1', 'broken') })).toMatchObject({
      state: 'failed',
    });
  });

  test('ends the program when its time is over', async () => {
    const path = join(folder, newId());
    onTestFinished(() => rm(path, { force: true }));
    const made = agentOf({ arguments: [], runtime: check('hang', path) });
    expect(await runtime.check(made, AbortSignal.timeout(300))).toMatchObject({ state: 'failed' });
    if (existsSync(path)) await gone(await pidFrom(path));
  });
});
