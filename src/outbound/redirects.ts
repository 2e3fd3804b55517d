import type { RequestInit as DialInit } from 'undici';
import { AppError } from '../base/base.ts';

/** What says nothing about who asks. All else may be a secret, whatever its name is. */
const plainHeaders = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'content-type',
  'user-agent',
]);

/** Where an answer leads; undefined where it is no redirect. */
export function redirectTarget(status: number, location: string | null, at: URL): URL | undefined {
  if (![301, 302, 303, 307, 308].includes(status) || location === null) return undefined;
  if (URL.canParse(location, at.href)) return new URL(location, at);
  throw refused(at, 'it redirects to what is no address');
}

/**
 * The request that follows a redirect. As browsers do it, what was posted is asked for after 301, 302 and
 * 303. Another origin gets neither headers that may be secrets nor what was sent: it is refused then.
 */
export function redirected(init: DialInit, status: number, from: URL, to: URL): DialInit {
  const trusted = from.origin === to.origin || isUpgrade(from, to);
  const given = [...new Headers(init.headers as ConstructorParameters<typeof Headers>[0])];
  const headers = new Headers(given.filter(([name]) => trusted || plainHeaders.has(name)));
  const method = init.method?.toUpperCase() ?? 'GET';
  if (status === 307 || status === 308 || method === 'GET' || method === 'HEAD') {
    const sends = init.body !== undefined && init.body !== null;
    if (sends && !trusted) {
      throw refused(from, `it redirects what was sent to ${to.origin}`);
    }
    return { ...init, headers: [...headers] };
  }
  const { body: _body, ...rest } = init;
  for (const name of ['content-type', 'content-length']) headers.delete(name);
  return { ...rest, method: 'GET', headers: [...headers] };
}

/** The same host, from port 80 to 443. */
function isUpgrade(from: URL, to: URL): boolean {
  const isDefault = from.port === '' && to.port === '';
  return (
    isDefault &&
    from.hostname === to.hostname &&
    from.protocol === 'http:' &&
    to.protocol === 'https:'
  );
}

export function refused(url: URL, why: string): AppError {
  return new AppError('outbound_refused', `${url.origin} is not asked: ${why}`, {
    details: { origin: url.origin },
  });
}
