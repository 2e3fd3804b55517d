/**
 * Who made it: in-toto statements (Statement v1) in DSSE envelopes (DSSE v1.0), signed with Ed25519.
 * The key is a file of the data folder; keys of others are trusted by putting them beside it.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign as signBytes,
  verify as verifyBytes,
  type KeyObject,
} from 'node:crypto';
import { link, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { AppError, canonicalJson } from '../../base/base.ts';

export const statementType = 'https://in-toto.io/Statement/v1';
export const payloadType = 'application/vnd.in-toto+json';

const envelopeSchema = Type.Object({
  payload: Type.String({ maxLength: 16 * 1024 * 1024 }),
  payloadType: Type.String({ maxLength: 1_000 }),
  signatures: Type.Array(
    Type.Object({ keyid: Type.Optional(Type.String()), sig: Type.String({ maxLength: 10_000 }) }),
    { minItems: 1, maxItems: 100 },
  ),
});
/** As DSSE's envelope.md writes it in JSON; `payload` and `sig` are base64. */
export type Envelope = Static<typeof envelopeSchema>;

const statementSchema = Type.Object({
  _type: Type.Literal(statementType),
  subject: Type.Array(
    Type.Object({
      name: Type.Optional(Type.String()),
      digest: Type.Record(Type.String(), Type.String()),
    }),
    { minItems: 1 },
  ),
  predicateType: Type.String({ minLength: 1 }),
  predicate: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
});
/** What is said (`predicate`) of what (`subject`, by digest). */
export type Statement = Static<typeof statementSchema>;

