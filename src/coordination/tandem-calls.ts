/** Carries calls of agents through the doors that were chosen for them. */
import {
  AgentFailure,
  type FailureFacts,
  type Invocation,
  type InvocationResult,
} from '../agents/agents.ts';
import { AppError, canonicalJson, toAppError, type Clock, type Log } from '../base/base.ts';
import type { Tandem } from './definition.ts';
import type { DoorName, Passage, Usage } from './events.ts';
import { actsTwice, planCall, type Door, type DoorAnswer, type Plan } from './tandem.ts';
import { DoorHistory } from './tandem-history.ts';

export interface TandemOptions {
  readonly doors: readonly Door[];
  readonly clock: Clock;
  readonly log: Log;
}

/** What came of a call, and through which doors. */
export type Carried = { readonly via: readonly Passage[] } & (
  | { readonly result: InvocationResult }
  | { readonly error: AppError }
);

export interface TandemCalls {
  /** Never rejects: a failure is an answer, with what was used for it. */
  call(tandem: Tandem, invocation: Invocation): Promise<Carried>;
}

/** Those who lost are waited for so long, for what they used and whether they would have said the same. */
const settleMs = 2_000;

/** Chooses, calls and measures. */
export function openTandem(options: TandemOptions): TandemCalls {
  const { clock } = options;
  const history = new DoorHistory();
  const doors = new Map(options.doors.map((door) => [door.name, door]));

  function plan(tandem: Tandem, invocation: Invocation): Plan {
    const { agent, input } = invocation;
    // A definition may have changed between the load of the workflow and the start of the run.
    if (actsTwice(tandem) && agent.sideEffects !== 'none') {
      throw new AppError('invalid_input', `${agent.name} would act twice: ${tandem} calls it so`);
    }
    const nowMs = clock.monotonicMs();
    const views = options.doors.map((door) => {
      const closed = door.closed(invocation);
      return {
        name: door.name,
        ...(closed === undefined ? {} : { closed }),
        ...history.of(agent.name, door.name, nowMs),
      };
    });
    const isCounted = tandem === 'intelligent' && views.length > 1;
    return planCall(tandem, views, isCounted ? bytesOf(input) : 0);
  }

  async function through(name: DoorName, invocation: Invocation): Promise<DoorAnswer> {
    const beganMs = clock.monotonicMs();
    const door = doors.get(name);
    let answer: DoorAnswer;
    try {
      if (door === undefined) throw new AppError('internal', `there is no door ${name}`);
      answer = await door.call(invocation);
    } catch (thrown) {
      return { error: toAppError(thrown), began: true };
    }
    if ('result' in answer) {
      const nowMs = clock.monotonicMs();
      const overheadMs = nowMs - beganMs - answer.result.usage.wallMs;
      history.add(invocation.agent.name, name, overheadMs, nowMs);
    }
    return answer;
  }

  return {
    async call(tandem, invocation) {
      let chosen: Plan;
      try {
        chosen = plan(tandem, invocation);
      } catch (thrown) {
        return { via: [], error: toAppError(thrown) };
      }
      const { how } = chosen;
      if (how === 'one') return await oneAfterAnother(chosen.doors, invocation, through);
      return await together(how, chosen.doors, invocation, through, options);
    },
  };
}

type Through = (name: DoorName, invocation: Invocation) => Promise<DoorAnswer>;

async function oneAfterAnother(
  names: readonly DoorName[],
  invocation: Invocation,
  through: Through,
): Promise<Carried> {
  const via: Passage[] = [];
  for (const [index, door] of names.entries()) {
    const answer = await through(door, invocation);
    if ('result' in answer) {
      via.push({ door, outcome: 'taken' });
      return { via, result: answer.result };
    }
    const { error, began, facts = {} } = answer;
    via.push({ door, outcome: 'failed', code: error.code });
    const isLast = index === names.length - 1;
    if (began || isLast || invocation.signal.aborted) {
      return { via, error: new AgentFailure(error, facts) };
    }
  }
  // A plan names one door at least.
  return { via, error: new AppError('internal', 'a call was planned without a door') };
}

