/** What the definitions of runtimes that dial out have in common, and what is complained of in them. */
import { Type, type Static } from 'typebox';
import { references, toAppError } from '../../base/base.ts';
import { parseAllowed } from '../../outbound/outbound.ts';
import { complain, type Path } from '../fields.ts';
import type { Frontmatter } from '../frontmatter.ts';
import { text, wholeNumber } from '../schema-terms.ts';
import { checkTemplate } from '../template-checks.ts';
import { authorityOf, literalOrigin } from './dial.ts';
import { checkSecretTemplate } from './secrets.ts';

const headersTerm = Type.Record(Type.String(), Type.String(), {
  maxProperties: 50,
  description: 'a map of names to texts',
});
const allowTerm = Type.Array(Type.String({ minLength: 1 }), {
  maxItems: 100,
  description: 'a list of hosts (host or host:port), addresses and networks (10.0.0.0/8)',
});
const dialLimitsTerm = Type.Object(
  {
    responseMb: Type.Optional(wholeNumber(1, 1_024)),
    redirects: Type.Optional(wholeNumber(0, 20)),
  },
  { additionalProperties: false, description: 'a map' },
);
export type DialLimits = Static<typeof dialLimitsTerm>;

/** The fields that each of them has. */
export const dialFields = {
  url: text('an address that begins with http:// or https://'),
  headers: Type.Optional(headersTerm),
  allow: Type.Optional(allowTerm),
  limits: Type.Optional(dialLimitsTerm),
};
export interface DialSpec {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly allow?: readonly string[];
}

/** Belong to the connection, not to who asks; `host` would choose another certificate as well. */
const connectionHeaders = new Set([
  'host',
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** All but the address, which is not the same everywhere. */
export function checkDial(front: Frontmatter, { headers, allow }: DialSpec, path: Path): void {
  checkHeaders(front, headers, [...path, 'headers']);
  checkAllow(front, allow, [...path, 'allow']);
}

function checkHeaders(
  front: Frontmatter,
  headers: Readonly<Record<string, string>> | undefined,
  path: Path,
): void {
  for (const [name, template] of Object.entries(headers ?? {})) {
    const at = [...path, name];
    if (!headerName.test(name)) complain(front, at, 'is no name of a header');
    else if (connectionHeaders.has(name.toLowerCase()) || /^proxy-/i.test(name)) {
      complain(front, at, 'belongs to the connection and can not be set');
    }
    if (/[\r\n\0]/.test(template)) complain(front, at, 'must be one line');
    checkSecretTemplate(front, template, at);
  }
}

function checkAllow(front: Frontmatter, allow: readonly string[] | undefined, path: Path): void {
  allow?.forEach((entry, index) => {
    try {
      parseAllowed(entry);
    } catch (thrown) {
      const { message, remedy } = toAppError(thrown);
      complain(front, [...path, index], `is wrong: ${message}`, remedy);
    }
  });
}

/**
 * A literal address names what may be reached. One whose host comes from an expression needs `allow`, and
 * reaches nothing beside it: otherwise whoever gives the input would choose whom this machine asks.
 */
export function checkUrl(
  front: Frontmatter,
  url: string,
  path: Path,
  allow: readonly string[] | undefined,
): void {
  const authority = authorityOf(url);
  if (authority === undefined) {
    complain(front, path, 'must begin with http:// or https://, or be one expression');
    return;
  }
  if (authority.includes('@')) {
    complain(front, path, 'must not hold a password', 'Give it in a header, by reference.');
  } else if (authority.includes('${')) {
    if (allow !== undefined && allow.length > 0) return checkUrlTemplate(front, url, path);
    const message = 'takes its host from an expression, and allow names nothing it may become';
    complain(
      front,
      path,
      message,
      'Write the host out, or list the hosts that are meant in allow.',
    );
  } else if (literalOrigin(url) === undefined) {
    complain(front, path, 'is no address of a host');
  }
  checkUrlTemplate(front, url, path);
}

function checkUrlTemplate(front: Frontmatter, url: string, path: Path): void {
  if (holdsSecret(url)) {
    const message = 'holds a secret, and addresses are written into logs by all that see them';
    complain(front, path, message, 'Give it in a header.');
  } else {
    checkTemplate(front, url, path);
  }
}

function holdsSecret(template: string): boolean {
  try {
    return references(template).some((expression) => expression.split('.')[0] === 'secret');
  } catch {
    return false;
  }
}
