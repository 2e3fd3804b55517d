import picocolors from 'picocolors';
import { expect, test } from 'vitest';
import type { RunDetail, TaskStatus, TaskView, Verdict } from '../coordination/coordination.ts';
import { textWidth } from './output.ts';
import { renderFrame, type FrameOptions } from './progress-frame.ts';

const startMs = Date.parse('2026-11-21T09:00:00.000Z');
const nowMs = startMs + 12_000;
const plain = picocolors.createColors(false);

/** A moment so many seconds after the start. */
function at(seconds: number): string {
  return new Date(startMs + seconds * 1_000).toISOString();
}

function task(id: string, status: TaskStatus, more: Partial<TaskView> = {}): TaskView {
  const slash = id.lastIndexOf('/');
  const hasBegun = status !== 'created' && status !== 'skipped';
  const isOver = status === 'completed' || status === 'failed' || status === 'cancelled';
  return {
    id,
    kind: 'agent',
    description: '',
    status,
    needs: [],
    after: [],
    attempts: hasBegun ? 1 : 0,
    ...(slash === -1 ? {} : { parent: id.slice(0, slash) }),
    ...(hasBegun ? { startedAt: at(2) } : {}),
    ...(isOver ? { finishedAt: at(6) } : {}),
    ...more,
  };
}

function group(
  id: string,
  mode: NonNullable<TaskView['mode']>,
  status: TaskStatus,
  more: Partial<TaskView> = {},
): TaskView {
  return task(id, status, { kind: 'group', mode, ...more });
}

function frame(
  taskList: readonly TaskView[],
  { run = {}, ...options }: Partial<FrameOptions> & { readonly run?: Partial<RunDetail> } = {},
): string[] {
  const tasks: Partial<Record<TaskStatus, number>> = {};
  for (const { status } of taskList) tasks[status] = (tasks[status] ?? 0) + 1;
  const detail: RunDetail = {
    id: '01935f6e-0000-7000-8000-00000000abcd',
    workflow: 'review',
    status: 'running',
    priority: 50,
    createdAt: at(0),
    startedAt: at(0),
    tasks,
    input: {},
    definitionHash: 'f00d',
    mode: 'parallel',
    taskList,
    questions: [],
    spent: { wallMs: 0 },
    irreversible: [],
    lastSeq: 1,
    ...run,
  };
  return renderFrame(detail, { columns: 100, rows: 60, nowMs, colours: plain, ...options });
}

test('every state has a mark, a time and what is worth knowing of it, also without colour', () => {
  const lines = frame([
    task('done', 'completed', { usage: { wallMs: 4_000, tokens: 1_200, microUsd: 20_000 } }),
    task('busy', 'running', { attempts: 2, progress: 'reading 12 files' }),
    task('again', 'waiting', {
      error: { code: 'agent_failed', message: 'exit 3\nand more', retryable: true },
      waitsFor: { what: 'its next try', until: at(16) },
    }),
    task('open', 'waiting', { waitsFor: { what: 'the breaker of lint is open', until: at(72) } }),
    task('bad', 'failed', { error: { code: 'agent_failed', message: 'exit 4', retryable: true } }),
    task('stopped', 'cancelled'),
    task('never', 'skipped', { skippedBecause: 'bad failed' }),
    task('nap', 'running', { kind: 'wait', waitsFor: { what: 'the signal go', until: at(30) } }),
    task('ok', 'running', { kind: 'approval', waitsFor: { what: 'Publish?' } }),
    task('last', 'created', { needs: ['done', 'busy', 'again', 'open'] }),
  ]);
  expect(lines).toEqual([
    'review 0000abcd  running',
    '✓ done         4.0 s  $0.02 · 1.2k tokens',
    '▸ busy        10.0 s  attempt 2  reading 12 files',
    '↻ again       10.0 s  again in 4.0 s: exit 3 and more',
    '↻ open        10.0 s  again in 1 m 00 s: the breaker of lint is open',
    '✗ bad          4.0 s  exit 4',
    '■ stopped      4.0 s',
    '↷ never               bad failed',
    '◔ nap         10.0 s  the signal go, 18.0 s left',
    '? ok          10.0 s  Publish?',
    '· last                ← done, busy, again and 1 more',
    '1 of 10 tasks done · 3 running · 2 waiting · 1 failed · 1 cancelled · 1 skipped · 1 to come · 12.0…',
  ]);
});

test('what runs turns when it is drawn again', () => {
  const marks = [0, 100, 200].map(
    (ms) => frame([task('busy', 'running')], { isLive: true, nowMs: nowMs + ms })[1]?.[0],
  );
  expect(new Set(marks).size).toBe(3);
});

test('groups stand indented, in the order in which they can start, not as they are listed', () => {
  const lines = frame([
    task('report', 'created', { needs: ['checks'] }),
    group('checks', 'parallel', 'running'),
    task('checks/b', 'created', { needs: ['a'] }),
    task('checks/a', 'running'),
  ]);
  expect(lines.slice(1, -1).map((line) => line.slice(0, 10).trimEnd())).toEqual([
    '▸ checks',
    '  ▸ a',
    '  · b',
    '· report',
  ]);
});

