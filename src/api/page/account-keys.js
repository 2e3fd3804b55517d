import { chip, due, h, moment } from './dom.js';
import { button, field, form, submit } from './forms.js';
import { ask } from './server.js';

const dayMs = 86_400_000;
const lifetimes = [
  { value: '30', text: '30 days' },
  { value: '90', text: '90 days', selected: '' },
  { value: '365', text: 'a year' },
  { value: '', text: 'when it is revoked' },
];

export const keyQuestions = {
  'revoke-key': ({ data }) => ({
    title: `Revoke the key “${data.name}”?`,
    text: 'Programs that use it are refused from their next request on. It can not be taken back.',
    yes: 'Revoke key',
  }),
};

export const keyActions = {
  async 'create-key'({ data, values, page }) {
    const scopes = values.getAll('scope');
    const networks = data.networks.split(/[\s,]+/).filter(Boolean);
    if (data.extent === 'some' && scopes.length === 0) {
      throw Object.assign(new Error('no permission is ticked'), {
        remedy: 'Tick what the key shall do, or let it do everything that you may.',
      });
    }
    const { key, info } = await ask('me/api-keys', {
      method: 'POST',
      body: {
        name: data.name,
        ...(data.extent === 'some' ? { scopes } : {}),
        ...(networks.length === 0 ? {} : { allowedNetworks: networks }),
        ...(data.days === ''
          ? {}
          : { expiresAt: new Date(Date.now() + Number(data.days) * dayMs).toISOString() }),
      },
    });
    page.ui.once = {
      title: `The key “${info.name}”`,
      text: 'It is not shown again: only its hash is kept here. Programs send it as Authorization: Bearer, or take it from CENTURIA_API_KEY.',
      secret: key,
    };
  },
  async 'revoke-key'({ data }) {
    await ask(`me/api-keys/${encodeURIComponent(data.id)}`, { method: 'DELETE' });
  },
};

export function keySection({ me, keys, permissions }, ui) {
  const present = keys.items.filter(({ revokedAt }) => revokedAt === undefined);
  const revoked = keys.items.length - present.length;
  return [
    present.length === 0
      ? h(
          'p',
          { class: 'muted' },
          'None. A key lets a program work as you, within what you allow it.',
        )
      : h('ul', { class: 'rows' }, present.map(keyRow)),
    revoked > 0 && h('p', { class: 'small muted' }, `${revoked} revoked.`),
    h(
      'details',
      { 'data-key': 'create-key' },
      h('summary', {}, 'Make a key'),
      form(
        'create-key',
        ui,
        {},
        field(
          'Name',
          { id: 'key-name', name: 'name', maxlength: 100, required: '', autocomplete: 'off' },
          'What it is for, so that you know later which one to revoke.',
        ),
        scopeChoice(me, permissions),
        field(
          'Networks that it may come from',
          {
            name: 'networks',
            autocomplete: 'off',
            spellcheck: 'false',
            placeholder: '192.0.2.0/24',
          },
          'Addresses or networks, with a space between them. Empty: from anywhere.',
        ),
        field('It ends after', { name: 'days', options: lifetimes }),
        h('div', { class: 'buttons' }, submit('Make key')),
      ),
    ),
  ];
}

function scopeChoice({ rights, scope }, permissions) {
  const held = new Set([...rights.everywhere, ...rights.some.map(({ action }) => action)]);
  const offered = permissions.filter(
    ({ action }) => held.has(action) && (scope === undefined || scope.includes(action)),
  );
  return h(
    'fieldset',
    {},
    h('legend', {}, 'What it may do'),
    extent('some', 'Only what is ticked', ''),
    extent('all', 'Everything that you may, also what you are given later'),
    h(
      'div',
      { class: 'scopes' },
      offered.map(({ action, description }) =>
        h(
          'label',
          { class: 'check', 'data-key': action },
          h('input', { type: 'checkbox', name: 'scope', value: action }),
          h(
            'span',
            {},
            h('code', {}, action),
            ' ',
            h('span', { class: 'small muted' }, description),
          ),
        ),
      ),
    ),
  );
}

function extent(value, text, checked) {
  return h(
    'label',
    { class: 'check' },
    h('input', { type: 'radio', name: 'extent', value, checked }),
    text,
  );
}

function keyRow(key) {
  const isOver = key.expiresAt !== undefined && Date.parse(key.expiresAt) <= Date.now();
  return h(
    'li',
    { 'data-key': key.id },
    h(
      'div',
      {},
      h('strong', {}, key.name),
      ' ',
      h('code', {}, `${key.prefix}…`),
      isOver && [' ', chip('over')],
      h(
        'div',
        { class: 'small muted' },
        key.scopes === undefined ? 'everything that you may' : key.scopes.join(', '),
        key.allowedNetworks !== undefined && ` · from ${key.allowedNetworks.join(', ')}`,
        ' · ',
        key.lastUsedAt === undefined ? 'never used' : ['used ', moment(key.lastUsedAt)],
        key.expiresAt !== undefined && [isOver ? ' · ended ' : ' · ends ', due(key.expiresAt)],
      ),
    ),
    button('Revoke', 'revoke-key', { class: 'danger', 'data-id': key.id, 'data-name': key.name }),
  );
}