/** Holds a private key, wherever that is. */
export interface Signer {
  /** SHA-256 of the public key (SPKI, DER), lower-case hexadecimal. */
  readonly keyId: string;
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

export interface TrustedKey {
  readonly keyId: string;
  readonly key: KeyObject;
}

const privateName = 'signing-key.pem';
export const publicKeyName = 'signing-key.pub';
const trustedName = 'trusted';

/**
 * The key of this installation, made when there is none: PKCS #8 in `signing-key.pem`, for its owner
 * alone, and `signing-key.pub` beside it. A key in a TPM is `unavailable`: this version has no client
 * for one. Throws `denied` when others can read the key, `invalid_input` when it is no Ed25519 key.
 */
export async function openSigningKey(
  folder: string,
  kind: 'file' | 'tpm' = 'file',
): Promise<Signer> {
  if (kind === 'tpm') {
    throw new AppError('unavailable', 'this version of Centuria can not sign with a TPM', {
      remedy: `Sign with the key in ${join(folder, privateName)}.`,
      retryable: false,
    });
  }
  const path = join(folder, privateName);
  const key = (await readPrivateKey(path)) ?? (await makePrivateKey(folder));
  const publicKey = createPublicKey(key);
  await writeOnce(join(folder, publicKeyName), pemOf(publicKey), 0o644);
  return {
    keyId: keyIdOf(publicKey),
    sign: async (bytes) => signBytes(null, bytes, key),
  };
}

/** Every `*.pub` in `trusted/` of the folder, and the own key. Throws `invalid_input` naming the file. */
export async function readTrustedKeys(folder: string): Promise<TrustedKey[]> {
  const trusted = join(folder, trustedName);
  const names = (await readdir(trusted).catch(noneWhereAbsent)).filter((name) =>
    name.endsWith('.pub'),
  );
  const paths = names.toSorted().map((name) => join(trusted, name));
  const keys: TrustedKey[] = [];
  for (const path of [join(folder, publicKeyName), ...paths]) {
    const text = await readFile(path, 'utf8').catch(undefinedWhereAbsent);
    if (text !== undefined) keys.push(parsePublicKey(text, path));
  }
  return keys;
}

/** Trusts the Ed25519 key of a `.pub` file from now on; the same key twice is no fault. */
export async function trustKey(folder: string, file: string): Promise<TrustedKey> {
  const key = parsePublicKey(await readFile(file, 'utf8'), file);
  await mkdir(join(folder, trustedName), { recursive: true });
  const name = `${key.keyId.slice(0, 16)}-${basename(file, '.pub').replaceAll(/[^\w.-]/g, '_')}.pub`;
  await writeOnce(join(folder, trustedName, name), pemOf(key.key), 0o644);
  return key;
}

/** Signs the statement as canonical JSON, so that equal statements have equal envelopes. */
export async function sign(signer: Signer, statement: Statement): Promise<Envelope> {
  const body = Buffer.from(canonicalJson(statement));
  const sig = await signer.sign(preAuthenticationEncoding(payloadType, body));
  return {
    payload: body.toString('base64'),
    payloadType,
    signatures: [{ keyid: signer.keyId, sig: Buffer.from(sig).toString('base64') }],
  };
}

/**
 * The statement of an envelope that a trusted key signed, and that key. Throws `signature_invalid`
 * when none did, with `details.reason` `unknown_key` (its remedy says how to trust it) or `wrong`.
 */
export function verify(
  envelope: unknown,
  trusted: readonly TrustedKey[],
): { statement: Statement; keyId: string } {
  const { body, keyIds } = verifyEnvelope(envelope, trusted, [payloadType]);
  const [keyId] = keyIds;
  if (keyId === undefined) throw unsigned(envelope as Envelope, trusted);
  return { statement: parseStatement(body), keyId };
}

/** What an envelope says, whoever signed it: for people, and for checks that only ever refuse. */
export function readUnverified(envelope: unknown): Statement {
  return parseStatement(verifyEnvelope(envelope, [], [payloadType]).body);
}

/**
 * The payload, and which of the trusted keys signed it, each once (DSSE protocol.md, multi-signature
 * verification). `keyid` is no more than a hint there, so every key is tried. Throws
 * `signature_invalid` for what is no envelope or holds another type of payload.
 */
export function verifyEnvelope(
  envelope: unknown,
  trusted: readonly TrustedKey[],
  payloadTypes: readonly string[],
): { body: Buffer; keyIds: string[] } {
  if (!Value.Check(envelopeSchema, envelope)) throw wrong('this is no DSSE envelope');
  if (!payloadTypes.includes(envelope.payloadType)) {
    throw wrong(`a payload of the type ${JSON.stringify(envelope.payloadType)} is not read`);
  }
  const body = fromBase64(envelope.payload);
  const signed = preAuthenticationEncoding(envelope.payloadType, body);
  const signatures = envelope.signatures.map(({ sig }) => fromBase64(sig));
  const accepted = trusted.filter(({ key }) =>
    signatures.some((signature) => verifyBytes(null, signed, key, signature)),
  );
  return { body, keyIds: [...new Set(accepted.map(({ keyId }) => keyId))] };
}

/** PAE of DSSE v1: what is signed, so that no type and body can be taken for another pair. */
export function preAuthenticationEncoding(type: string, body: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${body.length} `;
  return Buffer.concat([Buffer.from(head), body]);
}

/** Reads an Ed25519 public key from PEM; `file` is named when it is none. */
export function parsePublicKey(text: string, file: string): TrustedKey {
  try {
    // A private key would be read too, and would then lie among those that are published.
    if (!text.includes('-----BEGIN PUBLIC KEY-----')) throw new Error('no public key in PEM');
    const key = createPublicKey(text);
    if (key.asymmetricKeyType !== 'ed25519') throw new Error(`a key of ${key.asymmetricKeyType}`);
    return { keyId: keyIdOf(key), key };
  } catch (cause) {
    throw new AppError('invalid_input', `${file} is no Ed25519 public key: ${messageOf(cause)}`, {
      details: { file },
      remedy: `Give the file ${publicKeyName} of the installation that signed.`,
      cause,
    });
  }
}

function parseStatement(body: Buffer): Statement {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw wrong('the payload of the envelope is no JSON', cause);
  }
  if (!Value.Check(statementSchema, value)) {
    throw wrong('the payload of the envelope is no in-toto statement of version 1');
  }
  return value;
}

function unsigned(envelope: Envelope, trusted: readonly TrustedKey[]): AppError {
  const claimed = envelope.signatures.map(({ keyid }) => keyid ?? 'a key without a name');
  if (trusted.some(({ keyId }) => claimed.includes(keyId))) {
    return wrong('the signature is not that of the key that it names: the content was changed');
  }
  return new AppError(
    'signature_invalid',
    `no trusted key signed this, but ${claimed.join(', ')}`,
    {
      details: { reason: 'unknown_key', keyIds: claimed },
      remedy:
        `If you trust its maker, get their ${publicKeyName} on a way that you trust, ` +
        'and run: centuria ext trust FILE',
    },
  );
}

function wrong(message: string, cause?: unknown): AppError {
  return new AppError('signature_invalid', message, { details: { reason: 'wrong' }, cause });
}

/** Both alphabets, as DSSE demands; Node's own decoder would pass over what is in neither. */
function fromBase64(text: string): Buffer {
  const plain = text.replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '');
  if (!/^[A-Za-z0-9+/]*$/.test(plain) || plain.length % 4 === 1) {
    throw wrong('the envelope has text that is no base64');
  }
  return Buffer.from(plain, 'base64');
}

async function readPrivateKey(path: string): Promise<KeyObject | undefined> {
  const text = await readFile(path, 'utf8').catch(undefinedWhereAbsent);
  if (text === undefined) return undefined;
  if (((await stat(path)).mode & 0o077) !== 0) {
    throw new AppError('denied', `others can read the signing key ${path}`, {
      details: { path },
      remedy: `Run: chmod 600 ${path} - and if others have used this machine, make a new key.`,
    });
  }
  let key: KeyObject | undefined;
  try {
    key = createPrivateKey(text);
  } catch (cause) {
    throw noSigningKey(path, cause);
  }
  if (key.asymmetricKeyType !== 'ed25519') throw noSigningKey(path);
  return key;
}

function noSigningKey(path: string, cause?: unknown): AppError {
  return new AppError('invalid_input', `${path} is no Ed25519 private key in PEM`, {
    details: { path },
    remedy: `Move ${path} away; a new key is made when there is none.`,
    cause,
  });
}

/** Of two processes that make the first key at once, both use that of the one that was first. */
async function makePrivateKey(folder: string): Promise<KeyObject> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { privateKey } = generateKeyPairSync('ed25519');
  const path = join(folder, privateName);
  const text = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  if (await writeOnce(path, text, 0o600)) return privateKey;
  return (await readPrivateKey(path)) ?? privateKey;
}

/** Writes a whole file, or leaves the one that is there; says whether it wrote. */
async function writeOnce(path: string, text: string, mode: number): Promise<boolean> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(temporary, text, { mode, flag: 'wx', flush: true });
  try {
    // Unlike rename, link does not replace.
    await link(temporary, path);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw cause;
  } finally {
    await rm(temporary, { force: true });
  }
}

function keyIdOf(key: KeyObject): string {
  const spki = key.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex');
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }) as string;
}

function undefinedWhereAbsent(cause: NodeJS.ErrnoException): undefined {
  if (cause.code === 'ENOENT') return undefined;
  throw cause;
}

function noneWhereAbsent(cause: NodeJS.ErrnoException): string[] {
  if (cause.code === 'ENOENT') return [];
  throw cause;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
