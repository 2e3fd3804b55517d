import { chip, duration, h, plural, span, tone } from './dom.js';
import { mayRate, ratingForm } from './run-rating.js';

const listedNeeds = 4;
/** A group of more tasks than this is a line with counts, and what failed in it. */
const mostInGroup = 12;
const deepest = 4;

/** The last part of a path: what it stands in is shown by where it stands. */
function lastOf(path) {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** How many siblings stand between each task and the start: the length of its longest chain. */
function depths(tasks) {
  const byName = new Map(tasks.map((task) => [lastOf(task.id), task]));
  const known = new Map();
  const depth = (name) => {
    if (known.has(name)) return known.get(name);
    known.set(name, 0);
    const task = byName.get(name);
    const before = task === undefined ? [] : [...task.needs, ...task.after].map(lastOf);
    const own = before.length === 0 ? 0 : 1 + Math.max(...before.map(depth));
    known.set(name, own);
    return own;
  };
  return new Map(tasks.map(({ id }) => [id, depth(lastOf(id))]));
}

/** The tasks of a run in the order in which they can start, those of a group below it. */
export function taskRows(run, page) {
  const inGroup = Map.groupBy(run.taskList, ({ parent }) => parent ?? '');
  const starts = run.taskList.flatMap(({ startedAt }) =>
    startedAt === undefined ? [] : [Date.parse(startedAt)],
  );
  const origin = Math.min(...starts);
  const end = run.finishedAt === undefined ? Date.now() : Date.parse(run.finishedAt);
  const rated = mayRate(page) ? page : undefined;
  const scale = { origin, lengthMs: Math.max(1, end - origin), inGroup, rated };
  const siblings = inGroup.get('') ?? [];
  const depthOf = depths(siblings);
  const tasks = siblings.toSorted((a, b) => depthOf.get(a.id) - depthOf.get(b.id));
  const steps = new Set(depthOf.values()).size;
  return tasks.flatMap((task, index) => {
    const depth = depthOf.get(task.id);
    const begins = index === 0 || depthOf.get(tasks[index - 1].id) !== depth;
    const rows = withChildren(task, 0, scale);
    // Where each step is one task, the order says it all.
    if (!begins || steps < 2 || steps === tasks.length) return rows;
    const label = depth === 0 ? 'At once' : `After step ${depth}`;
    return [
      h('li', { class: 'step', 'data-key': `step-${depth}` }, `Step ${depth + 1} · ${label}`),
      ...rows,
    ];
  });
}

function withChildren(task, level, scale) {
  const children = scale.inGroup.get(task.id) ?? [];
  const depthOf = depths(children);
  const shown =
    children.length > mostInGroup
      ? children.filter(({ status }) => status === 'failed').slice(0, mostInGroup)
      : children.toSorted((a, b) => depthOf.get(a.id) - depthOf.get(b.id));
  return [
    taskRow(task, level, children, scale),
    ...shown.flatMap((child) => withChildren(child, Math.min(deepest, level + 1), scale)),
  ];
}

function taskRow(task, level, children, { origin, lengthMs, rated }) {
  const took = task.usage?.wallMs ?? span(task.startedAt, task.finishedAt);
  return h(
    'li',
    { 'data-key': task.id, 'data-level': level > 0 && level },
    h(
      'div',
      {},
      h(
        'span',
        { class: 'name' },
        lastOf(task.id),
        kindOf(task) && h('span', { class: 'muted small' }, ` ${kindOf(task)}`),
      ),
      task.description && h('div', { class: 'small muted' }, task.description),
    ),
    h('div', {}, chip(task.status)),
    timeBar(task, origin, lengthMs),
    h(
      'div',
      { class: 'number small' },
      took === undefined ? '' : duration(took),
      task.attempts > 1 && h('div', { class: 'muted' }, plural(task.attempts, 'attempt')),
    ),
    taskNotes(task, children),
    rated !== undefined && isRatable(task) && h('div', { class: 'more' }, ratingForm(task, rated)),
  );
}

/** What an agent gave, good or bad; the loser of a race gave nothing. */
function isRatable({ kind, status, attempts }) {
  return kind === 'agent' && attempts > 0 && (status === 'completed' || status === 'failed');
}

/** The mode of a group, the agent where it is not the task's own name. */
function kindOf({ id, kind, mode, agent }) {
  if (kind === 'group') return mode;
  if (kind !== 'agent') return kind;
  return agent === lastOf(id) ? undefined : agent;
}

function taskNotes(task, children) {
  const before = [
    ...task.needs.map((id) => ({ id, word: 'needs' })),
    ...task.after.map((id) => ({ id, word: 'after' })),
  ];
  const shown = before.slice(0, listedNeeds).map(({ id, word }) => `${word} ${id}`);
  const rest = before.length - shown.length;
  return [
    before.length > 0 &&
      h('div', { class: 'more' }, shown.join(', '), rest > 0 && ` and ${rest} more`),
    children.length > mostInGroup && h('div', { class: 'more' }, countsOf(children)),
    task.waitsFor && h('div', { class: 'more' }, `Waits for ${task.waitsFor.what}`),
    task.verdict && verdictNotes(task.verdict),
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

function countsOf(tasks) {
  const counts = Map.groupBy(tasks, ({ status }) => status);
  return [...counts].map(([status, { length }]) => `${length} ${status}`).join(', ');
}

/** How a group came to its result: the answers with their shares, the winner, what was dropped. */
function verdictNotes(verdict) {
  if (verdict.mode === 'competitive') {
    const { winner, refused } = verdict;
    const others = refused.map(({ task, reason }) => `; ${lastOf(task)} was refused: ${reason}`);
    const who = winner === undefined ? 'Nobody won' : `Won by ${lastOf(winner)}`;
    return h('div', { class: 'more' }, who, others);
  }
  if (verdict.mode === 'pipeline') {
    const { items, completed, dropped } = verdict;
    const lost = dropped.length === 0 ? '' : `, ${dropped.length} dropped`;
    return h('div', { class: 'more' }, `${completed} of ${plural(items, 'item')} through${lost}`);
  }
  return verdict.answers.map(({ output, share }, index) => {
    const backers = verdict.votes.filter(({ answer }) => answer === index);
    const names = backers.map(({ task }) => lastOf(task)).join(', ') || 'arbiter';
    const taken = index === verdict.chosen ? 'Taken' : 'Not taken';
    return h(
      'div',
      { class: 'more' },
      `${taken}: ${Math.round(share * 100)} % (${names}) `,
      h('code', {}, JSON.stringify(output).slice(0, 200)),
    );
  });
}
