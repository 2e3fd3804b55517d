/** What stands before every call of an agent: the breakers of all that it needs, and the budgets that its runs share. */
import type { AgentDefinition } from '../agents/agents.ts';
import { AppError, errorRecord, type ErrorRecord } from '../base/base.ts';
import { breakerError, breakerKey, breakerOutcome, type Breakers } from './breakers.ts';
import { budgetError, type Budgets } from './budgets.ts';
import type { Usage } from './events.ts';

/** Asked before every call: breakers and budgets that runs share. */
export interface CallGate {
  /** Undefined when the call may begin; else why not, and when to ask again, where time helps. */
  ask(call: Call): Promise<Refusal | undefined>;
  /** Why a call of the agent would surely be refused now, from memory; takes nothing. */
  peek(agent: AgentDefinition): Refusal | undefined;
  /** Called once for each call that was let in. `last`: no further attempt of the task follows. */
  done(call: Call, end: CallEnd): Promise<void>;
  /** Gives back what was set aside for attempts whose worker died. */
  forget(attemptIds: readonly string[]): Promise<void>;
  /** Throws `budget_not_found`. */
  check(budgets: readonly string[]): Promise<void>;
}

export interface Call {
  readonly attemptId: string;
  readonly runId: string;
  readonly agent: AgentDefinition;
  readonly budgets: readonly string[];
  /** Whether a budget that is used up ends the task, or makes it wait. */
  readonly onBudget: 'ask' | 'fail';
  readonly nowMs: number;
  readonly estimate: { readonly microUsd?: number; readonly tokens?: number; readonly ms: number };
}

export interface CallEnd {
  readonly error?: ErrorRecord;
  readonly cancelled: boolean;
  readonly last: boolean;
  readonly usage: Usage | undefined;
}

/** `retryAt`: when to ask again, where time helps. */
export interface Refusal {
  readonly error: ErrorRecord;
  readonly retryAt?: Date;
}

export interface CallGateOptions {
  readonly breakers: Breakers;
  readonly budgets: Budgets;
}

/** What is set aside is kept a little longer than a call may take: its end has to be written, too. */
const settlingMs = 60_000;
/** A shared budget that only a person can raise is asked again so often: a run waits for it, it does not fail. */
const askAgainMs = 10_000;

/** Lets a call in when all breakers and budgets do, and tells them when it has ended. */
export function createCallGate({ breakers, budgets }: CallGateOptions): CallGate {
  async function refusedByBudget(call: Call): Promise<Refusal | undefined> {
    if (call.budgets.length === 0) return undefined;
    const answer = await budgets.reserve({
      names: call.budgets,
      attemptId: call.attemptId,
      runId: call.runId,
      agent: call.agent.name,
      estimate: { ...costsOf(call.agent), ...call.estimate },
      expiresInMs: call.estimate.ms + settlingMs,
    });
    if (answer.reserved) return undefined;
    const error = errorRecord(budgetError(answer));
    if (call.onBudget === 'fail') return { error };
    return { error, retryAt: answer.retryAt ?? new Date(call.nowMs + askAgainMs) };
  }

  return {
    async ask(call) {
      const keys = breakersOf(call.agent);
      const admission = await breakers.admit(keys, call.attemptId);
      if (!admission.admitted) {
        return { error: errorRecord(breakerError(admission)), retryAt: admission.until };
      }
      let isIn = false;
      try {
        const refusal = await refusedByBudget(call);
        isIn = refusal === undefined;
        return refusal;
      } finally {
        // A call that does not begin must not keep its place in a half-open breaker.
        if (!isIn) await breakers.record(keys, call.attemptId, 'none');
      }
    },
    peek(agent) {
      const refused = breakers.refusing(breakersOf(agent));
      return refused && { error: errorRecord(breakerError(refused)), retryAt: refused.until };
    },
    async done(call: Call, { error, cancelled, last, usage }: CallEnd) {
      // Retries are within: only the last attempt's end counts, and the others give their place back.
      const outcome = cancelled || !last ? 'none' : breakerOutcome(error);
      await breakers.record(breakersOf(call.agent), call.attemptId, outcome, error?.code);
      if (call.budgets.length === 0) return;
      const { wallMs, tokens, microUsd } = usage ?? {};
      await budgets.settle(call.attemptId, {
        ...costsOf(call.agent),
        ...(wallMs === undefined ? {} : { ms: Math.round(wallMs) }),
        ...(tokens === undefined ? {} : { tokens }),
        ...(microUsd === undefined ? {} : { microUsd }),
      });
    },
    async forget(attemptIds) {
      await budgets.release(attemptIds);
    },
    async check(names) {
      await budgets.assertKnown(names);
    },
  };
}

/** An agent, and the model that its runtime names: what fails for one agent fails for all who need it. */
function breakersOf({ name, runtime }: AgentDefinition): string[] {
  const keys = [breakerKey('agent', name)];
  const model = runtime?.['model'];
  if (typeof model === 'string') keys.push(breakerKey('model', model));
  return keys;
}

/** A program of this machine costs no money and no tokens; of other runtimes what they do not say is unknown. */
function costsOf({ runtime }: AgentDefinition): { microUsd?: number; tokens?: number } {
  return runtime?.kind === 'command' ? { microUsd: 0, tokens: 0 } : {};
}

/** Without one, no workflow may name a budget that nobody would hold it to. */
export function assertNoBudgets(names: readonly string[]): void {
  if (names.length === 0) return;
  throw new AppError('unavailable', 'this process knows no shared budgets');
}
