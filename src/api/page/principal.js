import { chip, due, h, moment, table } from './dom.js';
import { stateOf, tabs, waysIn } from './access.js';
import { button, field, form, submit } from './forms.js';
import { fact } from './report.js';
import { device, mayAnywhere, rightsList } from './rights.js';
import { ask } from './server.js';

/** One principal: how he is, what he may do and why, and what can be done about it. */
export function principalPage(name) {
  const path = `principals/${encodeURIComponent(name)}`;
  const change = (below, method, body) => ask(`${path}${below}`, { method, body });
  return {
    name: 'access',
    title: name,
    everyMs: 10_000,
    async step(signal, page) {
      const found = await loadPrincipal(name, path, page.me, signal);
      page.draw(() => principalView(found, page));
    },
    asks: {
      disable: () => ({
        title: `Disable ${name}?`,
        text: 'Everything that it does is refused at once, and its sessions end. It can be enabled again.',
        yes: 'Disable',
      }),
      'end-all': () => ({
        title: `End all sessions of ${name}?`,
        text: 'Every browser and program that it signed in is refused at once. API keys stay.',
        yes: 'End sessions',
      }),
      'end-one': ({ data }) => ({
        title: 'End this session?',
        text: `${data.what} is refused from its next request on.`,
        yes: 'End session',
      }),
      'revoke-role': ({ data }) => ({
        title: `Take the role ${data.role} from ${name}?`,
        text: 'What it allows is refused from the next request on.',
        yes: 'Take role',
      }),
    },
    actions: {
      disable: () => change('', 'PATCH', { status: 'disabled' }),
      enable: () => change('', 'PATCH', { status: 'active' }),
      unlock: () => change('/unlock', 'POST'),
      'end-all': async ({ page }) => {
        const { ended } = await change('/sessions', 'DELETE');
        page.announce(`${ended} ended`);
      },
      'end-one': ({ data }) => ask(`sessions/${encodeURIComponent(data.id)}`, { method: 'DELETE' }),
      'grant-role': ({ data }) =>
        change(
          `/roles/${encodeURIComponent(data.role)}`,
          'PUT',
          data.until === '' ? {} : { expiresAt: new Date(data.until).toISOString() },
        ),
      'revoke-role': ({ data }) => change(`/roles/${encodeURIComponent(data.role)}`, 'DELETE'),
    },
  };
}

async function loadPrincipal(name, path, me, signal) {
  const own = encodeURIComponent(me.principal.username);
  const [principal, access, permissions, sessions, roles, mayWrite] = await Promise.all([
    ask(path, { signal }),
    ask(`${path}/access`, { signal }),
    ask('permissions', { signal }),
    ask(`sessions?user=${encodeURIComponent(name)}&active=true&limit=100`, { signal }),
    mayAnywhere(me, 'roles.read') ? ask('roles', { signal }).catch(onlyDenied) : undefined,
    ask(`access/check?principal=${own}&action=users.write&resource=${encodeURIComponent(name)}`, {
      signal,
    }),
  ]);
  return { principal, access, permissions, sessions, roles, mayWrite };
}

function onlyDenied(error) {
  if (error.status === 403) return undefined;
  throw error;
}

function principalView(found, page) {
  const { principal, access, permissions, roles, mayWrite } = found;
  const { ui, me } = page;
  return h(
    'div',
    { class: 'narrow' },
    tabs(me, ''),
    h(
      'div',
      { class: 'head' },
      h('h1', {}, principal.displayName || principal.username),
      chip(principal.kind),
      chip(stateOf(principal)),
      h('div', { class: 'buttons' }, stateButtons(found)),
    ),
    !mayWrite.allowed &&
      h(
        'p',
        { class: 'notice' },
        `You can look, and change nothing: you lack users.write here (${mayWrite.reason}).`,
      ),
    principalFacts(principal),
    part(
      'roles',
      'Roles',
      principal.roles.length === 0 && h('p', { class: 'muted' }, 'None: it may do nothing.'),
      h('ul', { class: 'rows' }, principal.roles.map(roleRow)),
      roleForm(principal, roles, me, ui),
    ),
    part(
      'rights',
      `What it may do, and why`,
      access.status !== 'active' &&
        h('p', { class: 'notice' }, `It is ${access.status}, so nothing of this counts now.`),
      rightsList(access, permissions.items, roles?.items),
    ),
    part('sessions', 'Sessions', sessionTable(found)),
    mayAnywhere(me, 'audit.read') &&
      h(
        'p',
        { class: 'small' },
        h(
          'a',
          { href: `#/events?user=${encodeURIComponent(principal.username)}` },
          'Security events about it',
        ),
      ),
  );
}

