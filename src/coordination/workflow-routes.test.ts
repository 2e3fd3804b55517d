import { expect, test } from 'vitest';
import { allTasks, isAgentTask, isGroupTask } from './definition.ts';
import {
  definitionHash,
  parseWorkflow,
  routeCandidates,
  workflowFileSchema,
  type KnownAgents,
} from './workflow.ts';

type Facts = NonNullable<ReturnType<KnownAgents['get']>>;
const agent = (more: Partial<Facts> = {}): Facts => ({
  runtime: { kind: 'command' },
  verify: undefined,
  category: 'development',
  capabilities: [],
  ...more,
});
const takes = (field: string) => ({
  input: { type: 'object', required: [field], properties: { [field]: { type: 'string' } } },
});
const agents: KnownAgents = new Map([
  ['lint', agent({ ...takes('folder'), category: 'security', capabilities: ['lint', 'types'] })],
  ['types', agent({ ...takes('folder'), category: 'security', capabilities: ['types'] })],
  ['words', agent(takes('text'))],
  ['deploy', agent({ ...takes('folder'), sideEffects: 'external' })],
  ['mend', agent({ ...takes('folder'), sideEffects: 'workspace' })],
  ['rich', agent({ ...takes('folder'), budget: { usd: 5 }, category: 'data' })],
]);

const file = (task: string, head = ''): string =>
  `name: x\nmode: parallel\ninputs: { dir: { type: directory } }\n${head}tasks:\n  t: ${task}\n`;
const parse = (text: string) => parseWorkflow(text, 'flow.yaml', agents);
const complaints = (text: string): string[] =>
  parse(text).problems.map(
    ({ line, column, message, suggestion }) =>
      `${line}:${column} ${message}${suggestion === undefined ? '' : ` (${suggestion})`}`,
  );
const namesOf = (task: string): readonly string[] | undefined => {
  const { definition, problems } = parse(file(task));
  expect(problems).toEqual([]);
  return definition && routeCandidates(definition, agents).get('t')?.names;
};
const folder = "input: { folder: '${inputs.dir}' }";

test.each([
  [
    'auto takes all that take the input, but none that acts where nothing undoes it',
    `{ route: auto, ${folder} }`,
    ['lint', 'types', 'rich'],
  ],
  [
    'a category and capabilities',
    `{ route: { category: security, capabilities: [lint] }, ${folder} }`,
    ['lint'],
  ],
  [
    'what is named, whatever it does',
    `{ route: { among: [deploy, lint] }, ${folder} }`,
    ['deploy', 'lint'],
  ],
  [
    'one that acts outside, where the task says what undoes it',
    `{ route: { category: development }, ${folder}, compensate: { agent: lint, ${folder} } }`,
    ['deploy'],
  ],
  [
    'one that changes files, where the task names its workspace',
    `{ route: { category: development }, ${folder}, workspace: '\${inputs.dir}' }`,
    ['mend'],
  ],
])('%s', (_name, task, names) => {
  expect(namesOf(task)).toEqual(names);
});

