import { expect, test } from 'vitest';
import type {
  EventBody,
  RunDetail,
  RunEvent,
  TaskStatus,
  TaskView,
} from '../coordination/coordination.ts';
import { countsLine } from './progress-frame.ts';
import { describeEvent, eventLine } from './progress-lines.ts';
import { advance, hasEnded } from './progress.ts';

const runId = '01935f6e-0000-7000-8000-00000000abcd';
const startMs = Date.parse('2026-11-21T09:00:00.000Z');

function task(id: string, needs: string[] = [], status: TaskStatus = 'created'): TaskView {
  return { id, kind: 'agent', agent: id, description: '', status, needs, after: [], attempts: 0 };
}

function detail(tasks: TaskView[]): RunDetail {
  return {
    id: runId,
    workflow: 'review',
    status: 'queued',
    priority: 50,
    createdAt: new Date(startMs).toISOString(),
    tasks: { created: tasks.length },
    input: {},
    definitionHash: 'f00d',
    mode: 'parallel',
    taskList: tasks,
    questions: [],
    spent: { wallMs: 0 },
    irreversible: [],
    lastSeq: 1,
  };
}

/** The events that follow `run.created`, one second apart. */
function recorded(...bodies: EventBody[]): RunEvent[] {
  return bodies.map((body, index) => ({
    runId,
    seq: index + 2,
    at: new Date(startMs + (index + 1) * 1_000).toISOString(),
    epoch: 1,
    body,
  }));
}

function play(tasks: TaskView[], events: readonly RunEvent[]): RunDetail {
  return events.reduce(advance, detail(tasks));
}

const started = (id: string, attempt = 1): EventBody => ({
  type: 'attempt.started',
  task: id,
  attempt,
  attemptId: `${id}-${attempt}`,
});
const succeeded = (id: string): EventBody => ({
  type: 'attempt.succeeded',
  task: id,
  attempt: 1,
  output: {},
  usage: { wallMs: 1_234 },
});
const failed = (id: string, retryAt?: string): EventBody => ({
  type: 'attempt.failed',
  task: id,
  attempt: 1,
  error: { code: 'agent_failed', message: 'exit 3\nand more', retryable: true },
  ...(retryAt === undefined ? {} : { retryAt }),
});

const faultyRun = recorded(
  { type: 'run.claimed', worker: 'w1', takeover: false },
  started('a'),
  { type: 'attempt.progress', task: 'a', text: 'reading 12 files' },
  failed('a', '2026-11-21T09:00:09Z'),
  started('a', 2),
  succeeded('a'),
  started('b'),
  failed('b'),
  { type: 'task.skipped', task: 'c', reason: 'b failed' },
  {
    type: 'run.failed',
    error: { code: 'run_failed', message: 'b failed', retryable: false },
  },
);
const threeTasks = [task('a'), task('b', ['a']), task('c', ['b'])];

test('a recorded run with a retry, a failure and a skip ends in those states', () => {
  const progress = play(threeTasks, faultyRun);
  expect(progress.taskList.map(({ id, status, attempts }) => [id, status, attempts])).toEqual([
    ['a', 'completed', 2],
    ['b', 'failed', 1],
    ['c', 'skipped', 0],
  ]);
  expect(progress.status).toBe('failed');
  expect(hasEnded(progress)).toBe(true);
  expect(countsLine(progress)).toBe('1 of 3 tasks done · 1 failed · 1 skipped');
});

test('an event that was seen before changes nothing', () => {
  const progress = play(threeTasks, faultyRun);
  expect(faultyRun.reduce(advance, progress)).toEqual(progress);
});

test('between attempts a task waits for its next try, with the reason', () => {
  const progress = play(threeTasks, faultyRun.slice(0, 4));
  expect(progress.taskList[0]).toMatchObject({
    status: 'waiting',
    error: { message: 'exit 3\nand more' },
    waitsFor: { until: '2026-11-21T09:00:09Z' },
  });
});

