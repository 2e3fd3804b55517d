/** A run in memory: its events, and the state that they give, advanced as a worker would. */
import { AppError, errorRecord, expand } from '../../src/base/base.ts';
import { decide } from '../../src/coordination/decide.ts';
import type { AgentTask, WorkflowDefinition } from '../../src/coordination/definition.ts';
import type { EventBody } from '../../src/coordination/events.ts';
import { outputScope, scopeOf } from '../../src/coordination/scope.ts';
import { applyEvent } from '../../src/coordination/projection.ts';
import { newRunState, type RunState } from '../../src/coordination/state.ts';

export const failure = errorRecord(new AppError('agent_failed', 'it failed', { retryable: false }));

export function task(fields: Partial<AgentTask> = {}): AgentTask {
  return {
    id: 't',
    agent: 'a',
    description: '',
    input: {},
    needs: [],
    after: [],
    priority: 50,
    onFailure: 'stop',
    ...fields,
  };
}

export function workflow(
  tasks: readonly Partial<AgentTask>[],
  settings: Partial<WorkflowDefinition> = {},
): WorkflowDefinition {
  return {
    name: 'w',
    description: '',
    mode: 'parallel',
    inputs: {},
    maxParallel: 10,
    timeoutMs: 300_000,
    tasks: tasks.map((fields, index) => task({ id: `t${index}`, ...fields })),
    ...settings,
  };
}

export class Log {
  readonly events: EventBody[] = [];
  readonly definition: WorkflowDefinition;
  state: RunState;

  constructor(definition: WorkflowDefinition) {
    this.definition = definition;
    this.state = newRunState(definition);
    this.append({ type: 'run.created', workflow: 'w', definitionHash: '', input: {}, agents: {} });
    this.append({ type: 'run.claimed', worker: 'one', takeover: false });
  }

  append(body: EventBody, atMs = 0): void {
    applyEvent(this.state, { seq: this.state.lastSeq + 1, body }, atMs);
    this.events.push(body);
  }

  start(path: string, atMs = 0): void {
    const attempt = (this.state.tasks.get(path)?.attempts ?? 0) + 1;
    const attemptId = `${path}/${attempt}`;
    this.append({ type: 'attempt.started', task: path, attempt, attemptId }, atMs);
  }

  succeed(path: string, output: unknown = path, atMs = 0): void {
    const usage = { wallMs: 1 };
    this.append({ type: 'attempt.succeeded', task: path, attempt: 1, output, usage }, atMs);
  }

  fail(path: string): void {
    this.append({ type: 'attempt.failed', task: path, attempt: 1, error: failure });
  }

  decide(nowMs = 0) {
    const { definition, state } = this;
    const source = { home: '/home', runId: 'r', definition, state };
    return decide(definition, state, nowMs, {
      of: (value, path) => expand(value, scopeOf(source, path)),
      outputOf: (value, group) => expand(value, outputScope(source, group)),
    });
  }

  /** Records what follows by itself, as a driver does, and the end of the run. */
  settle(nowMs = 0) {
    const stop = new Map<string, string>();
    for (let turns = 0; ; turns += 1) {
      if (turns >= 100) throw new Error('it is never settled');
      const decision = this.decide(nowMs);
      for (const [path, why] of decision.stop) stop.set(path, why);
      for (const fact of decision.facts) this.append(fact, nowMs);
      if (decision.facts.length > 0) continue;
      const { end } = decision;
      if (end?.outcome === 'completed')
        this.append({ type: 'run.completed', output: end.output }, nowMs);
      if (end?.outcome === 'failed') this.append({ type: 'run.failed', error: end.error }, nowMs);
      if (end?.outcome === 'cancelled')
        this.append({ type: 'run.cancelled', reason: end.reason }, nowMs);
      return { ...decision, stop };
    }
  }

  statusOf(path: string) {
    return this.state.tasks.get(path)?.status;
  }

  starts(nowMs = 0): string[] {
    return this.settle(nowMs).start.map(({ path }) => path);
  }
}
