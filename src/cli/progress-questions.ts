/** What a run asks people, as lines, with how to answer. */
import type { Question, RunDetail } from '../coordination/coordination.ts';
import type { Colours } from './context.ts';
import { oneLine, plural, truncate } from './output.ts';
import { amountsText } from './progress-lines.ts';
import { shortId } from './run-ids.ts';

const mostQuestions = 3;
/** Below so many rows, one question must leave room for the tasks. */
const fewRows = 30;
const mostChoices = 6;
const mostPromptLines = 3;

/** The questions of a run; `keys`: somebody at the terminal can answer the first with a key. */
export function questionLines(
  run: Pick<RunDetail, 'id' | 'questions'>,
  { width, rows, colours, keys }: { width: number; rows: number; colours: Colours; keys: boolean },
): string[] {
  const { questions } = run;
  const shown = questions.slice(0, rows < fewRows ? 1 : mostQuestions);
  const rest = questions.length - shown.length;
  return [
    ...shown.flatMap((question, index) => {
      const about = question.task === '' ? '' : `${question.task}: `;
      const [first = '', ...more] = wrap(`${about}${oneLine(question.prompt)}`, width - 2);
      const choices = (question.choices ?? []).slice(0, mostChoices).map((choice, number) => {
        const text = `    ${number}  ${oneLine(JSON.stringify(choice) ?? 'nothing')}`;
        return truncate(text, width);
      });
      return [
        `${colours.yellow('?')} ${colours.bold(first)}`,
        ...more.map((line) => `  ${colours.bold(line)}`),
        ...choices,
        ...wrap(howToAnswer(run, question, keys && index === 0), width - 4).map((line) =>
          colours.dim(`    ${line}`),
        ),
      ];
    }),
    ...(rest > 0
      ? [truncate(`  … ${plural(rest, 'question')} more: centuria run questions`, width)]
      : []),
  ];
}

function howToAnswer(
  run: Pick<RunDetail, 'id' | 'questions'>,
  question: Question,
  keys: boolean,
): string {
  return keys
    ? `${keysOf(question)} · ${answerCommand(run, question)}`
    : answerCommand(run, question);
}

function keysOf({ kind, choices = [], lacking }: Question): string {
  if (kind === 'tie') {
    const last = Math.min(choices.length, mostChoices) - 1;
    return `press 0 to ${last} to choose, n for none`;
  }
  if (kind === 'budget') return `press y to add ${amountsText(lacking ?? {})}, n to refuse`;
  return 'press y to approve, n to reject';
}

/** The command that says yes. */
export function answerCommand(
  { id, questions }: Pick<RunDetail, 'id' | 'questions'>,
  question: Question,
): string {
  const named = questions.length > 1 ? ` --question ${quoted(question.id)}` : '';
  const what =
    question.kind === 'tie'
      ? ' --choose N'
      : question.kind === 'budget'
        ? ` --add ${addText(question)}`
        : '';
  return `centuria run approve ${shortId(id)}${named}${what}`;
}

function addText({ lacking: { microUsd, tokens, ms } = {} }: Question): string {
  const parts = [
    ...(microUsd === undefined ? [] : [`usd=${microUsd / 1e6}`]),
    ...(tokens === undefined ? [] : [`tokens=${tokens}`]),
    ...(ms === undefined ? [] : [`seconds=${Math.ceil(ms / 1_000)}`]),
  ];
  return parts.length === 0 ? 'usd=1' : parts.join(',');
}

function quoted(id: string): string {
  return /^[\w./:@-]+$/.test(id) ? id : `'${id}'`;
}

/** A text in lines of at most `width` columns, broken between words. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  const kept = lines.slice(0, mostPromptLines);
  if (lines.length > kept.length) kept[kept.length - 1] += ' …';
  return kept.map((line) => truncate(line, width));
}

/** What a key answers to a question; undefined for a key that is none of its answers. */
export function answerOfKey(
  { kind, choices = [], lacking }: Question,
  key: string,
):
  | { decision: 'approve' | 'reject'; choice?: number; add?: NonNullable<Question['lacking']> }
  | undefined {
  if (key === 'n' || key === 'N') return { decision: 'reject' };
  if (kind === 'tie') {
    const choice = /^\d$/.test(key) ? Number(key) : Number.NaN;
    return choice < Math.min(choices.length, mostChoices)
      ? { decision: 'approve', choice }
      : undefined;
  }
  if (key !== 'y' && key !== 'Y') return undefined;
  return kind === 'budget' && lacking !== undefined
    ? { decision: 'approve', add: lacking }
    : { decision: 'approve' };
}
