import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { AppError } from '../base/base.ts';
import {
  loginOptions,
  registrationOptions,
  verifyLogin,
  verifyRegistration,
  type Passkey,
} from './passkeys.ts';

const rp = {
  id: 'centuria.example',
  name: 'Centuria',
  origins: ['https://centuria.example', 'https://centuria.example:8443'],
};
const user = { id: randomBytes(16), name: 'ann', displayName: 'Ann' };
const nowMs = 1_750_000_000_000;
const newChallenge = () => ({
  value: randomBytes(32).toString('base64url'),
  expiresAtMs: nowMs + 60_000,
});

type Cbor = number | string | Uint8Array | readonly Cbor[] | ReadonlyMap<Cbor, Cbor>;

/** As much of RFC 8949 as an authenticator needs. */
function cbor(value: Cbor): Buffer {
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === 'string') return Buffer.concat([head(3, value.length), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (value instanceof Map) {
    const pairs = [...value].flat() as Cbor[];
    return Buffer.concat([head(5, value.size), ...pairs.map(cbor)]);
  }
  const items = value as readonly Cbor[];
  return Buffer.concat([head(4, items.length), ...items.map(cbor)]);
}

function head(major: number, count: number): Buffer {
  if (count < 24) return Buffer.from([(major << 5) | count]);
  if (count < 256) return Buffer.from([(major << 5) | 24, count]);
  return Buffer.from([(major << 5) | 25, count >> 8, count & 255]);
}

const bits = { userPresent: 1, userVerified: 4, backupEligible: 8, backedUp: 16, attested: 64 };

interface Doing {
  readonly challenge: string;
  readonly origin?: string;
  readonly rpId?: string;
  readonly flags?: number;
  readonly counter?: number;
  readonly clientData?: object;
  readonly attestation?: 'none' | 'self' | 'certificate';
}

/** A software authenticator with one ES256 key, and the browser around it. */
class Authenticator {
  readonly id = randomBytes(32);
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;

  constructor() {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#privateKey = pair.privateKey;
    this.#publicKey = pair.publicKey;
  }

  create(doing: Doing) {
    const clientDataJSON = clientData('webauthn.create', doing);
    const length = Buffer.from([0, this.id.length]);
    const attested = Buffer.concat([Buffer.alloc(16), length, this.id, this.#coseKey()]);
    const authData = Buffer.concat([authenticatorData(doing, bits.attested), attested]);
    const signature = this.#sign(authData, clientDataJSON);
    const statements = {
      none: ['none', new Map<Cbor, Cbor>()],
      self: ['packed', new Map<Cbor, Cbor>([['alg', -7], ['sig', signature]])], // prettier-ignore
      certificate: ['packed', new Map<Cbor, Cbor>([['alg', -7], ['sig', signature], ['x5c', [randomBytes(300)]]])], // prettier-ignore
    } as const;
    const [fmt, attStmt] = statements[doing.attestation ?? 'none'];
    const attestationObject = cbor(
      new Map<Cbor, Cbor>([
        ['fmt', fmt],
        ['attStmt', attStmt],
        ['authData', authData],
      ]),
    );
    return this.#credential({
      clientDataJSON: text(clientDataJSON),
      attestationObject: text(attestationObject),
      transports: ['internal', 'telepathy', 'hybrid'],
    });
  }

  get(doing: Doing & { userHandle?: string | null }) {
    const clientDataJSON = clientData('webauthn.get', doing);
    const authData = authenticatorData(doing, 0);
    return this.#credential({
      clientDataJSON: text(clientDataJSON),
      authenticatorData: text(authData),
      signature: text(this.#sign(authData, clientDataJSON)),
      ...(doing.userHandle === undefined ? {} : { userHandle: doing.userHandle }),
    });
  }

  #credential<Response>(response: Response) {
    const id = text(this.id);
    return { id, rawId: id, type: 'public-key', clientExtensionResults: {}, response };
  }

  #sign(authData: Buffer, clientDataJSON: Buffer): Buffer {
    const hash = createHash('sha256').update(clientDataJSON).digest();
    return sign('sha256', Buffer.concat([authData, hash]), this.#privateKey);
  }

  /** RFC 9053: 1 kty EC2, 3 alg ES256, -1 crv P-256, -2 x, -3 y. */
  #coseKey(): Buffer {
    const { x = '', y = '' } = this.#publicKey.export({ format: 'jwk' });
    return cbor(
      new Map<Cbor, Cbor>([
        [1, 2],
        [3, -7],
        [-1, 1],
        [-2, Buffer.from(x, 'base64url')],
        [-3, Buffer.from(y, 'base64url')],
      ]),
    );
  }
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

function clientData(type: string, { challenge, origin = rp.origins[0], ...doing }: Doing): Buffer {
  const crossOrigin = false;
  return Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin, ...doing.clientData }));
}

