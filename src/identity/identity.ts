/**
 * Who there is, what they may do, and how they prove who they are. Every door asks two things:
 * `callers.whoIs(credential)` and `authorize(caller, action, resource)`.
 */
import type { Clock, Log } from '../base/base.ts';
import type { Database } from '../database/database.ts';
import type {
  AccessQuestions,
  ApiKeys,
  Principals,
  Roles,
  SecondFactors,
  SecurityEvents,
  Sessions,
} from './administration.ts';
import type { Callers, RequestLimits, SignIn, Tokens } from './doors.ts';
import type { OAuth } from './oauth-types.ts';
import type { HashParameters } from './passwords.ts';
import type { RedisState } from './redis.ts';
import type { CacheStats } from './shared-cache.ts';

export type { Actor } from './claims.ts';
export {
  assertAllowed,
  authorize,
  authorizeSome,
  deniedError,
  type Access,
  type Caller,
  type Decision,
  type Grant,
} from './access.ts';
export type {
  Page,
  PrincipalInfo,
  NewPrincipal,
  Principals,
  SecondFactors,
  FactorProof,
  PasskeyInfo,
  RoleInfo,
  Roles,
  SessionInfo,
  Sessions,
  ApiKeyInfo,
  ApiKeys,
  SecurityEvent,
  SecurityEvents,
  AccessQuestions,
} from './administration.ts';
export type {
  Origin,
  Credential,
  Callers,
  IssuedTokens,
  SignInRequest,
  SignInResult,
  SignIn,
  DelegationRequest,
  Introspection,
  Tokens,
  SigningKeyInfo,
} from './doors.ts';
export { oauthCodeOf, oauthError } from './oauth-errors.ts';
export type {
  AuthorizationQuestion,
  ClientRequest,
  DeviceAuthorization,
  DeviceQuestion,
  OAuth,
  OAuthClientInfo,
  Parameters,
  TokenAnswer,
} from './oauth-types.ts';
export {
  actionNamed,
  actions,
  actionsIn,
  isAction,
  maskValue,
  registry,
  registryVersion,
  type Action,
  type Mask,
} from './permissions.ts';

export { foldName } from './names.ts';
export { openIdentity, ownerName } from './open.ts';

export interface Identity {
  readonly callers: Callers;
  readonly limits: RequestLimits;
  readonly signIn: SignIn;
  readonly tokens: Tokens;
  readonly oauth: OAuth;
  readonly principals: Principals;
  readonly secondFactors: SecondFactors;
  readonly roles: Roles;
  readonly sessions: Sessions;
  readonly apiKeys: ApiKeys;
  readonly events: SecurityEvents;
  readonly access: AccessQuestions;
  /** Caches, queues, limits and Redis as they are now, for the status page and metrics. */
  status(): IdentityStatus;
  close(): Promise<void>;
}

export interface IdentityStatus {
  readonly hashing: {
    readonly memoryKiB: number;
    readonly iterations: number;
    readonly parallelism: number;
    readonly running: number;
    readonly waiting: number;
    readonly capacity: number;
  };
  readonly memory: {
    readonly principals: number;
    readonly sessions: number;
    readonly tokens: number;
    readonly revoked: number;
  };
  readonly isFresh: boolean;
  readonly redis: RedisState;
  /** Of what processes share through Redis. */
  readonly cache: CacheStats;
}

export interface IdentityOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** 32 bytes, the same for every process on one database. */
  readonly masterKey: Uint8Array;
  /** The secret of the data folder's owner; undefined where no door honours it. */
  readonly ownerToken: string | undefined;
  /** Where people reach this server, without a slash at the end; asked when it is needed, since the port may not be known before. */
  readonly publicUrl: () => string;
  readonly settings: IdentitySettings;
}

export interface IdentitySettings {
  /** Empty: none. */
  readonly redisUrl: string;
  /** `iss` of tokens; empty: a name made once for the database. */
  readonly issuer: string;
  readonly signingAlgorithm: 'ES256' | 'EdDSA' | 'HS256';
  readonly accessTokenMs: number;
  /** How long a browser, and how long a client with a refresh token, stays signed in. */
  readonly browserSessionMs: number;
  readonly clientSessionMs: number;
  readonly keyRotationMs: number;
  readonly keyOverlapMs: number;
  /** What one password hash shall cost; never below OWASP's floor. */
  readonly passwordHashMs: number;
  /** Instead of measuring. */
  readonly hashParameters?: HashParameters;
  /** Logins that may wait for a hash. */
  readonly passwordQueue: number;
  /** Wrong passwords for one name until it is locked for a while. */
  readonly loginAttempts: number;
  /** From one address. */
  readonly loginsPerMinute: number;
  readonly requestsPerMinute: number;
  /** Requests of one address in ten seconds that are usual; five times as many block it. */
  readonly usualRequests: number;
  /** A file or folder of SHA-1 hashes of leaked passwords; empty: none. */
  readonly breachedPasswords: string;
}
