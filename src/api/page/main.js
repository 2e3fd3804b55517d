import { errorNotice, h, message, morph } from './dom.js';
import { agentsView, runsView } from './lists.js';
import { hasEnded, runView } from './run.js';
import { ask, follow } from './server.js';

const content = document.querySelector('#content');
const pill = document.querySelector('#pill');
const announce = document.querySelector('#announce');

const listEveryMs = 2000;
const redrawEveryMs = 250;
const shownEvents = 200;

const state = {
  paused: false,
  busy: false,
  notice: undefined,
  contactAt: Date.now(),
  stale: false,
  isDenied: false,
};
let view = new AbortController();
let draw = () => {};

function show(node) {
  const wanted = h('main', {}, state.notice && errorNotice(state.notice), node);
  morph(content, wanted);
}

function contact(ok) {
  state.stale = !ok;
  if (ok) state.contactAt = Date.now();
  showPill();
}

function showPill() {
  pill.hidden = state.isDenied;
  const name = state.paused || document.hidden ? 'paused' : state.stale ? 'stale' : 'live';
  const seconds = Math.round((Date.now() - state.contactAt) / 1000);
  pill.dataset.state = name;
  pill.textContent = name === 'stale' ? `stale for ${seconds} s` : name;
  pill.title = state.paused ? 'Click to go on' : 'Click to pause';
  pill.setAttribute('aria-label', `Updates: ${pill.textContent}. ${pill.title}`);
}

/** Waits; goes on at once when the view changes. */
function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function resting() {
  return state.paused || document.hidden;
}

/** Repeats `step` while its view is shown; a failure shows what went wrong and tries again. */
async function repeat(step, signal) {
  let first = true;
  while (!signal.aborted) {
    try {
      if (!resting() || first) {
        await step(signal);
        contact(true);
      }
    } catch (error) {
      if (signal.aborted) return;
      contact(false);
      if (error.status === 401) return denied();
      // What was shown before stays: stale facts beat none, and the pill says that they are stale.
      if (first || error.status === 404) show(h('div', {}, errorNotice(error)));
      if (error.status === 404) return;
    }
    first = false;
    await sleep(listEveryMs, signal);
  }
}

function denied() {
  state.isDenied = true;
  showPill();
  show(
    message(
      'This browser is not let in',
      'Sessions end after twelve hours and when the server restarts. This prints a link that opens another one:',
      'centuria open',
    ),
  );
}

async function runsStep(signal) {
  const runs = await ask('runs?limit=100', { signal });
  const workflows = runs.items.length === 0 ? (await ask('workflows', { signal })).items : [];
  draw = () => show(runsView(runs, workflows));
  draw();
}

async function agentsStep(signal) {
  const [agents, problems] = await Promise.all([
    ask('agents', { signal }),
    ask('agents/problems', { signal }),
  ]);
  draw = () => show(agentsView(agents, problems));
  draw();
}

/** Shows one run; while it goes on, each of its events brings a fresh look at it. */
function runStep(id) {
  const events = [];
  let last = 0;
  let ending;
  const refresh = async (signal) => {
    const run = await ask(`runs/${id}`, { signal });
    draw = () => show(runView(run, events, state.busy));
    draw();
    const now = `${run.workflow} ${run.status}`;
    if (ending !== undefined && ending !== now) announce.textContent = now;
    ending = now;
    return run;
  };
  return async (signal) => {
    const run = await refresh(signal);
    const start = Math.max(last, run.lastSeq - shownEvents);
    if (hasEnded(run)) {
      if (run.lastSeq > last) {
        const page = await ask(`runs/${id}/events?after=${start}&limit=${shownEvents}`, { signal });
        keep(page.items);
        draw();
      }
      return;
    }
    const stop = new AbortController();
    const onLeave = () => stop.abort();
    signal.addEventListener('abort', onLeave);
    const tick = setInterval(() => {
      if (resting()) stop.abort();
      else if (changed) {
        changed = false;
        refresh(stop.signal).then(
          () => contact(true),
          () => contact(false),
        );
      } else draw();
    }, redrawEveryMs);
    let changed = false;
    try {
      await follow(
        id,
        start,
        (event) => {
          keep([event]);
          changed = true;
        },
        stop.signal,
      );
      await refresh(signal);
    } catch (error) {
      if (!stop.signal.aborted || signal.aborted) throw error;
    } finally {
      clearInterval(tick);
      stop.abort();
      signal.removeEventListener('abort', onLeave);
    }
  };

  function keep(items) {
    for (const event of items) {
      if (event.seq <= last) continue;
      last = event.seq;
      events.unshift(event);
    }
    events.length = Math.min(events.length, shownEvents);
  }
}

function route(isSameView = false) {
  view.abort();
  view = new AbortController();
  state.notice = undefined;
  state.isDenied = location.pathname === '/login';
  showPill();
  if (location.pathname === '/login') {
    return show(
      message(
        'This link does not work any more',
        'It was used already, or is older than five minutes. This prints another one:',
        'centuria open',
      ),
    );
  }
  const [name = 'runs', id] = location.hash.slice(1).split('/').filter(Boolean);
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.view === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = id === undefined ? `Centuria: ${name}` : 'Centuria: run';
  // What is unfolded and where one had scrolled to outlive a fresh start of the same view.
  if (!isSameView) show(h('p', { class: 'muted' }, 'Loading …'));
  if (name === 'agents') return repeat(agentsStep, view.signal);
  if (name === 'runs' && id !== undefined)
    return repeat(runStep(encodeURIComponent(id)), view.signal);
  if (name === 'runs') return repeat(runsStep, view.signal);
  return show(message('There is no such view', 'The address names none.', '#/runs'));
}

const questions = {
  cancel: {
    title: 'Cancel this run?',
    text: 'Attempts under way are stopped. What completed is kept, and the run can be retried.',
    yes: 'Cancel run',
  },
  retry: {
    title: 'Retry this run?',
    text: 'Tasks that failed, were cancelled or skipped are tried again. What completed is kept.',
    yes: 'Retry',
  },
};

function confirmed({ title, text, yes }) {
  const dialog = document.querySelector('#confirm');
  document.querySelector('#confirm-title').textContent = title;
  document.querySelector('#confirm-text').textContent = text;
  document.querySelector('#confirm-yes').textContent = yes;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

async function change(action, id) {
  if (!(await confirmed(questions[action]))) return;
  state.busy = true;
  state.notice = undefined;
  draw();
  try {
    await ask(`runs/${id}/${action}`, {
      method: 'POST',
      body: action === 'cancel' ? { reason: 'asked for in the browser' } : undefined,
    });
    announce.textContent = action === 'cancel' ? 'Cancellation asked for' : 'Retry asked for';
    state.busy = false;
    route(true);
  } catch (error) {
    state.busy = false;
    state.notice = error;
    draw();
  }
}

document.addEventListener('click', (click) => {
  const button = click.target.closest('[data-action]');
  if (button === null) return;
  if (button.dataset.action === 'pause') {
    state.paused = !state.paused;
    showPill();
    if (!state.paused) route(true);
  } else {
    void change(button.dataset.action, button.dataset.id);
  }
});
document.addEventListener('visibilitychange', showPill);
window.addEventListener('hashchange', () => {
  route();
  content.focus({ preventScroll: true });
});
setInterval(showPill, 1000);
route();
