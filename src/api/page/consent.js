import { due, h, message, moment } from './dom.js';
import { button, field, form, submit } from './forms.js';
import { fact } from './report.js';
import { device } from './rights.js';
import { ask } from './server.js';

const devicePath = (code) => `device/${encodeURIComponent(code.trim())}`;

/** Lets a program on another screen in, by the code that it shows (RFC 8628). */
export function devicePage() {
  const given = new URLSearchParams(location.search).get('code') ?? '';
  let question;
  let outcome;
  const decide = async (approve) => {
    await ask(devicePath(question.userCode), { method: 'POST', body: { approve } });
    outcome = approve ? 'approved' : 'denied';
  };
  return {
    name: 'device',
    title: 'let a device in',
    isStill: true,
    everyMs: 60_000,
    async step(_signal, page) {
      page.draw(() => {
        if (outcome !== undefined) return deviceEnd(outcome, question);
        if (question === undefined) return codeForm(given, page.ui);
        return deviceQuestion(question, page.me);
      });
    },
    actions: {
      // Asked for by hand, since looking a code up claims it for this browser: no link may do that.
      async look({ data }) {
        question = await ask(devicePath(data.code));
        if (question.status !== 'pending') outcome = question.status;
      },
      approve: () => decide(true),
      deny: () => decide(false),
    },
  };
}

function codeForm(given, ui) {
  return h(
    'section',
    { class: 'panel card', 'aria-labelledby': 'card-title' },
    h('h1', { id: 'card-title' }, 'Let a device in'),
    h(
      'p',
      { class: 'muted' },
      'Type the code that the other screen shows, and only if you began this there yourself.',
    ),
    form(
      'look',
      ui,
      {},
      field('Code', {
        name: 'code',
        value: given,
        class: 'input code',
        autocomplete: 'off',
        autocapitalize: 'characters',
        spellcheck: 'false',
        maxlength: 20,
        required: '',
        autofocus: '',
        placeholder: 'XXXX-XXXX',
        'data-again': '',
      }),
      h('div', { class: 'buttons' }, submit('Go on')),
    ),
  );
}

function deviceQuestion(question, me) {
  const { client, address, userAgent, startedAt, expiresAt, userCode, scopes, resource } = question;
  return h(
    'section',
    { class: 'panel card', 'aria-labelledby': 'card-title' },
    h('h1', { id: 'card-title' }, `Let ${client.name} in?`),
    h(
      'p',
      {},
      'It asks to work as ',
      h('strong', {}, me.principal.username),
      '. Go on only if its screen shows this code:',
    ),
    h('p', { class: 'code' }, userCode),
    h(
      'dl',
      { class: 'facts' },
      fact('Asked from', address ?? 'unknown address'),
      fact('By', device(userAgent)),
      fact('Asked', moment(startedAt)),
      fact('Ends', due(expiresAt)),
      resource && fact('For', h('code', {}, resource)),
    ),
    scopeList(scopes),
    decisionButtons(),
  );
}

function deviceEnd(outcome, { client }) {
  return outcome === 'approved'
    ? message(
        `${client.name} is let in`,
        'It goes on by itself within seconds. You can close this page. Under your account you can sign it out again.',
      )
    : message(
        `${client.name} is not let in`,
        'If you did not begin this, somebody else did: tell whoever runs this server.',
      );
}

/** What it could do, in words. What the person has not is not given, and said so. */
function scopeList(scopes) {
  if (scopes === undefined) {
    return h('p', { class: 'notice' }, h('strong', {}, 'It could do everything that you may.'));
  }
  return [
    h('h2', {}, 'It could'),
    h(
      'ul',
      { class: 'asked' },
      scopes.map(({ name, description, granted }) =>
        h(
          'li',
          { class: granted ? undefined : 'muted' },
          h('span', {}, description),
          ' ',
          h('code', { class: 'small' }, name),
          !granted &&
            h('div', { class: 'small' }, 'asked for, but you may not do it: it is left out'),
        ),
      ),
    ),
  ];
}

function decisionButtons() {
  return h(
    'div',
    { class: 'buttons' },
    button('Let it in', 'approve', { class: 'primary' }),
    button('Deny', 'deny', { class: 'danger' }),
  );
}

/** Consent to an OAuth client; its parameters stand in the address and are passed on as they are. */
export function authorizePage() {
  let question;
  return {
    name: 'authorize',
    title: 'let a program in',
    isStill: true,
    everyMs: 60_000,
    async step(signal, page) {
      question ??= await ask(`authorization${location.search}`, { signal });
      page.draw(() => authorizationView(question, page.me));
    },
    actions: {
      approve: () => answerClient(true),
      deny: () => answerClient(false),
      back: () => leaveFor(question.redirectTo),
    },
  };
}

async function answerClient(approve) {
  const parameters = Object.fromEntries(new URLSearchParams(location.search));
  const { redirectTo } = await ask('authorization', {
    method: 'POST',
    body: { ...parameters, approve },
  });
  leaveFor(redirectTo);
}

function authorizationView(question, me) {
  if (question.outcome === 'refused') {
    return h(
      'div',
      {},
      message('The program asked in a wrong way', `${question.description} (${question.error})`),
      question.redirectTo !== undefined && h('p', {}, button('Back to the program', 'back')),
    );
  }
  const { client, redirectUri, scopes, resource } = question;
  return h(
    'section',
    { class: 'panel card', 'aria-labelledby': 'card-title' },
    h('h1', { id: 'card-title' }, `Let ${client.name} in?`),
    h(
      'p',
      {},
      'It asks to work as ',
      h('strong', {}, me.principal.username),
      ', and gets the answer at ',
      h('code', {}, new URL(redirectUri).host),
      '.',
    ),
    resource && h('p', { class: 'small' }, 'For ', h('code', {}, resource), ' only.'),
    scopeList(scopes),
    decisionButtons(),
  );
}

/** The server has checked the address; that it is one of the web is checked once more before going there. */
function leaveFor(address) {
  const { protocol } = new URL(address);
  if (protocol !== 'https:' && protocol !== 'http:')
    throw new Error(`${protocol} is no web address`);
  location.assign(address);
}
