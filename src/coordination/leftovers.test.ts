/** What is left of a group that has ended, or never began. */
import { expect, test } from 'vitest';
import { failure, Log, task, workflow } from '../../test/support/decision-log.ts';
import type { Group, TaskSpec } from './definition.ts';
import { shownEvent } from './views.ts';

function group(id: string, fields: Partial<Group>, needs: string[] = []): TaskSpec {
  return {
    id,
    description: '',
    needs,
    after: [],
    priority: 50,
    onFailure: 'stop',
    group: { mode: 'parallel', maxParallel: 10, tasks: [], ...fields },
  };
}

const members = (id: string) => ['a', 'b'].map((name) => task({ id: `${id}/${name}` }));
const race = group('r', { mode: 'competitive', race: { hedgeMs: 0 }, tasks: members('r') });

test('a loser on its way out still takes its place: nothing more starts than the limit allows', () => {
  const log = new Log(
    workflow([], { format: 2, maxParallel: 2, tasks: [race, ...members('').map(behind)] }),
  );
  for (const path of log.starts()) log.start(path);
  for (const path of log.starts()) log.start(path);
  expect([...log.state.running.keys()]).toEqual(['r/a', 'r/b']);
  log.succeed('r/a');
  expect(log.starts()).toEqual(['a']);
  log.append({ type: 'attempt.cancelled', task: 'r/b', attempt: 1 });
  expect(log.starts()).toEqual(['a', 'b']);
});

function behind({ id }: TaskSpec): TaskSpec {
  return task({ id: id.slice(1), needs: ['r'] });
}

test('a group that can never start is skipped with all that stands in it', () => {
  const inner = group('g/inner', { tasks: [task({ id: 'g/inner/deep' })] });
  const log = new Log(
    workflow([], {
      format: 2,
      tasks: [
        task({ id: 't', onFailure: 'continue' }),
        { ...group('g', { tasks: [inner] }, ['t']), onFailure: 'continue' },
      ],
    }),
  );
  log.start('t');
  log.fail('t');
  log.settle();
  const ends = ['g', 'g/inner', 'g/inner/deep'].map((path) => log.statusOf(path));
  expect(ends).toEqual(['skipped', 'skipped', 'skipped']);
});

test('a loser that was to be tried again when the race was won waits for nothing any more', () => {
  const log = new Log(workflow([], { format: 2, tasks: [race] }));
  for (const path of log.starts()) log.start(path);
  for (const path of log.starts()) log.start(path);
  log.succeed('r/a');
  const retryAt = new Date(5_000).toISOString();
  log.settle();
  log.append({ type: 'attempt.failed', task: 'r/b', attempt: 1, error: failure, retryAt });
  log.settle();
  expect(log.state.status).toBe('completed');
  expect(log.statusOf('r/b')).toBe('skipped');
});

test('what a group within a vote came to is not shown either, in no event of it', () => {
  const voting = {
    quorum: 2,
    agreement: 1,
    judge: { kind: 'identical' as const },
    weights: {},
  };
  const voter = group('v/a', { mode: 'redundant', voting, tasks: members('v/a') });
  const vote = group('v', { mode: 'consensus', voting, tasks: [voter, task({ id: 'v/b' })] });
  const log = new Log(workflow([], { format: 2, tasks: [vote] }));
  for (const path of log.starts()) log.start(path);
  log.succeed('v/a/a', 'secret');
  log.succeed('v/a/b', 'secret');
  log.settle();
  expect(log.state.tasks.get('v/a')).toMatchObject({ status: 'completed', output: 'secret' });
  const ended = log.events.filter(({ type }) => type === 'task.ended');
  const shown = ended.map((body) => shownEvent({ runId: '', seq: 1, at: '', epoch: 1, body }).body);
  expect(shown).toEqual([{ type: 'task.ended', task: 'v/a', outcome: 'completed', blind: true }]);
});