test('a group of more than eight tasks is one line with counts, and what failed in it', () => {
  const states = ['completed', 'completed', 'running', 'failed', 'created'] as const;
  const lines = frame([
    group('checks', 'parallel', 'running'),
    ...Array.from({ length: 10 }, (_, index) =>
      task(`checks/c${index}`, states[index % 5] ?? 'created'),
    ),
  ]);
  expect(lines).toHaveLength(1 + 1 + 2 + 1);
  expect(lines[1]).toContain('4 of 10 done · 2 running · 2 failed');
  expect(lines[2]).toMatch(/^ {2}✗ c3/);
});

test('while votes are cast there is a mark a voter, and no answer is shown', () => {
  const lines = frame([
    group('vote', 'consensus', 'running'),
    task('vote/a', 'completed', { output: 'secret' }),
    task('vote/b', 'running'),
    task('vote/c', 'failed'),
    task('vote/d', 'created'),
    task('vote/arbiter', 'created'),
  ]);
  expect(lines[1]).toContain('●◐✗○ 1 of 4 in, hidden until all are');
  expect(lines.join('\n')).not.toMatch(/secret|arbiter/);
});

const tally: Verdict = {
  mode: 'consensus',
  answers: [
    { output: { defects: 3 }, share: 2 / 3 },
    { output: { defects: 5 }, share: 1 / 3 },
  ],
  votes: [
    { task: 'vote/a', weight: 1, answer: 0 },
    { task: 'vote/b', weight: 1, answer: 0 },
    { task: 'vote/c', weight: 1, answer: 1 },
    {
      task: 'vote/d',
      weight: 1,
      answer: -1,
      error: { code: 'timeout', message: 'took too long', retryable: true },
    },
  ],
  chosen: 0,
  decidedBy: 'agreement',
};

test('decided votes stand beside each other with shares, dissent and who gave none', () => {
  const lines = frame([group('vote', 'consensus', 'completed', { verdict: tally })]);
  expect(lines[1]).toContain('consensus  agreed: 2 of 4 votes');
  expect(lines[2]).toMatch(/^ {2}✓ answer A +67 % █+░+ {2}a, b {2}\{"defects":3\}$/);
  expect(lines[3]).toMatch(/^ {2}≠ answer B +33 % █+░+ {2}c {2}\{"defects":5\}$/);
  expect(lines[4]).toMatch(/^ {2}✗ d +gave no answer: took too long$/);
});

test('a workflow that votes itself shows the same', () => {
  const open = frame([task('a', 'running'), task('b', 'completed')], {
    run: { mode: 'consensus' },
  });
  expect(open[1]).toContain('◐● 1 of 2 in, hidden until all are');
  const over = frame([task('a', 'completed')], { run: { mode: 'consensus', verdict: tally } });
  expect(over.join('\n')).toContain('answer A');
});

test('elements that were voted on show what is taken and what is left out', () => {
  const elements = [
    { element: { line: 1 }, share: 1, taken: true },
    { element: { line: 2 }, share: 0.4, taken: false },
  ];
  const lines = frame([
    group('vote', 'consensus', 'completed', { verdict: { ...tally, elements } }),
  ]);
  expect(lines[1]).toContain('1 of 2 elements taken');
  // Among many, what was contested is not the part that is cut off.
  expect(lines.join('\n')).toMatch(/- left out +40 %.*"line":2[^]*\+ taken +100 %.*"line":1/);
});

test('a race shows who leads, who started later and who has not', () => {
  const lines = frame([
    group('race', 'competitive', 'running'),
    task('race/grep', 'running'),
    task('race/index', 'running', { startedAt: at(5) }),
    task('race/slow', 'created'),
    task('race/verify#1', 'running'),
  ]);
  expect(lines[1]).toContain('grep leads');
  expect(lines[2]).toMatch(/grep +10\.0 s {2}━+ {2}leads by 3\.0 s$/);
  expect(lines[3]).toMatch(
    /index +7\.0 s {2}·+━+ {2}answered, being verified · started 3\.0 s later$/,
  );
  expect(lines[4]).toMatch(/slow +·+ {2}starts if nobody wins$/);
  expect(lines.join('\n')).not.toContain('verify#1');
});

test('a race that is over shows the winner and what the others cost', () => {
  const verdict: Verdict = {
    mode: 'competitive',
    winner: 'race/index',
    refused: [{ task: 'race/guess', reason: 'its verifier said no' }],
  };
  const usage = { wallMs: 4_000, tokens: 1_200, microUsd: 10_000 };
  const lines = frame([
    group('race', 'competitive', 'completed', { verdict }),
    task('race/grep', 'cancelled', { usage }),
    task('race/index', 'completed', { usage }),
    task('race/guess', 'completed', { usage }),
  ]);
  expect(lines[1]).toContain('won by index · the others cost $0.02 · 2.4k tokens · 8.0 s');
  expect(lines[2]).toMatch(/■ grep .*stopped · \$0\.01/);
  expect(lines[3]).toMatch(/★ index .*won · \$0\.01/);
  expect(lines[4]).toMatch(/guess .*refused · its verifier said no/);
});

