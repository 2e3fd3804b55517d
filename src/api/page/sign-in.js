import { duration, h, message } from './dom.js';
import { button, field, form, submit } from './forms.js';
import { passkeysBarred, signWithPasskey } from './passkey.js';
import { ask } from './server.js';

const post = (path, body) => ask(path, { method: 'POST', body });

/**
 * The way in, shown in the place of what was asked for. `why` says what brought the reader here;
 * `onSignedIn` goes on where he was.
 */
export function signInView(why, onSignedIn) {
  const login = { step: 'password', hasUsers: true, waitUntil: 0 };

  async function take(answer) {
    if (answer.outcome === 'signed_in') return onSignedIn(answer.username);
    Object.assign(login, { ticket: answer.ticket, methods: answer.methods });
    login.step = answer.methods[0];
    return undefined;
  }

  /** A refusal for some time is shown as a countdown at the button. */
  async function tried(request) {
    try {
      await take(await request());
    } catch (error) {
      const seconds = error.details?.retryAfterSeconds;
      if (error.code === 'limit_exceeded' && seconds !== undefined) {
        login.waitUntil = Date.now() + seconds * 1000;
        error.remedy = `Try again at ${new Date(login.waitUntil).toLocaleTimeString()}. An administrator can unlock the name sooner: centuria user unlock NAME.`;
      }
      if (login.step !== 'password' && /took too long|not begun/.test(error.message)) restart();
      throw error;
    }
  }

  function restart() {
    Object.assign(login, { step: 'password', ticket: undefined });
  }

  return {
    name: 'sign-in',
    title: 'sign in',
    isOpen: true,
    everyMs: 1000,
    async step(signal, page) {
      login.state ??= await ask('login', { signal });
      page.draw(() => signInPage(login, why, page.ui));
    },
    actions: {
      password: ({ data }) =>
        tried(() =>
          post('login', { username: data.username, password: data.password, as: 'browser' }),
        ),
      factor: ({ data }) =>
        tried(() => post('login/second-factor', { ticket: login.ticket, code: data.code.trim() })),
      passkey: () =>
        tried(async () => {
          const ticket = login.ticket === undefined ? {} : { ticket: login.ticket };
          const { challenge, options } = await post('login/passkey/options', ticket);
          const answer = await signWithPasskey(options);
          return post('login/passkey', { challenge, answer, as: 'browser' });
        }),
      other: ({ data }) => {
        login.step = data.step;
      },
      restart,
      reveal: ({ page }) => {
        page.ui.isShown = !page.ui.isShown;
      },
    },
  };
}

function signInPage(login, why, ui) {
  if (!login.state.hasUsers) {
    return h(
      'div',
      {},
      message(
        'Nobody can sign in yet',
        'On the machine of the server, this makes the first user and asks for a password. Then this page lets you in.',
        'centuria user create NAME --role admin',
      ),
      ownerHint('Without a user:'),
    );
  }
  const isFirst = login.step === 'password';
  return h(
    'section',
    { class: 'panel card', 'aria-labelledby': 'card-title' },
    h('h1', { id: 'card-title' }, isFirst ? 'Sign in' : 'One more step'),
    why !== undefined && isFirst && h('p', { class: 'muted' }, why),
    isFirst ? passwordStep(login, ui) : factorStep(login, ui),
  );
}

function passwordStep(login, ui) {
  const barred = passkeysBarred(login.state.publicUrl);
  return h(
    'div',
    { 'data-key': 'password' },
    form(
      'password',
      ui,
      {},
      field('Name', {
        name: 'username',
        autocomplete: 'username',
        autocapitalize: 'none',
        spellcheck: 'false',
        required: '',
        autofocus: '',
      }),
      field('Password', {
        name: 'password',
        type: ui.isShown ? 'text' : 'password',
        autocomplete: 'current-password',
        spellcheck: 'false',
        required: '',
        'data-again': '',
      }),
      h(
        'div',
        { class: 'buttons' },
        waitingSubmit('Sign in', login, ui),
        button(ui.isShown ? 'Hide password' : 'Show password', 'reveal', { class: 'plain' }),
      ),
    ),
    h('p', { class: 'or' }, 'or'),
    barred === undefined
      ? button('Sign in with a passkey', 'passkey', { class: 'full' })
      : h('p', { class: 'small muted' }, barred),
    ownerHint('You run the server?'),
  );
}

const factorTexts = {
  totp: 'The code of your authenticator app: six digits, new every 30 seconds.',
  recovery_code: 'One of the recovery codes that you kept. Each works once.',
  passkey: 'Show a passkey as the second factor.',
};
const factorNames = {
  totp: 'Use the authenticator',
  recovery_code: 'Use a recovery code',
  passkey: 'Use a passkey',
};

function factorStep(login, ui) {
  const { step, methods } = login;
  const barred = passkeysBarred(login.state.publicUrl);
  const others = methods.filter((one) => one !== step && (one !== 'passkey' || !barred));
  return h(
    'div',
    { 'data-key': step },
    h('p', { class: 'muted' }, factorTexts[step]),
    step === 'passkey'
      ? button('Use a passkey', 'passkey', { class: 'primary full' })
      : form(
          'factor',
          ui,
          {},
          field(step === 'totp' ? 'One-time code' : 'Recovery code', {
            name: 'code',
            autocomplete: step === 'totp' ? 'one-time-code' : 'off',
            inputmode: step === 'totp' ? 'numeric' : undefined,
            maxlength: 64,
            required: '',
            autofocus: '',
            'data-again': '',
          }),
          h('div', { class: 'buttons' }, waitingSubmit('Go on', login, ui)),
        ),
    h(
      'div',
      { class: 'buttons others' },
      others.map((one) =>
        button(factorNames[one], 'other', { 'data-step': one, 'data-key': one, class: 'plain' }),
      ),
      button('Begin again', 'restart', { class: 'plain', 'data-key': 'restart' }),
    ),
  );
}

function waitingSubmit(text, { waitUntil }, ui) {
  const ms = waitUntil - Date.now();
  if (ms > 0) {
    const seconds = Math.ceil(ms / 1000);
    const rest = seconds < 60 ? `${seconds} s` : duration(seconds * 1000);
    return submit(`Try again in ${rest}`, { disabled: '' });
  }
  return submit(ui.busy === undefined ? text : 'One moment …');
}

function ownerHint(question) {
  return h(
    'p',
    { class: 'small muted hint' },
    question,
    ' In a terminal there, ',
    h('code', {}, 'centuria open'),
    ' prints a link that lets this browser in as the owner.',
  );
}
