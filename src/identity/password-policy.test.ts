import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { AppError } from '../base/base.ts';
import {
  checkNewPassword,
  leastCharacters,
  openBreachedList,
  type PasswordCheck,
} from './password-policy.ts';

const folder = mkdtempSync(join(tmpdir(), 'centuria-policy-'));
afterAll(() => rmSync(folder, { recursive: true }));

const nothingBefore = async (): Promise<boolean> => false;

function check(password: string, options: Partial<PasswordCheck> = {}) {
  return checkNewPassword(password, { username: 'annika', previous: nothingBefore, ...options });
}

const ruleOf = (password: string, options?: Partial<PasswordCheck>): Promise<unknown> =>
  check(password, options).then(
    () => 'good',
    (error: unknown) => (error instanceof AppError ? error.details['rule'] : error),
  );

test.each([
  'correct horse battery staple',
  'seventeen syllables',
  'ein langer Satz mit Umlauten: äöü',
  'gT7#kd93Lq!xPz02',
  '三十六計逃げるに如かず、という言葉もある',
  'family 👨‍👩‍👧‍👦 of four here',
])('%j is good', async (password) => {
  expect(await ruleOf(password)).toBe('good');
});

test('fifteen characters are enough alone and eight beside a second factor, counted as people count', async () => {
  const wolf = '🐺';
  for (const [minimum, least] of [
    [undefined, 15],
    [leastCharacters.withSecondFactor, 8],
  ] as const) {
    const options = minimum === undefined ? {} : { minimum };
    const enough = `${wolf}bvnxtkgwpzmdqrs`.slice(0, least + 1);
    expect([...enough]).toHaveLength(least);
    expect(await ruleOf(enough, options)).toBe('good');
    expect(await ruleOf(enough.slice(0, -1), options)).toBe('too_short');
    // Typed in pieces it is no longer than in one.
    expect(await ruleOf(`e\u0301${enough.slice(0, -2)}`, options)).toBe('too_short');
  }
  await expect(check('too short')).rejects.toMatchObject({
    code: 'invalid_input',
    details: { field: 'password', minimum: 15 },
    remedy: expect.stringContaining('15 characters'),
  });
});

test('more than 1,024 bytes are refused before anything is looked up', async () => {
  const calls: string[] = [];
  const previous = async (password: string): Promise<boolean> => calls.push(password) === 0;
  await expect(check('é correct horse '.repeat(64), { previous })).rejects.toMatchObject({
    code: 'invalid_input',
    message: expect.stringContaining('1024 bytes'),
  });
  expect(calls).toEqual([]);
});

test.each(['\u0000', '\n', '\t', '\u007f', '\u0085', '\u2028', '\u2029', '\u0378'])(
  'a password with %j in it is refused',
  async (character) => {
    expect(await ruleOf(`correct horse${character}battery`)).toBe('characters');
  },
);

test.each([
  ['the user name', 'correct annika battery', {}],
  ['the user name in other case', 'correct ANNIKA battery', {}],
  ['the user name in wide letters', 'correct ａｎｎｉｋａ battery', {}],
  ['a further name', 'correct Lindqvist battery', { names: ['Lindqvist'] }],
  ['the e-mail address', 'a.l@example.com battery', { names: ['a.l@example.com'] }],
  ['the front of the e-mail address', 'lindqvist battery', { names: ['lindqvist@example.com'] }],
  ['nothing but a short name', 'li', { username: 'Li', minimum: 1 }],
])('%s in the password is refused', async (_what, password, options) => {
  expect(await ruleOf(password, options)).toBe('name');
});

test('a name of two letters may be part of a word, and an absent one is part of none', async () => {
  expect(await ruleOf('brilliant horse battery', { username: 'li', names: [''] })).toBe('good');
});

test.each([
  'aaaaaaaaaaaaaaaa',
  '                ',
  '1234567890123456',
  '9876543210987654',
  'abcdefghijklmnopqrstuvwxyz',
  'zyxwvutsrqponmlkj',
  'qwertyuiopasdfghjkl',
  'QWERTZUIOPasdfghjkl',
  'lkjhgfdsapoiuytrewq',
  '1qaz2wsx3edc4rfv',
  'aaaabbbbccccdddd',
  'abcd1234abcd1234',
  '!@#$%^&*()!@#$%^',
  'mnbvcxzxyzabcdef',
  'uvwxyzabcdefyzabcxyzabc',
  '123123123123123',
  'Abababababababa',
  'passwordpassword',
])('%j is no more than a pattern', async (password) => {
  expect(await ruleOf(password)).toBe('plain');
});

test('any one character repeated is refused, whichever it is', async () => {
  const characters = fc
    .string({ minLength: 1, maxLength: 1, unit: 'binary' })
    .filter((character) => character.isWellFormed());
  await fc.assert(
    fc.asyncProperty(characters, fc.integer({ min: 60, max: 200 }), async (character, times) => {
      expect(await ruleOf(character.repeat(times))).not.toBe('good');
    }),
  );
});

test('a leaked password is refused, and whether it was looked up can be told', async () => {
  const leaked = 'correct horse battery staple';
  const path = join(folder, 'list.txt');
  writeFileSync(path, `${createHash('sha1').update(leaked).digest('hex').toUpperCase()}:7\n`);
  const breached = await openBreachedList(path);
  expect(await ruleOf(leaked, { breached })).toBe('breached');
  // The spaces of another keyboard are the same spaces.
  expect(await ruleOf(leaked.replaceAll(' ', '\u00a0'), { breached })).toBe('breached');
  expect(await check('seventeen syllables', { breached })).toEqual({ breached: false });
  expect(await check(leaked)).toEqual({ breached: undefined });
  await breached.close();
});

test('a former password is refused, asked for in the form that is hashed', async () => {
  const asked: string[] = [];
  const previous = async (password: string): Promise<boolean> => {
    asked.push(password);
    return password === 'caf\u00e9 au lait du matin';
  };
  expect(await ruleOf('cafe\u0301 au\u00a0lait du matin', { previous })).toBe('previous');
  expect(await ruleOf('th\u00e9 au lait du matin', { previous })).toBe('good');
  expect(asked).toHaveLength(2);
});

test('a list that can not be read is a failure and not a good password', async () => {
  const path = join(folder, 'gone.txt');
  writeFileSync(path, `${'0'.repeat(40)}\n`);
  const breached = await openBreachedList(path);
  await breached.close();
  await expect(check('seventeen syllables', { breached })).rejects.toMatchObject({
    code: 'config_invalid',
  });
});

test('no refusal holds the password', async () => {
  const passwords = fc.string({ minLength: 4, maxLength: 30, unit: 'grapheme' });
  await fc.assert(
    fc.asyncProperty(passwords, async (password) => {
      const error: unknown = await check(password, { previous: async () => true }).catch(
        (thrown: unknown) => thrown,
      );
      if (!(error instanceof AppError)) throw new Error('it was not refused');
      expect(error).toMatchObject({ code: 'invalid_input', remedy: expect.any(String) });
      const told = JSON.stringify([error.message, error.remedy, error.details]);
      // Short words of ours may be somebody's password.
      if (password.length > 12) expect(told).not.toContain(password);
      expect(Object.values(error.details)).not.toContain(password);
    }),
  );
});
