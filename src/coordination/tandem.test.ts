import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { AgentFailure, type AgentDefinition } from '../agents/agents.ts';
import { AppError, systemClock } from '../base/base.ts';
import { silentLog } from '../../test/support/databases.ts';
import {
  callOfWork,
  doorOf,
  doorTo,
  untilStopped,
  type DoorState,
} from '../../test/support/in-process-doors.ts';
import { Used } from '../../test/support/in-process-agents.ts';
import type { Tandem } from './definition.ts';
import {
  callsBeforeLook,
  largeInputBytes,
  planCall,
  type Door,
  type DoorView,
  type Plan,
} from './tandem.ts';
import { openTandem, type Carried } from './tandem-calls.ts';
import { DoorHistory } from './tandem-history.ts';
import { parseWorkflow } from './workflow.ts';

const view = fc.record(
  {
    closed: fc.option(fc.constantFrom('no bridge', 'it calls others'), { nil: undefined }),
    calls: fc.nat(50),
    ms: fc.double({ min: 0, max: 1_000, noNaN: true }),
  },
  { noNullPrototype: true },
);
const views = fc
  .record({ http: fc.option(view, { nil: undefined }), wire: fc.option(view, { nil: undefined }) })
  .map((each): DoorView[] =>
    (['http', 'wire'] as const).flatMap((name) => {
      const found = each[name];
      if (found === undefined) return [];
      const { closed, calls, ms } = found;
      return {
        name,
        calls,
        ...(closed === undefined ? {} : { closed }),
        ...(calls === 0 ? {} : { overheadMs: ms }),
      };
    }),
  );
const tandem = fc.constantFrom<Tandem>(
  'intelligent',
  'speed',
  'standard',
  'redundant',
  'consensus',
);
const isOpen = (doors: readonly DoorView[], name: string): boolean =>
  doors.some((door) => door.name === name && door.closed === undefined);

function planned(...given: Parameters<typeof planCall>): Plan | AppError {
  try {
    return planCall(...given);
  } catch (error) {
    return error as AppError;
  }
}

test('whatever is open and was measured, a plan names open doors, each once, and what can not be says why', () => {
  fc.assert(
    fc.property(tandem, views, fc.nat(10_000), (choice, doors, bytes) => {
      const plan = planned(choice, doors, bytes);
      const open = doors.filter(({ closed }) => closed === undefined);
      const isPossible = {
        intelligent: open.length > 0,
        standard: isOpen(doors, 'http'),
        speed: isOpen(doors, 'wire'),
        redundant: open.length > 1,
        consensus: open.length > 1,
      }[choice];
      expect(plan instanceof AppError).toBe(!isPossible);
      if (plan instanceof AppError) {
        expect(plan).toMatchObject({ code: 'unavailable', retryable: false });
        expect(plan.remedy).toBeDefined();
        return;
      }
      expect(plan.doors.every((name) => isOpen(doors, name))).toBe(true);
      expect(new Set(plan.doors).size).toBe(plan.doors.length);
      const all = choice !== 'standard' && choice !== 'speed';
      expect(plan.doors.length).toBe(all ? open.length : 1);
      expect(planCall(choice, doors.toReversed(), bytes).doors.toSorted()).toEqual(
        plan.doors.toSorted(),
      );
    }),
  );
});

test('of doors that are known well the one that costs least goes first, whatever the size', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e3, noNaN: true }),
      fc.double({ min: 0, max: 1e3, noNaN: true }),
      fc.nat(10_000),
      (http, wire, bytes) => {
        fc.pre(http !== wire);
        const doors: DoorView[] = [
          { name: 'http', calls: 1, overheadMs: http },
          { name: 'wire', calls: 1, overheadMs: wire },
        ];
        const { doors: order } = planCall('intelligent', doors, bytes);
        expect(order[0]).toBe(http < wire ? 'http' : 'wire');
      },
    ),
  );
});

test('without history small inputs take the wire and large ones HTTP', () => {
  const doors: DoorView[] = [
    { name: 'http', calls: 0 },
    { name: 'wire', calls: 0 },
  ];
  const first = (bytes: number) => planCall('intelligent', doors, bytes).doors[0];
  expect(first(0)).toBe('wire');
  expect(first(largeInputBytes - 1)).toBe('wire');
  expect(first(largeInputBytes)).toBe('http');
});

const wireAfter = (calls: number): DoorView[] => [
  { name: 'http', calls: 0 },
  { name: 'wire', calls, overheadMs: 0.01 },
];

test('a door of which nothing is known has its turn when the other one is known well', () => {
  const first = [1, callsBeforeLook - 1, callsBeforeLook].map(
    (calls) => planCall('intelligent', wireAfter(calls), 1).doors[0],
  );
  expect(first).toEqual(['wire', 'wire', 'http']);
});

