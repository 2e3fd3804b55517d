import type { Answer } from './events.ts';
import type { RunState } from './state.ts';

/** What is wrong with an answer to a run's question, or undefined. */
export function answerProblem(
  state: RunState,
  question: string,
  answer: Answer,
): string | undefined {
  const open = state.questions.get(question);
  if (open === undefined) return `the run asks no question ${question}`;
  if (open.answer !== undefined) return `${question} was answered already`;
  const { kind, choices = [], lacking = {} } = open.question;
  if (answer.decision === 'reject') return undefined;
  if (kind === 'tie') {
    const { choice } = answer;
    if (choice === undefined)
      return `choose one of the ${choices.length} answers, 0 to ${choices.length - 1}`;
    if (choices[choice] === undefined)
      return `there is no answer ${choice}; they go from 0 to ${choices.length - 1}`;
  }
  if (kind === 'budget') {
    const short = (['microUsd', 'tokens', 'ms'] as const).find(
      (what) => (lacking[what] ?? 0) > (answer.add?.[what] ?? 0),
    );
    if (short !== undefined) return `at least ${lacking[short]} ${short} must be added`;
  }
  return undefined;
}
