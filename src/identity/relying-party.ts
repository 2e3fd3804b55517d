import { isIP } from 'node:net';
import { AppError } from '../base/base.ts';
import type { RelyingParty } from './passkeys.ts';

/**
 * What passkeys are bound to: the host name under which people reach this server. Throws `unavailable`
 * where there is none, since no browser makes a passkey for an address of numbers.
 */
export function relyingParty(publicUrl: string): RelyingParty {
  const { hostname, origin, protocol } = new URL(publicUrl);
  const isAddress = isIP(hostname.replaceAll(/[[\]]/g, '')) !== 0;
  const isSecure = protocol === 'https:' || hostname === 'localhost';
  if (isAddress || !isSecure) {
    const why = isAddress ? 'is an address without a name' : 'is not HTTPS';
    throw new AppError('unavailable', `passkeys can not be used: ${origin} ${why}`, {
      retryable: false,
      remedy: 'Use the server by https:// and a host name, or by http://localhost.',
    });
  }
  return { id: hostname, name: 'Centuria', origins: [origin] };
}

/** How an authenticator knows a user: the 16 bytes of the id, which say nothing of the person. */
export function userHandle(userId: string): Uint8Array {
  return Buffer.from(userId.replaceAll('-', ''), 'hex');
}
