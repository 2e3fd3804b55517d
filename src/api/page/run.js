import { chip, duration, errorNotice, h, moment, span } from './dom.js';
import { fact, isReport, report } from './report.js';
import { questionList } from './run-questions.js';
import { taskRows } from './run-tasks.js';

const endings = new Set(['completed', 'failed', 'cancelled']);

export function hasEnded({ status }) {
  return endings.has(status);
}

/** One run: what it came to, its tasks in the order in which they can start, its events. */
export function runView(run, events, page) {
  const busy = page.ui.busy !== undefined;
  return h(
    'div',
    {},
    h('p', { class: 'small' }, h('a', { href: '#/runs' }, '← Runs')),
    h(
      'div',
      { class: 'head' },
      h('h1', {}, run.workflow),
      chip(run.status),
      h('div', { class: 'buttons' }, runButtons(run, busy)),
    ),
    runFacts(run),
    run.error && errorNotice(run.error),
    questionList(run, busy),
    isReport(run.output) && report(run.output),
    h('h2', {}, 'Tasks ', h('span', { class: 'muted small' }, taskCounts(run.tasks))),
    h('ol', { class: 'panel tasks' }, taskRows(run, page)),
    h(
      'section',
      {},
      run.output !== undefined && unfold('Output', h('pre', {}, pretty(run.output))),
      unfold('Input', h('pre', {}, pretty(run.input))),
      unfold(
        `Events (${run.lastSeq})`,
        h(
          'ol',
          { class: 'panel events', tabindex: 0, 'aria-label': 'Events, newest first' },
          events.map(eventRow),
        ),
        run.lastSeq > events.length &&
          h(
            'p',
            { class: 'small muted' },
            `The last ${events.length} are shown. All: `,
            h('code', {}, `centuria run events ${run.id}`),
          ),
      ),
    ),
  );
}

function unfold(title, ...children) {
  return h('details', { 'data-key': title.split(' ')[0] }, h('summary', {}, title), children);
}

function runButtons(run, busy) {
  const ended = hasEnded(run);
  const complete = run.status === 'completed';
  return [
    h(
      'button',
      {
        type: 'button',
        'data-action': 'retry',
        'data-id': run.id,
        disabled: busy || !ended || complete,
        title: complete
          ? 'Every task completed'
          : ended
            ? 'Tries again what did not complete'
            : 'The run has not ended yet',
      },
      'Retry',
    ),
    h(
      'button',
      {
        type: 'button',
        class: 'danger',
        'data-action': 'cancel',
        'data-id': run.id,
        disabled: busy || ended,
        title: ended ? 'The run has ended' : 'Stops the run and its attempts',
      },
      'Cancel run',
    ),
  ];
}

function runFacts(run) {
  const total = span(run.startedAt ?? run.createdAt, run.finishedAt);
  return h(
    'dl',
    { class: 'facts' },
    fact('Started', moment(run.startedAt ?? run.createdAt)),
    fact(hasEnded(run) ? 'Took' : 'For', total === undefined ? '–' : duration(total)),
    run.overheadMs !== undefined && fact('Overhead', duration(run.overheadMs)),
    fact('Mode', run.mode),
    run.startedBy !== undefined && fact('Started by', run.startedBy),
    fact('Cost', costOf(run)),
    run.undo !== undefined && fact('Undo', run.undo),
    fact('Priority', String(run.priority)),
    fact('Run', h('code', {}, run.id)),
  );
}

/** What all attempts have used, against the limit where there is one. */
function costOf({ spent, budget = {} }) {
  const parts = [
    (spent.microUsd || budget.microUsd) &&
      `${dollars(spent.microUsd)}${outOf(budget.microUsd && dollars(budget.microUsd))}`,
    (spent.tokens || budget.tokens) && `${spent.tokens ?? 0}${outOf(budget.tokens)} tokens`,
    `${duration(spent.wallMs)}${outOf(budget.ms && duration(budget.ms))}`,
  ];
  return parts.filter(Boolean).join(', ');
}

function outOf(limit) {
  return limit === undefined ? '' : ` of ${limit}`;
}

function dollars(microUsd = 0) {
  return `$${(microUsd / 1e6).toFixed(microUsd > 0 && microUsd < 10_000 ? 4 : 2)}`;
}

export function taskCounts(tasks) {
  return Object.entries(tasks)
    .filter(([, count]) => count > 0)
    .map(([status, count]) => `${count} ${status}`)
    .join(', ');
}

function eventRow({ seq, at, body }) {
  const { type, task, attempt, text, error, reason, worker, question, answer, name } = body;
  const about = [
    task,
    attempt !== undefined && attempt > 1 && `attempt ${attempt}`,
    text,
    error && `${error.code}: ${error.message}`,
    reason,
    worker,
    question?.prompt,
    answer && `${answer.decision}${answer.by === undefined ? '' : ` by ${answer.by}`}`,
    name,
  ];
  return h(
    'li',
    { 'data-key': seq },
    h('span', { class: 'mono' }, String(seq)),
    h('span', { class: 'muted wide' }, new Date(at).toLocaleTimeString()),
    h('span', { class: 'what' }, type),
    h('span', { class: 'about' }, about.filter(Boolean).join(' · ')),
  );
}

function pretty(value) {
  const text = JSON.stringify(value, undefined, 2) ?? '';
  const most = 100_000;
  return text.length <= most
    ? text
    : `${text.slice(0, most)}\n… ${text.length - most} characters more`;
}
