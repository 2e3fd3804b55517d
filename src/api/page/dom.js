const svgTags = new Set(['svg', 'rect', 'path']);

/** An element. Properties are attributes; false and undefined leave them out. Text is never parsed as HTML. */
export function h(tag, attributes = {}, ...children) {
  const element = svgTags.has(tag)
    ? document.createElementNS('http://www.w3.org/2000/svg', tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== undefined) element.setAttribute(name, String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== undefined && child !== null && child !== false) element.append(child);
  }
  return element;
}

/**
 * Makes the children of `present` like those of `wanted`, changing only what differs: focus, the
 * place in a scrolled list and what is unfolded outlive an update.
 */
export function morph(present, wanted) {
  const next = [...wanted.childNodes];
  const old = [...present.childNodes];
  for (const [index, node] of next.entries()) {
    const there = old[index];
    if (there === undefined) present.append(node);
    else if (!alike(there, node)) there.replaceWith(node);
    else if (node.nodeType === Node.TEXT_NODE) {
      if (there.data !== node.data) there.data = node.data;
    } else {
      morphAttributes(there, node);
      morph(there, node);
    }
  }
  for (const extra of old.slice(next.length)) extra.remove();
}

function alike(a, b) {
  if (a.nodeType !== b.nodeType || a.nodeName !== b.nodeName) return false;
  return a.nodeType === Node.TEXT_NODE || a.dataset.key === b.dataset.key;
}

function morphAttributes(present, wanted) {
  for (const { name, value } of wanted.attributes) {
    if (present.getAttribute(name) !== value) present.setAttribute(name, value);
  }
  for (const { name } of Array.from(present.attributes)) {
    // The reader unfolded it; the next update must not fold it again.
    if (!wanted.hasAttribute(name) && name !== 'open') present.removeAttribute(name);
  }
}

/** How much of the time is useful: `420 ms`, `4.2 s`, `3 min 12 s`, `2 h 5 min`. */
export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export function age(iso) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 1000));
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(iso).toLocaleDateString(undefined, { dateStyle: 'medium' });
}

/** A moment, with its exact time for who asks. */
export function moment(iso) {
  return h('time', { datetime: iso, title: new Date(iso).toLocaleString() }, age(iso));
}

/** A moment that may be still to come: `in 3 h 20 min`. */
export function due(iso) {
  const ms = Date.parse(iso) - Date.now();
  if (ms <= 0) return moment(iso);
  const text =
    ms < 86_400_000
      ? `in ${duration(ms)}`
      : new Date(iso).toLocaleDateString(undefined, { dateStyle: 'medium' });
  return h('time', { datetime: iso, title: new Date(iso).toLocaleString() }, text);
}

/** From start to end, or to now while it goes on. */
export function span(startedAt, finishedAt) {
  if (startedAt === undefined) return undefined;
  const end = finishedAt === undefined ? Date.now() : Date.parse(finishedAt);
  return end - Date.parse(startedAt);
}

const tones = {
  completed: 'good',
  active: 'good',
  running: 'busy',
  recovering: 'busy',
  failed: 'bad',
  critical: 'bad',
  high: 'bad',
  waiting: 'wait',
  queued: 'wait',
  paused: 'wait',
  degraded: 'wait',
  unavailable: 'wait',
  medium: 'wait',
  low: 'busy',
  on: 'good',
  locked: 'bad',
};

export function tone(word) {
  return tones[word] ?? 'idle';
}

export function chip(word) {
  const beat = word === 'running' || word === 'recovering' ? ' beating' : '';
  return h('span', { class: `chip ${tone(word)}${beat}` }, String(word).replaceAll('_', ' '));
}

export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

/** A whole-page message: loading, empty, denied, failed. */
export function message(title, text, command) {
  return h(
    'div',
    { class: 'panel message' },
    h('h1', {}, title),
    text && h('p', {}, text),
    command && h('pre', {}, command),
  );
}

/** A table that scrolls by itself where it is wider than the page. */
export function table(label, columns, rows) {
  return h(
    'div',
    { class: 'panel table', tabindex: 0, role: 'region', 'aria-label': label },
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          columns.map((column) => h('th', { scope: 'col', class: column.class }, column.name)),
        ),
      ),
      h('tbody', {}, rows),
    ),
  );
}

/** What went wrong, and what to do about it. */
export function errorNotice(error) {
  return h(
    'div',
    { class: 'notice bad', role: 'alert' },
    h('strong', {}, error.code),
    ' ',
    error.message,
    error.remedy && h('p', {}, error.remedy),
  );
}
