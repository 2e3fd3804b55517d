import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import type {
  AgentTask,
  Amounts,
  Group,
  InputSpec,
  TaskSpec,
  WorkflowDefinition,
} from '../../src/coordination/definition.ts';
import { isAgentTask } from '../../src/coordination/definition.ts';
import { parseWorkflow } from '../../src/coordination/workflow.ts';

/**
 * Definitions as they are compiled, but with the names that tasks have among each other; `placed`
 * makes paths of them, `fileOf` writes every field out. Neither knows the compiler.
 */
const name = fc
  .stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,6}$/)
  .filter((each) => each !== 'arbiter' && each !== 'verify');
const millis = fc.integer({ min: 1, max: 604_800_000 });
const line = fc.constantFrom(
  '',
  'plain',
  'a: b # c',
  '- x',
  '"quoted"',
  'two\nlines',
  'yes',
  '007',
);
const template = fc.oneof(
  fc.constantFrom('${inputs.in}', 'at ${run.id}!', '$${ is no expression', '${tasks}'),
  fc.jsonValue({ maxDepth: 2 }).filter((each) => !JSON.stringify(each).includes('${')),
);
const maybe = <Value>(key: string, arbitrary: fc.Arbitrary<Value>) =>
  fc
    .option(arbitrary, { nil: undefined })
    .map((each) => (each === undefined ? {} : { [key]: each }));
const all = (...parts: fc.Arbitrary<object>[]): fc.Arbitrary<object> =>
  fc.tuple(...parts).map((each) => Object.assign({}, ...each) as object);

const amounts = (most: Required<Amounts>): fc.Arbitrary<Amounts> =>
  all(
    maybe('microUsd', fc.integer({ min: 1, max: most.microUsd })),
    maybe('tokens', fc.integer({ min: 1, max: most.tokens })),
    maybe('ms', fc.integer({ min: 1, max: most.ms })),
  ).filter((each) => Object.keys(each).length > 0);
const small = { microUsd: 1_000_000, tokens: 1_000, ms: 1_000 };

const base = all(
  fc.record({
    description: line,
    priority: fc.integer({ min: 1, max: 100 }),
    onFailure: fc.constantFrom('stop', 'continue'),
  }),
  fc.constant({ needs: [], after: [] }),
);
const agentName = fc.constantFrom('lint', 'find-files', 'a');
const plainCall = all(
  fc.record({ agent: agentName, input: template.map((each) => each ?? {}) }),
  maybe('timeoutMs', millis),
  maybe('retries', fc.integer({ min: 0, max: 20 })),
);
const call = all(
  plainCall,
  maybe('stallMs', millis),
  maybe('budget', amounts(small)),
  maybe(
    'workspace',
    fc.record({
      folder: fc.constantFrom('/tmp/x', '${inputs.in}'),
      kind: fc.constantFrom('worktree', 'snapshot'),
    }),
  ),
  maybe('compensate', fc.record({ agent: agentName, input: fc.constant('${answer.output}') })),
);
const approval = all(
  fc.record({ approval: fc.record({ prompt: fc.constantFrom('ok?', 'Use ${inputs.in}?') }) }),
  maybe('timeoutMs', millis),
);
const waiting = fc.oneof(
  fc.record({ wait: fc.record({ ms: millis }) }),
  all(fc.record({ wait: fc.record({ signal: name }) }), maybe('timeoutMs', millis)),
);

function taskOf(depth: number, kinds: 'plain' | 'calls' | 'all'): fc.Arbitrary<object> {
  if (kinds === 'plain') return all(base, plainCall);
  if (kinds === 'calls') return all(base, call);
  const group = depth === 0 ? [] : [fc.record({ group: groupOf(depth - 1) })];
  return all(base, fc.oneof(call, approval, waiting, ...group));
}

