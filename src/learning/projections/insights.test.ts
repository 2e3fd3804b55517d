import { expect, test } from 'vitest';
import { newDetectors, observe } from './detectors.ts';
import type { AgentTypeRow, AgentWeekRow, CombinationRow } from './insight-queries.ts';
import { findInsights, type InsightSource } from './insights.ts';

const nothing: InsightSource = { agentTypes: [], weeks: [], combinations: [] };

const used = (agent: string, fields: Partial<AgentTypeRow> = {}): AgentTypeRow => {
  const [succeeded, tried] = [fields.succeeded ?? 100, fields.tried ?? 100];
  return {
    agent,
    task_type: 'review',
    succeeded,
    tried,
    log_ms: succeeded * 7,
    log_ms_squares: succeeded * 49.04,
    paid: 0,
    micro_usd: 0,
    micro_usd_squares: 0,
    all_succeeded: succeeded,
    all_tried: tried,
    ...fields,
  };
};

const week = (fields: Partial<AgentWeekRow> = {}): AgentWeekRow => ({
  agent: 'ada',
  detectors: null,
  week_succeeded: 0,
  week_tried: 0,
  before_succeeded: 0,
  before_tried: 0,
  now_ms: 1_000_000,
  ...fields,
});

const together = (fields: Partial<CombinationRow> = {}): CombinationRow => ({
  hash: 'ff',
  mode: 'consensus',
  agents: ['ada', 'bob'],
  executions: 100,
  succeeded: 95,
  expected: 80,
  ...fields,
});

const kindsOf = (source: Partial<InsightSource>): string[] =>
  findInsights({ ...nothing, ...source }, 100).map(({ kind }) => kind);

test('agents that do better together than expected are told of, and worse ones too', () => {
  const [better] = findInsights({ ...nothing, combinations: [together()] }, 10);
  expect(better).toMatchObject({
    key: 'optimal_combo:ff',
    kind: 'optimal_combo',
    statement:
      'ada and bob succeed together (consensus) in 95 % of 100 times: more than the 80 % that their own rates lead to expect.',
    evidence: { executions: 100, rate: 0.95, expected: 0.8 },
  });
  expect(better?.confidence).toBeGreaterThan(0.99);
  expect(kindsOf({ combinations: [together({ succeeded: 60 })] })).toEqual(['avoid_pattern']);
});

test('nothing is said while an interval still holds the other rate, or of fewer than 20 outcomes', () => {
  expect(kindsOf({ combinations: [together({ succeeded: 85 })] })).toEqual([]);
  const few = together({ executions: 19, succeeded: 19, expected: 1 });
  expect(kindsOf({ combinations: [few] })).toEqual([]);
  const fewOthers = used('ada', { all_succeeded: 100, all_tried: 119 });
  expect(kindsOf({ agentTypes: [fewOthers] })).toEqual([]);
  const fewDays = week({ week_tried: 19, before_succeeded: 100, before_tried: 100 });
  expect(kindsOf({ weeks: [fewDays] })).toEqual([]);
});

test('what an agent does better or worse than its other types is told of', () => {
  const better = used('ada', { succeeded: 95, all_succeeded: 145, all_tried: 200 });
  const [found] = findInsights({ ...nothing, agentTypes: [better] }, 10);
  expect(found).toMatchObject({
    key: 'specialization:ada:review',
    statement:
      'ada succeeds with review in 95 % of 100 outcomes, and with other types in 50 % of 100.',
  });
  const worse = used('ada', { succeeded: 50, all_succeeded: 145, all_tried: 200 });
  expect(kindsOf({ agentTypes: [worse] })).toEqual(['avoid_pattern']);
});