test('what is missing is named: the wire, a closed door, a second door', () => {
  const http: DoorView = { name: 'http', calls: 0 };
  const shut: DoorView = { ...http, closed: 'no bridge runs here' };
  expect(message('speed', [http])).toBe('the wire is not in this version');
  expect(message('standard', [shut])).toBe('the door http is closed: no bridge runs here');
  expect(message('standard', [])).toBe('this worker has no door http');
  expect(message('intelligent', [])).toBe('this worker has no doors');
  expect(message('redundant', [http])).toBe(
    'redundant needs two doors, and open is http alone: the wire is not in this version',
  );
  expect(message('consensus', [shut])).toBe(
    'consensus needs two doors, and none is open: the door http is closed: no bridge runs here; the wire is not in this version',
  );
});

test('history is an average that forgets, counts no negative overhead and stays bounded', () => {
  const history = new DoorHistory();
  expect(history.of('a', 'http', 0)).toEqual({ calls: 0 });
  history.add('a', 'http', -3, 0);
  expect(history.of('a', 'http', 0)).toMatchObject({ calls: 1, overheadMs: 0 });
  for (let call = 0; call < 100; call += 1) history.add('a', 'http', 10, 1);
  expect(history.of('a', 'http', 1).overheadMs).toBeCloseTo(10, 3);
  expect(history.of('a', 'wire', 1)).toEqual({ calls: 0 });
  expect(history.of('a', 'http', 3_600_000)).toEqual({ calls: 0 });
  for (let agent = 0; agent < 5_000; agent += 1) history.add(`agent-${agent}`, 'http', 1, 2);
  expect(history.size).toBe(2_000);
  expect(history.of('agent-4999', 'http', 2).calls).toBe(1);
});

const message = (choice: Tandem, doors: readonly DoorView[]): string =>
  (planned(choice, doors, 0) as AppError).message;
const paid = (output: unknown) => () => new Used(output, { tokens: 2, microUsd: 10 });
const fails = (code: 'invalid_input' | 'agent_failed') => () => {
  throw new AppError(code, code);
};

function tandemOf(...doors: Door[]) {
  return openTandem({ doors, clock: systemClock, log: silentLog });
}
const errorOf = (carried: Carried): AppError => {
  if ('error' in carried) return carried.error;
  throw new Error('it succeeded');
};
const gone = new AppError('server_not_running', 'nothing listens');

test('a door that was not reached is followed by the next, one behind which the agent began is not', async () => {
  const http: DoorState = { unreachable: gone };
  const answering = tandemOf(
    doorOf('http', () => 'by http', http),
    doorOf('wire', () => 'by wire', { unreachable: gone }),
  );
  const both = await answering.call('intelligent', callOfWork());
  expect(errorOf(both)).toMatchObject({ code: 'server_not_running', retryable: true });
  expect(both.via).toEqual([
    { door: 'wire', outcome: 'failed', code: 'server_not_running' },
    { door: 'http', outcome: 'failed', code: 'server_not_running' },
  ]);
  delete http.unreachable;
  const carried = await answering.call('intelligent', callOfWork());
  expect(carried).toMatchObject({
    result: { output: 'by http' },
    via: [
      { door: 'wire', outcome: 'failed' },
      { door: 'http', outcome: 'taken' },
    ],
  });
  let calls = 0;
  const failing = tandemOf(
    doorOf('http', () => (calls += 1)),
    doorOf('wire', () => {
      throw new AgentFailure(new AppError('agent_failed', 'it broke'), {
        usage: { wallMs: 1, tokens: 7 },
        partial: { half: true },
      });
    }),
  );
  const failed = await failing.call('intelligent', callOfWork());
  expect(errorOf(failed)).toMatchObject({
    code: 'agent_failed',
    usage: { tokens: 7 },
    partial: { half: true },
  });
  expect(calls).toBe(0);
});

test('what was measured decides: the wire that is slow is left after it was known', async () => {
  const slow = { invoke: async () => ({ output: 'by wire', usage: { wallMs: -50 } }) };
  const calls = tandemOf(
    doorOf('http', () => 'by http'),
    doorTo('wire', slow),
  );
  const taken: string[] = [];
  for (let call = 0; call < callsBeforeLook + 5; call += 1) {
    const { via } = await calls.call('intelligent', callOfWork());
    taken.push(via[0]?.door ?? '');
  }
  expect(taken).toEqual([
    ...Array.from({ length: callsBeforeLook }, () => 'wire'),
    ...Array.from({ length: 5 }, () => 'http'),
  ]);
});