/** Tasks with different names; in a graph each may wait for those above it. */
function tasksOf(
  task: fc.Arbitrary<object>,
  least: number,
  mode: Group['mode'],
): fc.Arbitrary<TaskSpec[]> {
  const hasGraph = mode === 'sequential' || mode === 'parallel';
  return fc
    .uniqueArray(
      fc.tuple(
        name,
        task,
        fc.array(fc.nat(5)),
        fc.array(fc.nat(5)),
        fc.integer({ min: 1, max: 9 }),
      ),
      { minLength: least, maxLength: 4, selector: ([id]) => id },
    )
    .map((entries) =>
      entries.map(([id, each, needed, awaited, concurrency], index): TaskSpec => {
        const above = (places: readonly number[]): string[] => [
          ...new Set(
            places.filter((place) => place < index).map((place) => entries[place]?.[0] ?? ''),
          ),
        ];
        const needs = hasGraph ? above(needed) : [];
        const after = hasGraph ? above(awaited) : [];
        const before = mode === 'sequential' ? entries[index - 1]?.[0] : undefined;
        const isSaid = before === undefined || needs.includes(before) || after.includes(before);
        return {
          ...(each as TaskSpec),
          id,
          needs,
          after: isSaid ? after : [...after, before],
          ...(mode === 'pipeline' ? { concurrency } : {}),
        };
      }),
    );
}

function groupOf(depth: number, kinds: 'plain' | 'all' = 'all'): fc.Arbitrary<Group> {
  const maxParallel = fc.integer({ min: 1, max: 1_000 });
  const group = (
    mode: Group['mode'],
    tasks: fc.Arbitrary<TaskSpec[]>,
    ...more: fc.Arbitrary<object>[]
  ): fc.Arbitrary<Group> =>
    all(fc.record({ mode: fc.constant(mode), tasks, maxParallel }), ...more) as fc.Arbitrary<Group>;
  const graphs = (['sequential', 'parallel'] as const).map((mode) =>
    group(mode, tasksOf(taskOf(depth, kinds), 1, mode), maybe('output', template)),
  );
  if (kinds === 'plain') return fc.oneof(...graphs);
  const voting = fc.constantFrom('consensus' as const, 'redundant' as const).chain((mode) =>
    tasksOf(taskOf(depth, 'calls'), 2, mode).chain((tasks) =>
      group(
        mode,
        fc.constant(tasks),
        fc.record({
          voting: all(
            fc.record({
              quorum: fc.integer({ min: 1, max: tasks.length }),
              agreement: fc.constantFrom(0.5, 0.95, 1),
              judge: fc.constantFrom(
                { kind: 'identical' },
                { kind: 'similar', least: 0.9 },
                { kind: 'elements' },
                { kind: 'elements', fields: ['file', 'line'] },
              ),
              weights: fc.constantFrom({}, { [tasks[0]?.id ?? '']: 2.5 }),
            }),
            maybe('arbiter', fc.oneof(fc.constant('person'), all(arbiterBase('arbiter'), call))),
          ),
        }),
      ),
    ),
  );
  return fc.oneof(
    ...graphs,
    voting,
    group(
      'competitive',
      tasksOf(taskOf(depth, 'all'), 2, 'competitive'),
      fc.record({
        race: all(
          fc.record({ hedgeMs: fc.nat(604_800_000) }),
          // Whatever a group gives, also a fixed text: one that can never win is refused.
          maybe('accept', fc.constantFrom({}, true, { maxLength: 10_000 })),
          maybe('verify', all(arbiterBase('verify'), call)),
        ),
      }),
    ),
    group(
      'pipeline',
      tasksOf(taskOf(depth, 'all'), 1, 'pipeline'),
      fc.record({
        stream: fc.record({
          items: fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
          buffer: fc.integer({ min: 1, max: 10_000 }),
        }),
      }),
    ),
  );
}

function arbiterBase(id: string): fc.Arbitrary<object> {
  return base.map((each) => ({ ...each, id, onFailure: 'stop' }));
}

const input: fc.Arbitrary<InputSpec> = fc.oneof(
  fc.record({
    type: fc.constantFrom('string', 'number', 'integer', 'boolean', 'directory', 'git-repository'),
    description: line,
    required: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('integer'),
    description: line,
    required: fc.boolean(),
    default: fc.integer(),
  }),
);

