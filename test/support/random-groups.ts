/** Random definitions of all modes in one another, as they are after loading. */
import * as fc from 'fast-check';
import type {
  AgentTask,
  Group,
  TaskSpec,
  Voting,
  WorkflowDefinition,
} from '../../src/coordination/definition.ts';

type Mode = Group['mode'];
type Place<Made> = (path: string) => Made;

const modes: readonly Mode[] = [
  'sequential',
  'parallel',
  'pipeline',
  'consensus',
  'competitive',
  'redundant',
];
const at = (path: string, name: string): string => (path === '' ? name : `${path}/${name}`);

const fields = fc.record({
  priority: fc.integer({ min: 1, max: 100 }),
  onFailure: fc.constantFrom('stop' as const, 'continue' as const),
  concurrency: fc.integer({ min: 1, max: 3 }),
});

function base(path: string, own: { priority: number; onFailure: 'stop' | 'continue' }) {
  return { id: path, description: '', needs: [], after: [], ...own };
}

const agent = (path: string, priority = 50): AgentTask => ({
  ...base(path, { priority, onFailure: 'stop' }),
  agent: 'a',
  input: {},
});

const leaf: fc.Arbitrary<Place<TaskSpec>> = fc
  .tuple(fields, fc.constantFrom('agent', 'agent', 'agent', 'agent', 'wait', 'approval'))
  .map(([own, kind]) => (path) => {
    if (kind === 'wait') return { ...base(path, own), wait: { ms: 100 } };
    if (kind === 'approval') return { ...base(path, own), approval: { prompt: '?' } };
    return { ...agent(path), ...own };
  });

function task(depth: number): fc.Arbitrary<Place<TaskSpec>> {
  if (depth === 0) return leaf;
  const nested = fc
    .tuple(fields, group(depth - 1))
    .map(([own, make]): Place<TaskSpec> => (path) => ({ ...base(path, own), group: make(path) }));
  return fc.oneof({ weight: 2, arbitrary: leaf }, { weight: 3, arbitrary: nested });
}

/** What a task of a graph waits for: numbers of earlier ones, by how. */
const links = fc.array(fc.tuple(fc.nat(), fc.boolean()), { maxLength: 2 });

function group(depth: number): fc.Arbitrary<Place<Group>> {
  return fc
    .record({
      mode: fc.constantFrom(...modes),
      tasks: fc.array(fc.tuple(task(depth), links), { minLength: 1, maxLength: 3 }),
      maxParallel: fc.integer({ min: 1, max: 4 }),
      items: fc.integer({ min: 0, max: 4 }),
      buffer: fc.integer({ min: 1, max: 2 }),
      agreement: fc.constantFrom(0.4, 0.6, 1),
      quorum: fc.integer({ min: 1, max: 3 }),
      decides: fc.constantFrom('nobody', 'person', 'agent'),
      hedgeMs: fc.constantFrom(0, 50),
      verifies: fc.boolean(),
    })
    .map((made) => (path) => {
      const { mode, maxParallel } = made;
      const tasks = made.tasks.map(([make, waits], index) =>
        linked(make(at(path, `t${index}`)), { path, mode, index, waits }),
      );
      return {
        mode,
        maxParallel,
        tasks,
        ...(mode === 'pipeline'
          ? { stream: { items: Array.from({ length: made.items }, () => 0), buffer: made.buffer } }
          : {}),
        ...(mode === 'consensus' || mode === 'redundant'
          ? { voting: votingOf(path, { ...made, voters: tasks.length }) }
          : {}),
        ...(mode === 'competitive' ? { race: raceOf(path, made) } : {}),
      };
    });
}

function linked(
  spec: TaskSpec,
  place: { path: string; mode: Mode; index: number; waits: [number, boolean][] },
): TaskSpec {
  const { path, mode, index, waits } = place;
  if ((mode !== 'sequential' && mode !== 'parallel') || index === 0) return spec;
  const chosen: [number, boolean][] =
    mode === 'sequential' ? [[index - 1, waits[0]?.[1] ?? true]] : waits;
  const ids = (needed: boolean) => [
    ...new Set(
      chosen.filter(([, isNeed]) => isNeed === needed).map(([n]) => at(path, `t${n % index}`)),
    ),
  ];
  return { ...spec, needs: ids(true), after: ids(false) };
}

function votingOf(
  path: string,
  made: { agreement: number; quorum: number; decides: string; voters: number },
): Voting {
  const { agreement, quorum, decides, voters } = made;
  const arbiter = decides === 'person' ? 'person' : agent(at(path, 'arbiter'));
  return {
    agreement,
    quorum: Math.min(quorum, voters),
    judge: { kind: 'identical' },
    weights: {},
    ...(decides === 'nobody' ? {} : { arbiter }),
  };
}

function raceOf(path: string, { hedgeMs, verifies }: { hedgeMs: number; verifies: boolean }) {
  return { hedgeMs, ...(verifies ? { verify: agent(at(path, 'verify')) } : {}) };
}

/** A workflow of any mode, with groups of any mode in it, up to three deep. */
export const definitions: fc.Arbitrary<WorkflowDefinition> = group(2).map((make) => ({
  ...make(''),
  format: 2,
  name: 'w',
  description: '',
  inputs: {},
  timeoutMs: 1e9,
}));