/** The items of a stage in these states. */
function items(stage: string, states: readonly TaskStatus[]): TaskView[] {
  return states.map((status, index) => task(`many/${stage}#${index}`, status));
}

test('a pipeline is a bar a stage with what is in work, lost and in front', () => {
  const lines = frame([
    group('many', 'pipeline', 'running', { items: 10 }),
    ...items('parse', ['completed', 'completed', 'completed', 'failed', 'running']),
    ...items('store', ['completed', 'running']),
  ]);
  expect(lines[1]).toContain('1 of 10 items through · 1 lost');
  expect(lines[2]).toMatch(/parse +█{6}░+ +3\/10 · 1 in work · 1 lost · 5 to come$/);
  expect(lines[3]).toMatch(/✗ parse#3/);
  expect(lines[4]).toMatch(/store +█{2}░+ +1\/10 · 1 in work · 1 in front$/);
});

test('what a run has used stands against its budget', () => {
  const run = {
    spent: { wallMs: 65_000, tokens: 31_200, microUsd: 1_700_000 },
    budget: { microUsd: 2_000_000, tokens: 200_000 },
  };
  expect(frame([], { run })[1]).toBe(
    '$1.70 of $2.00 █████████░ 85 % · 31.2k of 200.0k tokens ██░░░░░░░░ 16 % · 1 m 05 s of work',
  );
});

test('questions stand at the bottom with the command that answers them', () => {
  const run: Partial<RunDetail> = {
    status: 'waiting',
    questions: [
      { id: 'ok', kind: 'approval', task: 'ok', prompt: 'Publish?' },
      { id: 'vote?tie', kind: 'tie', task: 'vote', prompt: 'Which?', choices: [{ a: 1 }, 'b'] },
      { id: 'more', kind: 'budget', task: '', prompt: 'More?', lacking: { microUsd: 500_000 } },
    ],
  };
  const text = frame([], { run, keys: true }).join('\n');
  expect(text).toContain(
    '? ok: Publish?\n    press y to approve, n to reject · centuria run approve 0000abcd --question ok\n',
  );
  expect(text).toContain(
    '    0  {"a":1}\n    1  "b"\n    centuria run approve 0000abcd --question \'vote?tie\' --choose N\n',
  );
  expect(text).toContain('approve 0000abcd --question more --add usd=0.5\n');
  const few = frame([], { run, rows: 24 }).join('\n');
  expect(few).not.toContain('press');
  expect(few).toContain('… 2 questions more: centuria run questions');
});

const crowd = [
  task('a-task-with-a-name-that-is-longer-than-a-narrow-terminal', 'running'),
  task('日本語の仕事', 'running', {
    progress: `\u001B[31mred\u001B[0m and long ${'日本 '.repeat(80)}`,
  }),
  group('vote', 'consensus', 'completed', { verdict: tally }),
  group('race', 'competitive', 'running'),
  task('race/a-racer-with-a-long-name', 'running', { progress: 'x'.repeat(300) }),
  group('many', 'pipeline', 'running', { items: 5 }),
  task('many/stage#0', 'failed', {
    error: { code: 'agent_failed', message: 'y'.repeat(300), retryable: true },
  }),
];
const crowdedRun: Partial<RunDetail> = {
  questions: [{ id: 'q', kind: 'approval', task: 'ok', prompt: 'a long question '.repeat(30) }],
  spent: { wallMs: 1e6, tokens: 1e6, microUsd: 1e6 },
  budget: { microUsd: 2_000_000, tokens: 200_000, ms: 2_000_000 },
  error: { code: 'run_failed', message: 'z '.repeat(200), retryable: false },
};

test.each([20, 33, 60, 80, 200])('no line of a frame is wider than %i columns', (columns) => {
  const colours = picocolors.createColors(true);
  for (const look of [plain, colours]) {
    const lines = frame(crowd, { run: crowdedRun, columns, keys: true, colours: look });
    const widest = lines.toSorted((a, b) => textWidth(b) - textWidth(a))[0] ?? '';
    expect([textWidth(widest) < Math.max(21, columns), widest]).toEqual([true, widest]);
  }
  expect(frame(crowd, { run: crowdedRun, columns }).join('\n')).not.toContain('\u001B');
});

test('where rows are few, finished and waiting tasks are counted and the others stay', () => {
  const ids = Array.from({ length: 2_000 }, (_, index) => `t${String(index).padStart(4, '0')}`);
  const lines = frame(
    ids.map((id, index) =>
      task(
        id,
        index < 1_000
          ? 'completed'
          : index === 1_500
            ? 'failed'
            : index === 1_200
              ? 'running'
              : 'created',
      ),
    ),
    { rows: 10 },
  );
  expect(lines.length).toBeLessThan(10);
  const text = lines.join('\n');
  expect(text).toMatch(/▸ t1200/);
  expect(text).toMatch(/✗ t1500/);
  expect(text).toMatch(/… 1000 completed/);
  expect(text).toMatch(/… \d+ more/);
});
