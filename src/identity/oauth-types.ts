/** What the doors call of the OAuth server: the protocol without HTTP. */
import type { Caller } from './access.ts';
import type { Page } from './administration.ts';
import type { Introspection, Origin } from './doors.ts';

/** Parameters of a request: each at most once, none of them empty. */
export type Parameters = ReadonlyMap<string, string>;

/** A request of a client. */
export interface ClientRequest {
  readonly parameters: Parameters;
  /** As it was sent; undefined without one. */
  readonly authorization: string | undefined;
  /** The DPoP header. */
  readonly proof: string | undefined;
  readonly origin: Origin;
}

/** RFC 6749, 5.1 and RFC 8693, 2.2.1. */
export interface TokenAnswer {
  readonly access_token: string;
  readonly token_type: 'Bearer' | 'DPoP' | 'N_A';
  readonly expires_in: number;
  readonly refresh_token?: string;
  readonly scope?: string;
  readonly issued_token_type?: string;
}

/** RFC 8628, 3.2. */
export interface DeviceAuthorization {
  readonly device_code: string;
  readonly user_code: string;
  readonly verification_uri: string;
  readonly verification_uri_complete: string;
  readonly expires_in: number;
  readonly interval: number;
}

/** A permission that is asked for, and whether the person has it to give. */
export interface AskedScope {
  readonly name: string;
  readonly description: string;
  readonly granted: boolean;
}

export interface ClientName {
  readonly id: string;
  readonly name: string;
}

/** What a person sees before he lets a device in. Without `scopes`: everything that he may do. */
export interface DeviceQuestion {
  readonly userCode: string;
  readonly client: ClientName;
  readonly scopes?: readonly AskedScope[];
  readonly resource?: string;
  readonly address?: string;
  readonly userAgent: string;
  readonly startedAt: string;
  readonly expiresAt: string;
  readonly status: 'pending' | 'approved' | 'denied';
}

/** The person's side of the device flow. The caller must be a browser's session. */
export interface DeviceLogin {
  /**
   * Claims the code for this session. Throws `not_found`, `conflict` when another session looked it
   * up first, and `limit_exceeded` after ten codes a minute.
   */
  look(userCode: string, caller: Caller, origin: Origin): Promise<DeviceQuestion>;
  /** Throws `conflict` when this session did not look the code up, or it is decided. */
  decide(userCode: string, approve: boolean, caller: Caller, origin: Origin): Promise<void>;
}

/** What a person sees before he lets a client in, or why he can not. */
export type AuthorizationQuestion =
  | {
      readonly outcome: 'ask';
      readonly client: ClientName;
      readonly redirectUri: string;
      readonly scopes?: readonly AskedScope[];
      readonly resource?: string;
    }
  | {
      readonly outcome: 'refused';
      readonly error: string;
      readonly description: string;
      /** Where the client hears of it; absent where the address itself is not to be trusted. */
      readonly redirectTo?: string;
    };

export interface Authorization {
  /** What can be said without knowing who asks; `ask` says nothing of what the person has. */
  check(parameters: Parameters, repeated: readonly string[]): Promise<AuthorizationQuestion>;
  /** What is asked of this person. The caller must be a browser's session. */
  look(
    parameters: Parameters,
    repeated: readonly string[],
    caller: Caller,
  ): Promise<AuthorizationQuestion>;
  /** Where the browser goes next. Throws `invalid_input` where no client can be told. */
  decide(
    parameters: Parameters,
    approve: boolean,
    caller: Caller,
  ): Promise<{ readonly redirectTo: string }>;
}

export interface OAuthClientInfo {
  readonly id: string;
  readonly name: string;
  readonly redirectUris: readonly string[];
  readonly isBuiltIn: boolean;
  readonly createdAt: string;
}

/** Public clients: programs that people let in. Principals with API keys are clients by themselves. */
export interface OAuthClients {
  list(filter: { limit?: number; cursor?: string }): Promise<Page<OAuthClientInfo>>;
  /** Throws `invalid_input`, `conflict` for an id that is taken, `limit_exceeded`. */
  create(
    client: { id?: string; name: string; redirectUris?: readonly string[] },
    by: Caller,
  ): Promise<OAuthClientInfo>;
  /** Ends its sessions. Throws `not_found`, `conflict` for the built-in one. */
  remove(id: string, by: Caller): Promise<void>;
}

/** Errors of clients carry the protocol's code in `details.error`. */
export interface OAuth {
  /** RFC 8414. */
  metadata(): Readonly<Record<string, unknown>>;
  /** RFC 9728, of a path of this server without a slash at its end. */
  resourceMetadata(path: string): Readonly<Record<string, unknown>>;
  token(request: ClientRequest): Promise<TokenAnswer>;
  beginDevice(request: ClientRequest): Promise<DeviceAuthorization>;
  readonly devices: DeviceLogin;
  readonly authorization: Authorization;
  readonly clients: OAuthClients;
  /** The principal that the request authenticates by its API key; undefined without a secret. */
  clientCaller(request: ClientRequest): Promise<Caller | undefined>;
  /** The caller's own tokens, and others' for who may read the audit. */
  introspect(caller: Caller, token: string): Promise<Introspection>;
}
