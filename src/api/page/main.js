import { errorNotice, h, message, morph } from './dom.js';
import { accountPage } from './account.js';
import { principalsPage } from './access.js';
import { authorizePage, devicePage } from './consent.js';
import { eventsPage } from './events.js';
import { confirmed, copyFrom, downloadFrom, problemAt } from './forms.js';
import { principalPage } from './principal.js';
import { mayAnywhere } from './rights.js';
import { ask } from './server.js';
import { signInView } from './sign-in.js';
import { agentsPage, runPage, runsPage } from './watching.js';

const content = document.querySelector('#content');
const pill = document.querySelector('#pill');
const announcer = document.querySelector('#announce');
const listEveryMs = 2000;

const state = { paused: false, contactAt: Date.now(), stale: false, me: undefined, why: undefined };
let view = { name: '', step: async () => {} };
let leaving = new AbortController();
const nothing = () => {};
let draw = nothing;

/** What views know of the page around them. `ui` is what the reader has begun here; it ends with the view. */
const page = {
  ui: {},
  get me() {
    return state.me;
  },
  draw(drawing) {
    const isFirst = draw === nothing;
    draw = () => show(drawing());
    draw();
    if (isFirst) focusFirst();
  },
  redraw: () => draw(),
  again: () => again(),
  announce(text) {
    announcer.textContent = text;
  },
  contact,
  isResting: () => state.paused || document.hidden,
};

function show(node) {
  const wanted = h(
    'main',
    {},
    h('div', { 'data-key': 'top' }, notices()),
    h('div', { 'data-key': view.key ?? `${view.name} ${location.hash.split('?')[0]}` }, node),
  );
  morph(content, wanted);
}

/** Problems of actions that no form stands beside, and what has to be done first. */
function notices() {
  const mustChange = state.me?.principal.mustChangePassword === true && view.name !== 'account';
  const { problem } = page.ui;
  return [
    mustChange &&
      h(
        'p',
        { class: 'notice' },
        'Your password was set by somebody else. ',
        h('a', { href: '/#/account' }, 'Choose one of your own'),
        '.',
      ),
    problem !== undefined && problem.form === undefined && problemAt(problem.at, page.ui),
  ];
}

function contact(ok) {
  state.stale = !ok;
  if (ok) state.contactAt = Date.now();
  showPill();
}

function showPill() {
  pill.hidden = view.isOpen === true || view.isStill === true;
  const name = state.paused || document.hidden ? 'paused' : state.stale ? 'stale' : 'live';
  const seconds = Math.round((Date.now() - state.contactAt) / 1000);
  pill.dataset.state = name;
  pill.textContent = name === 'stale' ? `stale for ${seconds} s` : name;
  pill.title = state.paused ? 'Click to go on' : 'Click to pause';
  pill.setAttribute('aria-label', `Updates: ${pill.textContent}. ${pill.title}`);
}

