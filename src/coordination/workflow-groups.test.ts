import { expect, test } from 'vitest';
import { allTasks, isGroupTask, type Group } from './definition.ts';
import { parseWorkflow, type KnownAgents } from './workflow.ts';

const anyAgent = { runtime: undefined, verify: undefined };
type AgentFacts = NonNullable<ReturnType<KnownAgents['get']>>;
const program: AgentFacts = { ...anyAgent, runtime: { kind: 'command' } };
const known = (names: readonly string[]): KnownAgents =>
  new Map(names.map((name) => [name, anyAgent]));

const parse = (text: string, agents?: KnownAgents) => parseWorkflow(text, 'flow.yaml', agents);

const complaints = (text: string, agents?: KnownAgents): string[] =>
  parse(text, agents).problems.map(
    ({ line, column, message, suggestion }) =>
      `${line}:${column} ${message}${suggestion === undefined ? '' : ` (${suggestion})`}`,
  );

/** The group under `g` of a workflow of its own. */
function groupOf(body: string): Group {
  const { definition, problems } = parse(`name: x\nmode: parallel\ntasks:\n  g: ${body}\n`);
  expect(problems).toEqual([]);
  const task = definition?.tasks[0];
  if (task === undefined || !isGroupTask(task)) throw new Error('no group');
  return task.group;
}

const inGroup = (body: string, agents?: KnownAgents): string[] =>
  complaints(`name: x\nmode: parallel\ntasks:\n  g: ${body}\n`, agents);

test('tasks of groups are named by their path, and so is what they wait for', () => {
  const { definition } = parse(`
name: x
mode: parallel
tasks:
  first: { agent: l }
  outer:
    mode: sequential
    needs: [first]
    tasks:
      a: { agent: l }
      inner: { mode: parallel, tasks: { b: { agent: l }, c: { agent: l, needs: [b] } } }
`);
  if (definition === undefined) throw new Error('not parsed');
  expect(allTasks(definition).map(({ id, needs, after }) => ({ id, needs, after }))).toEqual([
    { id: 'first', needs: [], after: [] },
    { id: 'outer', needs: ['first'], after: [] },
    { id: 'outer/a', needs: [], after: [] },
    { id: 'outer/inner', needs: [], after: ['outer/a'] },
    { id: 'outer/inner/b', needs: [], after: [] },
    { id: 'outer/inner/c', needs: ['outer/inner/b'], after: [] },
  ]);
});

test('each mode has its defaults', () => {
  const abc = 'tasks: { a: { agent: l }, b: { agent: l }, c: { agent: l } }';
  expect(groupOf(`{ mode: consensus, ${abc} }`).voting).toEqual({
    quorum: 2,
    agreement: 0.95,
    judge: { kind: 'identical' },
    weights: {},
  });
  expect(groupOf(`{ mode: redundant, ${abc} }`).voting).toMatchObject({ quorum: 1 });
  expect(groupOf(`{ mode: competitive, ${abc} }`).race).toEqual({ hedgeMs: 2_000 });
  const pipeline = groupOf(`{ mode: pipeline, items: [1], ${abc} }`);
  expect(pipeline.stream).toEqual({ items: [1], buffer: 10 });
  expect(pipeline.maxParallel).toBe(10);
  expect(pipeline.tasks.map(({ concurrency }) => concurrency)).toEqual(Array(3).fill(undefined));
});

