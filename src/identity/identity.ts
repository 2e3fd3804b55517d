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
import type { Callers, SignIn, Tokens } from './doors.ts';

export {
  assertAllowed,
  authorize,
  authorizeSome,
  deniedError,
  type Access,
  type Actor,
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
export {
  actionNamed,
  actions,
  actionsIn,
  maskValue,
  registry,
  registryVersion,
  type Action,
  type Mask,
} from './permissions.ts';

export interface Identity {
  readonly callers: Callers;
  readonly signIn: SignIn;
  readonly tokens: Tokens;
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
  readonly redis: {
    readonly state: 'absent' | 'connecting' | 'ready' | 'down';
    readonly reason?: string;
  };
}

export interface IdentityOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** 32 bytes, the same for every process on one database. */
  readonly masterKey: Uint8Array;
  /** The secret of the data folder's owner; undefined where no door honours it. */
  readonly ownerToken: string | undefined;
  /** Where people reach this server; undefined until the bridge knows its port. */
  readonly publicUrl: () => string;
  readonly settings: IdentitySettings;
}

export interface IdentitySettings {
  readonly redisUrl: string;
  readonly signingAlgorithm: 'ES256' | 'EdDSA' | 'HS256';
  readonly accessTokenSeconds: number;
  readonly sessionHours: number;
  readonly keyRotationHours: number;
  readonly keyOverlapHours: number;
  /** What one password hash shall cost, milliseconds; never below OWASP's floor. */
  readonly passwordHashMs: number;
  readonly passwordQueue: number;
  readonly loginAttempts: number;
  readonly breachedPasswords: string;
}
