/** What the doors of the house call: who asks, signing in, tokens. */
import type { Access, Caller } from './access.ts';
import type { Actor } from './claims.ts';
import type { LimitPolicy, LimitVerdict } from './limits.ts';
import type { Action } from './permissions.ts';

/** Where a request comes from, for limits, events and risk. */
export interface Origin {
  /** IP address; null where there is none, as on the command line of the data folder. */
  readonly address: string | null;
  readonly userAgent: string;
}

/** What a request shows. */
export type Credential =
  | { readonly kind: 'bearer'; readonly token: string }
  | {
      readonly kind: 'dpop';
      readonly token: string;
      readonly proof: string;
      readonly method: string;
      /** As the client sees it: scheme, host and path. */
      readonly url: string;
    }
  | { readonly kind: 'cookie'; readonly token: string };

export interface Callers {
  /**
   * Who holds the credential: the data folder's token, an access token or an API key. Without a
   * promise when memory knows the answer. Throws `unauthenticated`, `token_invalid`,
   * `token_expired`, `signature_invalid`, `denied` (an API key from another network),
   * `limit_exceeded`, and `unavailable` when revocations can't be known now.
   */
  whoIs(credential: Credential, origin: Origin): Caller | Promise<Caller>;
  /**
   * Calls back once when the caller's credential no longer counts or no longer allows the action: for
   * answers that go on. Ask the returned function to stop.
   */
  watch(
    caller: Caller,
    asked: { readonly action: Action; readonly resource: string | undefined },
    onEnded: (why: string) => void,
  ): () => void;
  /**
   * The same caller with the rights that he has now: whatever changes anybody's rights makes those stale
   * that a request came in with, and stale ones allow nothing. Throws `unauthenticated` when the credential
   * counts no longer.
   */
  renewed(caller: Caller): Promise<Caller>;
  /** The principal of the data folder, for what this machine's operator does without the bridge. */
  owner(): Promise<Caller>;
}

/** How often an address and a caller may ask; each request is counted once by each. */
export interface RequestLimits {
  /** Before anything else of a request. Throws `limit_exceeded` with `retryAfterSeconds`. */
  address(address: string): LimitVerdict;
  /** Once it is known who asks; a caller without a limit of his own is always let through. */
  caller(caller: Caller, origin: Origin): undefined | Promise<undefined>;
  /** As `ratelimit-policy` says it. */
  readonly addressPolicy: LimitPolicy;
}

/** The tokens of a session as they go out; `refreshToken` is shown this once. */
export interface IssuedTokens {
  readonly accessToken: string;
  readonly tokenType: 'Bearer' | 'DPoP';
  readonly expiresInSeconds: number;
  readonly refreshToken?: string;
  readonly scope?: string;
  readonly sessionId: string;
}

export interface SignInRequest extends Origin {
  readonly username: string;
  readonly password: string;
  /** A one-time or recovery code, when it is known that one will be asked for. */
  readonly code?: string;
  readonly device?: string;
  /** `browser`: one token as long as the session, for a cookie. `client`: access and refresh token. */
  readonly as: 'browser' | 'client';
  readonly clientId?: string;
  /** Thumbprint of the key that the tokens shall be bound to. */
  readonly boundTo?: string;
  readonly scope?: string;
  /** The only resource that the tokens are for, a URL of this server (RFC 8707). */
  readonly audience?: string;
  /** Names the session that is opened, for who must know it before. */
  readonly sessionId?: string;
}

export type SignInResult =
  | {
      readonly outcome: 'signed_in';
      readonly username: string;
      readonly tokens: IssuedTokens;
      readonly mustChangePassword: boolean;
    }
  | {
      readonly outcome: 'second_factor';
      /** Shows that the password was right; good for five minutes and one session. */
      readonly ticket: string;
      readonly methods: readonly ('totp' | 'passkey' | 'recovery_code')[];
    };

export interface SignIn {
  /**
   * Throws `unauthenticated` for a wrong name or password alike, `limit_exceeded` (with
   * `retryAfterSeconds` in the details) for a locked name, an address that tries too often, or a
   * full queue.
   */
  password(request: SignInRequest): Promise<SignInResult>;
  /** The second factor of a ticket: a code of the authenticator, or a recovery code. */
  secondFactor(ticket: string, code: string, origin: Origin): Promise<SignInResult>;
  /** What a browser needs to ask an authenticator; with a ticket as second factor, without one instead of a password. */
  passkeyOptions(
    ticket: string | undefined,
    origin: Origin,
  ): Promise<{ challenge: string; options: unknown }>;
  passkey(
    challenge: string,
    answer: unknown,
    request: Omit<SignInRequest, 'username' | 'password'>,
  ): Promise<SignInResult>;
  /** A session of a principal who has proved himself in another way: a login link, a device code, an authorization code. */
  open(
    userId: string,
    method: string,
    request: Omit<SignInRequest, 'username' | 'password'>,
  ): Promise<IssuedTokens>;
  /** Throws `token_invalid` for a token that is unknown, over, used before (its session ends) or another client's. */
  refresh(
    request: {
      refreshToken: string;
      clientId: string;
      boundTo?: string;
      scope?: string;
      /** Within the resource that the tokens are for, which is used without it. */
      audience?: string;
    } & Origin,
  ): Promise<IssuedTokens>;
}

/** A shorter-lived token for somebody who acts for the caller, never with more rights (RFC 8693). */
export interface DelegationRequest {
  /** The principal that will act. */
  readonly actor: Access;
  readonly scope?: string;
  readonly audience?: string;
  readonly boundTo?: string;
  /** At most 600; never beyond the caller's own token. */
  readonly lifetimeSeconds?: number;
}

/** What introspection (RFC 7662) tells of a token; `active: false` and nothing else when it does not count. */
export type Introspection =
  | { readonly active: false }
  | {
      readonly active: true;
      readonly sub: string;
      readonly username: string;
      readonly clientId?: string;
      readonly scope?: string;
      readonly exp: number;
      readonly iat: number;
      readonly iss: string;
      /** The rest is told of access tokens only. */
      readonly tokenType?: 'Bearer' | 'DPoP';
      readonly nbf?: number;
      readonly aud?: string;
      readonly jti?: string;
      readonly role?: number;
      readonly permissions?: string;
      readonly cnf?: { readonly jkt: string };
      readonly act?: Actor;
    };

export interface Tokens {
  /** Throws `denied` when the scope is more than the caller has, or the chain of actors is too long. */
  delegate(caller: Caller, request: DelegationRequest): Promise<IssuedTokens>;
  introspect(token: string): Promise<Introspection>;
  /** Takes one access token back, or ends the session of a refresh token. Unknown tokens are no error (RFC 7009). */
  revoke(token: string): Promise<void>;
  /** A short token for a principal that has shown an API key (client credentials). */
  forAgent(
    caller: Caller,
    request: { boundTo?: string; scope?: string; audience?: string },
  ): Promise<IssuedTokens>;
  /** What `iss` and, without a resource, `aud` say. */
  readonly issuer: string;
  jwks(): { readonly keys: readonly object[] };
  keys(): readonly SigningKeyInfo[];
  /** `compromised`: the present keys stop verifying at once, and everybody signs in again. */
  rotateKeys(reason: 'requested' | 'compromised'): Promise<void>;
}

export interface SigningKeyInfo {
  readonly kid: string;
  readonly algorithm: string;
  readonly state: 'next' | 'current' | 'previous';
  readonly signsFrom: string;
  readonly signsUntil: string;
  readonly verifiesUntil: string;
}