function workflowOf(kinds: 'plain' | 'all'): fc.Arbitrary<WorkflowDefinition> {
  const huge = { microUsd: 1_000_000, tokens: 1_000, ms: 1_000 };
  const most = fc.constantFrom(huge, {
    microUsd: 999_999_999_999,
    tokens: 1e12,
    ms: 31_536_000_000,
  });
  const limits =
    kinds === 'plain'
      ? []
      : [
          maybe('budget', most),
          maybe('budgets', fc.uniqueArray(agentName, { minLength: 1 })),
          maybe('onBudget', fc.constantFrom('ask', 'fail')),
        ];
  return all(
    groupOf(2, kinds) as fc.Arbitrary<object>,
    fc.record({
      name: fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/),
      description: line,
      timeoutMs: millis,
      inputs: fc.dictionary(name, input, { maxKeys: 2, noNullPrototype: true }).map((inputs) => ({
        ...inputs,
        in: { type: 'string', description: '', required: true } as const,
      })),
    }),
    ...limits,
  ) as fc.Arbitrary<WorkflowDefinition>;
}

function placed(group: Group, path: string): Group {
  const at = (id: string): string => (path === '' ? id : `${path}/${id}`);
  const place = (task: TaskSpec): TaskSpec => ({
    ...task,
    id: at(task.id),
    needs: task.needs.map(at),
    after: task.after.map(at),
    ...('group' in task ? { group: placed(task.group, at(task.id)) } : {}),
  });
  const { voting, race } = group;
  return {
    ...group,
    tasks: group.tasks.map(place),
    ...(voting?.arbiter === undefined || voting.arbiter === 'person'
      ? {}
      : { voting: { ...voting, arbiter: place(voting.arbiter) as AgentTask } }),
    ...(race?.verify === undefined
      ? {}
      : { race: { ...race, verify: place(race.verify) as AgentTask } }),
  };
}

const amountsFile = ({ microUsd, tokens, ms }: Amounts): object => ({
  ...(microUsd === undefined ? {} : { usd: microUsd / 1e6 }),
  ...(tokens === undefined ? {} : { tokens }),
  ...(ms === undefined ? {} : { seconds: ms / 1_000 }),
});

function callFile(task: AgentTask): object {
  const { id: _id, needs: _needs, after: _after, onFailure: _stop, ...rest } = task;
  return taskFields(rest);
}

function taskFields(task: Partial<AgentTask>): object {
  const { timeoutMs, stallMs, budget, ...rest } = task;
  return {
    ...rest,
    ...(timeoutMs === undefined ? {} : { timeoutSeconds: timeoutMs / 1_000 }),
    ...(stallMs === undefined ? {} : { stallSeconds: stallMs / 1_000 }),
    ...(budget === undefined ? {} : { budget: amountsFile(budget) }),
  };
}

function taskFile(task: TaskSpec): object {
  if (isAgentTask(task)) {
    const { id: _id, ...rest } = task;
    return taskFields(rest);
  }
  if ('group' in task) {
    const { id: _id, group, ...rest } = task;
    return { ...rest, ...groupFile(group) };
  }
  const { id: _id, timeoutMs, ...rest } = task;
  const limit = timeoutMs === undefined ? {} : { timeoutSeconds: timeoutMs / 1_000 };
  if ('approval' in rest) return { ...rest, approval: rest.approval.prompt, ...limit };
  const wait = 'ms' in rest.wait ? { seconds: rest.wait.ms / 1_000 } : rest.wait;
  return { ...rest, wait, ...limit };
}

function withoutGraph(mode: Group['mode'], file: object): object {
  if (mode === 'sequential' || mode === 'parallel') return file;
  const { needs: _needs, after: _after, ...rest } = file as { needs?: unknown; after?: unknown };
  return rest;
}

function groupFile(group: Group): object {
  const { mode, tasks, maxParallel, output, stream, voting, race } = group;
  const judge = voting?.judge;
  const judgeFile =
    judge?.kind === 'similar'
      ? { similar: judge.least }
      : judge?.kind === 'elements' && judge.fields !== undefined
        ? { elements: judge.fields }
        : judge?.kind;
  return {
    mode,
    maxParallel,
    tasks: Object.fromEntries(tasks.map((task) => [task.id, withoutGraph(mode, taskFile(task))])),
    ...(output === undefined ? {} : { output }),
    ...stream,
    ...(voting === undefined
      ? {}
      : {
          ...voting,
          judge: judgeFile,
          ...(voting.arbiter === undefined || voting.arbiter === 'person'
            ? {}
            : { arbiter: callFile(voting.arbiter) }),
        }),
    ...(race === undefined
      ? {}
      : {
          hedgeSeconds: race.hedgeMs / 1_000,
          ...(race.accept === undefined ? {} : { accept: race.accept }),
          ...(race.verify === undefined ? {} : { verify: callFile(race.verify) }),
        }),
  };
}

