import { expect, test } from 'vitest';
import {
  agent,
  approval,
  chosen,
  competitive,
  consensus,
  fact,
  parallel,
  pause,
  pipeline,
  redundant,
  ref,
  sequential,
  signal,
  task,
  team,
  toYaml,
  workflow,
  type Workflow,
} from './workflow-builder.ts';
import { definitionHash, parseWorkflow } from './workflow.ts';

const find = agent<{ folder: string }, { files: string[]; total: number }>('find');
const parse = agent<{ file: string; n?: number }, { words: string[] }>('parse');
const store = agent<{ doc: { words: string[] } }, { id: string }>('store');
const count = agent<{ n: number }, number>('count');
const any = agent('any');

const head = { name: 'x', mode: 'parallel', inputs: { dir: { type: 'directory' } } } as const;

interface Both {
  readonly built: Workflow;
  readonly yaml: string;
}

const examples: Record<string, Both> = {
  'agents that are chosen': {
    built: workflow(head, ({ inputs }) => {
      const best = chosen<{ folder: string }, { files: string[] }>({ among: ['find', 'any'] });
      const found = task('found', best, { input: { folder: inputs.dir }, type: 'finding' });
      const judged = consensus(
        'judged',
        team(3, chosen<{ files: string[] }, number>(), { input: { files: ref(found, 'files') } }),
        { needs: [found] },
      );
      return { tasks: [found, judged], output: ref(judged) };
    }),
    yaml: `
name: x
mode: parallel
inputs: { dir: { type: directory } }
tasks:
  found: { route: { among: [find, any] }, type: finding, input: { folder: '\${inputs.dir}' } }
  judged:
    mode: consensus
    needs: [found]
    agents: { route: auto, count: 3 }
    input: { files: '\${tasks.found.output.files}' }
output: '\${tasks.judged.output}'
`,
  },
  'tasks of agents': {
    built: workflow(
      { ...head, description: 'Two.', maxParallel: 3, timeoutSeconds: 60 },
      ({ inputs, run }) => {
        const found = task('found', find, { input: { folder: inputs.dir }, retries: 1 });
        const counted = task('counted', count, {
          needs: [found],
          input: { n: ref(found, 'total') },
          onFailure: 'continue',
        });
        const last = task('last', any, { after: [counted], input: { at: run.folder } });
        const output = { total: ref(found, 'total'), was: fact(counted, 'status') };
        return { tasks: [found, counted, last], output };
      },
    ),
    yaml: `
name: x
description: Two.
mode: parallel
maxParallel: 3
timeoutSeconds: 60
inputs: { dir: { type: directory } }
tasks:
  found: { agent: find, input: { folder: '\${inputs.dir}' }, retries: 1 }
  counted: { agent: count, needs: [found], input: { n: '\${tasks.found.output.total}' }, onFailure: continue }
  last: { agent: any, after: [counted], input: { at: '\${run.folder}' } }
output: { total: '\${tasks.found.output.total}', was: '\${tasks.counted.status}' }
`,
  },
  'a pipeline': {
    built: workflow(head, ({ inputs }) => {
      const found = task('found', find, { input: { folder: inputs.dir } });
      const many = pipeline(
        'many',
        ref(found, 'files'),
        (first) =>
          first
            .stage(({ item, index }) => task('parse', parse, { input: { file: item, n: index } }), {
              concurrency: 4,
            })
            .stage(({ previous }) => task('store', store, { input: { doc: previous } })),
        { needs: [found], buffer: 5 },
      );
      return { tasks: [found, many], output: ref(many, 0) };
    }),
    yaml: `
name: x
mode: parallel
inputs: { dir: { type: directory } }
tasks:
  found: { agent: find, input: { folder: '\${inputs.dir}' } }
  many:
    mode: pipeline
    needs: [found]
    items: '\${tasks.found.output.files}'
    buffer: 5
    tasks:
      parse: { agent: parse, input: { file: '\${item}', n: '\${index}' }, concurrency: 4 }
      store: { agent: store, input: { doc: '\${previous}' } }
output: '\${tasks.many.output.0}'
`,
  },
  'votes, races and spares': {
    built: workflow({ ...head, budgets: ['team'], onBudget: 'fail' }, () => {
      const vote = consensus(
        'vote',
        [task('a', count, { input: { n: 1 } }), task('b', count, { input: { n: 2 } })],
        { quorum: 2, judge: { similar: 0.5 }, weights: { a: 2 }, arbiter: 'person' },
      );
      const race = competitive(
        'race',
        [task('a', any, { budget: { seconds: 3 } }), task('b', any, { stallSeconds: 2 })],
        {
          hedgeSeconds: 1,
          accept: { type: 'object' },
          verify: { agent: 'any', input: '${answer}' },
        },
      );
      const spare = redundant('spare', [task('a', any), task('b', any)], { needs: [vote, race] });
      return { tasks: [vote, race, spare] };
    }),
    yaml: `
name: x
mode: parallel
inputs: { dir: { type: directory } }
budgets: [team]
onBudget: fail
tasks:
  vote:
    mode: consensus
    quorum: 2
    judge: { similar: 0.5 }
    weights: { a: 2 }
    arbiter: person
    tasks: { a: { agent: count, input: { n: 1 } }, b: { agent: count, input: { n: 2 } } }
  race:
    mode: competitive
    hedgeSeconds: 1
    accept: { type: object }
    verify: { agent: any, input: '\${answer}' }
    tasks: { a: { agent: any, budget: { seconds: 3 } }, b: { agent: any, stallSeconds: 2 } }
  spare: { mode: redundant, needs: [vote, race], tasks: { a: { agent: any }, b: { agent: any } } }
`,
  },
  'people, time and groups in groups': {
    built: workflow(head, ({ inputs }) => {
      const checks = parallel('checks', [
        sequential('two', [task('one', any), task('other', any)]),
        task('find', find, { input: { folder: `${inputs.dir}/src` } }),
      ]);
      const ok = approval('ok', `Deploy ${ref(checks, 'find', 'total')}?`, {
        needs: [checks],
        timeoutSeconds: 60,
      });
      const rest = pause('rest', 30, { after: [ok] });
      const go = signal<{ n: number }>('go', 'start', { needs: [rest] });
      const done = task('done', count, {
        needs: [go],
        input: { n: ref(go, 'n') },
        workspace: inputs.dir,
        compensate: { agent: 'any', input: '${answer.output}' },
      });
      return { tasks: [checks, ok, rest, go, done] };
    }),
    yaml: `
name: x
mode: parallel
inputs: { dir: { type: directory } }
tasks:
  checks:
    mode: parallel
    tasks:
      two: { mode: sequential, tasks: { one: { agent: any }, other: { agent: any } } }
      find: { agent: find, input: { folder: '\${inputs.dir}/src' } }
  ok:
    approval: 'Deploy \${tasks.checks.output.find.total}?'
    needs: [checks]
    timeoutSeconds: 60
  rest: { wait: { seconds: 30 }, after: [ok] }
  go: { wait: { signal: start }, needs: [rest] }
  done:
    agent: count
    needs: [go]
    input: { n: '\${tasks.go.output.n}' }
    workspace: '\${inputs.dir}'
    compensate: { agent: any, input: '\${answer.output}' }
`,
  },
};

