import { expect, test } from 'vitest';
import type { EventBody, RunDetail, RunEvent, RunPlan } from '../coordination/coordination.ts';
import type { RouteDecision } from '../learning/learning.ts';
import { choiceText } from './progress-choice.ts';
import { renderFrame } from './progress-frame.ts';
import { eventLine } from './progress-lines.ts';
import { advance } from './progress.ts';
import { renderPlan } from './run-plan.ts';

const success = { mean: 0.861, low: 0.7, high: 0.95 };
const decision: RouteDecision = {
  agent: 'lint-scan',
  policy: 'p1',
  mode: 'balanced',
  propensity: 0.7,
  success,
  confidence: 0.7,
  basis: 'outcomes',
  expected: {},
  candidates: ['lint-scan', 'todo-scan', 'size-scan', 'types'],
  prospects: [
    { agent: 'lint-scan', score: 0.8, success, evidence: 22.6, expected: {}, propensity: 0.7 },
  ],
};
const routed = { type: 'task.routed', task: 'look', attempt: 1, agent: 'lint-scan' } as const;
const plain = (text: string): string => text;
const colours = new Proxy({}, { get: () => plain }) as Parameters<typeof renderPlan>[1];

test('a choice is told with its probability, among how many, and what it stands on', () => {
  expect(eventLine({ body: { ...routed, decision } })).toBe(
    'chosen for look: lint-scan (0.86 of 4; 23 outcomes)',
  );
  expect(eventLine({ body: { ...routed, stays: true } })).toBe('look stays with lint-scan');
  expect(choiceText({ of: 2, success: 0.5, basis: 'definitions' })).toBe(
    ' (0.50 of 2; by its description)',
  );
  expect(choiceText({ of: 2, success: 0.5, basis: 'nothing' })).toBe(
    ' (0.50 of 2; nothing is known yet)',
  );
});

test('the live picture names who was chosen, and forgets it when the run is retried', () => {
  const at = '2026-01-01T00:00:00.000Z';
  const run = {
    id: 'r',
    workflow: 'w',
    status: 'running',
    mode: 'sequential',
    lastSeq: 1,
    createdAt: at,
    startedAt: at,
    priority: 50,
    tasks: { running: 1 },
    input: {},
    definitionHash: '',
    questions: [],
    irreversible: [],
    spent: { wallMs: 0 },
    taskList: [
      {
        id: 'look',
        kind: 'agent',
        description: '',
        status: 'running',
        startedAt: at,
        needs: [],
        after: [],
        attempts: 1,
      },
    ],
  } as unknown as RunDetail;
  const event = (seq: number, body: EventBody): RunEvent => ({
    runId: 'r',
    seq,
    at,
    epoch: 1,
    body,
  });
  const chosen = advance(run, event(2, { ...routed, decision }));
  const frame = renderFrame(chosen, { columns: 120, rows: 40, nowMs: Date.parse(at), colours });
  expect(frame.join('\n')).toContain('chosen: lint-scan (0.86 of 4; 23 outcomes)');
  const again = advance(chosen, event(3, { type: 'run.retried', tasks: ['look'], signalId: 's' }));
  expect(again.taskList[0]?.routed).toBeUndefined();
});

test('a plan lists who may be chosen, and who of them can not work now', () => {
  const task = { description: '', needs: [], after: [], priority: 50, onFailure: 'stop' } as const;
  const plan: RunPlan = {
    workflow: {
      name: 'w',
      description: 'Looks.',
      mode: 'parallel',
      inputs: {},
      timeoutMs: 1_000,
      maxParallel: 10,
      tasks: [
        { ...task, id: 'look', route: { category: 'security' }, type: 'looking', input: {} },
        { ...task, id: 'fix', agent: 'mend', input: {} },
      ],
    },
    input: {},
    waves: [['look', 'fix']],
    agents: [{ name: 'b', hash: '', unavailable: 'no key' }],
    routes: { look: ['a', 'b'] },
    irreversible: [],
  };
  const lines = renderPlan(plan, colours).split('\n');
  expect(lines).toContain('  look by the best of 2 (security): a, b (unavailable)  type looking');
  expect(lines).toContain('  fix by mend');
});
