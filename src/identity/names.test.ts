import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkText, foldName, futureTime, normaliseEmail, normaliseUsername } from './names.ts';

test('names in full width, with a Kelvin sign or in capitals are the plain name', () => {
  for (const name of ['KELVIN', '\u212aelvin', 'ｋｅｌｖｉｎ', 'kelvin']) {
    expect(normaliseUsername(name)).toBe('kelvin');
  }
});

test('a name with letters beyond ASCII, a space or the form of an id is refused', () => {
  const id = '01890a5d-ac96-774b-bcce-b302099a8057';
  for (const name of ['İ', 'é', 'a b', '.a', '', 'a'.repeat(64), id, id.toUpperCase(), 'ﬀ\u0301']) {
    expect(() => normaliseUsername(name)).toThrow('can be no username');
  }
});

test('e-mail addresses that mean the same are the same text', () => {
  const same = ['caf\u00e9@example.org', 'CAFE\u0301@example.org', 'ｃａｆé@EXAMPLE.ORG'];
  expect(new Set(same.map(normaliseEmail))).toStrictEqual(new Set(['caf\u00e9@example.org']));
  expect(normaliseEmail('\u0130@example.org')).toBe('i\u0307@example.org');
  const wrong = ['a', '@b', 'a@', 'a@b@c', 'a b@c', 'a\u0000@b', `${'a'.repeat(250)}@b.org`];
  for (const email of wrong) {
    expect(() => normaliseEmail(email)).toThrow('is no e-mail address');
  }
});

test('folding a folded name changes nothing', () => {
  const property = fc.property(fc.string({ unit: 'binary' }), (text) => {
    const folded = foldName(text);
    expect(foldName(folded)).toBe(folded);
  });
  fc.assert(property, { numRuns: 5_000 });
});

test('a name to show keeps no control characters and no marks of direction', () => {
  expect(checkText('displayName', ' Ann ', 10)).toBe('Ann');
  for (const text of ['a\nb', 'a\u202eb', '\u0000', 'x'.repeat(11), '\ud800']) {
    expect(() => checkText('displayName', text, 10)).toThrow('displayName');
  }
});

test('an end lies ahead and is written so that it means one moment', () => {
  const nowMs = Date.UTC(2026, 0, 1);
  expect(futureTime('expiresAt', '2026-01-01T00:00:00.001Z', nowMs).getTime()).toBe(nowMs + 1);
  for (const text of ['2026-01-01T00:00:00Z', '1 Feb 2027', '2027-02-30T25:00:00Z', '9999999']) {
    expect(() => futureTime('expiresAt', text, nowMs)).toThrow('expiresAt');
  }
});