test.each(Object.entries(examples))(
  '%s: what is built and what is written have one hash, and so has what is built as YAML',
  (_name, { built, yaml }) => {
    const read = parseWorkflow(yaml, 'flow.yaml');
    expect(read.problems).toEqual([]);
    expect(built.definition).toEqual(read.definition);
    const again = parseWorkflow(toYaml(built), 'flow.yaml');
    expect(again.problems).toEqual([]);
    expect(
      [built.definition, again.definition].map((each) => each && definitionHash(each)),
    ).toEqual(Array(2).fill(read.definition && definitionHash(read.definition)));
  },
);

const alone = () => workflow(head, () => ({ tasks: [consensus('v', [task('a', any)])] }));
const twice = () => workflow(head, () => ({ tasks: [task('a', any), task('a', any)] }));

test('what no file may say can not be built either', () => {
  expect(alone).toThrow(/task v is consensus and needs at least two voters/);
  expect(twice).toThrow(/two tasks beside each other have the id a/);
});

test('the compiler refuses what does not fit', () => {
  const found = task('found', find, { input: { folder: '/tmp' } });
  const refused = (): unknown => [
    // @ts-expect-error -- its input needs a folder
    task('a', find),
    // @ts-expect-error -- the folder is a text
    task('a', find, { input: { folder: 3 } }),
    // @ts-expect-error -- a number where a text is wanted
    task('a', find, { input: { folder: ref(found, 'total') } }),
    // @ts-expect-error -- a text is no number, whatever it says
    task('a', count, { input: { n: `${ref(found, 'total')}` } }),
    // @ts-expect-error -- the output has no such field
    ref(found, 'fils'),
    // @ts-expect-error -- a misspelled option
    task('a', any, { retrys: 3 }),
    // @ts-expect-error -- tasks are waited for, not names
    task('a', any, { needs: ['found'] }),
    consensus('v', [
      task('a', count, { input: { n: 1 } }),
      // @ts-expect-error -- the voters of one vote give the same
      task('b', find, { input: { folder: '' } }),
    ]),
    pipeline('p', ['a'], (first) =>
      // @ts-expect-error -- the first stage has none before it
      first.stage(({ previous }) => task('s', parse, { input: { file: previous.x } })),
    ),
    pipeline('p', ['a'], (first) =>
      // @ts-expect-error -- the items are texts, and a number is wanted
      first.stage(({ item }) => task('s', count, { input: { n: item } })),
    ),
    pipeline('p', ['a'], (first) =>
      first
        .stage(({ item }) => task('parse', parse, { input: { file: item } }))
        // @ts-expect-error -- the words alone are not the document
        .stage(({ previous }) => task('s', store, { input: { doc: ref(previous, 'words') } })),
    ),
    // @ts-expect-error -- there is no such input
    workflow(head, ({ inputs }) => ({ tasks: [task('a', any, { input: inputs.dirr })] })),
    // @ts-expect-error -- no such mode
    workflow({ ...head, mode: 'paralel' }, () => ({ tasks: [] })),
  ];
  // Only the compiler looks into it: run, some of it would throw.
  expect(refused).toBeTypeOf('function');
});
