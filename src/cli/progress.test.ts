import picocolors from 'picocolors';
import { expect, test } from 'vitest';
import type {
  EventBody,
  RunDetail,
  RunEvent,
  TaskStatus,
  TaskView,
} from '../coordination/coordination.ts';
import { textWidth } from './output.ts';
import { renderFrame } from './progress-frame.ts';
import {
  advance,
  beginProgress,
  countsLine,
  describeEvent,
  hasEnded,
  type RunProgress,
} from './progress.ts';

const runId = '01935f6e-0000-7000-8000-00000000abcd';
const startMs = Date.parse('2026-11-21T09:00:00.000Z');

function task(id: string, needs: string[] = [], status: TaskStatus = 'created'): TaskView {
  return { id, agent: id, description: '', status, needs, after: [], attempts: 0 };
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

function play(tasks: TaskView[], events: readonly RunEvent[]): RunProgress {
  return events.reduce(advance, beginProgress(detail(tasks)));
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
const threeTasks = [task('c', ['b']), task('b', ['a']), task('a')];

test('tasks stand in the order in which they can start, not as they are listed', () => {
  const { tasks } = beginProgress(detail(threeTasks));
  expect(tasks.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
});

test('a recorded run with a retry, a failure and a skip ends in those states', () => {
  const progress = play(threeTasks, faultyRun);
  expect(progress.tasks.map(({ id, state, attempts }) => [id, state, attempts])).toEqual([
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

test('between attempts a task is retrying, with the reason', () => {
  const progress = play(threeTasks, faultyRun.slice(0, 4));
  expect(progress.tasks[0]).toMatchObject({ state: 'retrying', line: 'exit 3\nand more' });
});

test('an abandoned attempt waits for its next worker', () => {
  const events = recorded(started('a'), {
    type: 'attempt.abandoned',
    task: 'a',
    attempt: 1,
    reason: 'its worker stopped',
  });
  expect(play([task('a')], events).tasks[0]?.state).toBe('pending');
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
  expect(progress.tasks.map(({ state }) => state)).toEqual(['completed', 'pending', 'pending']);
  expect(hasEnded(progress)).toBe(false);
});

test('each transition is one line, and progress of an attempt is none', () => {
  let progress = beginProgress(detail(threeTasks));
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
    'run failed: b failed',
  ]);
});

const plain = picocolors.createColors(false);

test.each([20, 33, 80, 200])('no line of a frame is wider than %i columns', (columns) => {
  const progress = play(
    [task('a-task-with-a-name-that-is-longer-than-a-narrow-terminal'), task('日本語の仕事')],
    recorded(started('日本語の仕事'), {
      type: 'attempt.progress',
      task: '日本語の仕事',
      text: `\u001B[31mred\u001B[0m and long ${'日本 '.repeat(80)}`,
    }),
  );
  const frame = renderFrame(progress, {
    columns,
    rows: 40,
    nowMs: startMs + 90_000,
    colours: plain,
  });
  expect(Math.max(...frame.map(textWidth))).toBeLessThan(Math.max(21, columns));
  expect(frame.join('\n')).not.toContain('\u001B');
});

test('where rows are few, finished and waiting tasks are counted and the others stay', () => {
  const ids = Array.from({ length: 30 }, (_, index) => `t${String(index).padStart(2, '0')}`);
  const done = ids.slice(0, 20).flatMap((id) => [started(id), succeeded(id)]);
  const progress = play(
    ids.map((id) => task(id)),
    recorded(...done, started('t20'), started('t21'), failed('t21')),
  );
  const frame = renderFrame(progress, { columns: 80, rows: 10, nowMs: startMs, colours: plain });
  expect(frame.length).toBeLessThan(10);
  const text = frame.join('\n');
  expect(text).toMatch(/▸ t20/);
  expect(text).toMatch(/✗ t21/);
  expect(text).toMatch(/… 20 completed/);
  expect(text).toMatch(/… \d more/);
});

test('states differ without colour', () => {
  const frame = renderFrame(play(threeTasks, faultyRun), {
    columns: 80,
    rows: 24,
    nowMs: startMs,
    colours: plain,
  });
  expect(frame.map((line) => line[0])).toEqual(['r', '✓', '✗', '↷', '1', 'b']);
});
