import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toAppError, type Finding, type ToolReport } from '../base/base.ts';
import { parseAgent } from './parse.ts';
import { checkInput, verifyOutput } from './verify.ts';

let repo: string;
beforeAll(async () => {
  repo = await mkdtemp(join(tmpdir(), 'centuria-verify-'));
  await mkdir(join(repo, 'src'));
  await writeFile(join(repo, 'src', 'a.ts'), 'one\ntwo\nthree\n');
  await writeFile(join(repo, 'empty'), '');
  await symlink('gone', join(repo, 'dangling'));
});
afterAll(() => rm(repo, { recursive: true, force: true }));

/** What is wrong with the output; undefined when it passes. */
async function complaint(verify: object, output: unknown, input: unknown = { repo }) {
  const own = JSON.stringify({ verify });
  const text = `---\nname: a\ndescription: x\ncenturia: ${own}\n---\n`;
  const { definition, problems } = parseAgent(text, 'a.md');
  if (definition === undefined) throw new Error(JSON.stringify(problems));
  try {
    await verifyOutput(definition, output, input);
    return undefined;
  } catch (thrown) {
    const error = toAppError(thrown);
    if (error.code !== 'agent_output_invalid') throw thrown;
    return error.message;
  }
}

const report = (findings: readonly Partial<Finding>[], more: Partial<ToolReport> = {}) => ({
  tool: 'lint',
  summary: 'Some.',
  findings: findings.map((finding) => ({
    severity: 'low',
    rule: 'r',
    message: 'm',
    ...finding,
  })),
  total: findings.length,
  truncated: false,
  metrics: { files: 1 },
  notes: [],
  ...more,
});
const findings = { format: 'findings' };

describe('a report of findings', () => {
  test.each([
    ['without findings', []],
    ['about the whole repository', [{}]],
    [
      'about a file, a folder, an empty file, a dangling link',
      [{ file: 'src/a.ts' }, { file: 'src' }, { file: 'empty', line: 1 }, { file: 'dangling' }],
    ],
    [
      'at the first and the last line, and the end of the file',
      [
        { file: 'src/a.ts', line: 1 },
        { file: 'src/a.ts', line: 4, column: 1 },
      ],
    ],
  ])('%s passes', async (_what, list) => {
    expect(await complaint(findings, report(list))).toBeUndefined();
  });

  test.each([
    [
      'a line after the end',
      { file: 'src/a.ts', line: 5 },
      'names line 5 of src/a.ts, which has 4',
    ],
    ['a line of a folder', { file: 'src', line: 1 }, 'which is no file'],
    ['a missing file', { file: 'src/b.ts' }, 'names src/b.ts, which does not exist'],
    ['a file outside', { file: '../x' }, 'which is not inside the repository'],
    ['a way out and back', { file: 'src/../../x' }, 'which is not inside the repository'],
    ['an absolute file', { file: '/etc/passwd' }, 'which is not inside the repository'],
    ['line 0', { file: 'src/a.ts', line: 0 }, '/findings/0/line of the report must be >= 1'],
    ['a severity of its own', { severity: 'bad' }, '/findings/0/severity'],
    ['a misspelled field', { lin: 3 }, '/findings/0'],
    ['an empty message', { message: '' }, '/findings/0/message'],
  ])('with %s does not', async (_what, finding, message) => {
    expect(await complaint(findings, report([finding as Partial<Finding>]))).toContain(message);
  });

  test('must agree with itself', async () => {
    expect(await complaint(findings, report([{}], { total: 0 }))).toContain('total 0 and shows 1');
    expect(await complaint(findings, report([{}], { truncated: true }))).toContain(
      'truncated true',
    );
    expect(await complaint(findings, report([{}], { total: 9 }))).toContain('truncated false');
    expect(await complaint(findings, report([{}], { total: 9, truncated: true }))).toBeUndefined();
  });

  test('must be one', async () => {
    for (const output of ['text', null, [], {}, { ...report([]), metrics: { files: 'many' } }]) {
      expect(await complaint(findings, output)).toContain('the report');
    }
  });

  test('with files needs the repository that they are in', async () => {
    expect(await complaint(findings, report([{ file: 'src/a.ts' }]), {})).toContain('no repo');
    expect(await complaint(findings, report([{}]), null)).toBeUndefined();
  });

  test('of many findings is held against the files by a sample over all of it', async () => {
    const many = Array.from({ length: 10_000 }, (_, index) => ({
      file: index < 5_000 ? 'src/a.ts' : 'gone.ts',
    }));
    expect(await complaint(findings, report(many))).toContain('names gone.ts');
  });
});

describe('other checks', () => {
  const schema = { type: 'object', required: ['n'], properties: { n: { $ref: '#/$defs/n' } } };
  const verify = { schema: { ...schema, $defs: { n: { type: 'integer' } } } };

  test('a JSON Schema with references', async () => {
    expect(await complaint(verify, { n: 5 })).toBeUndefined();
    expect(await complaint(verify, { n: 'x' })).toContain('at /n must be integer');
    expect(await complaint(verify, {})).toContain('required');
  });

  test('a pattern, line by line, on text or JSON', async () => {
    expect(await complaint({ pattern: '^ok$' }, 'first\nok\n')).toBeUndefined();
    expect(await complaint({ pattern: '^ok$' }, 'not ok')).toContain('does not match /^ok$/');
    expect(await complaint({ pattern: '"a":1' }, { a: 1 })).toBeUndefined();
  });

  test('all of them must pass', async () => {
    const both = { ...verify, pattern: 'never' };
    expect(await complaint(both, { n: 5 })).toContain('does not match');
  });
});

/** An agent that says what it takes. */
const taking = (input: object) => {
  const own = JSON.stringify({ input, budget: { usd: 0.5 } });
  const text = `---\nname: a\ndescription: x\ncenturia: ${own}\n---\n`;
  const { definition } = parseAgent(text, 'a.md');
  if (definition === undefined) throw new Error('not parsed');
  return definition;
};

test('what an agent is given must fit what it says that it takes', () => {
  const agent = taking({
    type: 'object',
    required: ['repo'],
    properties: { n: { type: 'integer' } },
  });
  expect(agent.budget).toEqual({ usd: 0.5 });
  checkInput(agent, { repo: '/r', n: 1 });
  checkInput({ ...agent, input: {} }, 3);
  expect(() => checkInput(agent, {})).toThrow(
    /agent a: the input must have required properties repo/,
  );
  expect(() => checkInput(agent, { repo: '/r', n: 'one' })).toThrow(
    /the input at \/n must be integer/,
  );
});
