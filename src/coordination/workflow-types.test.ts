import { expect, test } from 'vitest';
import { parseWorkflow, type KnownAgents } from './workflow.ts';

type Facts = NonNullable<ReturnType<KnownAgents['get']>>;
const agent = (input?: object, output?: object, more: Partial<Facts> = {}): Facts => ({
  runtime: undefined,
  verify: output === undefined ? undefined : { schema: output },
  ...(input === undefined ? {} : { input: input as Record<string, unknown> }),
  ...more,
});

const text = { type: 'string' };
const whole = { type: 'integer' };
const list = (items: object) => ({ type: 'array', items });
const map = (properties: object, more: object = {}) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
});

const agents: KnownAgents = new Map<string, Facts>([
  ['any', agent()],
  ['find', agent(map({ folder: text }), map({ files: list(text), total: whole }))],
  ['parse', agent(map({ file: text }), map({ words: list(text), lines: whole }))],
  ['store', agent(map({ doc: map({ words: list(text), lines: whole }) }), map({ id: text }))],
  ['count', agent(map({ n: whole }), whole)],
  ['scan', agent(undefined, undefined, { verify: { format: 'findings' } })],
  ['print', agent(undefined, undefined, { runtime: { kind: 'command' } })],
  ['maybe', agent(undefined, { anyOf: [text, { type: 'null' }] })],
  [
    'open',
    agent(
      { type: 'object', required: ['q'], properties: { q: text } },
      { type: 'object', properties: { a: text } },
    ),
  ],
]);

/** Complaints about the tasks of a workflow whose inputs are a folder, a number and a flag. */
function complaints(tasks: string, mode = 'parallel'): string[] {
  const head = `name: x\nmode: ${mode}\ninputs: { dir: { type: directory }, n: { type: integer }, on: { type: boolean } }\n`;
  return parseWorkflow(`${head}tasks:\n${tasks}`, 'flow.yaml', agents).problems.map(
    ({ line, column, message, suggestion }) =>
      `${line}:${column} ${message}${suggestion === undefined ? '' : ` (${suggestion})`}`,
  );
}

const stages = (input: string) => `
  list: { agent: find, input: { folder: '\${inputs.dir}' } }
  many:
    mode: pipeline
    needs: [list]
    items: '\${tasks.list.output.files}'
    tasks:
      parse: { agent: parse, input: { file: '\${item}' } }
      store: { agent: store, input: ${input} }
`;

test('stages that do not fit are refused: what comes, what is wanted, and where', () => {
  expect(complaints(stages("{ doc: '${previous}' }"))).toEqual([]);
  expect(complaints(stages("{ doc: '${previous.words}' }"))).toEqual([
    '13:39 input.doc of task many/store, ${previous.words}: a list comes, a map is wanted (`centuria agent show store` says what it takes)',
  ]);
  expect(complaints(stages("{ doc: '${index}' }"))).toEqual([
    '13:39 input.doc of task many/store, ${index}: a whole number comes, a map is wanted (`centuria agent show store` says what it takes)',
  ]);
  expect(complaints(stages("{ doc: { words: '${previous.words}', lines: many } }"))).toEqual([
    '13:74 input.doc.lines of task many/store: "many" comes, a whole number is wanted (`centuria agent show store` says what it takes)',
  ]);
  expect(complaints(stages("{ doc: '${previous.wrods}' }"))).toEqual([
    '13:39 ${previous.wrods}: previous has no wrods (did you mean words?)',
  ]);
});

const over = (items: string, input: string) => `
  list: { agent: find, input: { folder: a } }
  many: { mode: pipeline, needs: [list], items: ${items}, tasks: { only: { agent: count, input: ${input} } } }
`;

test('the item of a pipeline is what its list is made of', () => {
  expect(complaints(over("'${tasks.list.output.files}'", "{ n: '${item}' }"))).toEqual([
    '7:119 input.n of task many/only, ${item}: a text comes, a whole number is wanted (`centuria agent show count` says what it takes)',
  ]);
  expect(complaints(over('[1, 2]', "{ n: '${item}' }"))).toEqual([]);
  expect(complaints(over("'${tasks.list.output.total}'", '{ n: 1 }'))).toEqual([
    '7:42 items of task many: a whole number comes, a list is wanted',
  ]);
  expect(complaints(over("['${inputs.n}', x]", "{ n: '${item}' }"))).toEqual([]);
});