function fileOf(definition: WorkflowDefinition): object {
  const { timeoutMs, budget, name: id, description, inputs, budgets, onBudget } = definition;
  return {
    name: id,
    description,
    inputs,
    timeoutSeconds: timeoutMs / 1_000,
    ...(budget === undefined ? {} : { budget: amountsFile(budget) }),
    ...(budgets === undefined ? {} : { budgets }),
    ...(onBudget === undefined ? {} : { onBudget }),
    ...groupFile(definition),
  };
}

const style = fc.record({
  collectionStyle: fc.constantFrom('any' as const, 'block' as const, 'flow' as const),
  singleQuote: fc.boolean(),
  lineWidth: fc.constantFrom(0, 40, 100),
});

test('a definition written as a file and read again is the same definition', () => {
  fc.assert(
    fc.property(workflowOf('all'), style, (definition, options) => {
      const text = stringify(fileOf(definition), options);
      const read = parseWorkflow(text, 'flow.yaml');
      if (read.problems.length > 0) throw new Error(`${JSON.stringify(read.problems)}\n${text}`);
      const { format: _format, ...found } = read.definition ?? { format: 0 };
      expect(found).toEqual({ ...definition, ...placed(definition, '') });
    }),
    { numRuns: 150 },
  );
});

test('a definition of plain tasks carries no format, and any other does', () => {
  fc.assert(
    fc.property(workflowOf('plain'), (definition) => {
      const read = parseWorkflow(stringify(fileOf(definition)), 'flow.yaml');
      expect(read.definition).toEqual({ ...definition, ...placed(definition, '') });
      const more = parseWorkflow(
        stringify({ ...fileOf(definition), onBudget: 'ask' }),
        'flow.yaml',
      );
      expect(more.definition?.format).toBe(2);
    }),
    { numRuns: 60 },
  );
});

/** Replaces what stands at one of the places of a value, counted through. */
function changed(value: unknown, place: number, by: unknown): unknown {
  let count = 0;
  const visit = (inner: unknown): unknown => {
    count += 1;
    if (count - 1 === place) return by;
    if (Array.isArray(inner)) return inner.map(visit);
    if (inner === null || typeof inner !== 'object') return inner;
    return Object.fromEntries(Object.entries(inner).map(([key, each]) => [key, visit(each)]));
  };
  return visit(value);
}

/** Either a definition or complaints that point into the text; never an exception. */
function isSettled(text: string): boolean {
  const { definition, problems } = parseWorkflow(text, 'flow.yaml');
  const lines = text.split(/\r\n|\n|\r/).length;
  const isInText = problems.every(({ line: at, column }) => at >= 1 && at <= lines && column >= 1);
  return (definition === undefined) === problems.length > 0 && isInText;
}

test('no text makes the parser throw', () => {
  expect(isSettled('name: x')).toBe(true);
  const text = fc.string({ unit: 'binary', maxLength: 200 });
  fc.assert(fc.property(text, (each) => isSettled(each)));
  fc.assert(fc.property(fc.jsonValue(), (value) => isSettled(stringify(value))));
  const bits = fc.array(
    fc.constantFrom(
      'name: x\n',
      'mode: parallel\n',
      'tasks:\n',
      '  a:',
      ' {',
      '}',
      ' agent: l',
      '\n',
      '&a ',
      '*a',
      '<<: ',
      '[',
      ']',
      '? ',
      '- ',
      "'${",
      '}',
      ' !!map ',
      '|\n',
      '\t',
    ),
    { maxLength: 30 },
  );
  fc.assert(fc.property(bits, (parts) => isSettled(parts.join(''))));
});

test('a right file with anything put anywhere into it does not make the parser throw', () => {
  expect(isSettled('name: x\nmode: parallel\ntasks: { a: { agent: l } }\n')).toBe(true);
  fc.assert(
    fc.property(
      workflowOf('all'),
      fc.nat(120),
      fc.oneof(
        fc.jsonValue({ maxDepth: 2 }),
        fc.constantFrom('${', '${tasks.x}', '${item.a}', -1, Infinity),
      ),
      (definition, place, by) => isSettled(stringify(changed(fileOf(definition), place, by))),
    ),
    { numRuns: 200 },
  );
});
