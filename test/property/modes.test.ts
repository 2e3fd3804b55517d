/** Whatever groups stand in one another and whatever becomes of their attempts, what is promised of runs holds. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isGroupTask, type Group } from '../../src/coordination/definition.ts';
import type { EventBody } from '../../src/coordination/events.ts';
import { projectRun } from '../../src/coordination/projection.ts';
import type { RunRow } from '../../src/coordination/queries.ts';
import { isWithin, parentOf, templateOf } from '../../src/coordination/shape.ts';
import { openQuestions, runEnded, taskEnded } from '../../src/coordination/state.ts';
import { leftByOthers } from '../../src/coordination/takeover.ts';
import { detailView, shownEvent } from '../../src/coordination/views.ts';
import { failure, Log } from '../support/decision-log.ts';
import { definitions } from '../support/random-groups.ts';

const fates = [
  'succeed',
  'succeed',
  'succeed',
  'succeed',
  'fail',
  'fail-in-passing',
  'defer',
  'crash',
  'later',
] as const;

/** One step each: what becomes of which attempt under way, and what it gives. */
const steps = fc.array(
  fc.record({
    pick: fc.nat(),
    fate: fc.oneof(
      { weight: 60, arbitrary: fc.constantFrom(...fates) },
      { weight: 1, arbitrary: fc.constant('cancel' as const) },
    ),
    output: fc.constantFrom<unknown>(1, 1, 2, true, false, { ok: false }),
    /** Whether attempts that are stopped are gone at once, or only later. */
    lingers: fc.boolean(),
  }),
  { maxLength: 80 },
);
type Step = typeof steps extends fc.Arbitrary<(infer One)[]> ? One : never;

// Helpers of the one test below look at each state on the way: oxlint would have them within it.
/* oxlint-disable vitest/no-standalone-expect */

/** A run that is driven by hand; its events carry their times. */
class World {
  log: Log;
  nowMs = 0;
  readonly times: number[] = [0, 0];
  readonly completed = new Set<string>();

  constructor(definition: Log['definition']) {
    this.log = new Log(definition);
  }

  append(body: EventBody): void {
    this.log.append(body, this.nowMs);
  }

  /** The same events from the first one on give the same state. */
  replay(): void {
    const { definition, events, state } = this.log;
    while (this.times.length < events.length) this.times.push(this.nowMs);
    const replayed = projectRun(
      definition,
      events.map((body, index) => ({
        runId: 'r',
        seq: index + 1,
        at: new Date(this.times[index] ?? 0).toISOString(),
        epoch: 1,
        body,
      })),
    );
    expect(replayed).toEqual(state);
    this.log.state = replayed;
  }

  running(): string[] {
    return [...this.log.state.running.keys()];
  }

  /** Carries out what is decided; attempts that are stopped end here unless they linger. */
  turn(lingers: boolean): void {
    const { start, stop } = this.log.settle(this.nowMs);
    for (const { path } of start) {
      expect(this.completed).not.toContain(path);
      this.log.start(path, this.nowMs);
    }
    expectWithinLimits(this.log);
    const gone = lingers ? [] : [...stop.keys()].filter((path) => this.log.state.running.has(path));
    for (const path of gone) this.append({ type: 'attempt.cancelled', task: path, attempt: 1 });
    while (this.times.length < this.log.events.length) this.times.push(this.nowMs);
    expectHiddenVotes(this.log);
    if (gone.length > 0) this.turn(lingers);
  }

  end(path: string, { fate, output }: Pick<Step, 'fate' | 'output'>): void {
    const attempt = this.log.state.tasks.get(path)?.attempts ?? 1;
    const blind = this.log.state.shape.nodes.get(templateOf(path))?.blind === true;
    const retryAt = new Date(this.nowMs + 100).toISOString();
    if (fate === 'fail') {
      this.append({ type: 'attempt.failed', task: path, attempt, error: failure });
    } else if (fate === 'fail-in-passing') {
      const partial = { partial: output, ...(blind ? { blind: true as const } : {}) };
      this.append({
        type: 'attempt.failed',
        task: path,
        attempt,
        error: failure,
        retryAt,
        ...partial,
      });
    } else if (fate === 'defer') {
      this.append({ type: 'attempt.deferred', task: path, attempt, error: failure, retryAt });
    } else {
      this.completed.add(path);
      this.append({
        type: 'attempt.succeeded',
        task: path,
        attempt,
        output,
        usage: { wallMs: 1 },
        ...(blind ? { blind: true } : {}),
      });
    }
  }

  /** The worker dies, and another one takes over. */
  crash(): void {
    this.replay();
    this.append({ type: 'run.claimed', worker: 'next', takeover: true });
    for (const fact of leftByOthers(this.log.state)) this.append(fact);
  }

  /** Nothing is under way: only time or a person can help, or the run is stuck. */
  help(): void {
    const { dueAtMs } = this.log.decide(this.nowMs);
    const [question] = openQuestions(this.log.state);
    if (dueAtMs !== undefined) {
      expect(dueAtMs).toBeGreaterThan(this.nowMs);
      this.nowMs = dueAtMs;
    } else {
      expect(question).toBeDefined();
      const answer = { decision: 'approve' } as const;
      const { id = '' } = question ?? {};
      this.append({ type: 'question.answered', question: id, answer, signalId: 's' });
    }
  }
}

