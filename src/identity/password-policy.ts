import { foldName } from './names.ts';
import { AppError } from '../base/base.ts';
import type { BreachedPasswords } from './breached-passwords.ts';
import { normalisePassword } from './passwords.ts';

export { openBreachedList, type BreachedPasswords } from './breached-passwords.ts';

/** NIST 800-63B-4, 3.1.1.2: characters where the password is the only factor, and where there is a second one. */
export const leastCharacters = { alone: 15, withSecondFactor: 8 } as const;

/** A shorter name is part of too many words to forbid it in a password. */
const leastNameCharacters = 3;

export interface PasswordCheck {
  readonly username: string;
  /** Other names of the same person, such as the e-mail address. */
  readonly names?: readonly string[];
  /** Unicode code points; 15 unless given. */
  readonly minimum?: number;
  /** Whether the password is one of the last ones of this user. */
  readonly previous: (password: string) => Promise<boolean>;
  /** Absent where there is no list: then nothing is looked up, and the answer says so. */
  readonly breached?: BreachedPasswords | undefined;
}

export interface PasswordVerdict {
  /** False: looked up and not found. Undefined: there was no list to look in. */
  readonly breached: false | undefined;
}

/**
 * Refuses a new password that is short, long, guessable, leaked or not new, after NIST 800-63B-4 and
 * without rules about kinds of characters, which only move people to `Password1!`. Throws
 * `invalid_input` with what would be right and `details.rule`, never with the password.
 */
export async function checkNewPassword(
  password: string,
  check: PasswordCheck,
): Promise<PasswordVerdict> {
  const normalised = normalisePassword(password);
  checkCharacters(normalised, check.minimum ?? leastCharacters.alone);
  checkNames(normalised, [check.username, ...(check.names ?? [])]);
  const keys = [...normalised.toLowerCase()];
  if (isRepetition(keys) || isPlain(keys)) {
    throw refused('plain', 'the password is only repetition or neighbours on the keyboard', {
      remedy: 'Use several words that do not belong together.',
    });
  }
  if ((await check.breached?.has(normalised)) === true) {
    throw refused('breached', 'the password is in a list of passwords that have leaked', {
      remedy: 'Use one that is used nowhere else; change it wherever it is in use.',
    });
  }
  // Last, since it costs a hash for each of the former ones.
  if (await check.previous(normalised)) {
    throw refused('previous', 'the password was in use before', {
      remedy: 'Use one that you have not had lately.',
    });
  }
  return { breached: check.breached === undefined ? undefined : false };
}

type Rule = 'characters' | 'too_short' | 'name' | 'plain' | 'breached' | 'previous';

function refused(
  rule: Rule,
  message: string,
  more: { remedy: string; details?: Record<string, unknown> },
): AppError {
  return new AppError('invalid_input', message, {
    details: { field: 'password', rule, ...more.details },
    remedy: more.remedy,
  });
}

function checkCharacters(password: string, minimum: number): void {
  // What Unicode has not assigned yet may be normalised otherwise one day, and then fit no more.
  if (/[\p{Cc}\p{Zl}\p{Zp}\p{Cn}]/u.test(password)) {
    throw refused('characters', 'the password holds control characters or unknown ones', {
      remedy: 'Leave out line ends, tabs and whatever can not be seen.',
    });
  }
  const length = [...password].length;
  if (length < minimum) {
    throw refused('too_short', `the password has ${length} characters, which is too few`, {
      details: { minimum },
      remedy: `Use at least ${minimum} characters; spaces count, and a few words do well.`,
    });
  }
}

function checkNames(password: string, names: readonly string[]): void {
  const folded = foldName(password);
  // Of an address the part before the @ counts by itself.
  const parts = names.flatMap((name) => [name, name.replace(/@.*$/, '')]);
  for (const name of parts.map(foldName)) {
    const isPart = [...name].length >= leastNameCharacters && folded.includes(name);
    if (isPart || (name !== '' && folded === name)) {
      throw refused('name', "the password holds the user's name", {
        remedy: 'Leave the user name, the e-mail address and your own name out of it.',
      });
    }
  }
}

/** Rows and columns of the usual keyboards, and what everybody can recite. Read both ways and round. */
const rows = [
  'abcdefghijklmnopqrstuvwxyz',
  '1234567890',
  '!@#$%^&*()',
  'qwertyuiop',
  'asdfghjkl',
  'zxcvbnm',
  'qwertzuiop',
  'yxcvbnm',
  'azertyuiop',
  'qsdfghjklm',
  'wxcvbn',
  '1qaz',
  '2wsx',
  '3edc',
  '4rfv',
  '5tgb',
  '6yhn',
  '7ujm',
  '8ik,',
  '9ol.',
  '0p;/',
] as const;

const following = new Map<string, ReadonlySet<string>>();
for (const row of rows) {
  for (const [index, key] of [...row].entries()) {
    const next = row[(index + 1) % row.length] ?? '';
    following.set(key, new Set([...(following.get(key) ?? []), next]));
  }
}

/** Runs of this length on average are no words: 1qaz2wsx3edc4rfv has four, correct horse none. */
const plainRun = 4;

/** Whether something comes at least twice and nothing else comes: 123123123, passwordpassword. */
function isRepetition(keys: readonly string[]): boolean {
  for (let period = 1; period <= keys.length / 2; period += 1) {
    if (keys.every((key, index) => index < period || key === keys[index - period])) return true;
  }
  return false;
}

/** Whether a password is made of runs such as aaaa, 4321 and qwerty. */
function isPlain(keys: readonly string[]): boolean {
  let runs = 1;
  let step: ReturnType<typeof stepBetween>;
  for (let index = 1; index < keys.length; index += 1) {
    const now = stepBetween(keys[index - 1] ?? '', keys[index] ?? '');
    const isFirstOfRun = step === undefined;
    if (now !== undefined && (isFirstOfRun || now === step)) {
      step = now;
    } else {
      runs += 1;
      step = undefined;
    }
  }
  return keys.length / runs >= plainRun;
}

function stepBetween(one: string, other: string): 'same' | 'forward' | 'back' | undefined {
  if (one === other) return 'same';
  if (following.get(one)?.has(other) === true) return 'forward';
  if (following.get(other)?.has(one) === true) return 'back';
  return undefined;
}
