import { chip, due, h, message, moment, plural, table } from './dom.js';
import { mayAnywhere } from './rights.js';
import { ask } from './server.js';

const pageSize = 500;
/** Loaded at once to search in; beyond it a name is looked up as it is written. */
const mostLoaded = 5_000;

/** Everybody who can hold a credential. What is searched for stands in the address. */
export function principalsPage(query) {
  const filter = {
    q: query.get('q') ?? '',
    kind: query.get('kind') ?? '',
    status: query.get('status') ?? '',
  };
  return {
    name: 'access',
    key: 'access',
    title: 'access',
    everyMs: 15_000,
    async step(signal, page) {
      if (!mayAnywhere(page.me, 'users.read')) {
        page.draw(() =>
          h(
            'div',
            {},
            tabs(page.me, 'principals'),
            noReading('users.read', 'Principals are not yours to see'),
          ),
        );
        return;
      }
      const found = await loadPrincipals(signal);
      page.draw(() => principalsView(found, filter, page.me));
    },
    onInput(target, page) {
      if (target.name !== 'q' && target.name !== 'kind' && target.name !== 'status') return;
      filter[target.name] = target.value;
      history.replaceState(undefined, '', `#/access${asQuery(filter)}`);
      page.redraw();
    },
    actions: {
      find({ data }) {
        location.hash = `#/access/${encodeURIComponent(data.q.trim())}`;
      },
    },
  };
}

async function loadPrincipals(signal) {
  const items = [];
  let cursor;
  do {
    const next = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const found = await ask(`principals?limit=${pageSize}${next}`, { signal });
    items.push(...found.items);
    cursor = found.nextCursor;
  } while (cursor !== undefined && items.length < mostLoaded);
  return { items, hasMore: cursor !== undefined };
}

export function asQuery(values) {
  const given = Object.entries(values).filter(([, value]) => value !== '');
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
}

/** The two lists of this part, and which of them is shown. */
export function tabs(me, here) {
  const tab = (name, href, text) =>
    h('a', { href, 'aria-current': name === here ? 'page' : undefined }, text);
  return h(
    'div',
    { class: 'tabs', role: 'navigation', 'aria-label': 'Access' },
    mayAnywhere(me, 'users.read') && tab('principals', '#/access', 'Principals'),
    mayAnywhere(me, 'audit.read') && tab('events', '#/events', 'Security events'),
  );
}

export function noReading(action, title) {
  return message(
    title,
    `You lack the permission ${action}. Whoever may change roles can give it to you:`,
    'centuria user grant NAME ROLE',
  );
}

function principalsView({ items, hasMore }, filter, me) {
  const wanted = filter.q.trim().toLowerCase();
  const shown = items.filter(
    (one) =>
      (filter.kind === '' || one.kind === filter.kind) &&
      (filter.status === '' || stateOf(one) === filter.status) &&
      (wanted === '' ||
        [one.username, one.displayName, one.email ?? '', ...one.roles.map(({ name }) => name)].some(
          (text) => text.toLowerCase().includes(wanted),
        )),
  );
  return h(
    'div',
    {},
    tabs(me, 'principals'),
    h(
      'div',
      { class: 'head' },
      h('h1', {}, 'Principals'),
      h(
        'span',
        { class: 'muted small', role: 'status' },
        shown.length === items.length
          ? plural(items.length, 'principal')
          : `${shown.length} of ${items.length}`,
        hasMore && ' (the first ones)',
      ),
    ),
    h(
      'form',
      { class: 'filters', 'data-form': 'find', role: 'search' },
      filterInput('q', 'Search by name, e-mail or role', filter.q),
      filterSelect('kind', 'Kind', filter.kind, {
        '': 'users and agents',
        user: 'users',
        agent: 'agents',
      }),
      filterSelect('status', 'State', filter.status, {
        '': 'any state',
        active: 'active',
        locked: 'locked',
        disabled: 'disabled',
      }),
    ),
    shown.length === 0
      ? message(
          'Nobody fits',
          hasMore
            ? 'Not everybody is loaded: press Enter to look the name up as it is written.'
            : 'Change the search, or make a principal:',
          'centuria user create NAME --role ROLE',
        )
      : table(
          'Principals',
          [
            { name: 'Name' },
            { name: 'State' },
            { name: 'Roles', class: 'wide' },
            { name: 'Signs in by', class: 'wide' },
            { name: 'Last sign-in', class: 'number' },
          ],
          shown.slice(0, pageSize).map(principalRow),
        ),
    shown.length > pageSize &&
      h('p', { class: 'small muted' }, `The first ${pageSize} are shown; search for the others.`),
  );
}

function filterInput(name, label, value) {
  return h('input', {
    class: 'input',
    type: 'search',
    name,
    value,
    'aria-label': label,
    placeholder: label,
    autocomplete: 'off',
    spellcheck: 'false',
  });
}

export function filterSelect(name, label, present, choices) {
  return h(
    'select',
    { class: 'input', name, 'aria-label': label },
    Object.entries(choices).map(([value, text]) =>
      h('option', { value, selected: value === present ? '' : undefined }, text),
    ),
  );
}

export function stateOf({ status, lockedUntil }) {
  const isLocked = lockedUntil !== undefined && Date.parse(lockedUntil) > Date.now();
  return status === 'active' && isLocked ? 'locked' : status;
}

/** How somebody can prove who he is. */
export function waysIn({ hasPassword, hasTotp, passkeys }) {
  const ways = [
    hasPassword && (hasTotp ? 'password and code' : 'password'),
    passkeys > 0 && plural(passkeys, 'passkey'),
  ].filter(Boolean);
  return ways.length === 0 ? 'API keys only' : ways.join(', ');
}

function principalRow(one) {
  return h(
    'tr',
    { 'data-key': one.id },
    h(
      'td',
      {},
      h(
        'a',
        { class: 'title', href: `#/access/${encodeURIComponent(one.username)}` },
        one.username,
      ),
      h(
        'div',
        { class: 'small muted' },
        [one.kind === 'agent' && 'agent', one.displayName !== one.username && one.displayName]
          .filter(Boolean)
          .join(' · '),
      ),
    ),
    h(
      'td',
      {},
      chip(stateOf(one)),
      stateOf(one) === 'locked' &&
        h('div', { class: 'small muted' }, 'ends ', due(one.lockedUntil)),
    ),
    h('td', { class: 'wide small' }, one.roles.map(({ name }) => name).join(', ') || 'none'),
    h('td', { class: 'wide small' }, waysIn(one)),
    h('td', { class: 'number' }, one.lastLoginAt === undefined ? 'never' : moment(one.lastLoginAt)),
  );
}
