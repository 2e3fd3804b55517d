import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign as signBytes,
} from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  openSigningKey,
  parsePublicKey,
  payloadType,
  preAuthenticationEncoding,
  readTrustedKeys,
  readUnverified,
  sign,
  statementType,
  trustKey,
  verify,
  verifyEnvelope,
  type Signer,
  type Statement,
  type TrustedKey,
} from './signing.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'centuria-signing-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const statement: Statement = {
  _type: statementType,
  subject: [{ name: 'vector-0.8.0', digest: { sha256: 'ab'.repeat(32) } }],
  predicateType: 'urn:centuria:bundle:1',
  predicate: { compiler: 'gcc' },
};

/** TEST 1 and TEST 2 of RFC 8032, section 7.1. */
const seeds = {
  A: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
  B: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
};

function keyOf(seed: string): { trusted: TrustedKey; signer: Signer } {
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
  const der = Buffer.concat([prefix, Buffer.from(seed, 'hex')]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const pem = createPublicKey(key).export({ type: 'spki', format: 'pem' }) as string;
  const trusted = parsePublicKey(pem, 'x.pub');
  const signer = {
    keyId: trusted.keyId,
    sign: async (bytes: Uint8Array) => signBytes(null, bytes, key),
  };
  return { trusted, signer };
}
const a = keyOf(seeds.A);
const b = keyOf(seeds.B);

test('the encoding that is signed is that of the DSSE protocol', () => {
  expect(
    preAuthenticationEncoding('http://example.com/HelloWorld', Buffer.from('hello world')),
  ).toEqual(Buffer.from('DSSEv1 29 http://example.com/HelloWorld 11 hello world'));
  // Lengths count bytes, and an empty body leaves the space before it.
  expect(preAuthenticationEncoding('ä', new Uint8Array())).toEqual(Buffer.from('DSSEv1 2 ä 0 '));
});

/** Published with the DSSE protocol, for the keys of RFC 8032: Ed25519 signs the same way each time. */
const emptyStatement = 'eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEifQ==';
const byA =
  '2WAfaHm5jluo0w+0rk8uVkluELJYWjSmU9x7EUzx+AyteDGJ4/nqyJXfmAUVFIAoQafWm7AxBZNw5M9ixNHiCA==';
const byB =
  'c1+67/aT0yqEpwx8PsVY3MLHsj9D0CZ014/Fv/QlG59P+9CobUZ7xECJ/V3USG0Ob9CiE5LjReEZUzNF2l7eBw==';
const byAOfBytes =
  'P-_KHICeR7tI6S_YyejJTRtrXhcQyQ2LYPaL8h90KjC9qN8HU_svOQ6TuDOT1HIrsGW886DbWNWcCmX5twLrAw==';
const byAOfNothing =
  'gSggCAaTLTYyRH6FIDBem6meyIynsYy8RTHVzwx9tnTb7Bg/1jMWnuVgI/gffqmbsC2VX5/jHfkkDqsj7CDbDg==';

test.each<[string, string, string[], TrustedKey[], number]>([
  ['one signature', emptyStatement, [byA], [a.trusted], 1],
  ['the URL-safe alphabet', '-_-_Pj8=', [byAOfBytes], [a.trusted], 1],
  ['an empty payload', '', [byAOfNothing], [a.trusted], 1],
  ['two keys', emptyStatement, [byA, byB], [a.trusted, b.trusted], 2],
  ['one key twice, which counts once', emptyStatement, [byA, byA], [a.trusted, b.trusted], 1],
  ['a key that is not trusted', emptyStatement, [byB], [a.trusted], 0],
  ['another payload', 'e30=', [byA], [a.trusted], 0],
])('published DSSE signatures hold as they should: %s', (_what, payload, sigs, trusted, count) => {
  const envelope = { payload, payloadType, signatures: sigs.map((sig) => ({ sig })) };
  expect(verifyEnvelope(envelope, trusted, [payloadType]).keyIds).toHaveLength(count);
});

test('a signature does not hold for another type of payload', () => {
  const other = 'application/vnd.example.other+json';
  const envelope = { payload: emptyStatement, payloadType: other, signatures: [{ sig: byA }] };
  expect(verifyEnvelope(envelope, [a.trusted], [payloadType, other]).keyIds).toEqual([]);
  expect(() => verify(envelope, [a.trusted])).toThrow('is not read');
});

test('what one installation signed is verified where its key is trusted, and only there', async () => {
  const maker = await openSigningKey(join(folder, 'maker'));
  const envelope: unknown = JSON.parse(JSON.stringify(await sign(maker, statement)));
  const user = join(folder, 'user');
  await openSigningKey(user);
  const failure = expect.objectContaining({
    code: 'signature_invalid',
    message: expect.stringContaining(maker.keyId),
    remedy: expect.stringContaining('centuria ext trust FILE'),
    details: { reason: 'unknown_key', keyIds: [maker.keyId] },
  });
  const untrusting = await readTrustedKeys(user);
  expect(untrusting).toHaveLength(1);
  expect(() => verify(envelope, untrusting)).toThrow(failure);
  await trustKey(user, join(folder, 'maker/signing-key.pub'));
  await trustKey(user, join(folder, 'maker/signing-key.pub'));
  const trusting = await readTrustedKeys(user);
  expect(trusting).toHaveLength(2);
  expect(verify(envelope, trusting)).toEqual({ statement, keyId: maker.keyId });
});

test('one other byte in the payload is found, though the envelope names a trusted key', async () => {
  const envelope = await sign(a.signer, statement);
  const changed = Buffer.from(envelope.payload, 'base64').toString().replace('gcc', 'gdc');
  const forged = { ...envelope, payload: Buffer.from(changed).toString('base64') };
  expect(() => verify(forged, [a.trusted])).toThrow('the content was changed');
  expect(readUnverified(forged).predicate).toEqual({ compiler: 'gdc' });
});

test.each<[string, unknown]>([
  ['no envelope', { payload: 'x' }],
  ['no signature', { payload: emptyStatement, payloadType, signatures: [] }],
  ['no base64', { payload: 'e30*', payloadType, signatures: [{ sig: byA }] }],
  ['no statement', { payload: emptyStatement, payloadType, signatures: [{ sig: byA }] }],
  ['nothing', undefined],
])('what is %s is refused', (_what, envelope) => {
  expect(() => verify(envelope, [a.trusted])).toThrow(
    expect.objectContaining({ code: 'signature_invalid' }),
  );
});

test('the key is made once, for its owner alone, also by two at once', async () => {
  const keys = await Promise.all([1, 2, 3, 4].map(() => openSigningKey(folder)));
  expect(new Set(keys.map(({ keyId }) => keyId)).size).toBe(1);
  expect((await stat(join(folder, 'signing-key.pem'))).mode & 0o777).toBe(0o600);
  const [own] = await readTrustedKeys(folder);
  expect(own?.keyId).toBe(keys[0]?.keyId);
});

test('a key that others can read, or of another kind, is not used', async () => {
  await openSigningKey(folder);
  const path = join(folder, 'signing-key.pem');
  await chmod(path, 0o644);
  await expect(openSigningKey(folder)).rejects.toMatchObject({ code: 'denied' });
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await chmod(path, 0o600);
  await expect(openSigningKey(folder)).rejects.toThrow('no Ed25519 private key');
  const other = publicKey.export({ type: 'spki', format: 'pem' }) as string;
  expect(() => parsePublicKey(other, 'other.pub')).toThrow('other.pub is no Ed25519 public key');
});

test('a private key is not taken for one to trust', async () => {
  await openSigningKey(folder);
  const text = await readFile(join(folder, 'signing-key.pem'), 'utf8');
  expect(() => parsePublicKey(text, 'signing-key.pem')).toThrow('no public key in PEM');
});

test('a TPM is said to be unavailable', async () => {
  await expect(openSigningKey(folder, 'tpm')).rejects.toMatchObject({ code: 'unavailable' });
});