test('of redundant doors the first good answer counts, the others are stopped, and all is paid', async () => {
  const reasons: unknown[] = [];
  const stopped = await tandemOf(
    doorOf('http', () => new Used('quick', { tokens: 5 })),
    doorOf(
      'wire',
      untilStopped({ tokens: 3 }, (reason) => reasons.push(reason)),
    ),
  ).call('redundant', callOfWork());
  expect(stopped).toMatchObject({
    result: { output: 'quick', usage: { tokens: 8 } },
    via: [
      { door: 'http', outcome: 'taken' },
      { door: 'wire', outcome: 'cancelled' },
    ],
  });
  expect(reasons).toMatchObject([{ code: 'cancelled' }]);
  const survived = await tandemOf(
    doorOf('http', () => 'never', { unreachable: gone }),
    doorOf('wire', () => 'mine'),
  ).call('redundant', callOfWork());
  expect(survived).toMatchObject({
    result: { output: 'mine' },
    via: [
      { door: 'http', outcome: 'failed', code: 'server_not_running' },
      { door: 'wire', outcome: 'taken' },
    ],
  });
});

test('redundant doors that answer differently are told of', async () => {
  const { via } = await tandemOf(
    doorOf('http', () => ({ a: 1, b: 2 })),
    doorOf('wire', () => ({ a: 1, b: 3 })),
  ).call('redundant', callOfWork());
  expect(via.map(({ outcome }) => outcome).toSorted()).toEqual(['other', 'taken']);
});

test('a call that fails behind every redundant door failed as what may be tried again', async () => {
  const failed = await tandemOf(
    doorOf('http', fails('invalid_input')),
    doorOf('wire', fails('agent_failed')),
  ).call('redundant', callOfWork());
  expect(errorOf(failed)).toMatchObject({ code: 'agent_failed', retryable: true });
});

test('doors in consensus give what they agree on, whatever the order of fields, and nothing else', async () => {
  const same = await tandemOf(
    doorOf('http', paid({ a: 1, b: [2] })),
    doorOf('wire', paid({ b: [2], a: 1 })),
  ).call('consensus', callOfWork());
  expect(same).toMatchObject({
    result: { output: { a: 1, b: [2] }, usage: { tokens: 4, microUsd: 20 } },
    via: [
      { door: 'http', outcome: 'taken' },
      { door: 'wire', outcome: 'taken' },
    ],
  });
  const unlike = await tandemOf(doorOf('http', paid('yes')), doorOf('wire', paid('no'))).call(
    'consensus',
    callOfWork(),
  );
  expect(errorOf(unlike)).toMatchObject({
    code: 'agent_output_invalid',
    message: 'work gave different answers through http and wire',
    usage: { tokens: 4 },
  });
});

test('one door that fails ends a consensus, and what the other one does is stopped', async () => {
  const failed = await tandemOf(
    doorOf('http', untilStopped({ tokens: 3 })),
    doorOf('wire', () => {
      throw new AppError('agent_failed', 'it broke');
    }),
  ).call('consensus', callOfWork());
  expect(errorOf(failed)).toMatchObject({ code: 'agent_failed', usage: { tokens: 3 } });
  expect(failed.via).toEqual([
    { door: 'http', outcome: 'cancelled' },
    { door: 'wire', outcome: 'failed', code: 'agent_failed' },
  ]);
});

test('cancelling a call stops it behind every door', async () => {
  for (const choice of ['intelligent', 'redundant', 'consensus'] as const) {
    const leaving = new AbortController();
    const begun: string[] = [];
    const wait = (name: string) => (invocation: Parameters<ReturnType<typeof untilStopped>>[0]) => {
      begun.push(name);
      if (begun.length === (choice === 'intelligent' ? 1 : 2)) {
        leaving.abort(new AppError('cancelled', 'enough'));
      }
      return untilStopped({ tokens: 1 })(invocation);
    };
    const doors = tandemOf(doorOf('http', wait('http')), doorOf('wire', wait('wire')));
    const carried = await doors.call(choice, callOfWork({ signal: leaving.signal }));
    expect(errorOf(carried).code).toBe('cancelled');
  }
});

test('what has side effects is never called twice: refused where the workflow loads, and at the call', async () => {
  const known = new Map<string, Pick<AgentDefinition, 'runtime' | 'verify' | 'sideEffects'>>(
    (['none', 'workspace', 'external'] as const).map((sideEffects) => [
      sideEffects,
      { runtime: undefined, verify: undefined, sideEffects },
    ]),
  );
  for (const choice of ['redundant', 'consensus'] as const) {
    const text = `name: x\nmode: parallel\ntasks:\n  a: { agent: none, tandem: ${choice} }\n  b: { agent: external, tandem: ${choice} }\n  c: { agent: workspace, tandem: ${choice} }\n  d: { agent: external, tandem: speed }\n`;
    const { problems } = parseWorkflow(text, 'x.yaml', known);
    expect(problems.map((each) => [each.line, each.message])).toEqual([
      [5, expect.stringContaining('it has side effects (external)')],
      [6, expect.stringContaining('it has side effects (workspace)')],
    ]);
    const doors = tandemOf(
      doorOf('http', () => 1),
      doorOf('wire', () => 1),
    );
    const { agent } = callOfWork();
    const acting = callOfWork({ agent: { ...agent, sideEffects: 'external' } });
    expect(errorOf(await doors.call(choice, acting)).code).toBe('invalid_input');
  }
});
