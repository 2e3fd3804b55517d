/** What is administered: principals, roles, sessions, API keys, events, and questions about rights. */
import type { Caller, Decision } from './access.ts';
import type { Origin } from './doors.ts';
import type { Action } from './permissions.ts';

/** A page of a list: `nextCursor` is absent on the last one. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly nextCursor?: string;
}

export interface PrincipalInfo {
  readonly id: string;
  readonly username: string;
  readonly kind: 'user' | 'agent';
  readonly status: 'active' | 'disabled';
  readonly displayName: string;
  readonly email?: string;
  readonly roles: readonly { readonly name: string; readonly expiresAt?: string }[];
  /** Decimal, 0 to 2^64 − 1: what is granted on every resource. */
  readonly permissions: string;
  readonly hasPassword: boolean;
  readonly mustChangePassword: boolean;
  readonly hasTotp: boolean;
  readonly passkeys: number;
  readonly failedAttempts: number;
  readonly lockedUntil?: string;
  readonly createdAt: string;
  readonly lastLoginAt?: string;
}

export interface NewPrincipal {
  readonly username: string;
  readonly kind?: 'user' | 'agent';
  readonly displayName?: string;
  readonly email?: string;
  readonly roles?: readonly string[];
  /** Without one the principal can't sign in with a password. */
  readonly password?: string;
  readonly mustChangePassword?: boolean;
}

/** Everything here is told to security events with `by`. Names are normalised (NFKC, lower case) before use. */
export interface Principals {
  list(filter: {
    kind?: 'user' | 'agent';
    status?: 'active' | 'disabled';
    role?: string;
    limit?: number;
    cursor?: string;
  }): Promise<Page<PrincipalInfo>>;
  /** By name or id. Throws `not_found`. */
  get(nameOrId: string): Promise<PrincipalInfo>;
  /** Throws `conflict` for a name or e-mail that is taken, `invalid_input`, `not_found` (role). */
  create(principal: NewPrincipal, by: Caller): Promise<PrincipalInfo>;
  update(
    nameOrId: string,
    change: { displayName?: string; email?: string | null; status?: 'active' | 'disabled' },
    by: Caller,
  ): Promise<PrincipalInfo>;
  /** Throws `conflict` for the last active administrator and for the owner. */
  remove(nameOrId: string, by: Caller): Promise<void>;
  grantRole(
    nameOrId: string,
    role: string,
    expiresAt: string | undefined,
    by: Caller,
  ): Promise<PrincipalInfo>;
  /** Throws `conflict` when nobody would be left who may change roles. */
  revokeRole(nameOrId: string, role: string, by: Caller): Promise<PrincipalInfo>;
  /** Ends all sessions but `keep`. Throws `invalid_input` with what is wrong with the new password. */
  setPassword(
    nameOrId: string,
    password: string,
    options: { mustChange?: boolean; keep?: string },
    by: Caller,
  ): Promise<void>;
  /** The principal's own change: asks for the present password. */
  changePassword(caller: Caller, present: string, next: string, origin: Origin): Promise<void>;
  /** Forgets wrong tries, so that a locked name can sign in. */
  unlock(nameOrId: string, by: Caller): Promise<void>;
  /** Makes principals of kind agent, with the role agent, for names that have none. */
  ensureAgents(names: readonly string[]): Promise<void>;
}

export interface SecondFactors {
  /** A new secret for the caller, pending until `confirmTotp`. */
  beginTotp(caller: Caller): Promise<{ secret: string; uri: string }>;
  /** Turns it on; the recovery codes are shown this once. */
  confirmTotp(caller: Caller, code: string): Promise<{ recoveryCodes: readonly string[] }>;
  /** The caller's own with a code or the password; an administrator's for another one who lost it. */
  removeTotp(nameOrId: string, by: Caller, proof?: FactorProof): Promise<void>;
  passkeyRegistration(
    caller: Caller,
    origin: Origin,
  ): Promise<{ challenge: string; options: unknown }>;
  addPasskey(
    caller: Caller,
    challenge: string,
    answer: unknown,
    name: string,
  ): Promise<PasskeyInfo>;
  passkeys(nameOrId: string): Promise<readonly PasskeyInfo[]>;
  removePasskey(nameOrId: string, passkeyId: string, by: Caller): Promise<void>;
}

/** What shows that it is the caller himself: the present password, or a one-time or recovery code. */
export interface FactorProof {
  readonly password?: string;
  readonly code?: string;
  readonly origin: Origin;
}

export interface PasskeyInfo {
  readonly id: string;
  readonly name: string;
  readonly backedUp: boolean;
  readonly createdAt: string;
  readonly lastUsedAt?: string;
}