test.each([
  [
    'an input that is missing',
    'agent: find',
    ['5:3 input of task a: folder is missing (`centuria agent show find` says what it takes)'],
  ],
  [
    'an input that is misspelled',
    'agent: find, input: { foldr: x }',
    ['5:21 input of task a: folder is missing (foldr comes; is folder meant?)'],
  ],
  [
    'an input that the agent does not take',
    'agent: find, input: { folder: x, depth: 3 }',
    ['5:41 input.depth of task a: depth is not known there (known are folder)'],
  ],
  [
    'an input of the workflow of another type',
    "agent: count, input: { n: '${inputs.on}' }",
    [
      '5:31 input.n of task a, ${inputs.on}: true or false comes, a whole number is wanted (`centuria agent show count` says what it takes)',
    ],
  ],
  [
    'a number inside a longer text',
    "agent: count, input: { n: 'about ${inputs.n}' }",
    [
      '5:31 input.n of task a, about ${inputs.n}: a text comes, a whole number is wanted (`centuria agent show count` says what it takes)',
    ],
  ],
])('%s is refused', (_name, task, expected) => {
  expect(complaints(`  a: { ${task} }\n`)).toEqual(expected);
});

test('what might fit is let through', () => {
  expect(
    complaints(`
  a: { agent: any }
  b: { agent: maybe }
  c: { agent: open, input: { q: '\${tasks.b.output}' }, needs: [b] }
  d: { agent: count, input: { n: '\${tasks.a.output.what.ever}' }, needs: [a] }
  e: { agent: any, input: '\${tasks.c.output.other}', needs: [c] }
  f: { agent: find, input: { folder: '\${inputs.dir}/\${inputs.n}' } }
`),
  ).toEqual([]);
});

test('the output of an agent is a report where it verifies findings, and a text where it prints', () => {
  expect(
    complaints(`
  s: { agent: scan }
  p: { agent: print }
  a: { agent: any, needs: [s, p], input: ['\${tasks.s.output.findings}', '\${tasks.s.output.fndings}', '\${tasks.p.output.lines}'] }
`),
  ).toEqual([
    '8:73 ${tasks.s.output.fndings}: tasks.s.output has no fndings (did you mean findings?)',
    '8:102 ${tasks.p.output.lines}: tasks.p.output has no lines',
  ]);
});

const after = (field: string, more: string) => `
  c: { agent: count, input: { n: 1 }, onFailure: continue }
  a: { agent: any, ${field}: [c], input: '\${tasks.c.output${more}}' }
`;

test('a task that may fail gives its output or nothing', () => {
  expect(complaints(after('after', ''))).toEqual([]);
  expect(complaints(after('needs', '.x'))).toEqual([
    '7:32 ${tasks.c.output.x}: tasks.c.output has no x',
  ]);
});

test('groups give what their mode says', () => {
  expect(
    complaints(`
  both: { mode: parallel, tasks: { one: { agent: count, input: { n: 1 } }, two: { agent: any } } }
  vote: { mode: consensus, tasks: { a: { agent: count, input: { n: 1 } }, b: { agent: count, input: { n: 2 } } } }
  many: { mode: pipeline, items: [a, b], tasks: { p: { agent: parse, input: { file: '\${item}' } } } }
  own: { mode: sequential, output: { at: '\${tasks.x.output}' }, tasks: { x: { agent: count, input: { n: 1 } } } }
  a: { agent: count, needs: [both], input: { n: '\${tasks.both.output.one}' } }
  b: { agent: count, needs: [vote], input: { n: '\${tasks.vote.output}' } }
  c: { agent: any, needs: [many], input: '\${tasks.many.output.0.words}' }
  d: { agent: count, needs: [own], input: { n: '\${tasks.own.output.at}' } }
`),
  ).toEqual([]);
  expect(
    complaints(`
  both: { mode: parallel, tasks: { one: { agent: count, input: { n: 1 } }, two: { agent: any } } }
  vote: { mode: consensus, tasks: { a: { agent: count, input: { n: 1 } }, b: { agent: count, input: { n: 2 } } } }
  many: { mode: pipeline, items: [a, b], tasks: { p: { agent: parse, input: { file: '\${item}' } } } }
  own: { mode: sequential, output: { at: '\${tasks.x.output}' }, tasks: { x: { agent: count, input: { n: 1 } } } }
  a: { agent: any, needs: [both], input: '\${tasks.both.output.three}' }
  b: { agent: find, needs: [vote], input: { folder: '\${tasks.vote.output}' } }
  c: { agent: any, needs: [many], input: '\${tasks.many.output.words}' }
  d: { agent: find, needs: [own], input: { folder: '\${tasks.own.output.at}' } }
`),
  ).toEqual([
    '10:35 ${tasks.both.output.three}: tasks.both.output has no three (it has one, two)',
    '11:45 input.folder of task b, ${tasks.vote.output}: a whole number comes, a text is wanted (`centuria agent show find` says what it takes)',
    '12:35 ${tasks.many.output.words}: tasks.many.output has no words',
    '13:44 input.folder of task d, ${tasks.own.output.at}: a whole number comes, a text is wanted (`centuria agent show find` says what it takes)',
  ]);
});