test('every field of a task and of a group comes out as what it says', () => {
  const { definition, problems } = parse(`
name: x
mode: parallel
budget: { usd: 2.5, tokens: 200000, seconds: 600 }
budgets: [team-a]
onBudget: fail
tasks:
  t:
    agent: l
    stallSeconds: 5
    budget: { usd: 0.1, tokens: 7, seconds: 1.5 }
    workspace: { folder: /tmp/x, kind: worktree }
    compensate: { agent: undo, input: { gave: '\${answer.output}' } }
  s: { agent: l, workspace: /tmp/y, input: '\${workspace.path}' }
  ok: { approval: 'Deploy \${run.id}?', timeoutSeconds: 60 }
  pause: { wait: { seconds: 0.5 } }
  go: { wait: { signal: start-it }, timeoutSeconds: 60 }
  v:
    mode: consensus
    judge: { elements: [file, line] }
    weights: { a: 2 }
    arbiter: { agent: judge, input: '\${votes}' }
    tasks: { a: { agent: l }, b: { agent: l } }
  r:
    mode: competitive
    hedgeSeconds: 0
    accept: { type: string }
    verify: { agent: check, input: '\${answer}' }
    tasks: { a: { agent: l }, b: { agent: l } }
`);
  expect(problems).toEqual([]);
  expect(definition).toMatchObject({
    format: 2,
    budget: { microUsd: 2_500_000, tokens: 200_000, ms: 600_000 },
    budgets: ['team-a'],
    onBudget: 'fail',
    tasks: [
      {
        stallMs: 5_000,
        budget: { microUsd: 100_000, tokens: 7, ms: 1_500 },
        workspace: { folder: '/tmp/x', kind: 'worktree' },
        compensate: { agent: 'undo', input: { gave: '${answer.output}' } },
      },
      { workspace: { folder: '/tmp/y', kind: 'snapshot' } },
      { approval: { prompt: 'Deploy ${run.id}?' }, timeoutMs: 60_000 },
      { wait: { ms: 500 } },
      { wait: { signal: 'start-it' }, timeoutMs: 60_000 },
      {
        group: {
          voting: {
            judge: { kind: 'elements', fields: ['file', 'line'] },
            weights: { a: 2 },
            arbiter: { id: 'v/arbiter', agent: 'judge', input: '${votes}' },
          },
        },
      },
      { group: { race: { hedgeMs: 0, accept: { type: 'string' }, verify: { id: 'r/verify' } } } },
    ],
  });
});

test('a list of agents stands for tasks with one input, numbered where one stands twice', () => {
  const group = groupOf(
    '{ mode: redundant, agents: [one, two, one], input: { n: 1 }, judge: { similar: 0.5 } }',
  );
  expect(group.tasks).toMatchObject([
    { id: 'g/one-1', agent: 'one', input: { n: 1 } },
    { id: 'g/two', agent: 'two', input: { n: 1 } },
    { id: 'g/one-2', agent: 'one', input: { n: 1 } },
  ]);
  expect(group.voting?.judge).toEqual({ kind: 'similar', least: 0.5 });
});

const formatOf = (text: string) => parse(`name: x\nmode: parallel\n${text}`).definition?.format;

test('only what the first version could not drive is marked with a format', () => {
  expect(formatOf('tasks: { a: { agent: l, retries: 1, onFailure: continue } }')).toBeUndefined();
  expect(formatOf('budgets: [b]\ntasks: { a: { agent: l } }')).toBe(2);
  expect(formatOf('tasks: { a: { agent: l, stallSeconds: 1 } }')).toBe(2);
  expect(formatOf('tasks: { a: { wait: { seconds: 1 } } }')).toBe(2);
  expect(formatOf('tasks: { a: { mode: parallel, tasks: { b: { agent: l } } } }')).toBe(2);
});

test('a mode may stand at the top, and merge keys and anchors are followed', () => {
  const { definition, problems } = parse(`
name: x
mode: consensus
arbiter: person
tasks:
  a: &voter { agent: l, input: { q: 1 } }
  b: { <<: *voter, retries: 0 }
`);
  expect(problems).toEqual([]);
  expect(definition?.voting).toMatchObject({ quorum: 2, arbiter: 'person' });
  expect(definition?.tasks[1]).toMatchObject({ id: 'b', agent: 'l', input: { q: 1 }, retries: 0 });
});

const two = 'tasks: { a: { agent: l }, b: { agent: l } }';

