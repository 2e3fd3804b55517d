/** What was asked of a run, as the events that answer it. */
import { toAppError } from '../base/base.ts';
import { answerProblem } from './answers.ts';
import type { EventBody } from './events.ts';
import type { SignalBody, SignalRow } from './queries.ts';
import { standingOn, unfinished } from './rerun.ts';
import { runEnded, type RunState } from './state.ts';

export interface Reply {
  readonly events: readonly EventBody[];
  /** They come before everything else: the run had ended and is opened again. */
  readonly now: boolean;
  /** What is wrong with a request that is no sense at all. */
  readonly problem?: string;
}

function tell(...events: EventBody[]): Reply {
  return { events, now: false };
}

/**
 * A request that does not fit the run any more is answered by nothing: it is only taken away, and so
 * is one that a hand has written and that makes no sense.
 */
export function answerTo(signal: SignalRow, state: RunState): Reply {
  try {
    return replyTo(signal, state);
  } catch (thrown) {
    return { events: [], now: false, problem: toAppError(thrown).message };
  }
}

function replyTo(signal: SignalRow, state: RunState): Reply {
  const { signal_id: signalId } = signal;
  const body = readable(signal.body);
  const by = body.by === undefined ? {} : { by: body.by };
  const hasEnded = runEnded(state.status);
  const nothing: Reply = { events: [], now: false };
  const reason = body.reason ?? 'no reason given';
  switch (signal.kind) {
    case 'cancel':
      if (hasEnded) return nothing;
      return tell({ type: 'run.cancel_requested', reason, ...by, signalId });
    case 'pause':
      if (hasEnded || state.paused) return nothing;
      return tell({ type: 'run.paused', reason, ...by, signalId });
    case 'resume':
      if (hasEnded || !state.paused) return nothing;
      return tell({ type: 'run.resumed', ...by, signalId });
    case 'signal':
      if (hasEnded || body.name === undefined) return nothing;
      return tell({
        type: 'signal.received',
        name: body.name,
        data: body.data ?? null,
        ...by,
        signalId,
      });
    case 'answer': {
      const { question, answer } = body;
      if (hasEnded || question === undefined || answer === undefined) return nothing;
      if (answerProblem(state, question, answer) !== undefined) return nothing;
      return tell({ type: 'question.answered', question, answer, signalId });
    }
    case 'retry': {
      if (!hasEnded) return nothing;
      const tasks = body.from === undefined ? unfinished(state) : standingOn(state, body.from);
      return { events: [{ type: 'run.retried', tasks, ...by, signalId }], now: true };
    }
    case 'undo': {
      if (state.undo === 'requested') return nothing;
      const undo = {
        type: 'run.undo_requested',
        force: body.force === true,
        ...by,
        signalId,
      } as const;
      if (hasEnded) return { events: [undo], now: true };
      return tell(
        { type: 'run.cancel_requested', reason: 'it is to be undone', ...by, signalId },
        undo,
      );
    }
  }
}

const texts = ['by', 'reason', 'from', 'question', 'name'] as const;

/** A request that a hand has written may hold anything: what is no text there is not there. */
function readable(body: unknown): SignalBody {
  if (typeof body !== 'object' || body === null) return {};
  const wrong = texts.filter((field) => typeof Reflect.get(body, field) !== 'string');
  return { ...body, ...Object.fromEntries(wrong.map((field) => [field, undefined])) };
}
