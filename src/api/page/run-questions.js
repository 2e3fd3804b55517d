import { duration, h } from './dom.js';

const shownChoices = 20;

/** What a run asks people, with a button for each answer. */
export function questionList(run, busy) {
  if (run.questions.length === 0) return undefined;
  return h(
    'section',
    { 'aria-label': 'Questions' },
    run.questions.map((question) =>
      h(
        'div',
        { class: 'notice', 'data-key': question.id },
        h('strong', {}, question.task || 'The run'),
        ` asks: ${question.prompt}`,
        h('div', { class: 'buttons' }, answersOf(question, run.id, busy)),
      ),
    ),
  );
}

function answersOf({ id, kind, choices = [], lacking }, run, disabled) {
  const button = (action, text, more = {}) =>
    h(
      'button',
      {
        type: 'button',
        class: action === 'reject' && 'danger',
        'data-action': action,
        'data-id': run,
        'data-question': id,
        disabled,
        ...more,
      },
      text,
    );
  const no = button('reject', kind === 'tie' ? 'None of them' : 'Reject');
  if (kind === 'tie') {
    const shown = choices.slice(0, shownChoices);
    return [
      shown.map((choice, index) =>
        button('approve', JSON.stringify(choice).slice(0, 80), { 'data-choice': index }),
      ),
      no,
    ];
  }
  if (kind !== 'budget') return [button('approve', 'Approve'), no];
  return [
    button('approve', `Add ${amountOf(lacking)}`, { 'data-add': JSON.stringify(lacking ?? {}) }),
    no,
  ];
}

function amountOf({ microUsd, tokens, ms } = {}) {
  const parts = [
    microUsd !== undefined && `$${(microUsd / 1e6).toFixed(2)}`,
    tokens !== undefined && `${tokens} tokens`,
    ms !== undefined && duration(ms),
  ].filter(Boolean);
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}
