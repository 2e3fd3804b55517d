import { createHash, createPublicKey, verify } from 'node:crypto';
import {
  generateAuthenticationOptions,
  generateRegistrationOptions,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
  type AuthenticationResponseJSON,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  type RegistrationResponseJSON,
} from '@simplewebauthn/server';
import {
  COSEALG,
  cose,
  decodeAttestationObject,
  decodeCredentialPublicKey,
} from '@simplewebauthn/server/helpers';
import { AppError } from '../base/base.ts';

/** A public key that a user's authenticator made for us (WebAuthn level 3). */
export interface Passkey {
  /** The credential's id, base64url. */
  readonly id: string;
  /** COSE. */
  readonly publicKey: Uint8Array;
  /** How often it has signed; authenticators that do not count stay at 0. */
  readonly counter: number;
  readonly transports: readonly string[];
  /** Whether it is kept in the cloud of its maker, and so outlives its device. */
  readonly backedUp: boolean;
  /** What its owner calls it. */
  readonly name: string;
}

export interface RelyingParty {
  /** The host name that passkeys are bound to, without scheme and port. */
  readonly id: string;
  readonly name: string;
  /** Where our pages are, as `https://host:port`. */
  readonly origins: readonly string[];
}

/** Random bytes to be signed. The caller keeps it for one person and takes it away when it comes back. */
export interface Challenge {
  /** Base64url of at least 16 bytes. */
  readonly value: string;
  /** Milliseconds since 1970. */
  readonly expiresAtMs: number;
}

interface Ceremony {
  readonly rp: RelyingParty;
  readonly challenge: Challenge;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/** EdDSA, ES256 and RS256: what every authenticator in use has one of. */
const algorithms = [COSEALG.EdDSA, COSEALG.ES256, COSEALG.RS256];
const knownTransports = ['ble', 'cable', 'hybrid', 'internal', 'nfc', 'smart-card', 'usb'];
/** 1,023 bytes in base64url, WebAuthn's limit of a credential id. */
const mostIdCharacters = 1_364;

/** What `navigator.credentials.create` is called with. `user.id` is random or a UUID, and no name. */
export async function registrationOptions(
  options: Ceremony & {
    readonly user: {
      readonly id: Uint8Array;
      readonly name: string;
      readonly displayName: string;
    };
    /** What the user has already: none of these authenticators makes a second one. */
    readonly existing: readonly Passkey[];
  },
): Promise<PublicKeyCredentialCreationOptionsJSON> {
  const { rp, user, existing } = options;
  return generateRegistrationOptions({
    ...asked(options),
    rpID: rp.id,
    rpName: rp.name,
    userID: Uint8Array.from(user.id),
    userName: user.name,
    userDisplayName: user.displayName,
    attestationType: 'none',
    excludeCredentials: existing.map(descriptor),
    authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
    supportedAlgorithmIDs: algorithms,
  });
}

/**
 * The passkey that a browser's answer to `registrationOptions` holds. Throws `unauthenticated`, with
 * `details.reason`, when the answer is wrong, late or not for us.
 */
export async function verifyRegistration(
  options: Ceremony & { readonly response: unknown; readonly name: string },
): Promise<Passkey> {
  const { rp, name } = options;
  checkInTime(options);
  return refusing(async () => {
    // The library looks at every field by itself.
    const response = options.response as RegistrationResponseJSON;
    checkSameOrigin(response.response.clientDataJSON);
    checkAttestation(response.response.attestationObject);
    const { registrationInfo } = await verifyRegistrationResponse({
      ...expected(options),
      response,
      expectedRPID: rp.id,
      requireUserVerification: true,
      supportedAlgorithmIDs: algorithms,
    });
    if (registrationInfo === undefined) throw refused('signature');
    const { credential, credentialBackedUp } = registrationInfo;
    if (credential.id.length > mostIdCharacters) throw refused('malformed');
    return {
      id: credential.id,
      publicKey: credential.publicKey,
      counter: credential.counter,
      // Hints of the browser that nothing signs.
      transports: knownTransports.filter((known) => credential.transports?.includes(known)),
      backedUp: credentialBackedUp,
      name,
    };
  });
}

/** What `navigator.credentials.get` is called with; without passkeys the browser offers what it has. */
export async function loginOptions(
  options: Ceremony & { readonly passkeys?: readonly Passkey[] },
): Promise<PublicKeyCredentialRequestOptionsJSON> {
  return generateAuthenticationOptions({
    ...asked(options),
    rpID: options.rp.id,
    userVerification: 'required',
    ...(options.passkeys === undefined
      ? {}
      : { allowCredentials: options.passkeys.map(descriptor) }),
  });
}

/**
 * Checks a browser's answer to `loginOptions` with the passkey of its `id` and the id of the user
 * who owns it; gives the passkey as it is to be stored now. Throws `unauthenticated`, with
 * `details.reason`: `counter` when an older count comes than was seen, as from a copied key.
 */
export async function verifyLogin(
  options: Ceremony & {
    readonly response: unknown;
    readonly passkey: Passkey;
    readonly userId: Uint8Array;
  },
): Promise<Passkey> {
  const { rp, passkey, userId } = options;
  checkInTime(options);
  const { newCounter, credentialBackedUp } = await refusing(async () => {
    // The library looks at every field by itself.
    const response = options.response as AuthenticationResponseJSON;
    if (response.id !== passkey.id) throw refused('credential');
    const { clientDataJSON } = response.response;
    // Level 3 sends null, which the library's types do not know.
    const handle: string | null | undefined = response.response.userHandle;
    if (typeof handle === 'string' && handle !== base64url(userId)) throw refused('credential');
    checkSameOrigin(clientDataJSON);
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      ...expected(options),
      response,
      expectedRPID: rp.id,
      requireUserVerification: true,
      // The library compares counters before signatures; ours is compared when the signature holds.
      credential: { id: passkey.id, publicKey: Uint8Array.from(passkey.publicKey), counter: 0 },
    });
    const isSigned = verified && isStrictlySigned(passkey.publicKey, response.response);
    if (!isSigned) throw refused('signature');
    return authenticationInfo;
  });
  if ((newCounter > 0 || passkey.counter > 0) && newCounter <= passkey.counter) {
    throw refused('counter', { stored: passkey.counter, received: newCounter });
  }
  return { ...passkey, counter: newCounter, backedUp: credentialBackedUp };
}

