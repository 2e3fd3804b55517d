import { expect, test } from 'vitest';
import { failure, Log, task, workflow } from '../../test/support/decision-log.ts';
import { around, base, begun, members, startAll, voting } from '../../test/support/groups.ts';
import type { TaskSpec } from './definition.ts';

test('a group within a workflow keeps its own order and gives what its tasks gave, by name', () => {
  const log = begun(
    around({
      mode: 'sequential',
      tasks: [task({ id: 'g/a' }), task({ id: 'g/b', after: ['g/a'] })],
    }),
  );
  expect(startAll(log)).toEqual(['g/a']);
  log.succeed('g/a', 1);
  expect(startAll(log)).toEqual(['g/b']);
  log.succeed('g/b', 2);
  expect(startAll(log)).toEqual(['behind']);
  expect(log.state.tasks.get('g')).toMatchObject({ status: 'completed', output: { a: 1, b: 2 } });
});

test('a group that fails stops what runs in it, and the run fails with the first cause', () => {
  const log = begun(around({ tasks: members }));
  startAll(log);
  log.fail('g/b');
  const { stop } = log.settle();
  expect([...stop.keys()]).toEqual(['g/a', 'g/c']);
  for (const path of stop.keys()) log.append({ type: 'attempt.cancelled', task: path, attempt: 1 });
  log.settle();
  expect(log.state).toMatchObject({
    status: 'failed',
    error: { code: 'agent_failed', message: 'task g/b: it failed' },
  });
  expect(log.statusOf('g')).toBe('failed');
  expect(log.statusOf('behind')).toBe('skipped');
});

test('a group that may fail leaves the rest going', () => {
  const log = begun(around({ tasks: members }, { onFailure: 'continue' }));
  startAll(log);
  for (const { id } of members) log.fail(id);
  log.settle();
  expect(log.statusOf('g')).toBe('failed');
  expect(log.state.error?.code).toBe('dependency_failed');
});

test('the limit of a group counts what runs in it, also in groups within', () => {
  const log = begun(around({ tasks: members, maxParallel: 2 }));
  expect(startAll(log)).toEqual(['g/a', 'g/b']);
  expect(log.starts()).toEqual([]);
  log.succeed('g/a');
  expect(log.starts()).toEqual(['g/c']);
});

test('a race begins with one, hedges when nobody has won for a while, and stops the losers', () => {
  const log = begun(around({ mode: 'competitive', tasks: members, race: { hedgeMs: 1_000 } }));
  expect(startAll(log, 0)).toEqual(['g/a']);
  expect(log.decide(999).dueAtMs).toBe(1_000);
  expect(log.starts(999)).toEqual([]);
  expect(startAll(log, 1_000)).toEqual(['g/b']);
  log.succeed('g/b', 'fast', 1_500);
  const { stop, start } = log.settle(1_500);
  expect([...stop.keys()]).toEqual(['g/a']);
  expect(start.map(({ path }) => path)).toEqual(['behind']);
  expect(log.state.tasks.get('g')).toMatchObject({ output: 'fast', verdict: { winner: 'g/b' } });
  expect(log.statusOf('g/c')).toBe('skipped');
});

test('a run waits for the losers of its last race to be gone', () => {
  const log = new Log(
    workflow([{ id: 'a' }, { id: 'b' }], { mode: 'competitive', race: { hedgeMs: 0 } }),
  );
  startAll(log);
  startAll(log);
  log.succeed('a', 'won', 5);
  expect(log.settle().end).toBeUndefined();
  const usage = { wallMs: 7 };
  log.append({ type: 'attempt.cancelled', task: 'b', attempt: 1, usage });
  expect(log.settle().end).toMatchObject({ outcome: 'completed', output: 'won' });
  expect(log.state.tasks.get('b')?.usage).toEqual(usage);
});

test('in a race a failed racer brings the next at once, and nobody accepted is a failure', () => {
  const accept = { type: 'object', required: ['ok'] };
  const log = begun(
    around({ mode: 'competitive', tasks: members, race: { hedgeMs: 60_000, accept } }),
  );
  startAll(log);
  log.fail('g/a');
  expect(startAll(log)).toEqual(['g/b']);
  log.succeed('g/b', { wrong: true });
  expect(startAll(log)).toEqual(['g/c']);
  log.succeed('g/c', 3);
  log.settle();
  expect(log.state.error).toMatchObject({
    code: 'no_winner',
    details: { refused: [{ task: 'g/b' }, { task: 'g/c' }] },
  });
});