export interface RoleInfo {
  readonly name: string;
  readonly level: number;
  readonly isSystem: boolean;
  readonly description: string;
  /** Decimal: what it grants on every resource. */
  readonly mask: string;
  readonly permissions: readonly { readonly action: Action; readonly pattern: string }[];
  readonly members: number;
}

export interface Roles {
  list(): Promise<readonly RoleInfo[]>;
  get(name: string): Promise<RoleInfo>;
  create(
    role: {
      name: string;
      description?: string;
      level?: number;
      permissions?: readonly { action: string; pattern?: string }[];
    },
    by: Caller,
  ): Promise<RoleInfo>;
  /** Throws `conflict` for a system role. A grantor can only grant what he has himself: `denied` otherwise. */
  allow(name: string, action: string, pattern: string, by: Caller): Promise<RoleInfo>;
  disallow(name: string, action: string, pattern: string, by: Caller): Promise<RoleInfo>;
  remove(name: string, by: Caller): Promise<void>;
}

export interface SessionInfo {
  readonly id: string;
  readonly username: string;
  readonly method: string;
  readonly address?: string;
  readonly userAgent: string;
  readonly createdAt: string;
  readonly lastActivity: string;
  readonly expiresAt: string;
  readonly isActive: boolean;
  readonly endReason?: string;
}

export interface Sessions {
  list(filter: {
    user?: string;
    onlyActive?: boolean;
    limit?: number;
    cursor?: string;
  }): Promise<Page<SessionInfo>>;
  /** Refused everywhere from the next request on. Throws `not_found`. */
  end(sessionId: string, reason: string, by: Caller): Promise<void>;
  endAll(nameOrId: string, reason: string, by: Caller, except?: string): Promise<number>;
}

export interface ApiKeyInfo {
  readonly id: string;
  readonly username: string;
  readonly name: string;
  readonly prefix: string;
  readonly scopes?: readonly string[];
  readonly allowedNetworks?: readonly string[];
  readonly rateLimitPerMinute: number;
  readonly createdAt: string;
  readonly expiresAt?: string;
  readonly lastUsedAt?: string;
  readonly revokedAt?: string;
}

export interface ApiKeys {
  /** The key itself is shown this once. Throws `denied` for scopes beyond the principal's, `invalid_input`. */
  create(
    nameOrId: string,
    key: {
      name: string;
      scopes?: readonly string[];
      allowedNetworks?: readonly string[];
      rateLimitPerMinute?: number;
      expiresAt?: string;
    },
    by: Caller,
  ): Promise<{ key: string; info: ApiKeyInfo }>;
  list(filter: { user?: string; limit?: number; cursor?: string }): Promise<Page<ApiKeyInfo>>;
  /** By id or prefix. */
  revoke(idOrPrefix: string, by: Caller): Promise<void>;
}

export interface SecurityEvent {
  readonly id: string;
  readonly at: string;
  readonly type: string;
  readonly severity: number;
  readonly risk: number;
  readonly userId?: string;
  readonly username?: string;
  readonly sessionId?: string;
  readonly address?: string;
  readonly userAgent?: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface SecurityEvents {
  list(filter: {
    type?: string;
    user?: string;
    minRisk?: number;
    since?: string;
    limit?: number;
    cursor?: string;
  }): Promise<Page<SecurityEvent>>;
  /** A refusal at a door. Many alike within ten seconds are one event with a count. */
  denied(
    caller: Caller,
    action: Action,
    resource: string | undefined,
    decision: Decision,
    origin: Origin,
  ): void;
  limited(what: string, origin: Origin, caller: Caller | undefined): void;
  flood(address: string): void;
  metrics(): Promise<{
    readonly performance: readonly {
      metric: string;
      avg: number | null;
      p95: number | null;
      samples: number;
      unit: string;
    }[];
    readonly health: readonly {
      component: string;
      status: string;
      value: number | null;
      healthyBelow: number;
      warningBelow: number;
      unit: string;
    }[];
  }>;
}

/** What X can do, and who can do Y, now. */
export interface AccessQuestions {
  can(nameOrId: string): Promise<{
    readonly username: string;
    readonly status: string;
    readonly roles: readonly string[];
    readonly everywhere: readonly Action[];
    readonly some: readonly { action: Action; pattern: string; role: string }[];
    readonly mask: string;
  }>;
  check(
    nameOrId: string,
    action: string,
    resource: string | undefined,
  ): Promise<{ readonly allowed: boolean; readonly reason: string }>;
  who(
    action: string,
    resource: string | undefined,
    limit?: number,
  ): Promise<readonly { username: string; kind: 'user' | 'agent'; by: readonly string[] }[]>;
}
