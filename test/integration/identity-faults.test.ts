import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** Each known fault of systems of this kind, and the test that fails where it is there: file, and how its name begins. */
const faults: readonly (readonly [fault: string, file: string, name: string])[] = [
  ['the password is ignored', 'identity-sql', 'authenticate_user verifies'],
  ['the resource is ignored', 'identity-sql', 'check_permission reads patterns'],
  ['a disabled user keeps permissions', 'identity-sql', 'a disabled user does not authenticate'],
  [
    'the view is refreshed on some changes only',
    'identity-sql',
    'user_permissions_mv is what counts',
  ],
  [
    'sessions can not be deleted for their events',
    'identity-credentials',
    'events outlive the sessions',
  ],
  ['records hold password hashes', 'identity-admin', 'no event and no answer holds'],
  ['an index holds the present moment', 'identity-questions', 'no index holds a moment'],
  [
    'failed logins are not counted, nothing is locked',
    'identity-sql',
    'ten wrong tries lock a name',
  ],
  ['an administrator with a known password exists', 'identity-questions', 'nobody exists after'],
  ['every token issued is refused', 'identity-attacks', 'a stream ends when'],
  [
    'a request is counted twice, two agents share a bucket',
    'identity-limits',
    'count a request once',
  ],
  [
    'whole seconds as members never trip a limit',
    'identity-limits',
    'let exactly ten through one after',
  ],
  ['a limit fails open without Redis', 'identity-limits', 'refuse what must not go unchecked'],
  ['eviction drops revocations', 'identity-cache', 'word of a revocation reaches'],
  ['parallel guesses outrun the limit', 'identity-sql', 'of many wrong tries at once'],
  ['parallel takes outrun the limit', 'identity-limits', 'let exactly ten of 500'],
  [
    'unused bits of a signature, alg none, confusion, injected keys, crit',
    'identity-tokens',
    'no change of header',
  ],
  ['state or a ticket is taken for a token', 'identity-tokens', 'no kind of secret'],
  ['a path written otherwise passes a check', 'identity-tokens', 'a token for one resource'],
  ['names are compared before they are normalised', 'identity-admin', 'names that look alike'],
  ['an answer tells known from unknown names', 'identity-fuzz', 'nothing that an answer holds'],
];

test.each(faults)('a test would find that %s', (_fault, file, name) => {
  const text = readFileSync(join(import.meta.dirname, `${file}.test.ts`), 'utf8');
  expect(text).toContain(`'${name}`);
});