test.each([
  [
    'a quorum above the voters',
    `{ mode: consensus, quorum: 3, ${two} }`,
    ['4:25 the quorum of task g is 3, and it has 2 voters'],
  ],
  [
    'an agreement above 1',
    `{ mode: consensus, agreement: 1.5, ${two} }`,
    ['4:25 tasks.g.agreement must be <= 1'],
  ],
  [
    'an agreement of nothing',
    `{ mode: consensus, agreement: 0, ${two} }`,
    ['4:25 tasks.g.agreement must be > 0'],
  ],
  [
    'a weight of a voter who is not there',
    `{ mode: consensus, weights: { aa: 2, c3: 1 }, ${two} }`,
    [
      '4:36 aa has a weight and is no voter of task g (did you mean a?)',
      '4:43 c3 has a weight and is no voter of task g (its voters are a, b)',
    ],
  ],
  [
    'voters without any weight',
    `{ mode: consensus, weights: { a: 0, b: 0 }, ${two} }`,
    ['4:25 no voter of task g has a weight above 0'],
  ],
  [
    'a race with one racer',
    '{ mode: competitive, tasks: { a: { agent: l } } }',
    ['4:27 task g is competitive and needs at least two racers'],
  ],
  [
    'a vote of one',
    '{ mode: consensus, agents: [l] }',
    ['4:3 task g is consensus and needs at least two voters'],
  ],
  [
    'voters who see each other',
    '{ mode: consensus, tasks: { a: { agent: l }, b: { agent: l, needs: [a] } } }',
    ['4:66 tasks.g.tasks.b.needs: the tasks of a consensus group do not know of each other'],
  ],
  [
    'a stage that waits for another by name',
    '{ mode: pipeline, items: [1], tasks: { a: { agent: l }, b: { agent: l, after: [a] } } }',
    [
      '4:77 tasks.g.tasks.b.after: the stages of a pipeline follow one another in the order of the file',
    ],
  ],
  [
    'a pipeline without stages',
    '{ mode: pipeline, items: [1], tasks: {} }',
    [expect.stringMatching(/^4:36 tasks\.g\.tasks must not have fewer than 1 propert/)],
  ],
  [
    'a pipeline without items',
    `{ mode: pipeline, items: [], ${two} }`,
    ['4:24 task g has no items to stream'],
  ],
  ['a pipeline that streams nothing', `{ mode: pipeline, ${two} }`, ['4:3 tasks.g lacks items']],
  [
    'a field of another mode',
    `{ mode: consensus, buffer: 3, ${two} }`,
    ['4:25 tasks.g.buffer is a field of pipeline, not of consensus'],
  ],
  [
    'a misspelled field of a group',
    `{ mode: consensus, qourum: 2, ${two} }`,
    ['4:25 unknown field tasks.g.qourum (did you mean quorum?)'],
  ],
  [
    'a concurrency outside of pipelines',
    '{ agent: l, concurrency: 3 }',
    ['4:18 tasks.g.concurrency: only the stages of a pipeline have one'],
  ],
  [
    'a task that is two things',
    '{ agent: l, wait: { seconds: 1 } }',
    ['4:18 tasks.g has agent and wait: a task can be only one'],
  ],
  [
    'a task that is nothing',
    '{ needs: [] }',
    ['4:3 tasks.g lacks agent, route, mode, approval or wait: what does it do?'],
  ],
  ['a group without a mode', `{ ${two} }`, ['4:3 tasks.g lacks mode']],
  [
    'agents beside tasks',
    `{ mode: redundant, agents: [l, m], ${two} }`,
    ['4:25 tasks.g has agents and tasks: it can have only one'],
  ],
  [
    'an input for tasks that have their own',
    `{ mode: redundant, input: 1, ${two} }`,
    ['4:25 tasks.g.input is for agents; each of the tasks has its own'],
  ],
  [
    'an agent whose name can be no id',
    '{ mode: redundant, agents: [3d, l] }',
    ['4:34 tasks.g.agents: 3d can not be the id of a task (write them under tasks, with ids)'],
  ],
  [
    'a voter named as the arbiter',
    '{ mode: consensus, tasks: { arbiter: { agent: l }, b: { agent: l } } }',
    ['4:34 the name arbiter is taken here (give the task another one)'],
  ],
  [
    'a racer named as the verifier',
    '{ mode: competitive, tasks: { verify: { agent: l }, b: { agent: l } } }',
    ['4:36 the name verify is taken here (give the task another one)'],
  ],
  [
    'a wait that could time out',
    '{ wait: { seconds: 1 }, timeoutSeconds: 5 }',
    ['4:30 tasks.g.timeoutSeconds is for signals; this wait ends by itself'],
  ],
  [
    'what is no JSON Schema',
    `{ mode: competitive, accept: { type: txet }, ${two} }`,
    [expect.stringMatching(/^4:37 accept is wrong in a JSON Schema/)],
  ],
  [
    'a cycle inside a group',
    '{ mode: parallel, tasks: { a: { agent: l, needs: [b] }, b: { agent: l, needs: [a] } } }',
    ['4:33 the tasks wait for each other: a → b → a'],
  ],
  [
    'a task of another group',
    '{ mode: parallel, tasks: { a: { agent: l, needs: [g] } } }',
    ['4:56 task g/a waits for g, which is not a task'],
  ],
])('%s is refused with its place', (_name, body, expected) => {
  expect(inGroup(body)).toEqual(expected);
});