/** Who is signed in, and what of the page is there for him. */
function showWho() {
  const { me } = state;
  document.querySelector('#who').hidden = me === undefined;
  document.querySelector('nav').hidden = me === undefined;
  if (me === undefined) return;
  document.querySelector('#who a').textContent = me.principal.displayName || me.principal.username;
  document.querySelector('nav [data-view=access]').hidden = !(
    mayAnywhere(me, 'users.read') || mayAnywhere(me, 'audit.read')
  );
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

/** Repeats a view's step while it is shown; a failure shows what went wrong and tries again. */
async function repeat({ step, everyMs = listEveryMs, isOpen }, signal) {
  let first = true;
  while (!signal.aborted) {
    try {
      if (!page.isResting() || first) {
        if (isOpen !== true && state.me === undefined) {
          state.me = await ask('me', { signal });
          showWho();
        }
        await step(signal, page);
        contact(true);
      }
    } catch (error) {
      if (signal.aborted) return;
      contact(false);
      if (error.status === 401) return signedOut(state.me && 'Your session has ended.');
      // What was shown before stays: stale facts beat none, and the pill says that they are stale.
      const isFinal = error.status === 404 || error.status === 403;
      if (first || isFinal) page.draw(() => h('div', {}, errorNotice(error)));
      if (isFinal) return;
    }
    first = false;
    await sleep(everyMs, signal);
  }
}

/** Shows the way in, in the place of what was asked for: the address stays. */
function signedOut(why) {
  state.me = undefined;
  start(
    signInView(why, () => {
      // A used link has nothing to go back to.
      if (location.pathname === '/login') return location.replace('/');
      page.announce('Signed in');
      return route();
    }),
  );
}

function viewAt() {
  if (location.pathname === '/device') return devicePage();
  if (location.pathname === '/authorize') return authorizePage();
  const [path, query = ''] = location.hash.slice(1).split('?');
  const [name = 'runs', id, ...more] = path.split('/').filter(Boolean);
  if (more.length > 0) return nowhere;
  if (name === 'agents' && id === undefined) return agentsPage;
  if (name === 'account' && id === undefined) return accountPage();
  if (name === 'events' && id === undefined) return eventsPage(new URLSearchParams(query));
  if (name === 'access' && id === undefined) return principalsPage(new URLSearchParams(query));
  if (name === 'access') return principalPage(decodeURIComponent(id));
  if (name === 'runs') return id === undefined ? runsPage : runPage(encodeURIComponent(id));
  return nowhere;
}

const nowhere = {
  name: '',
  title: 'no such view',
  isStill: true,
  async step(_signal, { draw: drawing }) {
    drawing(() => message('There is no such view', 'The address names none.', '#/runs'));
  },
};

function route() {
  if (location.pathname === '/login') {
    return signedOut(
      'The link was used already, or is older than five minutes. Sign in here, or print another one.',
    );
  }
  return start(viewAt());
}

function start(next) {
  view = next;
  page.ui = {};
  for (const link of document.querySelectorAll('nav a')) {
    const isHere = link.dataset.view === (next.name === 'events' ? 'access' : next.name);
    if (isHere) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `Centuria: ${next.title}`;
  showWho();
  showPill();
  draw = nothing;
  show(h('p', { class: 'muted' }, 'Loading …'));
  return again();
}

/** Looks at once again at what is shown; what is unfolded, typed and scrolled to stays. */
function again() {
  leaving.abort();
  leaving = new AbortController();
  return repeat(view, leaving.signal);
}

/** What every view understands. */
const common = {
  copy: async ({ data }) => page.announce(await copyFrom(data.from)),
  download: ({ data }) => page.announce(downloadFrom(data.from, data.file)),
  kept: () => {
    page.ui.once = undefined;
  },
  async 'sign-out'() {
    await ask('me/sessions/current', { method: 'DELETE' });
    signedOut('You are signed out.');
  },
};

async function perform(name, details) {
  const mine = view;
  const { ui } = page;
  const act = mine.actions?.[name] ?? common[name];
  if (act === undefined || ui.busy !== undefined) return;
  const question = mine.asks?.[name]?.(details);
  if (question !== undefined && !(await confirmed(question))) return;
  ui.busy = name;
  ui.problem = undefined;
  draw();
  try {
    await act({ ...details, page });
    details.form?.reset();
  } catch (error) {
    // A wrong password at a form is a 401 as well: whether the session is over, only the server knows.
    if (error.status === 401 && mine.isOpen !== true && !(await isSignedIn())) {
      return signedOut('Your session has ended.');
    }
    ui.problem = { at: name, error, form: details.form };
  } finally {
    ui.busy = undefined;
  }
  if (view !== mine) return;
  draw();
  if (ui.problem === undefined) void again();
  settleFocus(details.form, ui.problem);
}

async function isSignedIn() {
  try {
    state.me = await ask('me');
    return true;
  } catch (error) {
    return error.status !== 401;
  }
}

/** Back to what was wrong; to what is new when the place that had the focus is gone. */
function settleFocus(form, problem) {
  if (problem !== undefined && form?.isConnected)
    return form.querySelector('[data-again]')?.select();
  // A secret that is shown once must be seen, wherever on the page it was asked for.
  if (page.ui.once !== undefined) return content.querySelector('.once')?.focus();
  const { activeElement } = document;
  if (activeElement !== document.body && activeElement !== null) return undefined;
  return (content.querySelector('[autofocus]') ?? content).focus({ preventScroll: true });
}

function focusFirst() {
  const { activeElement } = document;
  if (activeElement === document.body || activeElement === content) {
    content.querySelector('[autofocus]')?.focus({ preventScroll: true });
  }
}

document.addEventListener('click', (click) => {
  const button = click.target.closest('[data-action]');
  if (button === null) return;
  if (button.dataset.action !== 'pause') {
    void perform(button.dataset.action, { data: button.dataset });
    return;
  }
  state.paused = !state.paused;
  showPill();
  if (!state.paused) void again();
});
document.addEventListener('submit', (event) => {
  const name = event.target.dataset.form;
  if (name === undefined) return;
  event.preventDefault();
  const values = new FormData(event.target);
  void perform(name, { data: Object.fromEntries(values), values, form: event.target });
});
document.addEventListener('input', (event) => view.onInput?.(event.target, page));
document.addEventListener('visibilitychange', showPill);
window.addEventListener('hashchange', () => {
  route();
  content.focus({ preventScroll: true });
});
setInterval(showPill, 1000);
route();
