import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { failure, Log, workflow } from '../../test/support/decision-log.ts';
import type { EventBody } from './events.ts';
import { applyEvent } from './projection.ts';
import { newRunState, runEnded, taskEnded } from './state.ts';

test('a task that needs a failed one is skipped, and the run is failed, never completed', () => {
  const log = new Log(workflow([{}, { needs: ['t0'] }]));
  log.start('t0');
  log.fail('t0');
  const { end } = log.settle();
  expect(log.state.tasks.get('t1')).toMatchObject({
    status: 'skipped',
    reason: 'it needs t0, which was failed',
  });
  expect(end).toMatchObject({
    outcome: 'failed',
    error: { code: 'agent_failed', message: 'task t0: it failed' },
  });
});

test('with `continue` a failed task does not end the run, but a task that needs it still does', () => {
  const going = new Log(workflow([{ onFailure: 'continue' }, {}, { after: ['t0'] }]));
  going.start('t0');
  going.fail('t0');
  expect(going.starts()).toEqual(['t1', 't2']);

  const needed = new Log(workflow([{ onFailure: 'continue' }, { needs: ['t0'] }]));
  needed.start('t0');
  needed.fail('t0');
  expect(needed.settle().end).toMatchObject({
    outcome: 'failed',
    error: { code: 'dependency_failed' },
  });
});

test('a task that waits for the end of one that is skipped now starts now', () => {
  const going = { onFailure: 'continue' as const };
  const log = new Log(workflow([going, { ...going, needs: ['t0'] }, { after: ['t0', 't1'] }]));
  log.start('t0');
  log.fail('t0');
  expect(log.starts()).toEqual(['t2']);
  expect(log.statusOf('t1')).toBe('skipped');
});

test('a failure stops what is under way before the run ends', () => {
  const log = new Log(workflow([{}, {}]));
  log.start('t0');
  log.start('t1');
  log.fail('t0');
  const { stop, end } = log.settle();
  expect([...stop.keys()]).toEqual(['t1']);
  expect(end).toBeUndefined();
  expect(log.state.stopError).toMatchObject({ code: 'agent_failed' });
  log.append({ type: 'attempt.cancelled', task: 't1', attempt: 1 });
  expect(log.settle().end).toMatchObject({ outcome: 'failed', error: { code: 'agent_failed' } });
});

test('the limit counts the time that workers held the run, not the time in which nobody did', () => {
  const log = new Log(workflow([{}], { timeoutMs: 1_000 }));
  log.append({ type: 'run.released', reason: 'stop' }, 600);
  log.append({ type: 'run.claimed', worker: 'two', takeover: false }, 1_000_000);
  expect(log.decide(1_000_399).end).toBeUndefined();
  expect(log.decide(1_000_399).limitAtMs).toBe(1_000_400);
  expect(log.settle(1_000_400).end).toMatchObject({
    outcome: 'failed',
    error: { code: 'timeout' },
  });
});

test('after a crash the time since the last event does not count', () => {
  const log = new Log(workflow([{}], { timeoutMs: 1_000 }));
  log.append({ type: 'attempt.started', task: 't0', attempt: 1, attemptId: 'x' }, 500);
  log.append({ type: 'run.claimed', worker: 'two', takeover: true }, 1_000_000);
  expect(log.decide(1_000_499).stop.size).toBe(0);
  expect([...log.settle(1_000_500).stop.keys()]).toEqual(['t0']);
});

test('a retry waits for its time, and the run wakes for it', () => {
  const log = new Log(workflow([{}]));
  log.start('t0');
  log.append({
    type: 'attempt.failed',
    task: 't0',
    attempt: 1,
    error: failure,
    retryAt: new Date(5_000).toISOString(),
  });
  expect(log.starts(4_999)).toEqual([]);
  expect(log.decide(4_999).dueAtMs).toBe(5_000);
  expect(log.starts(5_000)).toEqual(['t0']);
});

test('a cancelled run says so even when a task failed in between', () => {
  const log = new Log(workflow([{}, {}]));
  log.start('t0');
  log.append({ type: 'run.cancel_requested', reason: 'not needed', signalId: 's' });
  log.fail('t0');
  const decision = log.settle();
  expect(decision.end).toEqual({ outcome: 'cancelled', reason: 'not needed' });
  expect(log.state.tasks.get('t1')).toMatchObject({
    status: 'skipped',
    reason: 'the run was cancelled',
  });
});

test('higher priority starts first, and no more than the run allows', () => {
  const log = new Log(
    workflow([{ priority: 1 }, { priority: 90 }, { priority: 50 }], { maxParallel: 2 }),
  );
  expect(log.starts()).toEqual(['t1', 't2']);
  log.start('t1');
  expect(log.starts()).toEqual(['t2']);
});

