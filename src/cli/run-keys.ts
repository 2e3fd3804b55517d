/** Answering what a run asks with single keys, beside the view of it. */
import { errorRecord } from '../base/base.ts';
import type { Client } from '../client/client.ts';
import type { RunDetail } from '../coordination/coordination.ts';
import type { CliContext } from './context.ts';
import { answerOfKey } from './progress-questions.ts';
import { canAsk } from './prompts.ts';

export interface KeyOptions {
  /** Answers questions with single keys, where somebody sits at the terminal. */
  readonly answer?: Client['answerRun'];
  /** Ctrl-C, which a terminal that is read key by key gives as a key. */
  readonly onLeave?: () => void;
}

export interface Keys {
  isOn(): boolean;
  ask(run: RunDetail): void;
  close(): void;
}

/** Ctrl-C and Ctrl-D: in raw mode they come as keys. */
const leaving = new Set(['\u0003', '\u0004']);

/**
 * Keys that answer the first question. The terminal is read key by key only while there is one, so
 * that it behaves as usual otherwise.
 */
export function readKeys(
  context: CliContext,
  options: KeyOptions,
  say: (text: string) => void,
): Keys {
  const { answer } = options;
  const input = context.stdin as NodeJS.ReadStream;
  if (answer === undefined || !canAsk(context) || typeof input.setRawMode !== 'function') {
    return { isOn: () => false, ask: () => undefined, close: () => undefined };
  }
  let asking: RunDetail | undefined;
  const answered = new Set<string>();
  const onKey = (chunk: Buffer | string): void => {
    const key = chunk.toString();
    if (leaving.has(key)) options.onLeave?.();
    const question = asking?.questions.find(({ id }) => !answered.has(id));
    const given = question === undefined ? undefined : answerOfKey(question, key);
    if (asking === undefined || question === undefined || given === undefined) return;
    // Once a question: a key that repeats must not answer twice.
    answered.add(question.id);
    answer(asking.id, { ...given, question: question.id }).catch((thrown: unknown) => {
      answered.delete(question.id);
      say(`The answer was not taken: ${errorRecord(thrown).message}`);
    });
  };
  const stop = (): void => {
    if (asking === undefined) return;
    asking = undefined;
    input.off('data', onKey);
    input.setRawMode(false);
    input.pause();
  };
  return {
    isOn: () => asking !== undefined,
    ask(run) {
      // A budget may be asked about again under the same name.
      for (const id of answered) {
        if (!run.questions.some((question) => question.id === id)) answered.delete(id);
      }
      if (run.questions.length === 0) return stop();
      if (asking === undefined) {
        input.setRawMode(true);
        input.on('data', onKey);
        input.resume();
      }
      asking = run;
    },
    close: stop,
  };
}