test('every agent has to exist: voters, arbiters, verifiers and what undoes', () => {
  const agents = known(['l', 'check']);
  expect(
    inGroup(
      `{ mode: consensus, arbiter: { agent: chekc }, tasks: { a: { agent: l }, b: { agent: m, compensate: { agent: n } } } }`,
      agents,
    ),
  ).toEqual([
    '4:36 task g/arbiter names the agent chekc, which does not exist (did you mean check?)',
    '4:83 task g/b names the agent m, which does not exist (see `centuria agent list`)',
    '4:107 what undoes task g/b names the agent n, which does not exist (see `centuria agent list`)',
  ]);
  expect(inGroup('{ mode: redundant, agents: [l, o] }', agents)).toEqual([
    '4:37 task g/o names the agent o, which does not exist (see `centuria agent list`)',
  ]);
  expect(inGroup(`{ mode: competitive, verify: { agent: chekc }, ${two} }`, agents)[0]).toMatch(
    /task g\/verify names the agent chekc/,
  );
});

/** A workflow with a budget and one task. */
const flow = (budget: string, task: string) =>
  `name: x\nmode: parallel\nbudget: ${budget}\ntasks:\n  a: ${task}\n`;

test('a budget that can not be met is refused, and what to write is said', () => {
  expect(complaints(flow('{ usd: 1 }', '{ agent: l, budget: { usd: 1.5 } }'))).toEqual([
    '5:28 one call of task a may use 1.5 usd, more than the run’s 1',
  ]);
  const dear = new Map([['l', { ...anyAgent, budget: { usd: 2 } }]]);
  expect(complaints(flow('{ usd: 1 }', '{ agent: l }'), dear)).toEqual([
    '5:8 one call of agent l may use 2 usd, more than the run’s 1',
  ]);
  expect(complaints(flow('{ tokens: 5 }', '{ agent: l }'), new Map([['l', program]]))).toEqual([
    '3:11 the run has a budget in tokens, and nothing says what a call may use (write budget: {tokens: …} on a task, or centuria.budget.tokens in the agent l)',
  ]);
  const mixed: KnownAgents = new Map<string, AgentFacts>([
    ['l', anyAgent],
    ['p', program],
    ['says', { ...anyAgent, budget: { tokens: 1 } }],
  ]);
  const more = flow('{ tokens: 5 }', '{ agent: says }').concat(
    '  b: { agent: p }\n  c: { agent: l }\n',
  );
  expect(complaints(more, mixed)).toEqual([
    '7:8 the run has a budget in tokens, and nothing says what a call of task c may use (write budget: {tokens: …} on it, or centuria.budget.tokens in the agent l)',
  ]);
});

/** So many tasks of a group that stands in the file's outermost one. */
const many = (count: number): string =>
  Array.from({ length: count }, (_, index) => `      t${index}: { agent: l }\n`).join('');

const text = (first: number, second: number): string =>
  `name: x\nmode: parallel\ntasks:\n  g: { mode: parallel, tasks: { x: { agent: l } } }\n  a:\n    mode: parallel\n    tasks:\n${many(first)}  b:\n    mode: parallel\n    tasks:\n${many(second)}`;

test('groups nested too deeply and too many tasks are refused', () => {
  const nest = (depth: number): string =>
    depth === 0 ? '{ agent: l }' : `{ mode: parallel, tasks: { t: ${nest(depth - 1)} } }`;
  expect(inGroup(nest(10))).toEqual([]);
  expect(inGroup(nest(11))).toEqual([
    expect.stringMatching(/groups are nested deeper than 10 levels$/),
  ]);
  expect(complaints(text(1_000, 996))).toEqual([]);
  expect(complaints(text(1_000, 997))).toEqual([
    '3:1 the workflow has 2001 tasks; 2000 are allowed',
  ]);
});

test('a document that holds itself, or a thousand brackets, is refused and not unfolded', () => {
  expect(complaints('a: &x { b: *x, c: *x }\n')).toEqual([
    '1:1 the document is nested deeper than 100 levels',
  ]);
  expect(complaints('['.repeat(50_000)).length).toBeLessThanOrEqual(20);
});
