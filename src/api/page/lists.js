import { chip, duration, h, message, moment, plural, span, table, tone } from './dom.js';
import { hasEnded, taskCounts } from './run.js';

export function runsView({ items, nextCursor }, workflows) {
  if (items.length === 0) {
    const known = workflows.find(({ name }) => name === 'repo-review') ?? workflows[0];
    return message(
      'No run yet',
      known === undefined
        ? 'No workflow is loaded. Put a YAML file into workflows/ first.'
        : `Start the first one in a terminal: ${known.description}`,
      known === undefined ? 'centuria doctor' : `centuria run start ${known.name}`,
    );
  }
  return h(
    'div',
    {},
    h(
      'div',
      { class: 'head' },
      h('h1', {}, 'Runs'),
      h(
        'span',
        { class: 'muted small' },
        nextCursor === undefined ? plural(items.length, 'run') : `the newest ${items.length}`,
      ),
    ),
    table(
      'Runs',
      [
        { name: 'Workflow' },
        { name: 'Status' },
        { name: 'Tasks', class: 'wide' },
        { name: 'Duration', class: 'number wide' },
        { name: 'Started', class: 'number' },
      ],
      items.map(runRow),
    ),
  );
}

function runRow(run) {
  const took = span(run.startedAt ?? (hasEnded(run) ? run.createdAt : undefined), run.finishedAt);
  return h(
    'tr',
    { 'data-key': run.id },
    h(
      'td',
      {},
      h('a', { class: 'title', href: `#/runs/${run.id}` }, run.workflow),
      h('div', { class: 'small muted mono' }, run.id.slice(-12)),
    ),
    h(
      'td',
      {},
      chip(run.status),
      run.error && h('div', { class: 'small muted' }, run.error.message),
    ),
    h(
      'td',
      { class: 'wide' },
      taskBar(run.tasks),
      h('div', { class: 'small muted' }, taskCounts(run.tasks)),
    ),
    h('td', { class: 'number wide' }, took === undefined ? '–' : duration(took)),
    h('td', { class: 'number' }, moment(run.createdAt)),
  );
}

const barOrder = ['completed', 'failed', 'cancelled', 'skipped', 'running'];

function taskBar(tasks) {
  const total = Object.values(tasks).reduce((sum, count) => sum + count, 0);
  const bar = h('svg', {
    class: 'bar',
    viewBox: '0 0 1000 6',
    preserveAspectRatio: 'none',
    role: 'img',
    'aria-label': taskCounts(tasks),
  });
  let x = 0;
  for (const status of barOrder) {
    const width = total === 0 ? 0 : ((tasks[status] ?? 0) / total) * 1000;
    if (width > 0)
      bar.append(
        h('rect', {
          class: `fill-${tone(status)}`,
          x: x.toFixed(1),
          y: 0,
          width: width.toFixed(1),
          height: 6,
        }),
      );
    x += width;
  }
  return bar;
}

export function agentsView({ items }, problems) {
  if (items.length === 0) {
    return message(
      'No agent is loaded',
      'Put a markdown definition into a folder of agents.',
      'centuria agent lint',
    );
  }
  // What can not work comes first: it is what a reader looks for.
  const rank = { failed: 0, unavailable: 1, degraded: 2, initializing: 3 };
  const sorted = items.toSorted(
    (a, b) =>
      (rank[a.status.state] ?? 9) - (rank[b.status.state] ?? 9) || a.name.localeCompare(b.name),
  );
  const active = items.filter(({ status }) => status.state === 'active').length;
  return h(
    'div',
    {},
    h(
      'div',
      { class: 'head' },
      h('h1', {}, 'Agents'),
      h('span', { class: 'muted small' }, `${active} of ${items.length} active`),
    ),
    problems.items.length > 0 &&
      h(
        'div',
        { class: 'notice bad' },
        h('strong', {}, plural(problems.count, 'complaint')),
        ' about definition files',
        problems.items
          .slice(0, 5)
          .map((one) =>
            h(
              'p',
              { class: 'small' },
              h('code', {}, `${one.file}:${one.line}`),
              ` ${one.message}`,
              one.suggestion && ` — ${one.suggestion}`,
            ),
          ),
      ),
    table(
      'Agents',
      [
        { name: 'Agent' },
        { name: 'State' },
        { name: 'Category', class: 'wide' },
        { name: 'Runtime', class: 'wide' },
      ],
      sorted.map(agentRow),
    ),
  );
}

function agentRow({ name, description, category, runtime, status }) {
  return h(
    'tr',
    { 'data-key': name },
    h('td', {}, h('strong', {}, name), h('div', { class: 'small muted' }, description)),
    h(
      'td',
      {},
      chip(status.state),
      status.reason && h('div', { class: 'small' }, status.reason),
      status.lastError &&
        h('div', { class: 'small muted' }, `last error: ${status.lastError.message}`),
    ),
    h('td', { class: 'wide small' }, category),
    h('td', { class: 'wide small mono' }, runtime ?? 'none'),
  );
}