test('names are those of the place: inner ones first, nothing of the inside from outside', () => {
  expect(
    complaints(`
  a: { agent: any }
  g:
    mode: parallel
    needs: [a]
    tasks:
      b: { agent: any, input: '\${tasks.a.output}' }
      c: { agent: any, input: '\${tasks.b.output}' }
      d: { agent: any, input: '\${tasks.g.output}' }
  e: { agent: any, needs: [g], input: '\${tasks.b.output}' }
  v:
    mode: consensus
    needs: [a]
    tasks:
      a: { agent: any }
      f: { agent: any, input: '\${tasks.a.output}' }
`),
  ).toEqual([
    '12:24 ${tasks.b.output}: b has not ended by then (it waits for nothing)',
    '13:24 ${tasks.g.output}: g has not ended by then (add it to needs or after)',
    '14:32 ${tasks.b.output}: there is no task b here (b is inside g; from outside only g itself is seen)',
    '20:24 ${tasks.a.output}: a has not ended by then (the tasks of a consensus group do not know of each other)',
  ]);
});

test('item, previous, votes and answer are known where they have a meaning', () => {
  expect(
    complaints(`
  a: { agent: any, input: '\${item}' }
  p:
    mode: pipeline
    items: [1]
    tasks:
      first: { agent: any, input: '\${previous}' }
      second: { mode: parallel, tasks: { in: { agent: any, input: '\${item} \${previous} \${index} \${tasks.first.output}' } } }
      third: { mode: pipeline, items: [1], tasks: { q: { agent: any, input: '\${previous}' } } }
  v: { mode: consensus, arbiter: { agent: any, input: '\${votes} \${answer}' }, agents: [any, any] }
  r: { mode: competitive, verify: { agent: any, input: '\${answer} \${votes}' }, agents: [any, any] }
  w: { agent: any, workspace: '\${workspace.path}', input: '\${workspace.path}', compensate: { agent: any, input: '\${answer.output}' } }
`),
  ).toEqual([
    '6:20 ${item} names nothing here (the stages of a pipeline have it)',
    '11:28 ${previous} names nothing here (the stages of a pipeline have it, but for the first)',
    '13:70 ${previous} names nothing here (the stages of a pipeline have it, but for the first)',
    '14:48 ${answer} names nothing here (the verifier of a competition has it, and what undoes a task)',
    '15:49 ${votes} names nothing here (the arbiter of a vote has it)',
    '16:20 ${workspace.path} names nothing here (a task with a workspace has it, in its input)',
  ]);
});

test('an answer that can never count is refused', () => {
  expect(
    complaints(`
  r: { mode: competitive, accept: { type: string }, tasks: { a: { agent: any }, b: { agent: count, input: { n: 1 } } } }
  v: { mode: consensus, judge: elements, tasks: { a: { agent: any }, b: { agent: count, input: { n: 1 } } } }
`),
  ).toEqual([
    '6:81 task r/b can never win the race: a whole number comes, a text is wanted',
    '7:70 task v/b is judged by elements: a whole number comes, a list is wanted',
  ]);
});

test('the answer that a verifier gets is typed as the racers’ outputs are', () => {
  expect(
    complaints(`
  r: { mode: competitive, verify: { agent: find, input: { folder: '\${answer}' } }, tasks: { a: { agent: count, input: { n: 1 } }, b: { agent: count, input: { n: 1 } } } }
`),
  ).toEqual([
    '6:59 input.folder of task r/verify, ${answer}: a whole number comes, a text is wanted (`centuria agent show find` says what it takes)',
  ]);
});
