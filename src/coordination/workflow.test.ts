import { expect, test } from 'vitest';
import { definitionHash, parseWorkflow, type KnownAgents } from './workflow.ts';

const anyAgent = { runtime: undefined, verify: undefined };
const known = (names: readonly string[]): KnownAgents =>
  new Map(names.map((name) => [name, anyAgent]));

const parse = (text: string, agents?: readonly string[]) =>
  parseWorkflow(text, 'flow.yaml', agents && known(agents));

const complaints = (text: string, agents?: readonly string[]): string[] =>
  parse(text, agents).problems.map(
    ({ line, column, message, suggestion }) =>
      `${line}:${column} ${message}${suggestion === undefined ? '' : ` (${suggestion})`}`,
  );

test('a workflow gets its defaults, and each task what it says', () => {
  const { definition, problems } = parse(`
name: small
mode: parallel
inputs:
  repo: { type: directory, default: . }
  depth: { type: integer }
tasks:
  first: { agent: lint, input: { repo: "\${inputs.repo}" } }
  second: { agent: report, needs: [first], retries: 0, timeoutSeconds: 1.5, onFailure: continue }
`);
  expect(problems).toEqual([]);
  expect(definition).toMatchObject({
    maxParallel: 10,
    timeoutMs: 300_000,
    inputs: { repo: { required: false, default: '.' }, depth: { required: true, type: 'integer' } },
  });
  expect(definition?.tasks[0]).toEqual({
    id: 'first',
    agent: 'lint',
    description: '',
    input: { repo: '${inputs.repo}' },
    needs: [],
    after: [],
    priority: 50,
    onFailure: 'stop',
  });
  expect(definition?.tasks[1]).toMatchObject({
    retries: 0,
    timeoutMs: 1_500,
    onFailure: 'continue',
  });
});

test('in sequential mode each task waits for the one above it', () => {
  const { definition } = parse(`
name: s
mode: sequential
tasks: { a: { agent: x }, b: { agent: x }, c: { agent: x, needs: [b] } }
`);
  expect(definition?.tasks.map(({ id, needs, after }) => ({ id, needs, after }))).toEqual([
    { id: 'a', needs: [], after: [] },
    { id: 'b', needs: [], after: ['a'] },
    { id: 'c', needs: ['b'], after: [] },
  ]);
});

test.each([
  [
    'a task named twice',
    'name: x\nmode: parallel\ntasks:\n  a: { agent: l }\n  a: { agent: l }\n',
    ['5:3 Map keys must be unique'],
  ],
  ['a broken line', 'name: x\nmode: [parallel\ntasks: {}\n', [expect.stringMatching(/^3:\d+ /)]],
  [
    'a misspelled field',
    'name: x\nmode: parallel\ntasks:\n  a: { agent: l, retrys: 2 }\n',
    ['4:18 unknown field tasks.a.retrys (did you mean retries?)'],
  ],
  [
    'an unknown mode',
    'name: x\nmode: paralel\ntasks: { a: { agent: l } }\n',
    ['2:1 mode must be one of sequential, parallel, pipeline, consensus, competitive, redundant'],
  ],
  ['no tasks', 'name: x\nmode: parallel\ntasks: {}\n', [expect.stringMatching(/^3:1 tasks /)]],
  ['nothing at all', '', [expect.stringMatching(/^1:1 the document must be object/)]],
  [
    'a negative retry',
    'name: x\nmode: parallel\ntasks: { a: { agent: l, retries: -1 } }\n',
    [expect.stringMatching(/retries must be >= 0/)],
  ],
  [
    'a time limit of none',
    'name: x\nmode: parallel\ntasks: { a: { agent: l, timeoutSeconds: 0 } }\n',
    [expect.stringMatching(/timeoutSeconds must be > 0/)],
  ],
  [
    'a default of the wrong type',
    'name: x\nmode: parallel\ninputs:\n  n: { type: integer, default: many }\ntasks: { a: { agent: l } }\n',
    ['4:23 default of n must be a whole number'],
  ],
  [
    'a dependency that is no task',
    'name: x\nmode: parallel\ntasks:\n  lint: { agent: l }\n  b: { agent: l, needs: [lnit] }\n',
    ['5:26 task b waits for lnit, which is not a task (did you mean lint?)'],
  ],
  [
    'a task that waits for itself',
    'name: x\nmode: parallel\ntasks:\n  a: { agent: l, after: [a] }\n',
    ['4:26 task a waits for itself'],
  ],
])('%s is named with its place', (_name, text, expected) => {
  expect(complaints(text)).toEqual(expected);
});

test('a cycle is refused at load time with its path', () => {
  expect(
    complaints(`name: x
mode: parallel
tasks:
  a: { agent: l, needs: [c] }
  b: { agent: l, needs: [a] }
  c: { agent: l, after: [b] }
`),
  ).toEqual(['4:3 the tasks wait for each other: a → c → b → a']);
});

test('a sequential workflow whose task needs a later one is a cycle', () => {
  expect(
    complaints(
      'name: x\nmode: sequential\ntasks: { a: { agent: l, needs: [b] }, b: { agent: l } }\n',
    )[0],
  ).toMatch(/the tasks wait for each other/);
});

test('an agent that does not exist is named, with the nearest that does', () => {
  expect(
    complaints('name: x\nmode: parallel\ntasks:\n  a: { agent: lint-scam }\n', [
      'lint-scan',
      'other',
    ]),
  ).toEqual([
    '4:8 task a names the agent lint-scam, which does not exist (did you mean lint-scan?)',
  ]);
});

test('an expression may name inputs, the run, and only tasks that have ended by then', () => {
  expect(
    complaints(`name: x
mode: parallel
inputs: { repo: {} }
tasks:
  a: { agent: l, input: "\${inputs.repoo}" }
  b: { agent: l, input: "\${tasks.a.output.x}", needs: [a] }
  c: { agent: l, input: "\${tasks.b.output}" }
  d: { agent: l, input: "\${tasks.a.outptu}", after: [b] }
  e: { agent: l, input: "\${run.id} \${run.when} \${nobody}" }
output: "\${tasks.z.output}"
`),
  ).toEqual([
    '5:18 ${inputs.repoo}: there is no input repoo (did you mean inputs.repo?)',
    '7:18 ${tasks.b.output}: b has not ended by then (it waits for nothing)',
    '8:18 ${tasks.a.outptu}: a task has no outptu (it has agent, status, output, error, reason, verdict)',
    '9:18 ${run.when}: a run has no when (it has id, folder, workflow)',
    '9:18 ${nobody} names nothing (expressions begin with inputs, tasks or run)',
    '10:1 ${tasks.z.output}: there is no task z',
  ]);
});

test('the hash of a definition does not depend on the order or form of the text', () => {
  const one = parse('name: x\nmode: parallel\ntasks: { a: { agent: l, retries: 1, needs: [] } }\n');
  const two = parse('mode: parallel\nname: "x"\ntasks:\n  a:\n    retries: 1\n    agent: l\n');
  const three = parse('name: x\nmode: parallel\ntasks: { a: { agent: l, retries: 2 } }\n');
  if (!one.definition || !two.definition || !three.definition) throw new Error('not parsed');
  expect(definitionHash(one.definition)).toBe(definitionHash(two.definition));
  expect(definitionHash(one.definition)).not.toBe(definitionHash(three.definition));
});