test.each([
  [
    'two ways to name an agent',
    '{ agent: lint, route: auto }',
    '5:21 tasks.t has agent and route: a task can be only one',
  ],
  [
    'a misspelled agent',
    `{ route: { among: [lint, typs] }, ${folder} }`,
    '5:31 the route of task t names the agent typs, which does not exist (did you mean types?)',
  ],
  [
    'a misspelled category',
    `{ route: { category: securty }, ${folder} }`,
    '5:17 the route of task t names the category securty, which no agent has (did you mean security?)',
  ],
  [
    'a capability that nobody has',
    `{ route: { capabilities: [lint, type] }, ${folder} }`,
    '5:38 the route of task t names the capability type, which no agent has (did you mean types?)',
  ],
  [
    'a misspelled field of a route',
    `{ route: { amung: [lint] }, ${folder} }`,
    '5:17 unknown field tasks.t.route.amung (did you mean among?)',
  ],
  [
    'a mode that is none',
    `{ route: { mode: bold }, ${folder} }`,
    '5:17 tasks.t.route.mode must be one of exploitation, balanced, exploration',
  ],
  [
    'a route that is no route',
    `{ route: any, ${folder} }`,
    '5:8 tasks.t.route must be one of auto',
  ],
  [
    'input that one of those named does not take',
    `{ route: { among: [lint, words] }, ${folder} }`,
    '5:41 input of task t for agent words: text is missing (`centuria agent show words` says what it takes)',
  ],
  [
    'input that nobody takes',
    '{ route: { category: security }, input: { files: [] } }',
    /^5:8 no agent can do task t \(words: its category is development; .*; lint: input does not fit: folder is missing/,
  ],
  [
    'a verifier with both',
    '{ mode: competitive, agents: [lint, types], ' +
      folder +
      ', verify: { agent: lint, route: auto } }',
    '5:109 tasks.t.verify has agent and route: it can have only one',
  ],
  [
    'a misspelled field of a team',
    `{ mode: consensus, agents: { route: auto, cuont: 3 }, ${folder} }`,
    /5:48 unknown field tasks\.t\.agents\.cuont \(did you mean count\?\)/,
  ],
  [
    'more different agents than there are',
    `{ mode: consensus, agents: { route: { category: security }, count: 3 }, ${folder} }`,
    '5:35 task t asks for 3 different agents, and only 2 could be chosen',
  ],
  [
    'two calls of one that has side effects',
    `{ route: { among: [deploy] }, tandem: redundant, ${folder} }`,
    '5:8 no agent can do task t (deploy: tandem: redundant calls it twice, and it has side effects)',
  ],
])('%s is refused with its place', (_name, task, expected) => {
  const found = complaints(file(task)).join('\n');
  if (typeof expected === 'string') expect(found).toBe(expected);
  else expect(found).toMatch(expected);
});

test('a call may use no more than its run, whoever of the candidates is chosen', () => {
  expect(
    complaints(file(`{ route: { among: [rich] }, ${folder} }`, 'budget: { usd: 1 }\n')),
  ).toEqual(['6:8 one call of agent rich may use 5 usd, more than the run’s 1']);
});

test('a team is so many tasks of one route that different agents do', () => {
  const { definition, problems } = parse(
    file(`{ mode: consensus, agents: { route: auto, count: 3 }, ${folder} }`),
  );
  expect(problems).toEqual([]);
  const [group] = definition?.tasks ?? [];
  if (group === undefined || !isGroupTask(group)) throw new Error('no group');
  expect(group.group.differ).toBe(true);
  expect(group.group.tasks.map(({ id }) => id)).toEqual(['t/member-1', 't/member-2', 't/member-3']);
  expect(group.group.tasks[0]).toMatchObject({ route: {}, input: { folder: '${inputs.dir}' } });
  expect(group.group.voting?.quorum).toBe(2);
});

test('arbiters, verifiers and stages can be chosen, too', () => {
  const { definition, problems } = parse(`
name: x
mode: parallel
tasks:
  v: { mode: consensus, agents: [words, words], input: { text: a }, arbiter: { route: { among: [words] }, type: judging, input: { text: b } } }
  r: { mode: competitive, agents: [words, words], input: { text: a }, verify: { route: auto, input: { text: b } } }
  p: { mode: pipeline, items: [a], tasks: { s: { route: { mode: exploration, perUsd: 0.5, perMinute: 0.1 }, input: { text: '\${item}' } } } }
`);
  expect(problems).toEqual([]);
  const routed = allTasks(definition ?? ({} as never))
    .filter(isAgentTask)
    .filter(({ route }) => route !== undefined);
  expect(routed.map(({ id, type, route }) => [id, type, route])).toEqual([
    ['v/arbiter', 'judging', { among: ['words'] }],
    ['r/verify', undefined, {}],
    ['p/s', undefined, { mode: 'exploration', perUsd: 0.5, perMinute: 0.1 }],
  ]);
});

const plain = (task: string) => parse(file(task)).definition ?? ({} as never);

test('what says nothing new keeps its hash, and only a route asks for a newer worker', () => {
  expect(definitionHash(plain(`{ agent: lint, ${folder} }`))).toBe(
    '9c5cc9b1010d073d67ff21058945e63859ef3000a8805a2e42e8a6506217b229',
  );
  expect(definitionHash(plain(`{ mode: redundant, agents: [lint, types], ${folder} }`))).toBe(
    'cf09b0464cb5fcb6a3391ba1636d96727bf6d5a1f777dd6ee5bb4387a8e2eec1',
  );
  expect(plain(`{ agent: lint, ${folder} }`).format).toBeUndefined();
  expect(plain(`{ agent: lint, type: linting, ${folder} }`).format).toBeUndefined();
  expect(plain(`{ mode: redundant, agents: [lint, types], ${folder} }`).format).toBe(2);
  expect(plain(`{ route: auto, ${folder} }`).format).toBe(3);
});

test('editors are told of routes', () => {
  const { $defs } = workflowFileSchema() as { $defs: Record<string, { required: string[] }> };
  expect($defs['routedTask']?.required).toEqual(['route']);
});