async function together(
  how: 'first' | 'all',
  names: readonly DoorName[],
  invocation: Invocation,
  through: Through,
  { clock, log }: TandemOptions,
): Promise<Carried> {
  const enough = new AbortController();
  const signal = AbortSignal.any([invocation.signal, enough.signal]);
  const answers = new Map<DoorName, DoorAnswer>();
  let first: DoorName | undefined;
  const calls = names.map(async (door) => {
    const answer = await through(door, { ...invocation, signal });
    answers.set(door, answer);
    const isGood = 'result' in answer;
    if (isGood && how === 'first') first ??= door;
    // One that failed can't agree with anybody, and what the others still do would be for nothing.
    if (isGood ? how === 'first' : how === 'all') {
      enough.abort(new AppError('cancelled', 'another door has decided'));
    }
  });
  const all = Promise.all(calls);
  await Promise.race([all, settled(enough.signal, clock)]);
  const carried = { agent: invocation.agent.name, names, answers };
  const given = first === undefined ? agreed(carried, invocation.signal) : taken(carried, first);
  if (given.via.some(({ outcome }) => outcome === 'other')) {
    const fields = { agent: carried.agent, doors: names, attemptId: invocation.attemptId };
    log.warn(fields, 'doors gave different answers');
  }
  return given;
}

/** Resolves a while after the signal has aborted. */
function settled(signal: AbortSignal, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const wait = (): void => void clock.after(settleMs, resolve);
    signal.addEventListener('abort', wait, { once: true });
  });
}

interface Answers {
  readonly agent: string;
  readonly names: readonly DoorName[];
  /** Of those that have answered. */
  readonly answers: ReadonlyMap<DoorName, DoorAnswer>;
}

/** The first good answer counts; what the others said or used is told beside it. */
function taken(carried: Answers, first: DoorName): Carried {
  const answer = carried.answers.get(first);
  if (answer === undefined || !('result' in answer)) {
    return { via: [], error: new AppError('internal', `the door ${first} has not answered`) };
  }
  const { output, usage } = answer.result;
  const text = canonicalJson(output);
  const via = carried.names.map((door) => passageOf(door, carried.answers.get(door), text));
  return { via, result: { output, usage: sumOf(carried) ?? usage } };
}

/** All must have given the same. */
function agreed(carried: Answers, signal: AbortSignal): Carried {
  const { agent, names, answers } = carried;
  const failed = [...answers.values()].flatMap((answer) => ('error' in answer ? [answer] : []));
  const outputs = names.flatMap((door) => {
    const answer = answers.get(door);
    return answer !== undefined && 'result' in answer ? [answer.result.output] : [];
  });
  const texts = outputs.map(canonicalJson);
  const via = names.map((door) => passageOf(door, answers.get(door), texts[0]));
  const usage = sumOf(carried);
  const [failure] = failed.toSorted((a, b) => weightOf(a.error) - weightOf(b.error));
  if (failure !== undefined || signal.aborted) {
    const error = signal.aborted ? toAppError(signal.reason) : failure?.error;
    const facts: FailureFacts = { ...failure?.facts, ...(usage === undefined ? {} : { usage }) };
    return { via, error: new AgentFailure(error ?? unanswered(agent), facts) };
  }
  const [output] = outputs;
  if (usage === undefined || outputs.length < names.length) {
    return { via, error: unanswered(agent) };
  }
  if (texts.every((text) => text === texts[0])) return { via, result: { output, usage } };
  const message = `${agent} gave different answers through ${names.join(' and ')}`;
  const error = new AppError('agent_output_invalid', message, { details: { agent, doors: names } });
  return { via, error: new AgentFailure(error, { usage }) };
}

/** What failed by itself says more than what was stopped because of it, and what may pass is tried again. */
function weightOf({ code, retryable }: AppError): number {
  if (code === 'cancelled') return 2;
  return retryable ? 0 : 1;
}

function unanswered(agent: string): AppError {
  return new AppError('agent_failed', `${agent} did not answer through every door`);
}

function passageOf(
  door: DoorName,
  answer: DoorAnswer | undefined,
  counted: string | undefined,
): Passage {
  if (answer === undefined) return { door, outcome: 'cancelled' };
  if ('result' in answer) {
    const isSame = canonicalJson(answer.result.output) === counted;
    return { door, outcome: isSame ? 'taken' : 'other' };
  }
  const { code } = answer.error;
  return code === 'cancelled' ? { door, outcome: 'cancelled' } : { door, outcome: 'failed', code };
}

/** What all of them used together; undefined where none has said it. */
function sumOf({ answers }: Answers): Usage | undefined {
  const usages = [...answers.values()].flatMap((answer) => {
    const usage = 'result' in answer ? answer.result.usage : answer.facts?.usage;
    return usage === undefined ? [] : [usage];
  });
  if (usages.length === 0) return undefined;
  const fields = new Set(usages.flatMap((usage) => Object.keys(usage) as (keyof Usage)[]));
  const totals = [...fields].map((field) => [
    field,
    usages.reduce((sum, usage) => sum + (usage[field] ?? 0), 0),
  ]);
  return { wallMs: 0, ...Object.fromEntries(totals) } as Usage;
}

function bytesOf(input: unknown): number {
  return Buffer.byteLength(JSON.stringify(input ?? null));
}