function asked({ challenge, nowMs }: Ceremony) {
  return {
    challenge: Uint8Array.from(Buffer.from(challenge.value, 'base64url')),
    timeout: Math.max(0, challenge.expiresAtMs - nowMs),
  };
}

function expected({ rp, challenge }: Ceremony) {
  return { expectedChallenge: challenge.value, expectedOrigin: [...rp.origins] };
}

function descriptor({ id, transports }: Passkey) {
  return { id, transports: [...transports] };
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

function checkInTime({ challenge, nowMs }: Ceremony): void {
  if (nowMs >= challenge.expiresAtMs) throw refused('expired');
}

/** In a frame of somebody else's page a person may be led to confirm what they do not see. */
function checkSameOrigin(clientDataJSON: string): void {
  const clientData: unknown = JSON.parse(Buffer.from(clientDataJSON, 'base64url').toString());
  if (typeof clientData !== 'object' || clientData === null) throw refused('malformed');
  if ('crossOrigin' in clientData && clientData.crossOrigin === true) throw refused('origin');
}

/**
 * The library reads the DER form of an ECDSA signature so freely that a flipped bit in its first byte
 * still passes. OpenSSL takes the one right form only. Other kinds of signatures have no such frame.
 */
function isStrictlySigned(publicKey: Uint8Array, response: AuthenticatorAssertion): boolean {
  const key = decodeCredentialPublicKey(Uint8Array.from(publicKey));
  if (!cose.isCOSEPublicKeyEC2(key)) return true;
  const x = base64url(key.get(cose.COSEKEYS.x) ?? new Uint8Array());
  const y = base64url(key.get(cose.COSEKEYS.y) ?? new Uint8Array());
  const data = Buffer.concat([
    Buffer.from(response.authenticatorData, 'base64url'),
    createHash('sha256').update(Buffer.from(response.clientDataJSON, 'base64url')).digest(),
  ]);
  return verify(
    'sha256',
    data,
    createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' }),
    Buffer.from(response.signature, 'base64url'),
  );
}

type AuthenticatorAssertion = AuthenticationResponseJSON['response'];

/**
 * We ask for no attestation, so none comes with certificates. The library would fetch revocation
 * lists from addresses in them, and so let a stranger choose what this server connects to.
 */
function checkAttestation(attestationObject: string): void {
  const decoded = decodeAttestationObject(
    Uint8Array.from(Buffer.from(attestationObject, 'base64url')),
  );
  const isSelf = decoded.get('fmt') === 'packed' && decoded.get('attStmt').get('x5c') === undefined;
  if (decoded.get('fmt') !== 'none' && !isSelf) throw refused('attestation');
}

const reasons = {
  expired: 'the passkey was used too late',
  challenge: 'the passkey answered another challenge than the one that was asked',
  origin: 'the passkey was used on another page',
  relying_party: 'the passkey belongs to another site',
  user_verification: 'the authenticator did not check who uses it, by PIN, face or finger',
  credential: 'the answer comes from another passkey or another user',
  attestation: 'the authenticator sent certificates, which were not asked for',
  algorithm: 'the authenticator made a key of a kind that is not taken',
  signature: 'the signature of the passkey is wrong',
  counter: 'the passkey has counted back: the authenticator may have been cloned',
  malformed: 'the answer of the authenticator can not be read',
} as const;

type Reason = keyof typeof reasons;

function refused(reason: Reason, facts: Record<string, unknown> = {}): AppError {
  return new AppError('unauthenticated', reasons[reason], {
    details: { reason, ...facts },
    remedy:
      reason === 'counter'
        ? 'Sign in another way and remove this passkey, unless you know why it counted back.'
        : 'Try again; if it stays so, sign in another way.',
  });
}

/** How the library's messages begin. A wording that it changes one day becomes `malformed`. */
const complaints: readonly (readonly [RegExp, Reason])[] = [
  [/^Unexpected \w+ response challenge/, 'challenge'],
  [/^Unexpected \w+ response origin|^(?:Unexpected|Detected) (?:cross-|top )origin/, 'origin'],
  [/^Unexpected RP ID hash/, 'relying_party'],
  [/^User (?:verification|presence|not present)/, 'user_verification'],
  [/^Unexpected public key alg/, 'algorithm'],
];

/** Its messages repeat what the browser sent, and its stack is nobody's business, so both stay here. */
async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AppError) throw error;
    const message = error instanceof Error ? error.message : '';
    const match = complaints.find(([pattern]) => pattern.test(message));
    throw refused(match?.[1] ?? 'malformed');
  }
}