test('an abandoned attempt waits for its next worker', () => {
  const events = recorded(started('a'), {
    type: 'attempt.abandoned',
    task: 'a',
    attempt: 1,
    reason: 'its worker stopped',
  });
  expect(play([task('a')], events).taskList[0]?.status).toBe('created');
});

test('a retry sets the named tasks and the run going again', () => {
  const retried: RunEvent = {
    runId,
    seq: 20,
    at: '2026-11-21T09:10:00Z',
    epoch: 2,
    body: { type: 'run.retried', tasks: ['b', 'c'], signalId: 's' },
  };
  const progress = advance(play(threeTasks, faultyRun), retried);
  expect(progress.taskList.map(({ status }) => status)).toEqual([
    'completed',
    'created',
    'created',
  ]);
  expect(hasEnded(progress)).toBe(false);
});

test('each transition is one line, and progress of an attempt is none', () => {
  let progress = detail(threeTasks);
  const lines = faultyRun.map((event) => {
    progress = advance(progress, event);
    return describeEvent(progress, event);
  });
  expect(lines).toEqual([
    undefined,
    'started a',
    undefined,
    'failed a, attempt 1: exit 3 and more; will be tried again',
    'started a, attempt 2',
    'completed a in 1.2 s (1 of 3)',
    'started b',
    'failed b, attempt 1: exit 3 and more (2 of 3)',
    'skipped c: b failed (3 of 3)',
    'run failed: b failed (run_failed)',
  ]);
});

test('a run that is held up, asked, answered and let go on stands so at each step', () => {
  const question = { id: 'ok', kind: 'budget', task: '', prompt: 'More?' } as const;
  const begun = { ...detail([task('a')]), budget: { microUsd: 1_000_000, tokens: 10 } };
  const events = recorded(
    { type: 'run.claimed', worker: 'w1', takeover: false },
    { type: 'run.paused', reason: 'lunch', by: 'ada', signalId: 's1' },
    started('a'),
    { type: 'run.resumed', by: 'ada', signalId: 's2' },
    { type: 'question.asked', question },
    { type: 'run.released', reason: 'it waits', until: '9999-12-31T00:00:00.000Z' },
    {
      type: 'question.answered',
      question: 'ok',
      answer: { decision: 'approve', add: { microUsd: 500_000 } },
      signalId: 's3',
    },
    { type: 'run.released', reason: 'its next try', until: '2026-11-21T09:30:00.000Z' },
    { type: 'run.claimed', worker: 'w2', takeover: false },
  );
  const steps = events.map((_, index) => events.slice(0, index + 1).reduce(advance, begun));
  expect(steps.map(({ status }) => status)).toEqual([
    'running',
    'paused',
    'paused',
    'running',
    'running',
    'waiting',
    'waiting',
    'waiting',
    'running',
  ]);
  expect(steps[5]).toMatchObject({ questions: [question] });
  expect(steps[5]).not.toHaveProperty('wakeAt');
  expect(steps[6]).toMatchObject({ questions: [], budget: { microUsd: 1_500_000, tokens: 10 } });
  expect(steps[7]?.wakeAt).toBe('2026-11-21T09:30:00.000Z');
  expect(steps[8]).not.toHaveProperty('wakeAt');
});

test('items of a pipeline stand in the list from when they begin, and count', () => {
  const group: TaskView = { ...task('many'), kind: 'group', mode: 'pipeline' };
  const progress = play(
    [group],
    recorded(
      { type: 'task.started', task: 'many', items: ['x', 'y'] },
      started('many/parse#0'),
      started('many/parse#1'),
      succeeded('many/parse#0'),
    ),
  );
  expect(progress.taskList.map(({ id, parent, status }) => [id, parent, status])).toEqual([
    ['many', undefined, 'running'],
    ['many/parse#0', 'many', 'completed'],
    ['many/parse#1', 'many', 'running'],
  ]);
  expect(progress.taskList[0]?.items).toBe(2);
  expect(progress.tasks).toEqual({ created: 0, running: 2, completed: 1 });
});

