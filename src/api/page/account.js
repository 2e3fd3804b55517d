import { chip, due, h, moment, plural, table } from './dom.js';
import { button, shownOnce } from './forms.js';
import { keyActions, keyQuestions, keySection } from './account-keys.js';
import {
  passkeyPart,
  passwordPart,
  proofActions,
  proofQuestions,
  totpPart,
} from './account-proofs.js';
import { passkeysBarred } from './passkey.js';
import { fact } from './report.js';
import { device, rightsList } from './rights.js';
import { ask } from './server.js';

/** The reader's own: who he is, how he signs in, where he is signed in, which programs he has keys for. */
export function accountPage() {
  let permissions;
  let server;
  return {
    name: 'account',
    title: 'account',
    everyMs: 15_000,
    async step(signal, page) {
      permissions ??= (await ask('permissions', { signal })).items;
      server ??= await ask('login', { signal });
      const [me, sessions, passkeys, keys] = await Promise.all([
        ask('me', { signal }),
        ask('me/sessions?active=true&limit=200', { signal }),
        ask('me/passkeys', { signal }),
        ask('me/api-keys?limit=200', { signal }),
      ]);
      const barred = passkeysBarred(server.publicUrl);
      page.draw(() => accountView({ me, sessions, passkeys, keys, permissions, barred }, page.ui));
    },
    asks: {
      'end-session': ({ data }) => ({
        title: 'Sign out there?',
        text: `${data.what} is refused from its next request on.`,
        yes: 'Sign out',
      }),
      'end-others': () => ({
        title: 'Sign out everywhere else?',
        text: 'Every other browser and program that you signed in is refused at once. API keys stay.',
        yes: 'Sign out everywhere else',
      }),
      ...proofQuestions,
      ...keyQuestions,
    },
    actions: { ...sessionActions, ...proofActions, ...keyActions },
  };
}

const sessionActions = {
  async 'end-session'({ data }) {
    await ask(`me/sessions/${encodeURIComponent(data.id)}`, { method: 'DELETE' });
  },
  async 'end-others'({ page }) {
    const { ended } = await ask('me/sessions', { method: 'DELETE' });
    page.announce(`${plural(ended, 'session')} ended`);
  },
};

function accountView(account, ui) {
  const { me, permissions } = account;
  const { principal, rights, scope } = me;
  return h(
    'div',
    { class: 'narrow' },
    h(
      'div',
      { class: 'head' },
      h('h1', {}, principal.displayName || principal.username),
      chip(principal.kind),
    ),
    h(
      'dl',
      { class: 'facts' },
      fact('Name', h('code', {}, principal.username)),
      principal.email && fact('E-mail', principal.email),
      fact('Roles', principal.roles.length === 0 ? 'none' : principal.roles.map(roleText)),
      fact('Here since', moment(principal.createdAt)),
    ),
    h(
      'details',
      { 'data-key': 'rights' },
      h('summary', {}, `What you may do (${rights.everywhere.length + rights.some.length})`),
      scope !== undefined &&
        h('p', { class: 'small' }, `This session is narrowed to: ${scope.join(', ')}.`),
      rightsList(rights, permissions),
    ),
    ui.once === undefined ? h('div', { 'data-key': 'once' }) : shownOnce(ui.once),
    section('password', 'Password', passwordPart(me, ui)),
    section('totp', 'Authenticator app', totpPart(me, ui)),
    section('passkeys', 'Passkeys', passkeyPart(account, ui)),
    section('sessions', 'Where you are signed in', sessionPart(account)),
    section('keys', 'API keys', keySection(account, ui)),
  );
}

function section(key, title, ...children) {
  return h(
    'section',
    { class: 'panel part', 'data-key': key, 'aria-labelledby': `part-${key}` },
    h('h2', { id: `part-${key}` }, title),
    children,
  );
}

export function roleText({ name, expiresAt }, index) {
  return [
    index > 0 && ', ',
    name,
    expiresAt !== undefined && h('span', { class: 'small muted' }, ' until ', due(expiresAt)),
  ];
}

function sessionPart({ me, sessions }) {
  const current = me.credential.sessionId;
  const others = sessions.items.filter(({ id }) => id !== current).length;
  const whose = others > 0 || sessions.nextCursor !== undefined;
  return [
    table(
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
            session.id === current && [' ', chip('this browser')],
            h(
              'div',
              { class: 'small muted' },
              [session.address, `by ${session.method.replaceAll('_', ' ')}`]
                .filter(Boolean)
                .join(', '),
            ),
          ),
          h('td', { class: 'wide' }, moment(session.createdAt)),
          h('td', {}, moment(session.lastActivity)),
          h(
            'td',
            { class: 'number' },
            session.id !== current &&
              button('Sign out', 'end-session', {
                'data-id': session.id,
                'data-what': device(session.userAgent),
              }),
          ),
        ),
      ),
    ),
    h(
      'div',
      { class: 'buttons' },
      button('Sign out everywhere else', 'end-others', {
        class: 'danger',
        disabled: whose ? undefined : '',
        title: whose ? undefined : 'You are signed in nowhere else',
      }),
    ),
  ];
}