function authenticatorData(doing: Doing, more: number): Buffer {
  const hash = createHash('sha256')
    .update(doing.rpId ?? rp.id)
    .digest();
  const counter = Buffer.alloc(4);
  counter.writeUInt32BE(doing.counter ?? 0);
  const flags = (doing.flags ?? bits.userPresent | bits.userVerified) | more;
  return Buffer.concat([hash, Buffer.from([flags]), counter]);
}

async function register(doing: Partial<Doing> = {}) {
  const authenticator = new Authenticator();
  const challenge = newChallenge();
  const response = authenticator.create({ challenge: challenge.value, ...doing });
  const passkey = await verifyRegistration({ rp, challenge, nowMs, response, name: 'laptop' });
  return { authenticator, passkey };
}

type Known = Awaited<ReturnType<typeof register>>;

function login(
  { authenticator, passkey }: Known,
  doing: Partial<Parameters<Authenticator['get']>[0]> = {},
) {
  const challenge = newChallenge();
  const response = authenticator.get({ challenge: challenge.value, ...doing });
  return verifyLogin({ rp, challenge, nowMs, response, passkey, userId: user.id });
}

async function refusalOf(work: Promise<unknown>): Promise<AppError> {
  const thrown = await work.then(
    () => new Error('it was not refused'),
    (error: unknown) => error,
  );
  if (!(thrown instanceof AppError)) throw thrown;
  expect(thrown).toMatchObject({ code: 'unauthenticated', remedy: expect.any(String) });
  expect(thrown.cause).toBeUndefined();
  return thrown;
}

const reasonOf = async (work: Promise<unknown>): Promise<unknown> =>
  (await refusalOf(work)).details['reason'];

test('a passkey is made, and its owner signs in with it again and again', async () => {
  const known = await register({ counter: 3 });
  expect(known.passkey).toMatchObject({
    id: text(known.authenticator.id),
    counter: 3,
    // What nobody knows is left out.
    transports: ['hybrid', 'internal'],
    backedUp: false,
    name: 'laptop',
  });
  let { passkey } = known;
  for (const counter of [4, 5, 90]) {
    passkey = await login({ ...known, passkey }, { counter, userHandle: text(user.id) });
    expect(passkey).toEqual({ ...known.passkey, counter });
  }
});

test('an authenticator that does not count stays at nought', async () => {
  const known = await register();
  expect(await login(known)).toEqual(known.passkey);
  expect(await login(known, { userHandle: null })).toEqual(known.passkey);
});

test('a passkey that was moved to the cloud since is known to be there', async () => {
  const flags = bits.userPresent | bits.userVerified | bits.backupEligible;
  const known = await register({ flags });
  expect(known.passkey.backedUp).toBe(false);
  expect((await login(known, { flags: flags | bits.backedUp })).backedUp).toBe(true);
});

test('the browser is asked for exactly what is checked afterwards', async () => {
  const challenge = newChallenge();
  const { passkey } = await register();
  const made = await registrationOptions({ rp, user, challenge, nowMs, existing: [passkey] });
  expect(made).toMatchObject({
    challenge: challenge.value,
    rp: { id: rp.id, name: rp.name },
    user: { id: text(user.id), name: 'ann', displayName: 'Ann' },
    timeout: 60_000,
    attestation: 'none',
    authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
    excludeCredentials: [{ id: passkey.id, type: 'public-key' }],
    pubKeyCredParams: [-8, -7, -257].map((alg) => ({ type: 'public-key', alg })),
  });
  const used = await loginOptions({ rp, challenge, nowMs, passkeys: [passkey] });
  expect(used).toMatchObject({
    challenge: challenge.value,
    rpId: rp.id,
    userVerification: 'required',
    timeout: 60_000,
    allowCredentials: [{ id: passkey.id, transports: ['hybrid', 'internal'] }],
  });
  const anyone = await loginOptions({ rp, challenge, nowMs: nowMs + 70_000 });
  expect(anyone.allowCredentials).toBeUndefined();
  expect(anyone.timeout).toBe(0);
});

const wrongs: readonly (readonly [string, Partial<Doing>])[] = [
  ['challenge', { challenge: newChallenge().value }],
  ['origin', { origin: 'https://centuria.example.evil.example' }],
  ['origin', { origin: 'http://centuria.example' }],
  ['origin', { clientData: { crossOrigin: true } }],
  ['origin', { clientData: { crossOrigin: true, topOrigin: 'https://evil.example' } }],
  ['relying_party', { rpId: 'evil.example' }],
  ['user_verification', { flags: bits.userPresent }],
  ['user_verification', { flags: bits.userVerified }],
  ['malformed', { clientData: { type: 'payment.get' } }],
];

test.each(wrongs)('a registration with a wrong %s is refused: %j', async (reason, doing) => {
  expect(await reasonOf(register(doing))).toBe(reason);
});

test.each(wrongs)('a login with a wrong %s is refused: %j', async (reason, doing) => {
  expect(await reasonOf(login(await register(), doing))).toBe(reason);
});

test('every page of ours is one of ours', async () => {
  const known = await register({ origin: 'https://centuria.example:8443' });
  expect(await login(known, { origin: 'https://centuria.example:8443' })).toEqual(known.passkey);
});