test('an agent that would do better than the one mostly used is named, the surest one', () => {
  const agentTypes = [
    used('usual', { succeeded: 150, tried: 300 }),
    used('better', { succeeded: 80 }),
    used('best', { succeeded: 98 }),
  ];
  const found = findInsights({ ...nothing, agentTypes }, 10);
  const tip = found.find(({ kind }) => kind === 'performance_tip');
  expect(tip?.agents).toEqual(['best', 'usual']);
  expect(tip?.statement).toBe(
    'best succeeds with review in 98 % of 100 outcomes; usual, which mostly does it, in 50 % of 300.',
  );
});

test('the same for less money, or in less time, is told of when it is surely hardly worse', () => {
  const paid = { paid: 200, tried: 200, succeeded: 198 };
  const dear = used('dear', {
    ...paid,
    tried: 201,
    succeeded: 199,
    micro_usd: 200 * 4_000,
    micro_usd_squares: 200 * 4_000 ** 2 * 1.01,
  });
  const cheap = used('cheap', {
    ...paid,
    micro_usd: 200 * 500,
    micro_usd_squares: 200 * 500 ** 2 * 1.01,
  });
  const [found] = findInsights({ ...nothing, agentTypes: [dear, cheap] }, 10);
  expect(found).toMatchObject({ kind: 'resource_optimization', agents: ['cheap', 'dear'] });
  expect(found?.statement).toContain('cheap does review for $0.0005 a task');
  const worse = { ...cheap, succeeded: 180 };
  expect(kindsOf({ agentTypes: [dear, worse] })).toEqual([]);
  const slow = used('slow', {
    tried: 201,
    succeeded: 200,
    log_ms: 200 * 9,
    log_ms_squares: 200 * 81.1,
  });
  const quick = used('quick', { tried: 200, succeeded: 199, log_ms: 199 * 7 });
  const faster = { ...quick, log_ms_squares: 199 * 49.1 };
  const [speed] = findInsights({ ...nothing, agentTypes: [slow, faster] }, 10);
  expect(speed).toMatchObject({ kind: 'efficiency_improvement', agents: ['quick', 'slow'] });
  expect(speed?.statement).toContain('quick typically does review in 1.1 s');
});

test('a week unlike those before, a drift and unsteady times are told of, and an old drift is not', () => {
  const turned = week({
    week_succeeded: 10,
    week_tried: 40,
    before_succeeded: 90,
    before_tried: 100,
  });
  expect(kindsOf({ weeks: [turned] })).toEqual(['trend_alert']);
  let state = newDetectors();
  for (let n = 0; n < 60; n += 1) {
    const ms = (n < 50 ? 1_000 : 5_000) * (1 + 0.1 * (n % 3));
    if (state.drifts.length === 0) state = observe(state, { atMs: n, succeeded: true, ms });
  }
  const [found] = findInsights({ ...nothing, weeks: [week({ detectors: state })] }, 10);
  expect(found).toMatchObject({
    kind: 'anomaly_detection',
    evidence: { drift: 'slower', since: new Date(50).toISOString(), beforeOutcomes: 50 },
  });
  expect(found?.statement).toMatch(/^ada is slower since 1970-01-01T00:00:00.050Z: typical time /);
  const later = week({ detectors: state, now_ms: 8 * 86_400_000 });
  expect(kindsOf({ weeks: [later] })).toEqual([]);
  const unsteady = { ...newDetectors(), flags: '1'.repeat(20) + '0'.repeat(30) };
  expect(kindsOf({ weeks: [week({ detectors: unsteady })] })).toEqual(['anomaly_detection']);
  const steady = { ...newDetectors(), flags: '1'.repeat(6) + '0'.repeat(44) };
  expect(kindsOf({ weeks: [week({ detectors: steady })] })).toEqual([]);
});

test('the surest are kept when there are too many', () => {
  const combinations = [
    together({ hash: 'aa', succeeded: 90 }),
    together({ hash: 'bb', succeeded: 99 }),
  ];
  const found = findInsights({ ...nothing, combinations }, 1);
  expect(found.map(({ key }) => key)).toEqual(['optimal_combo:bb']);
});
