/** Secrets at rest: sealed under one master key that never stands beside them. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { AppError } from '../base/base.ts';

export interface Sealer {
  /** Encrypts; `context` says what it is for, and must be given again to open it. */
  seal(plain: Uint8Array, context: string): Uint8Array;
  /** Throws `master_key_wrong` where key, context or bytes are not those of the sealing. */
  open(sealed: Uint8Array, context: string): Uint8Array;
  /** A key for one purpose, 1 to 8,160 bytes: the same for the same label. */
  derive(label: string, bytes: number): Uint8Array;
  /** Tells master keys apart and says nothing of them: 16 hex digits. */
  readonly fingerprint: string;
}

const version = 1;
const nonceBytes = 12;
const tagBytes = 16;

/**
 * Seals with AES-256-GCM (SP 800-38D) under a key derived by HKDF-SHA256 (RFC 5869): a version byte,
 * a random 96-bit nonce, the text, the 128-bit tag. Random nonces are safe for 2³² sealings; ours are
 * some keys and one-time secrets. `masterKey`: 32 bytes, copied.
 */
export function createSealer(masterKey: Uint8Array): Sealer {
  if (masterKey.length !== 32) {
    throw new AppError('config_invalid', `the master key has ${masterKey.length} bytes, not 32`, {
      remedy: 'Give a file of exactly 32 random bytes as CENTURIA_MASTER_KEY_FILE.',
    });
  }
  const secret = Uint8Array.from(masterKey);
  const expand = (label: string, bytes: number) =>
    new Uint8Array(hkdfSync('sha256', secret, 'centuria', label, bytes));
  const key = expand('seal', 32);
  return {
    seal(plain, context) {
      const nonce = randomBytes(nonceBytes);
      return Buffer.concat([Buffer.of(version), nonce, encrypt(key, nonce, context, plain)]);
    },
    open(sealed, context) {
      if (sealed[0] !== version || sealed.length < 1 + nonceBytes + tagBytes) throw cannotOpen();
      const nonce = sealed.subarray(1, 1 + nonceBytes);
      return decrypt(key, nonce, context, sealed.subarray(1 + nonceBytes));
    },
    // A prefix keeps purposes that callers name apart from the sealer's own.
    derive: (label, bytes) => expand(`derive:${label}`, bytes),
    fingerprint: Buffer.from(expand('fingerprint', 8)).toString('hex'),
  };
}

/** AES-256-GCM with the tag behind the text. */
export function encrypt(
  key: Uint8Array,
  nonce: Uint8Array,
  context: string | Uint8Array,
  plain: Uint8Array,
): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(context));
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** The inverse of `encrypt`. Throws `master_key_wrong`. */
export function decrypt(
  key: Uint8Array,
  nonce: Uint8Array,
  context: string | Uint8Array,
  sealed: Uint8Array,
): Buffer {
  const end = sealed.length - tagBytes;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(sealed.subarray(end));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()]);
  } catch (cause) {
    throw cannotOpen(cause);
  }
}

function cannotOpen(cause?: unknown): AppError {
  return new AppError('master_key_wrong', 'a sealed secret does not open with the master key', {
    cause,
    remedy:
      'The master.key of the data folder, or the file that CENTURIA_MASTER_KEY_FILE names, is not the one that sealed the secrets of this database: put that one back.',
  });
}
