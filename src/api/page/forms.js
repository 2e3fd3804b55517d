import { h } from './dom.js';

/** A labelled input with a hint below it. `attributes` are those of the input; its name is its id unless given. */
export function field(label, attributes, hint) {
  const id = attributes.id ?? `field-${attributes.name}`;
  const tag = attributes.options === undefined ? 'input' : 'select';
  const { options, ...own } = attributes;
  return h(
    'div',
    { class: 'field' },
    h('label', { for: id }, label),
    h(
      tag,
      {
        id,
        class: 'input',
        'aria-describedby': hint === undefined ? undefined : `${id}-hint`,
        ...own,
      },
      options?.map(({ value, text, selected }) => h('option', { value, selected }, text ?? value)),
    ),
    hint !== undefined && h('p', { id: `${id}-hint`, class: 'small muted' }, hint),
  );
}

/** A form whose problem has a place that is always there, so that nothing moves when it is said. */
export function form(name, ui, attributes, ...children) {
  return h(
    'form',
    {
      'data-form': name,
      'data-key': `form-${name}`,
      'aria-busy': ui.busy === name || undefined,
      ...attributes,
    },
    problemAt(name, ui),
    children,
  );
}

/** What went wrong with an action, in words, beside what asked for it. */
export function problemAt(name, { problem }) {
  const error = problem?.at === name ? problem.error : undefined;
  return h(
    'div',
    { role: 'alert', 'data-key': `problem-${name}` },
    error !== undefined &&
      h(
        'div',
        { class: 'notice bad' },
        h('strong', {}, sentence(error.message)),
        error.remedy && h('p', {}, error.remedy),
        error.errors?.length > 0 &&
          h(
            'ul',
            {},
            error.errors.map((one) => h('li', {}, `${one.field}: ${one.message}`)),
          ),
      ),
  );
}

export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

export function submit(text, attributes = {}) {
  return h('button', { type: 'submit', class: 'primary', ...attributes }, text);
}

export function button(text, action, attributes = {}) {
  return h('button', { type: 'button', 'data-action': action, ...attributes }, text);
}

/** A secret that the server does not tell again. */
export function shownOnce({ title, text, secret, file }) {
  return h(
    'section',
    { class: 'panel once', 'data-key': 'once', tabindex: -1, 'aria-label': title },
    h('h2', {}, title),
    h('p', {}, text),
    h('pre', { id: 'once' }, secret),
    h(
      'div',
      { class: 'buttons' },
      button('Copy', 'copy', { 'data-from': 'once', class: 'primary' }),
      file && button('Download', 'download', { 'data-from': 'once', 'data-file': file }),
      button('I have kept it', 'kept'),
    ),
  );
}

/** Copies what an element holds; where the clipboard is closed to the page, marks it for the reader to copy. */
export async function copyFrom(id) {
  const element = document.querySelector(`#${id}`);
  try {
    await navigator.clipboard.writeText(element.textContent);
    return 'Copied';
  } catch {
    getSelection().selectAllChildren(element);
    return 'This browser lets no page copy here. It is selected: press Ctrl+C';
  }
}

export function downloadFrom(id, name) {
  const text = `${document.querySelector(`#${id}`).textContent}\n`;
  const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  h('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return 'Saved';
}

/** Asks before something that can not be taken back; false when the reader goes back. */
export function confirmed({ title, text, yes }) {
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