test('a log that contradicts itself is refused, with the number of the event', () => {
  const log = new Log(workflow([{}]));
  const refused = (seq: number, body: EventBody) => () => applyEvent(log.state, { seq, body }, 0);
  expect(refused(9, { type: 'run.claimed', worker: 'x', takeover: true })).toThrow(
    'event 9 follows event 2',
  );
  expect(refused(3, { type: 'attempt.cancelled', task: 't0', attempt: 1 })).toThrow(
    'which is created',
  );
  expect(refused(3, { type: 'task.skipped', task: 'zz', reason: '' })).toThrow(
    'there is no task zz',
  );
  log.start('t0');
  log.succeed('t0');
  expect(refused(5, { type: 'attempt.started', task: 't0', attempt: 2, attemptId: 'x' })).toThrow(
    'completed',
  );
});

/** A workflow whose tasks only look back, with a fate for every attempt. */
const worlds = fc
  .array(
    fc.record({
      needs: fc.array(fc.nat(), { maxLength: 3 }),
      after: fc.array(fc.nat(), { maxLength: 2 }),
      onFailure: fc.constantFrom('stop' as const, 'continue' as const),
      priority: fc.integer({ min: 1, max: 100 }),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .chain((tasks) =>
    fc.record({
      definition: fc.integer({ min: 1, max: 4 }).map((maxParallel) =>
        workflow(
          tasks.map((fields, index) => ({
            ...fields,
            needs: index === 0 ? [] : [...new Set(fields.needs.map((n) => `t${n % index}`))],
            after: index === 0 ? [] : [...new Set(fields.after.map((n) => `t${n % index}`))],
          })),
          { maxParallel },
        ),
      ),
      /** One step each: end the k-th running attempt well or badly, crash the worker, or cancel the run. */
      steps: fc.array(
        fc.record({
          pick: fc.nat(),
          what: fc.oneof(
            { weight: 12, arbitrary: fc.constant('succeed' as const) },
            { weight: 3, arbitrary: fc.constant('fail' as const) },
            { weight: 2, arbitrary: fc.constant('crash' as const) },
            { weight: 1, arbitrary: fc.constant('cancel' as const) },
          ),
        }),
        { maxLength: 60 },
      ),
    }),
  );

test('whatever fails, crashes or is cancelled: order and limits hold, nothing completed runs again, the run ends', () => {
  fc.assert(
    fc.property(worlds, ({ definition, steps }) => {
      const log = new Log(definition);
      const completed = new Set<string>();
      const script = [...steps];
      for (let turn = 0; !runEnded(log.state.status); turn += 1) {
        expect(turn).toBeLessThan(1_000);
        const running = take(log, completed);
        if (runEnded(log.state.status)) break;
        const step = script.shift() ?? { pick: 0, what: 'succeed' as const };
        act(log, step, running, completed);
      }
      const states = [...log.state.tasks.values()];
      expect(states.every(({ status }) => taskEnded(status))).toBe(true);
      const lost = definition.tasks.filter(
        ({ id, onFailure }) =>
          onFailure === 'stop' && log.state.tasks.get(id)?.status !== 'completed',
      );
      if (log.state.status === 'completed') expect(lost).toEqual([]);
      if (log.state.status === 'failed') expect(log.state.error).toBeDefined();
    }),
    { numRuns: 1_000 },
  );
});

/** Carries out one decision, and checks what it starts. */
function take(log: Log, completed: ReadonlySet<string>): string[] {
  const { start, stop, end } = log.settle();
  for (const { path, task: spec } of start) {
    expect(completed.has(path)).toBe(false);
    for (const id of spec.needs) expect(log.statusOf(id)).toBe('completed');
    for (const id of spec.after) expect(taskEnded(log.statusOf(id) ?? 'created')).toBe(true);
    log.start(path);
  }
  const running = [...log.state.running.keys()];
  expect(running.length).toBeLessThanOrEqual(log.definition.maxParallel);
  for (const path of stop.keys()) {
    if (log.state.running.has(path))
      log.append({ type: 'attempt.cancelled', task: path, attempt: 1 });
  }
  if (end === undefined) expect(running.length).toBeGreaterThan(0);
  return [...log.state.running.keys()];
}

function act(
  log: Log,
  step: { pick: number; what: 'succeed' | 'fail' | 'crash' | 'cancel' },
  running: readonly string[],
  completed: Set<string>,
): void {
  const picked = running[step.pick % Math.max(1, running.length)];
  if (step.what === 'cancel' && log.state.cancelReason === undefined) {
    log.append({ type: 'run.cancel_requested', reason: 'x', signalId: 's' });
  } else if (step.what === 'crash') {
    crash(log, running);
  } else if (picked !== undefined && step.what === 'fail') {
    log.fail(picked);
  } else if (picked !== undefined) {
    log.succeed(picked);
    completed.add(picked);
  }
}

/** The worker dies: another reads the events from the first one on. */
function crash(log: Log, running: readonly string[]): void {
  const state = newRunState(log.definition);
  for (const [index, body] of log.events.entries()) applyEvent(state, { seq: index + 1, body }, 0);
  log.state = state;
  log.append({ type: 'run.claimed', worker: 'next', takeover: true });
  for (const path of running) {
    log.append({ type: 'attempt.abandoned', task: path, attempt: 1, reason: 'the worker died' });
  }
}