test('only a verified answer wins', () => {
  const verify = task({ id: 'g/verify', input: '${answer}' });
  const log = begun(
    around({ mode: 'competitive', tasks: members.slice(0, 2), race: { hedgeMs: 10_000, verify } }),
  );
  startAll(log);
  log.succeed('g/a', 'wrong');
  const [first] = log.settle().start;
  expect(first).toMatchObject({ path: 'g/verify#0', extra: { answer: 'wrong' } });
  log.start('g/verify#0');
  log.succeed('g/verify#0', { ok: false, reason: 'gone' });
  expect(startAll(log)).toEqual(['g/b']);
  log.succeed('g/b', 'right');
  expect(startAll(log)).toEqual(['g/verify#1']);
  log.succeed('g/verify#1', { ok: true });
  expect(log.starts()).toEqual(['behind']);
  expect(log.state.tasks.get('g')).toMatchObject({
    output: 'right',
    verdict: { winner: 'g/b', refused: [{ task: 'g/a', reason: 'its verifier said no: gone' }] },
  });
});

const stages = (fields: { readonly [stage: string]: Partial<TaskSpec> } = {}) => [
  task({ id: 'g/read', input: '${item}', ...fields['read'] }),
  task({ id: 'g/write', input: '${previous}', ...fields['write'] }),
];

test('items stream through the stages: the first is written while the last is not read yet', () => {
  const log = begun(
    around({
      mode: 'pipeline',
      tasks: stages({ read: { concurrency: 1 }, write: { concurrency: 1 } }),
      stream: { items: ['x', 'y', 'z'], buffer: 5 },
    }),
  );
  expect(startAll(log)).toEqual(['g/read#0']);
  log.succeed('g/read#0', 'X');
  expect(startAll(log)).toEqual(['g/write#0', 'g/read#1']);
  log.succeed('g/write#0', 1);
  log.succeed('g/read#1', 'Y');
  expect(startAll(log)).toEqual(['g/write#1', 'g/read#2']);
  log.succeed('g/read#2', 'Z');
  log.succeed('g/write#1', 2);
  startAll(log);
  log.succeed('g/write#2', 3);
  expect(log.starts()).toEqual(['behind']);
  expect(log.state.tasks.get('g')).toMatchObject({
    output: [1, 2, 3],
    verdict: { mode: 'pipeline', items: 3, completed: 3, dropped: [] },
  });
});

test('a stage pauses while too many items wait in front of the next', () => {
  const log = begun(
    around({
      mode: 'pipeline',
      tasks: stages({ read: { concurrency: 4 }, write: { concurrency: 1 } }),
      stream: { items: Array.from({ length: 20 }, (_, n) => n), buffer: 2 },
    }),
  );
  const read: string[] = [];
  // The writer never ends, so what is read piles up in front of it: up to the buffer.
  for (let turn = 0; turn < 20; turn += 1) {
    for (const path of startAll(log)) {
      if (!path.startsWith('g/read')) continue;
      read.push(path);
      log.succeed(path);
    }
  }
  const inFront = read.length - 1;
  expect(inFront).toBeGreaterThanOrEqual(2);
  expect(inFront).toBeLessThanOrEqual(2 + 4);
});

test('an item that a stage may fail on is dropped, the others go on', () => {
  const log = begun(
    around({
      mode: 'pipeline',
      tasks: stages({ read: { onFailure: 'continue' } }),
      stream: { items: ['x', 'y'], buffer: 5 },
    }),
  );
  startAll(log);
  log.fail('g/read#0');
  log.succeed('g/read#1', 'Y');
  expect(startAll(log)).toEqual(['g/write#1']);
  log.succeed('g/write#1', 2);
  expect(log.starts()).toEqual(['behind']);
  expect(log.state.tasks.get('g')).toMatchObject({ output: [null, 2], verdict: { dropped: [0] } });
});