function part(key, title, ...children) {
  return h('section', { class: 'panel part', 'data-key': key }, h('h2', {}, title), children);
}

function principalFacts(principal) {
  return h(
    'dl',
    { class: 'facts' },
    fact('Name', h('code', {}, principal.username)),
    principal.email && fact('E-mail', principal.email),
    fact('Signs in by', waysIn(principal)),
    fact(
      'Last sign-in',
      principal.lastLoginAt === undefined ? 'never' : moment(principal.lastLoginAt),
    ),
    principal.failedAttempts > 0 && fact('Wrong tries', String(principal.failedAttempts)),
    stateOf(principal) === 'locked' && fact('Lock ends', due(principal.lockedUntil)),
    fact('Here since', moment(principal.createdAt)),
  );
}

/** What can be done now; what can not says why. */
function stateButtons({ principal, mayWrite, sessions }) {
  const barred = mayWrite.allowed ? undefined : 'You lack users.write here';
  const one = (text, action, why, attributes = {}) =>
    button(text, action, {
      disabled: (barred ?? why) === undefined ? undefined : '',
      title: barred ?? why,
      ...attributes,
    });
  const isLocked = stateOf(principal) === 'locked' || principal.failedAttempts > 0;
  return [
    one('Unlock', 'unlock', isLocked ? undefined : 'It is not locked'),
    one('End sessions', 'end-all', sessions.items.length > 0 ? undefined : 'It has no session', {
      class: 'danger',
    }),
    principal.status === 'active'
      ? one('Disable', 'disable', undefined, { class: 'danger' })
      : one('Enable', 'enable'),
  ];
}

function roleRow({ name, expiresAt }) {
  return h(
    'li',
    { 'data-key': name },
    h(
      'div',
      {},
      h('strong', {}, name),
      expiresAt !== undefined && h('div', { class: 'small muted' }, 'ends ', due(expiresAt)),
    ),
    button('Take away', 'revoke-role', { class: 'danger', 'data-role': name }),
  );
}

function roleForm(principal, roles, me, ui) {
  if (!mayAnywhere(me, 'roles.write')) {
    return h(
      'p',
      { class: 'small muted' },
      'You lack roles.write, so you can give and take no role.',
    );
  }
  const held = new Set(principal.roles.map(({ name }) => name));
  const choices = roles?.items
    .filter(({ name }) => !held.has(name))
    .map(({ name, description }) => ({
      value: name,
      text: description === '' ? name : `${name}: ${description}`,
    }));
  if (choices?.length === 0) return h('p', { class: 'small muted' }, 'It has every role.');
  return form(
    'grant-role',
    ui,
    { class: 'inline' },
    field('Give a role', {
      name: 'role',
      required: '',
      'data-again': '',
      // None is given by a slip of the hand.
      options: choices && [{ value: '', text: 'Choose …' }, ...choices],
    }),
    field('Until (empty: until it is taken)', { name: 'until', type: 'datetime-local' }),
    submit('Give'),
  );
}

function sessionTable({ sessions, mayWrite }) {
  if (sessions.items.length === 0) return h('p', { class: 'muted' }, 'It is signed in nowhere.');
  return table(
    'Sessions',
    [{ name: 'Where' }, { name: 'Since', class: 'wide' }, { name: 'Last seen' }, { name: '' }],
    sessions.items.map((session) =>
      h(
        'tr',
        { 'data-key': session.id },
        h(
          'td',
          {},
          h('strong', {}, device(session.userAgent)),
          h(
            'div',
            { class: 'small muted' },
            [session.address, session.method].filter(Boolean).join(', '),
          ),
        ),
        h('td', { class: 'wide' }, moment(session.createdAt)),
        h('td', {}, moment(session.lastActivity)),
        h(
          'td',
          { class: 'number' },
          button('End', 'end-one', {
            'data-id': session.id,
            'data-what': device(session.userAgent),
            disabled: mayWrite.allowed ? undefined : '',
            title: mayWrite.allowed ? undefined : 'You lack users.write here',
          }),
        ),
      ),
    ),
  );
}
