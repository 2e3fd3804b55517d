import { chip, h, moment } from './dom.js';
import { button, field, form, submit } from './forms.js';
import { createPasskey } from './passkey.js';
import { ask } from './server.js';

export const proofQuestions = {
  'remove-passkey': ({ data }) => ({
    title: `Remove the passkey “${data.name}”?`,
    text: 'It can not sign you in any more. Delete it on its device as well.',
    yes: 'Remove passkey',
  }),
};

export const proofActions = {
  async 'change-password'({ data, page }) {
    await ask('me/password', {
      method: 'PUT',
      body: { present: data.present, next: data.next },
    });
    page.announce('Your password is changed; your other sessions have ended');
    page.ui.done = 'password';
  },
  reveal: ({ page }) => {
    page.ui.isShown = !page.ui.isShown;
  },
  async 'begin-totp'({ page }) {
    page.ui.totp = await ask('me/totp', { method: 'POST' });
  },
  'cancel-totp': ({ page }) => {
    page.ui.totp = undefined;
  },
  async 'confirm-totp'({ data, page }) {
    const body = { code: data.code.replaceAll(' ', '') };
    const { recoveryCodes } = await ask('me/totp/confirm', { method: 'POST', body });
    page.ui.totp = undefined;
    page.ui.once = {
      title: 'Your recovery codes',
      text: 'The authenticator is on. Each of these codes signs you in once when it is lost. They are not shown again: keep them where your password is not.',
      secret: recoveryCodes.join('\n'),
      file: 'centuria-recovery-codes.txt',
    };
  },
  async 'remove-totp'({ data, page }) {
    const proof = /^[\d ]{6,8}$/.test(data.proof)
      ? { code: data.proof.replaceAll(' ', '') }
      : { password: data.proof };
    await ask('me/totp', { method: 'DELETE', body: proof });
    page.announce('The authenticator is off');
  },
  async 'add-passkey'({ data, page }) {
    const { challenge, options } = await ask('me/passkeys/options', { method: 'POST' });
    const answer = await createPasskey(options);
    await ask('me/passkeys', { method: 'POST', body: { challenge, answer, name: data.name } });
    page.announce('The passkey is added');
  },
  async 'remove-passkey'({ data }) {
    await ask(`me/passkeys/${encodeURIComponent(data.id)}`, { method: 'DELETE' });
  },
};

export function passwordPart({ principal }, ui) {
  if (!principal.hasPassword) {
    return h(
      'p',
      { class: 'muted' },
      'You have none. An administrator can set one: ',
      h('code', {}, `centuria user set-password ${principal.username}`),
    );
  }
  const least = principal.hasTotp ? 8 : 15;
  const type = ui.isShown ? 'text' : 'password';
  return [
    principal.mustChangePassword &&
      h('p', { class: 'notice' }, 'Somebody else set your password. Choose one of your own now.'),
    ui.done === 'password' &&
      h('p', { class: 'notice good' }, 'It is changed. Your other sessions have ended.'),
    form(
      'change-password',
      ui,
      {},
      // For password managers, which otherwise do not know whose password it is.
      h('input', {
        class: 'unseen',
        name: 'username',
        autocomplete: 'username',
        value: principal.username,
        tabindex: -1,
        'aria-hidden': 'true',
        readonly: '',
      }),
      field('Present password', {
        name: 'present',
        type,
        autocomplete: 'current-password',
        required: '',
        'data-again': '',
      }),
      field(
        'New password',
        { name: 'next', type, autocomplete: 'new-password', required: '' },
        `At least ${least} characters. A few words that do not belong together are easy to keep and hard to guess.`,
      ),
      h(
        'div',
        { class: 'buttons' },
        submit('Change password'),
        button(ui.isShown ? 'Hide' : 'Show', 'reveal', { class: 'plain' }),
      ),
    ),
  ];
}

export function totpPart({ principal }, ui) {
  if (principal.hasTotp) {
    return [
      h('p', {}, chip('on'), ' After your password, a code of your authenticator is asked for.'),
      h(
        'details',
        { 'data-key': 'remove-totp' },
        h('summary', {}, 'Turn it off'),
        form(
          'remove-totp',
          ui,
          {},
          field('Your password, or a code of the authenticator', {
            name: 'proof',
            type: 'password',
            autocomplete: 'current-password',
            required: '',
            'data-again': '',
          }),
          h('div', { class: 'buttons' }, submit('Turn off', { class: 'danger' })),
        ),
      ),
    ];
  }
  if (ui.totp === undefined) {
    return [
      h('p', { class: 'muted' }, 'Off. With it, a stolen password alone lets nobody in.'),
      button('Set up', 'begin-totp'),
    ];
  }
  return form(
    'confirm-totp',
    ui,
    {},
    h('p', {}, '1. Scan this with an authenticator app, or type the secret into it.'),
    qrCode(ui.totp.qr),
    h('p', { class: 'mono broken' }, ui.totp.secret.replaceAll(/.{4}(?!$)/g, '$& ')),
    field('2. Type the code that it shows', {
      name: 'code',
      autocomplete: 'one-time-code',
      inputmode: 'numeric',
      maxlength: 9,
      required: '',
      'data-again': '',
    }),
    h('div', { class: 'buttons' }, submit('Turn on'), button('Not now', 'cancel-totp')),
  );
}

/** Drawn from the squares that the server sends, dark on light in both schemes since readers need that. */
function qrCode(rows) {
  const margin = 4;
  const size = rows.length + 2 * margin;
  const path = rows.flatMap((row, y) =>
    [...row].map((square, x) => (square === '1' ? `M${x + margin} ${y + margin}h1v1h-1z` : '')),
  );
  return h(
    'svg',
    {
      class: 'qr',
      viewBox: `0 0 ${size} ${size}`,
      role: 'img',
      'aria-label': 'QR code of the secret below',
      'shape-rendering': 'crispEdges',
    },
    h('rect', { width: size, height: size, fill: '#fff' }),
    h('path', { d: path.join(''), fill: '#000' }),
  );
}

export function passkeyPart({ passkeys, barred }, ui) {
  return [
    passkeys.items.length === 0
      ? h(
          'p',
          { class: 'muted' },
          'None. A passkey signs you in by fingerprint, face or key, and can not be phished.',
        )
      : h(
          'ul',
          { class: 'rows' },
          passkeys.items.map(({ id, name, backedUp, createdAt, lastUsedAt }) =>
            h(
              'li',
              { 'data-key': id },
              h(
                'div',
                {},
                h('strong', {}, name),
                h(
                  'div',
                  { class: 'small muted' },
                  'added ',
                  moment(createdAt),
                  lastUsedAt === undefined ? ', never used' : [', used ', moment(lastUsedAt)],
                  backedUp ? ', synced by its maker' : ', on one device only',
                ),
              ),
              button('Remove', 'remove-passkey', {
                class: 'danger',
                'data-id': id,
                'data-name': name,
              }),
            ),
          ),
        ),
    barred === undefined
      ? form(
          'add-passkey',
          ui,
          { class: 'inline' },
          field('Name of a new one', {
            id: 'passkey-name',
            name: 'name',
            maxlength: 100,
            required: '',
            autocomplete: 'off',
            placeholder: 'This laptop',
          }),
          submit('Add a passkey'),
        )
      : h('p', { class: 'small muted' }, barred),
  ];
}
