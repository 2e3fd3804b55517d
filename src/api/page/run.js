import { chip, duration, errorNotice, h, moment, plural, span, tone } from './dom.js';
import { fact, isReport, report } from './report.js';

const endings = new Set(['completed', 'failed', 'cancelled']);
const listedNeeds = 4;

export function hasEnded({ status }) {
  return endings.has(status);
}

/** One run: what it came to, its tasks in the order in which they can start, its events. */
export function runView(run, events, busy) {
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
    isReport(run.output) && report(run.output),
    h('h2', {}, 'Tasks ', h('span', { class: 'muted small' }, taskCounts(run.tasks))),
    h('ol', { class: 'panel tasks' }, taskRows(run)),
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
    fact('Priority', String(run.priority)),
    fact('Run', h('code', {}, run.id)),
  );
}

export function taskCounts(tasks) {
  return Object.entries(tasks)
    .filter(([, count]) => count > 0)
    .map(([status, count]) => `${count} ${status}`)
    .join(', ');
}

/** How many tasks stand between each task and the start: the length of its longest chain. */
function depths(tasks) {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const known = new Map();
  const depth = (id) => {
    if (known.has(id)) return known.get(id);
    known.set(id, 0);
    const task = byId.get(id);
    const before = task === undefined ? [] : [...task.needs, ...task.after];
    const own = before.length === 0 ? 0 : 1 + Math.max(...before.map(depth));
    known.set(id, own);
    return own;
  };
  return new Map(tasks.map(({ id }) => [id, depth(id)]));
}

function taskRows(run) {
  const depthOf = depths(run.taskList);
  const tasks = run.taskList.toSorted((a, b) => depthOf.get(a.id) - depthOf.get(b.id));
  const starts = tasks.flatMap(({ startedAt }) =>
    startedAt === undefined ? [] : [Date.parse(startedAt)],
  );
  const origin = Math.min(...starts);
  const end = run.finishedAt === undefined ? Date.now() : Date.parse(run.finishedAt);
  const steps = new Set(depthOf.values()).size;
  return tasks.flatMap((task, index) => {
    const depth = depthOf.get(task.id);
    const begins = index === 0 || depthOf.get(tasks[index - 1].id) !== depth;
    const row = taskRow(task, origin, Math.max(1, end - origin));
    // Where each step is one task, the order says it all.
    if (!begins || steps < 2 || steps === tasks.length) return [row];
    const label = depth === 0 ? 'At once' : `After step ${depth}`;
    return [
      h('li', { class: 'step', 'data-key': `step-${depth}` }, `Step ${depth + 1} · ${label}`),
      row,
    ];
  });
}

function taskRow(task, origin, scaleMs) {
  const took = task.usage?.wallMs ?? span(task.startedAt, task.finishedAt);
  return h(
    'li',
    { 'data-key': task.id },
    h(
      'div',
      {},
      h(
        'span',
        { class: 'name' },
        task.id,
        task.agent !== task.id && h('span', { class: 'muted small' }, ` ${task.agent}`),
      ),
      task.description && h('div', { class: 'small muted' }, task.description),
    ),
    h('div', {}, chip(task.status)),
    timeBar(task, origin, scaleMs),
    h(
      'div',
      { class: 'number small' },
      took === undefined ? '' : duration(took),
      task.attempts > 1 && h('div', { class: 'muted' }, plural(task.attempts, 'attempt')),
    ),
    taskNotes(task),
  );
}

function taskNotes(task) {
  const before = [
    ...task.needs.map((id) => ({ id, word: 'needs' })),
    ...task.after.map((id) => ({ id, word: 'after' })),
  ];
  const shown = before.slice(0, listedNeeds).map(({ id, word }) => `${word} ${id}`);
  const rest = before.length - shown.length;
  return [
    before.length > 0 &&
      h('div', { class: 'more' }, shown.join(', '), rest > 0 && ` and ${rest} more`),
    task.status === 'running' && task.progress && h('div', { class: 'more mono' }, task.progress),
    task.skippedBecause && h('div', { class: 'more' }, `Skipped: ${task.skippedBecause}`),
    task.error &&
      h('div', { class: 'more bad' }, h('strong', {}, task.error.code), ` ${task.error.message}`),
    task.error?.remedy && h('div', { class: 'more' }, task.error.remedy),
  ];
}

/** When the task ran, on the scale of the whole run. */
function timeBar(task, origin, scaleMs) {
  const label =
    task.startedAt === undefined
      ? 'not started'
      : `started ${new Date(task.startedAt).toLocaleTimeString()}`;
  const bar = h('svg', {
    class: 'bar',
    viewBox: '0 0 1000 6',
    preserveAspectRatio: 'none',
    role: 'img',
    'aria-label': label,
  });
  if (task.startedAt !== undefined) {
    const x = ((Date.parse(task.startedAt) - origin) / scaleMs) * 1000;
    const width = Math.max(6, ((span(task.startedAt, task.finishedAt) ?? 0) / scaleMs) * 1000);
    bar.append(
      h('rect', {
        class: `fill-${tone(task.status)}`,
        x: Math.min(x, 994).toFixed(1),
        y: 0,
        width: Math.min(width, 1000).toFixed(1),
        height: 6,
      }),
    );
  }
  return bar;
}

function eventRow({ seq, at, body }) {
  const { type, task, attempt, text, error, reason, worker } = body;
  const about = [
    task,
    attempt !== undefined && attempt > 1 && `attempt ${attempt}`,
    text,
    error && `${error.code}: ${error.message}`,
    reason,
    worker,
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
