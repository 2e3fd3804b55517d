import { h, plural } from './dom.js';
import { problemAt } from './forms.js';
import { mayAnywhere } from './rights.js';
import { ask } from './server.js';

const scores = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1];
/** Below so many principals ratings move no choice. */
const enoughToCount = 3;

export function mayRate({ me }) {
  return me !== undefined && mayAnywhere(me, 'learning.write');
}

/** A small form beside what an agent gave; what was taken takes its place in words. */
export function ratingForm(task, { ui }) {
  const id = `rating-${task.id}`;
  const taken = ui.rated?.get(task.id);
  return h(
    'form',
    { class: 'rating', 'data-form': 'rate', 'data-key': id, 'aria-label': `Rate ${task.id}` },
    h('input', { type: 'hidden', name: 'task', value: task.id }),
    h('label', { for: id }, 'Rating'),
    h(
      'select',
      { id, name: 'score', class: 'input', required: '' },
      h('option', { value: '' }, '1–10'),
      scores.map((score) => h('option', { value: score }, `${score}${meanings[score] ?? ''}`)),
    ),
    h('button', { type: 'submit' }, 'Rate'),
    taken !== undefined && h('span', { class: 'taken' }, takenText(taken)),
    ui.rating === task.id && problemAt('rate', ui),
  );
}

const meanings = { 10: ' excellent', 1: ' useless' };

/** Gives the rating of one task of a run. */
export async function rate(runId, { data, page }) {
  page.ui.rating = data.task;
  const taken = await ask('learning/feedback', {
    method: 'POST',
    body: { run: decodeURIComponent(runId), task: data.task, score: Number(data.score) },
  });
  page.ui.rated = new Map(page.ui.rated).set(data.task, taken);
  page.announce(takenText(taken));
}

function takenText({ agent, score, principals }) {
  const missing = enoughToCount - principals;
  const counts =
    missing > 0
      ? `It counts when ${plural(missing, 'other', 'others')} rated ${agent} too.`
      : `It counts: ${principals} have rated ${agent}.`;
  return `Taken: ${score} of 10. ${counts}`;
}
