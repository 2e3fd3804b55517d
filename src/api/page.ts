import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { AppError } from '../base/base.ts';
import { sendTaggedText } from './etag.ts';
import type { Guard } from './guard.ts';
import type { Http } from './http.ts';

/** In the order in which they use one another. */
const scripts = [
  'dom.js',
  'server.js',
  'forms.js',
  'report.js',
  'rights.js',
  'run-questions.js',
  'run-rating.js',
  'run-tasks.js',
  'run.js',
  'lists.js',
  'watching.js',
  'passkey.js',
  'sign-in.js',
  'account-keys.js',
  'account-proofs.js',
  'account.js',
  'access.js',
  'principal.js',
  'events.js',
  'consent.js',
  'main.js',
];
const styles = ['page.css', 'forms.css'];

export interface Page {
  readonly html: string;
  readonly contentSecurityPolicy: string;
}

/**
 * The page as one document held in memory. Its modules are joined into one inline script, so that
 * the policy names that script and the style by their hashes and nothing else can ever run.
 */
export function loadPage(): Page {
  const script = scripts.map((name) => joinable(read(name))).join('\n');
  const style = styles.map(read).join('\n');
  // Functions, since `$&` in a replacement text would be taken for a pattern. The whole content of
  // the element is replaced: its hash covers the white space too.
  const html = read('index.html')
    .replace(/(<style>)[^<]*/, (_match, open: string) => open + style)
    .replace(/(<script type="module">)[^<]*/, (_match, open: string) => open + script);
  return {
    html,
    contentSecurityPolicy: [
      "default-src 'none'",
      `script-src '${integrity(script)}'`,
      `style-src '${integrity(style)}'`,
      "connect-src 'self'",
      "img-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
  };
}

function read(name: string): string {
  return readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8');
}

/** A module's text without its imports and exports: in one script every name is already there. */
function joinable(source: string): string {
  return source.replaceAll(/^import [^;]*;\n/gm, '').replaceAll(/^export /gm, '');
}

function integrity(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#9b2c1f"/><path d="M21.5 11.2A7.3 7.3 0 1 0 21.5 20.8" fill="none" stroke="#fff" stroke-width="3.4" stroke-linecap="round"/></svg>`;

/** The page, its icon, and the exchange of a login link for a session: open, since they show nothing of anybody. */
export function pageRoutes(app: Http, guard: Guard): void {
  const page = loadPage();
  const open = { config: { open: true } };
  const hidden = { schema: { hide: true } };

  // The same document: its script reads from the address what is asked for, and asks who is there first.
  for (const path of ['/', '/device', '/authorize']) {
    app.get(path, { ...open, ...hidden }, async (request, reply) => {
      void reply.header('content-security-policy', page.contentSecurityPolicy);
      return sendTaggedText(request, reply, page.html, 'text/html; charset=utf-8');
    });
  }

  app.get('/favicon.svg', { ...open, ...hidden }, async (request, reply) =>
    sendTaggedText(request, reply, icon, 'image/svg+xml'),
  );

  // No HEAD: what only looks at a link must not use it up.
  app.get('/login', { ...open, ...hidden, exposeHeadRoute: false }, async (request, reply) => {
    const { code } = request.query as Readonly<Record<string, unknown>>;
    const cookie = typeof code === 'string' ? await guard.exchange(code, request) : undefined;
    if (cookie !== undefined) return reply.header('set-cookie', cookie).redirect('/', 303);
    // The page says what to do; the status says that nobody was let in.
    if (/\btext\/html\b/.test(request.headers.accept ?? '')) {
      void reply.header('content-security-policy', page.contentSecurityPolicy);
      return reply.code(403).type('text/html; charset=utf-8').send(page.html);
    }
    throw new AppError('denied', 'the link was used already, or is older than five minutes', {
      remedy: 'Run `centuria open` for another one.',
    });
  });
}