test('an answer to a challenge that has run out is refused', async () => {
  const { authenticator, passkey } = await register();
  const challenge = { ...newChallenge(), expiresAtMs: nowMs };
  const doing = { challenge: challenge.value };
  const asked = { rp, challenge, nowMs };
  const made = { ...asked, response: new Authenticator().create(doing), name: 'late' };
  expect(await reasonOf(verifyRegistration(made))).toBe('expired');
  const used = { ...asked, response: authenticator.get(doing), passkey, userId: user.id };
  expect(await reasonOf(verifyLogin(used))).toBe('expired');
  expect(await verifyLogin({ ...used, nowMs: nowMs - 1 })).toEqual(passkey);
});

test('a count that stands still or goes back is refused as a sign of a copy, when the signature holds', async () => {
  const known = await register({ counter: 7 });
  for (const counter of [7, 6, 0]) {
    const error = await refusalOf(login(known, { counter }));
    expect(error.details).toEqual({ reason: 'counter', stored: 7, received: counter });
    expect(error.message).toContain('cloned');
  }
  const stranger = { ...known, authenticator: new Authenticator() };
  Object.assign(stranger.authenticator, { id: known.authenticator.id });
  expect(await reasonOf(login(stranger, { counter: 6 }))).toBe('signature');
});

test('another passkey, another owner and another key are refused', async () => {
  const [one, other] = [await register(), await register()];
  expect(await reasonOf(login({ ...one, authenticator: other.authenticator }))).toBe('credential');
  expect(await reasonOf(login(one, { userHandle: text(randomBytes(16)) }))).toBe('credential');
  const mixed: Passkey = { ...one.passkey, publicKey: other.passkey.publicKey };
  expect(await reasonOf(login({ ...one, passkey: mixed }))).toBe('signature');
});

test('one flipped bit anywhere in what is signed, or in the signature, is refused', async () => {
  const { authenticator, passkey } = await register();
  const parts = fc.constantFrom('signature', 'authenticatorData', 'clientDataJSON');
  await fc.assert(
    fc.asyncProperty(parts, fc.nat(), async (part, place) => {
      const challenge = newChallenge();
      const made = authenticator.get({ challenge: challenge.value, counter: 9 });
      const good = { rp, challenge, nowMs, response: made, passkey, userId: user.id };
      expect((await verifyLogin(good)).counter).toBe(9);
      const bytes = Buffer.from(
        made.response[part as keyof typeof made.response] ?? '',
        'base64url',
      );
      const bit = place % (bytes.length * 8);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const response = { ...made, response: { ...made.response, [part]: text(bytes) } };
      await refusalOf(verifyLogin({ ...good, response }));
    }),
    { numRuns: 300, examples: [['signature', 7]] },
  );
});

test('a key that vouches for itself is taken, and one that comes with certificates is not', async () => {
  const known = await register({ attestation: 'self' });
  expect(await login(known)).toEqual(known.passkey);
  expect(await reasonOf(register({ attestation: 'certificate' }))).toBe('attestation');
});

test('whatever a browser sends instead of an answer is refused, with no word of it told again', async () => {
  const { passkey } = await register();
  const challenge = newChallenge();
  const answer = new Authenticator().create({ challenge: challenge.value });
  const broken = fc.oneof(
    fc.anything({ withNullPrototype: true }),
    fc.record({ id: fc.constant(passkey.id), response: fc.anything() }),
    fc.record({
      id: fc.constant(passkey.id),
      response: fc.record({ clientDataJSON: fc.string() }),
    }),
    fc.string({ maxLength: 40 }).map((attestationObject) => ({
      ...answer,
      response: { ...answer.response, attestationObject },
    })),
  );
  await fc.assert(
    fc.asyncProperty(broken, async (response) => {
      const asked = { rp, challenge, nowMs, response };
      for (const work of [
        verifyRegistration({ ...asked, name: 'x' }),
        verifyLogin({ ...asked, passkey, userId: user.id }),
      ]) {
        const error = await refusalOf(work);
        expect(Object.keys(error.details)).toEqual(['reason']);
        expect(error.message).toMatch(/^[a-z ,:-]+$/);
      }
    }),
    { numRuns: 300 },
  );
});

test('a key of a kind that was not offered is refused', async () => {
  // ES384's number beside a key that would be read otherwise.
  const authenticator = new Authenticator();
  const challenge = newChallenge();
  const made = authenticator.create({ challenge: challenge.value });
  const object = Buffer.from(made.response.attestationObject, 'base64url');
  const alg = object.lastIndexOf(Buffer.from([0x03, 0x26, 0x20]));
  const other = Buffer.from(object);
  other[alg + 1] = 0x25;
  const response = { ...made, response: { ...made.response, attestationObject: text(other) } };
  const asked = { rp, challenge, nowMs, name: 'x' };
  expect(await reasonOf(verifyRegistration({ ...asked, response }))).toBe('algorithm');
  expect((await verifyRegistration({ ...asked, response: made })).id).toBe(made.id);
});
