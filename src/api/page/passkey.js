import { Problem } from './server.js';

/** Why passkeys can not be used here, and what would help; undefined where they can. */
export function passkeysBarred(publicUrl) {
  const own = new URL(publicUrl);
  if (/^[\d.]+$|^\[/.test(location.hostname)) {
    const named = `http://localhost:${location.port || 80}`;
    return own.origin === location.origin
      ? `Passkeys need a name, and this page is at an address in digits. Start the server with CENTURIA_PUBLIC_URL=${named} (or its https address) and open that.`
      : `Passkeys work at ${own.origin}.`;
  }
  if (!window.isSecureContext) return 'Passkeys need https, or http://localhost.';
  if (window.PublicKeyCredential === undefined) return 'This browser has no passkeys.';
  if (own.origin !== location.origin) {
    return /^http:\/\/(?:[\d.]+|\[)/.test(own.origin)
      ? `The server does not know that it is reached here. Start it with CENTURIA_PUBLIC_URL=${location.origin}.`
      : `Passkeys work at ${own.origin}.`;
  }
  return undefined;
}

/** Asks the authenticator to sign; `options` as the server gives them, the answer as it takes it. */
export async function signWithPasskey(options) {
  const credential = await ceremony(() =>
    navigator.credentials.get({
      publicKey: {
        ...options,
        challenge: fromBase64url(options.challenge),
        allowCredentials: options.allowCredentials?.map(described),
      },
    }),
  );
  const { authenticatorData, clientDataJSON, signature, userHandle } = credential.response;
  return answered(credential, {
    authenticatorData: toBase64url(authenticatorData),
    clientDataJSON: toBase64url(clientDataJSON),
    signature: toBase64url(signature),
    ...(userHandle === null ? {} : { userHandle: toBase64url(userHandle) }),
  });
}

export async function createPasskey(options) {
  const credential = await ceremony(() =>
    navigator.credentials.create({
      publicKey: {
        ...options,
        challenge: fromBase64url(options.challenge),
        user: { ...options.user, id: fromBase64url(options.user.id) },
        excludeCredentials: options.excludeCredentials?.map(described),
      },
    }),
  );
  const { attestationObject, clientDataJSON } = credential.response;
  return answered(credential, {
    attestationObject: toBase64url(attestationObject),
    clientDataJSON: toBase64url(clientDataJSON),
    transports: credential.response.getTransports?.() ?? [],
  });
}

function answered(credential, response) {
  return {
    id: credential.id,
    rawId: toBase64url(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response,
  };
}

/** Browsers tell little of why a ceremony ended, on purpose: no page may learn which passkeys there are. */
async function ceremony(begin) {
  try {
    return await begin();
  } catch (error) {
    throw new Problem(0, {
      code: 'cancelled',
      detail:
        error.name === 'InvalidStateError'
          ? 'this authenticator has a passkey for you already'
          : 'no passkey was used',
      remedy:
        error.name === 'InvalidStateError'
          ? 'Use it to sign in, or take another authenticator.'
          : 'It was cancelled, took too long, or this device has no passkey for this server. Try again, or sign in with your password.',
    });
  }
}

function described(credential) {
  return { ...credential, id: fromBase64url(credential.id) };
}

function fromBase64url(text) {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

function toBase64url(buffer) {
  const binary = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
