import { expect, test } from 'vitest';
import { task, type Log } from '../../test/support/decision-log.ts';
import { around, begun, members, startAll, voting } from '../../test/support/groups.ts';

test('votes are counted when all are in, and not before: two of three agree', () => {
  const log = begun(around({ mode: 'consensus', tasks: members, voting: voting() }));
  startAll(log);
  log.succeed('g/a', { x: 1, y: 2 });
  log.succeed('g/b', { y: 2, x: 1 });
  expect(log.starts()).toEqual([]);
  expect(log.statusOf('g')).toBe('running');
  log.succeed('g/c', { x: 9 });
  expect(log.starts()).toEqual(['behind']);
  expect(log.state.tasks.get('g')).toMatchObject({
    status: 'completed',
    output: { x: 1, y: 2 },
    verdict: {
      chosen: 0,
      decidedBy: 'agreement',
      votes: [{ answer: 0 }, { answer: 0 }, { answer: 1 }],
    },
  });
});

test('one answer of three that differ is not taken because it came first', () => {
  const log = begun(around({ mode: 'consensus', tasks: members, voting: voting() }));
  startAll(log);
  for (const { id } of members) log.succeed(id, id);
  log.settle();
  expect(log.state.tasks.get('g')?.error?.code).toBe('no_consensus');
  expect(log.state.status).toBe('failed');
});

test('a voter that fails is a vote less, and below the quorum there is no result', () => {
  const enough = begun(around({ mode: 'consensus', tasks: members, voting: voting() }));
  startAll(enough);
  enough.fail('g/a');
  enough.succeed('g/b', 1);
  enough.succeed('g/c', 1);
  expect(enough.starts()).toEqual(['behind']);

  const few = begun(around({ mode: 'consensus', tasks: members, voting: voting() }));
  startAll(few);
  few.fail('g/a');
  few.fail('g/b');
  const { stop } = few.settle();
  expect([...stop.keys()]).toEqual(['g/c']);
  few.append({ type: 'attempt.cancelled', task: 'g/c', attempt: 1 });
  few.settle();
  expect(few.state.error?.code).toBe('quorum_missed');
});

test('weights count, and a tie is no agreement', () => {
  const weighed = begun(
    around({ mode: 'consensus', tasks: members, voting: voting({ weights: { c: 5 } }) }),
  );
  startAll(weighed);
  weighed.succeed('g/a', 'x');
  weighed.succeed('g/b', 'x');
  weighed.succeed('g/c', 'y');
  weighed.settle();
  expect(weighed.state.tasks.get('g')?.output).toBe('y');

  const tied = begun(
    around({
      mode: 'consensus',
      tasks: members.slice(0, 2),
      voting: voting({ agreement: 0.5 }),
    }),
  );
  startAll(tied);
  tied.succeed('g/a', 'x');
  tied.succeed('g/b', 'y');
  tied.settle();
  expect(tied.state.tasks.get('g')?.error?.code).toBe('no_consensus');
});

test('without agreement an arbiter decides, who sees the answers and not whose they are', () => {
  const arbiter = task({ id: 'g/arbiter', input: '${votes}' });
  const log = begun(around({ mode: 'consensus', tasks: members, voting: voting({ arbiter }) }));
  startAll(log);
  for (const { id } of members) log.succeed(id, `answer of ${id}`);
  const [start] = log.settle().start;
  expect(start).toMatchObject({
    path: 'g/arbiter',
    extra: { votes: ['answer of g/a', 'answer of g/b', 'answer of g/c'] },
  });
  log.start('g/arbiter');
  log.succeed('g/arbiter', 'the arbiter says');
  expect(log.starts()).toEqual(['behind']);
  expect(log.state.tasks.get('g')).toMatchObject({
    output: 'the arbiter says',
    verdict: { decidedBy: 'arbiter' },
  });
});

test('an arbiter is not asked when there is agreement', () => {
  const arbiter = task({ id: 'g/arbiter' });
  const log = begun(around({ mode: 'consensus', tasks: members, voting: voting({ arbiter }) }));
  startAll(log);
  for (const { id } of members) log.succeed(id, 'same');
  expect(log.starts()).toEqual(['behind']);
  expect(log.statusOf('g/arbiter')).toBe('skipped');
});

function ask(): Log {
  const log = begun(
    around({ mode: 'consensus', tasks: members, voting: voting({ arbiter: 'person' }) }),
  );
  startAll(log);
  for (const { id } of members) log.succeed(id, id);
  expect(log.starts()).toEqual([]);
  expect(log.state.questions.get('g?tie')?.question.choices).toHaveLength(3);
  return log;
}

test('without agreement a person may choose, or take none', () => {
  const chosen = ask();
  const answer = { decision: 'approve', choice: 1, by: 'ann' } as const;
  chosen.append({ type: 'question.answered', question: 'g?tie', answer, signalId: 's' });
  expect(chosen.starts()).toEqual(['behind']);
  expect(chosen.state.tasks.get('g')?.output).toBe('g/b');

  const none = ask();
  none.append({
    type: 'question.answered',
    question: 'g?tie',
    answer: { decision: 'reject', by: 'ann' },
    signalId: 's',
  });
  none.settle();
  expect(none.state.error?.code).toBe('no_consensus');
});

function at(line: number, message: string) {
  return { file: 'x.ts', line, message };
}

test('lists are voted on element by element where that is asked for', () => {
  const judge = { kind: 'elements', fields: ['file', 'line'] } as const;
  const log = begun(around({ mode: 'consensus', tasks: members, voting: voting({ judge }) }));
  startAll(log);
  log.succeed('g/a', [at(1, 'unused'), at(2, 'shadow')]);
  log.succeed('g/b', [at(1, 'never used'), at(1, 'said twice')]);
  log.succeed('g/c', [at(3, 'alone')]);
  log.settle();
  expect(log.state.tasks.get('g')?.output).toEqual([at(1, 'unused')]);
  expect(log.state.tasks.get('g')?.verdict).toMatchObject({
    elements: [{ share: 2 / 3, taken: true }, { taken: false }, { taken: false }],
  });
});

test('redundant agents: one failure is no failure, and a difference is reported', () => {
  const log = begun(around({ mode: 'redundant', tasks: members, voting: voting({ quorum: 1 }) }));
  startAll(log);
  log.fail('g/a');
  log.succeed('g/b', 'one');
  expect(log.starts()).toEqual([]);
  log.succeed('g/c', 'two');
  expect(log.starts()).toEqual(['behind']);
  expect(log.state.tasks.get('g')).toMatchObject({
    status: 'completed',
    output: 'one',
    verdict: {
      mode: 'redundant',
      decidedBy: 'order',
      answers: [{ output: 'one' }, { output: 'two' }],
    },
  });
});
