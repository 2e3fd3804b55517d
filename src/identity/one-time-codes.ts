import { createHash, timingSafeEqual } from 'node:crypto';
import { HOTP, Secret, TOTP } from 'otpauth';
import { AppError } from '../base/base.ts';

/** So many unpredictable bytes: `randomBytes` of node:crypto, held still only by tests. */
export type RandomBytes = (sizeBytes: number) => Uint8Array;

/** What every authenticator app understands; most ignore other values without saying so. */
const form = { algorithm: 'SHA1', digits: 6, period: 30 } as const;

/** RFC 4226, section 4, R6: a secret has 128 bits at least and 160 for choice. */
const leastSecretBytes = 16;
const secretBytes = 20;

const recoveryCodes = 10;
const recoveryCodeBytes = 10;
/** Crockford's base32: without I, L, O and U, which people read as something else. */
const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A new shared secret of 160 bits, in base32 as people type it into an app. */
export function newTotpSecret(random: RandomBytes): string {
  return new Secret({ buffer: Uint8Array.from(random(secretBytes)).buffer }).base32;
}

/** The `otpauth:` address that an authenticator app reads from a QR code. It holds the secret. */
export function totpUri(options: { secret: string; account: string; issuer: string }): string {
  const secret = readSecret(options.secret);
  // Half a surrogate pair can not stand in an address.
  const label = options.account.toWellFormed();
  return new TOTP({ ...form, secret, label, issuer: options.issuer.toWellFormed() }).toString();
}

export interface TotpCheck {
  /** Base32. */
  readonly secret: string;
  /** As it was typed; spaces do not count. */
  readonly code: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** The step of the last code that was right; undefined when there was none. */
  readonly lastUsedStep: number | undefined;
}

export type TotpResult = { readonly ok: true; readonly step: number } | { readonly ok: false };

/**
 * Checks a code of RFC 6238 against the present step of 30 seconds and its two neighbours. A step up
 * to `lastUsedStep` is never right again; store `step` in the statement that compares it, or two
 * requests with one code both pass. Throws `internal` when the secret can not be read.
 */
export function checkTotp({ secret, code, atMs, lastUsedStep }: TotpCheck): TotpResult {
  const key = readSecret(secret);
  const given = Buffer.from(code.replaceAll(/\s/g, ''));
  const present = TOTP.counter({ period: form.period, timestamp: atMs });
  let right: number | undefined;
  // All three are always compared, so that time says nothing; of two that fit, the later one counts
  // as used, or the code could be used once more.
  for (let step = present - 1; step <= present + 1; step += 1) {
    const wanted = Buffer.from(HOTP.generate({ ...form, secret: key, counter: step }));
    const isEqual = given.length === wanted.length && timingSafeEqual(given, wanted);
    if (isEqual && step > (lastUsedStep ?? -1)) right = step;
  }
  return right === undefined ? { ok: false } : { ok: true, step: right };
}

function readSecret(secret: string): Secret {
  try {
    const read = Secret.fromBase32(secret);
    if (read.bytes.length >= leastSecretBytes) return read;
  } catch {
    // The library's message holds a character of the secret.
  }
  throw new AppError('internal', 'a stored secret for one-time codes can not be read');
}

/** Ten codes of 80 bits for the day when the second factor is lost, as XXXX-XXXX-XXXX-XXXX. */
export function newRecoveryCodes(random: RandomBytes): string[] {
  return Array.from({ length: recoveryCodes }, () => {
    let value = BigInt(`0x${Buffer.from(random(recoveryCodeBytes)).toString('hex')}`);
    let code = '';
    for (let place = 0; place < 16; place += 1) {
      code = `${crockford[Number(value & 31n)]}${code}`;
      value >>= 5n;
    }
    return code.replaceAll(/.{4}(?=.)/g, '$&-');
  });
}

/**
 * The SHA-256 hash under which a recovery code is stored and looked up. Case, spaces and dashes do
 * not count, O is 0, I and L are 1. Fast is enough: nobody guesses 80 random bits. A text that is no
 * code at all has a hash as well, and no code has that one.
 */
export function recoveryCodeHash(code: string): Uint8Array {
  const normalised = code
    .normalize('NFKC')
    .toUpperCase()
    .replaceAll(/[\s\p{Pd}]/gu, '')
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1');
  return createHash('sha256').update(normalised).digest();
}