/** Paths of the instances of groups that have begun, the workflow itself included. */
function groupsOf({ definition, state }: Log): [path: string, group: Group][] {
  const found: [string, Group][] = [['', definition]];
  for (const { id } of state.tasks.values()) {
    const spec = id === '' ? undefined : state.shape.nodes.get(templateOf(id))?.spec;
    if (spec !== undefined && isGroupTask(spec)) found.push([id, spec.group]);
  }
  return found;
}

function expectWithinLimits(log: Log): void {
  const running = [...log.state.running.keys()];
  for (const [path, group] of groupsOf(log)) {
    const within = running.filter((each) => isWithin(each, path));
    expect({ path, running: within.length <= group.maxParallel ? [] : within }).toEqual({
      path,
      running: [],
    });
  }
}

function expectHiddenVotes(log: Log): void {
  const open = groupsOf(log).filter(
    ([path, { mode }]) =>
      mode === 'consensus' &&
      (path === ''
        ? log.state.finishedAtMs === undefined
        : !taskEnded(log.state.tasks.get(path)?.status ?? 'created')),
  );
  if (open.length === 0) return;
  const isHidden = (task: string): boolean => open.some(([path]) => isWithin(task, path));
  const { taskList } = detailView(row, log.definition, log.state);
  for (const { id, output, verdict } of taskList) {
    if (isHidden(id)) expect({ id, output, verdict }).toEqual({ id });
  }
  for (const [index, body] of log.events.entries()) {
    if (!('task' in body) || !isHidden(body.task)) continue;
    const shown = shownEvent({ runId: 'r', seq: index + 1, at: '', epoch: 1, body }).body;
    const told = ['output', 'partial', 'verdict'].map((what) => Reflect.get(shown, what) ?? null);
    expect({ type: body.type, told }).toEqual({ type: body.type, told: [null, null, null] });
  }
}

const row: RunRow = {
  run_id: 'r',
  workflow: 'w',
  definition_hash: '',
  status: 'running',
  priority: 50,
  owner: null,
  epoch: 1n,
  task_counts: null,
  error: null,
  created_at: new Date(0),
  started_at: null,
  finished_at: null,
  format: 2,
  wake_at: null,
  fingerprint: null,
  undo: null,
  started_by: null,
  forked_from: null,
  parent_run_id: null,
  parent_task: null,
};

function step(world: World, { pick, fate, output }: Step): void {
  const running = world.running();
  const picked = running[pick % Math.max(1, running.length)];
  if (fate === 'cancel' && world.log.state.cancelReason === undefined) {
    world.append({ type: 'run.cancel_requested', reason: 'x', signalId: 's' });
  } else if (fate === 'crash') world.crash();
  else if (picked === undefined) world.help();
  else if (fate === 'later') world.nowMs += 60;
  else world.end(picked, { fate, output });
}

test('whatever stands in what, and whatever fails, waits or crashes: limits hold, nothing completed runs again, votes stay hidden, the log gives the state, the run ends', () => {
  fc.assert(
    fc.property(definitions, steps, (definition, script) => {
      const world = new World(definition);
      const left = [...script];
      for (let turns = 0; ; turns += 1) {
        expect(turns).toBeLessThan(2_000);
        const next = left.shift() ?? { pick: 0, fate: 'succeed', output: 1, lingers: false };
        world.turn(next.lingers);
        if (runEnded(world.log.state.status)) break;
        step(world, next);
        while (world.times.length < world.log.events.length) world.times.push(world.nowMs);
      }
      world.replay();
      expectEnded(world.log);
    }),
    { numRuns: 500 },
  );
}, 120_000);

/** Nothing is left open, and a success has no gap that nobody allowed. */
function expectEnded({ definition, state }: Log): void {
  expect(state.running.size).toBe(0);
  const open = [...state.tasks.values()].filter(
    ({ id, status }) => id !== '' && !taskEnded(status),
  );
  expect(open).toEqual([]);
  if (state.status === 'failed') expect(state.error).toBeDefined();
  if (state.status !== 'completed') return;
  const isGraph = definition.mode === 'sequential' || definition.mode === 'parallel';
  const lost = definition.tasks.filter(
    ({ id, onFailure }) => onFailure === 'stop' && state.tasks.get(id)?.status !== 'completed',
  );
  if (isGraph) expect(lost).toEqual([]);
  for (const { id, status } of state.tasks.values()) {
    const spec = state.shape.nodes.get(templateOf(id))?.spec;
    if (id === '' || spec === undefined || !isGroupTask(spec) || status !== 'completed') continue;
    if (spec.group.mode !== 'sequential' && spec.group.mode !== 'parallel') continue;
    const gaps = [...state.tasks.values()].filter(
      (each) =>
        parentOf(each.id) === id &&
        each.status !== 'completed' &&
        state.shape.nodes.get(templateOf(each.id))?.spec.onFailure === 'stop',
    );
    expect(gaps.map((each) => each.id)).toEqual([]);
  }
}
