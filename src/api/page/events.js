import { h, message, moment, plural, table } from './dom.js';
import { asQuery, filterSelect, noReading, tabs } from './access.js';
import { device, mayAnywhere } from './rights.js';
import { ask } from './server.js';

const shownEventsAtOnce = 200;

/** What was seen at the doors, the newest first, with how unusual it was and by which rules. */
export function eventsPage(query) {
  const filter = { risk: query.get('risk') ?? '', user: query.get('user') ?? '' };
  return {
    name: 'events',
    key: 'events',
    title: 'security events',
    everyMs: 5_000,
    async step(signal, page) {
      if (!mayAnywhere(page.me, 'audit.read')) {
        page.draw(() =>
          h(
            'div',
            {},
            tabs(page.me, 'events'),
            noReading('audit.read', 'Security events are not yours to see'),
          ),
        );
        return;
      }
      const asked = new URLSearchParams({ limit: String(shownEventsAtOnce) });
      if (filter.risk !== '') asked.set('minRisk', filter.risk);
      if (filter.user !== '') asked.set('user', filter.user);
      const found = await ask(`security/events?${asked}`, { signal });
      page.draw(() => eventsView(found, filter, page.me));
    },
    onInput(target, page) {
      if (target.name !== 'risk') return;
      filter.risk = target.value;
      history.replaceState(undefined, '', `#/events${asQuery(filter)}`);
      page.again();
    },
  };
}

function eventsView({ items, nextCursor }, filter, me) {
  return h(
    'div',
    {},
    tabs(me, 'events'),
    h(
      'div',
      { class: 'head' },
      h('h1', {}, 'Security events'),
      h(
        'span',
        { class: 'muted small', role: 'status' },
        nextCursor === undefined ? plural(items.length, 'event') : `the newest ${items.length}`,
      ),
    ),
    h(
      'form',
      { class: 'filters', 'data-form': 'filter' },
      filterSelect('risk', 'Risk', filter.risk, {
        '': 'any risk',
        25: 'risk from 25',
        50: 'risk from 50',
        80: 'risk from 80',
      }),
      filter.user !== '' &&
        h(
          'span',
          { class: 'small' },
          `about ${filter.user} · `,
          h('a', { href: '#/events' }, 'everybody'),
        ),
    ),
    items.length === 0
      ? message(
          'Nothing was seen',
          'No event fits. Sign-ins, refusals and changes of rights are kept here.',
        )
      : table(
          'Security events',
          [
            { name: 'When' },
            { name: 'What' },
            { name: 'Who' },
            { name: 'From', class: 'wide' },
            { name: 'Risk', class: 'number' },
          ],
          items.map(eventLine),
        ),
  );
}

function eventLine(event) {
  return h(
    'tr',
    { 'data-key': event.id },
    h('td', { class: 'small nowrap' }, moment(event.at)),
    h(
      'td',
      {},
      event.type.replaceAll('_', ' '),
      h('div', { class: 'small muted' }, told(event.details)),
    ),
    h(
      'td',
      {},
      event.username === undefined
        ? h('span', { class: 'muted' }, '–')
        : event.userId === undefined
          ? event.username
          : h('a', { href: `#/access/${encodeURIComponent(event.username)}` }, event.username),
    ),
    h(
      'td',
      { class: 'wide small' },
      event.address ?? '–',
      event.userAgent && h('div', { class: 'muted' }, device(event.userAgent)),
    ),
    h('td', { class: 'number' }, riskChip(event.risk)),
  );
}

/** From 50 on, a person should look. */
function riskChip(risk) {
  return h(
    'span',
    { class: `chip ${risk >= 80 ? 'bad' : risk >= 50 ? 'wait' : 'idle'}` },
    String(risk),
  );
}

const untold = new Set(['byId', 'credential', 'with', 'outcome']);

/** The factors as sentences, and what else the event tells; ids are for programs, which ask for them. */
function told({ factors, ...rest }) {
  const why = Array.isArray(factors) ? factors.map((one) => `${one.why} (+${one.points})`) : [];
  const facts = Object.entries(rest)
    .filter(([name, value]) => !untold.has(name) && value !== null && value !== '')
    .map(([name, value]) => `${name.replaceAll(/[A-Z]/g, ' $&').toLowerCase()}: ${plainly(value)}`);
  return [...why, ...facts].join(' · ');
}

function plainly(value) {
  if (Array.isArray(value)) return value.map(plainly).join(', ');
  return value !== null && typeof value === 'object' ? JSON.stringify(value) : String(value);
}