test('what attempts use adds up, also that of those that failed', () => {
  const usage = { wallMs: 1_000, tokens: 100, microUsd: 2_000 };
  const progress = play(
    [task('a')],
    recorded(
      started('a'),
      { ...(failed('a', '2026-11-21T09:00:09Z') as object), usage } as EventBody,
      started('a', 2),
      { ...(succeeded('a') as object), usage } as EventBody,
    ),
  );
  expect(progress.spent).toMatchObject({ wallMs: 2_000, tokens: 200, microUsd: 4_000 });
  expect(progress.taskList[0]?.usage).toMatchObject({ tokens: 200 });
});

const everyEvent: readonly [EventBody, RegExp][] = [
  [{ type: 'run.released', reason: 'it waits', until: '9999-12-31T00:00:00.000Z' }, /woken$/],
  [{ type: 'run.paused', reason: 'lunch', by: 'ada', signalId: 's' }, /^paused by ada: lunch$/],
  [{ type: 'run.resumed', by: 'ada', signalId: 's' }, /^resumed by ada$/],
  [
    {
      type: 'question.asked',
      question: { id: 'q', kind: 'tie', task: 'vote', prompt: 'Which?', choices: [1, 2] },
    },
    /^vote asks: Which\? \(2 answers to choose from\) \[q\]$/,
  ],
  [
    {
      type: 'question.answered',
      question: 'q',
      answer: { decision: 'approve', add: { microUsd: 5e6 }, by: 'ada', comment: 'fine' },
      signalId: 's',
    },
    /^approved by ada \[q\], \$5\.00 more, fine$/,
  ],
  [
    { type: 'signal.received', name: 'go', data: { a: 1 }, signalId: 's' },
    /^signal go: \{"a":1\}$/,
  ],
  [{ type: 'run.undo_requested', force: true, signalId: 's' }, /^undoing, over what others/],
  [{ type: 'run.undone', outcome: 'failed' }, /^not all of it/],
  [{ type: 'task.started', task: '', items: [1, 2] }, /^started the workflow, 2 items$/],
  [
    {
      type: 'task.ended',
      task: 'race',
      outcome: 'completed',
      verdict: { mode: 'competitive', winner: 'race/a', refused: [] },
    },
    /^completed race; won by race\/a$/,
  ],
  [
    {
      type: 'run.completed',
      output: [1],
      verdict: {
        mode: 'consensus',
        votes: [],
        answers: [{ output: [1], share: 1 }],
        chosen: 0,
        decidedBy: 'agreement',
        elements: [
          { element: 1, share: 0.75, taken: true },
          { element: 2, share: 0.25, taken: false },
        ],
      },
    },
    /^run completed; 1 of 2 elements taken, 2 not named by all: \[1\]$/,
  ],
  [
    {
      type: 'attempt.deferred',
      task: 'a',
      attempt: 1,
      error: { code: 'unavailable', message: 'the breaker of a is open', retryable: true },
      retryAt: '2026-11-21T09:10:00Z',
    },
    /^put off a until 09:10:00: the breaker/,
  ],
  [
    {
      type: 'attempt.succeeded',
      task: 'a',
      attempt: 1,
      output: null,
      usage: { wallMs: 5 },
      blind: true,
    },
    /its vote is hidden until all are in$/,
  ],
  [
    {
      type: 'workspace.changed',
      task: 'a',
      change: {
        kind: 'snapshot',
        folder: '/data/x',
        path: '/data/x',
        before: '1',
        after: '2',
        host: 'h',
        added: 1,
        changed: 2,
        removed: 3,
      },
    },
    /^a changed \/data\/x: 1 added, 2 changed, 3 removed$/,
  ],
  [{ type: 'effect.undone', task: 'a', how: 'workspace' }, /^undone a \(workspace\)$/],
];

test.each(everyEvent)('%j has a readable line', (body, line) => {
  expect(eventLine({ body })).toMatch(line);
});

test('an event of a newer server is shown with what it holds', () => {
  const body = { type: 'run.dreamt', of: 'sheep' } as unknown as EventBody;
  expect(eventLine({ body })).toBe('run.dreamt {"of":"sheep"}');
});