test('a pipeline without items completes with none, and one without a list fails', () => {
  const none = begun(
    around({ mode: 'pipeline', tasks: stages(), stream: { items: [], buffer: 1 } }),
  );
  expect(none.starts()).toEqual(['behind']);
  const wrong = begun(
    around({
      mode: 'pipeline',
      tasks: stages(),
      stream: { items: '${tasks.before.output}', buffer: 1 },
    }),
  );
  wrong.settle();
  expect(wrong.state.error).toMatchObject({ code: 'invalid_input' });
});

test('a workflow may be a pipeline, a vote or a race itself', () => {
  const stream = new Log(
    workflow([{ id: 'a', input: '${item}' }], {
      mode: 'pipeline',
      stream: { items: [1, 2], buffer: 1 },
    }),
  );
  expect(startAll(stream)).toEqual(['a#0', 'a#1']);
  stream.succeed('a#0', 10);
  stream.succeed('a#1', 20);
  expect(stream.settle().end).toMatchObject({ outcome: 'completed', output: [10, 20] });

  const vote = new Log(
    workflow([{ id: 'a' }, { id: 'b' }], { mode: 'consensus', voting: voting() }),
  );
  startAll(vote);
  vote.succeed('a', 1);
  vote.succeed('b', 1);
  expect(vote.settle().end).toMatchObject({ outcome: 'completed', output: 1 });
});

function approval(timeoutMs?: number) {
  return workflow([], {
    tasks: [
      {
        ...base('ok'),
        approval: { prompt: 'Deploy ${inputs.what}?' },
        ...(timeoutMs && { timeoutMs }),
      },
      task({ id: 'behind', needs: ['ok'] }),
    ],
  });
}

test('an approval waits for a person: yes goes on, no fails, and time runs out', () => {
  const yes = new Log(approval());
  yes.state.input = { what: 'it' };
  yes.settle();
  expect(yes.state.questions.get('ok')?.question.prompt).toBe('Deploy it?');
  yes.append({
    type: 'question.answered',
    question: 'ok',
    answer: { decision: 'approve' },
    signalId: 's',
  });
  expect(yes.starts()).toEqual(['behind']);

  const no = new Log(approval());
  no.state.input = { what: 'it' };
  no.settle();
  no.append({
    type: 'question.answered',
    question: 'ok',
    answer: { decision: 'reject', by: 'ann', comment: 'not today' },
    signalId: 's',
  });
  no.settle();
  expect(no.state.error).toMatchObject({
    code: 'rejected',
    message: 'task ok: ann said no: not today',
  });

  const late = new Log(approval(500));
  late.state.input = { what: 'it' };
  late.settle();
  expect(late.decide(499).dueAtMs).toBe(500);
  late.settle(500);
  expect(late.state.error?.code).toBe('timeout');
});

function wait(id: string): TaskSpec {
  return { ...base(id), wait: { signal: 'go' } };
}

test('a signal is taken once, by one wait, also when it came before anybody waited', () => {
  const log = new Log(workflow([], { tasks: [wait('one'), wait('two')] }));
  log.append({ type: 'signal.received', name: 'go', data: { n: 1 }, signalId: 's' });
  log.settle();
  expect([log.statusOf('one'), log.statusOf('two')]).toEqual(['completed', 'running']);
  log.append({ type: 'signal.received', name: 'other', data: null, signalId: 't' });
  log.settle();
  expect(log.statusOf('two')).toBe('running');
  log.append({ type: 'signal.received', name: 'go', data: { n: 2 }, signalId: 'u' });
  expect(log.settle().end).toMatchObject({ output: { one: { n: 1 }, two: { n: 2 } } });
});

test('a wait for time ends when it has passed', () => {
  const log = new Log(workflow([], { tasks: [{ ...base('nap'), wait: { ms: 3_000 } }] }));
  log.settle(1_000);
  expect(log.decide(3_999).dueAtMs).toBe(4_000);
  expect(log.settle(4_000).end).toMatchObject({ outcome: 'completed' });
});

test('who fails in a group is the cause, not what was closed because of it', () => {
  const log = begun(around({ tasks: members, maxParallel: 2 }));
  startAll(log);
  log.append({ type: 'attempt.failed', task: 'g/b', attempt: 1, error: failure }, 10);
  const { stop } = log.settle(10);
  for (const path of stop.keys())
    log.append({ type: 'attempt.cancelled', task: path, attempt: 1 }, 20);
  log.settle(20);
  expect(log.state.error?.message).toBe('task g/b: it failed');
});
