/** Identity's administration for the typed client: one function an operation. */
import type {
  AccessDecision,
  AccessHolders,
  AccessList,
  ApiKeyPage,
  ApiKeyRequest,
  EndedSessions,
  Me,
  NewApiKey,
  NewPrincipalRequest,
  NewRoleRequest,
  PermissionList,
  Principal,
  PrincipalChange,
  PrincipalPage,
  RoleDetail,
  RoleList,
  SecurityEventPage,
  SecurityMetrics,
  SessionPage,
  SigningKeyList,
  SignInState,
} from '../api/api.ts';
import { query } from './query.ts';
import type { CallOptions, Send } from './send.ts';

export interface PageOptions {
  readonly limit?: number;
  readonly cursor?: string;
}

export function identityClient(send: Send) {
  return {
    ...principalCalls(send),
    ...roleCalls(send),
    ...credentialCalls(send),
    ...securityCalls(send),
  };
}

function principalCalls(send: Send) {
  return {
    /** Whether anybody could sign in; needs no credential. */
    signInState: () => send<SignInState>('GET', '/api/v1/login'),
    me: () => send<Me>('GET', '/api/v1/me'),
    /** One page by name; `limit` 1 to 500, default 50. */
    principals: (filter: PrincipalFilter = {}, call?: CallOptions) =>
      send<PrincipalPage>('GET', `/api/v1/principals${query({ ...filter })}`, undefined, call),
    principal: (name: string) => send<Principal>('GET', principalPath(name)),
    createPrincipal: (body: NewPrincipalRequest) =>
      send<Principal>('POST', '/api/v1/principals', body),
    updatePrincipal: (name: string, change: PrincipalChange) =>
      send<Principal>('PATCH', principalPath(name), change),
    deletePrincipal: (name: string) => send<undefined>('DELETE', principalPath(name)),
    grantRole: (name: string, role: string, expiresAt?: string) =>
      send<Principal>(
        'PUT',
        `${principalPath(name)}/roles/${encodeURIComponent(role)}`,
        expiresAt === undefined ? {} : { expiresAt },
      ),
    revokeRole: (name: string, role: string) =>
      send<Principal>('DELETE', `${principalPath(name)}/roles/${encodeURIComponent(role)}`),
    setPassword: (name: string, password: string, mustChange: boolean) =>
      send<undefined>('PUT', `${principalPath(name)}/password`, { password, mustChange }),
    unlockPrincipal: (name: string) => send<undefined>('POST', `${principalPath(name)}/unlock`),
    removeTotp: (name: string) => send<undefined>('DELETE', `${principalPath(name)}/totp`),
  };
}

function roleCalls(send: Send) {
  return {
    roles: (call?: CallOptions) => send<RoleList>('GET', '/api/v1/roles', undefined, call),
    role: (name: string) => send<RoleDetail>('GET', rolePath(name)),
    createRole: (body: NewRoleRequest) => send<RoleDetail>('POST', '/api/v1/roles', body),
    deleteRole: (name: string) => send<undefined>('DELETE', rolePath(name)),
    /** Without a pattern: on everything. */
    allow: (role: string, action: string, pattern?: string) =>
      send<RoleDetail>('PUT', permissionPath(role, action, pattern)),
    disallow: (role: string, action: string, pattern?: string) =>
      send<RoleDetail>('DELETE', permissionPath(role, action, pattern)),
    permissions: () => send<PermissionList>('GET', '/api/v1/permissions'),

    access: (name: string) => send<AccessList>('GET', `${principalPath(name)}/access`),
    checkAccess: (principal: string, action: string, resource?: string) =>
      send<AccessDecision>('GET', `/api/v1/access/check${query({ principal, action, resource })}`),
    whoMay: (action: string, resource?: string, limit?: number) =>
      send<AccessHolders>('GET', `/api/v1/access/who${query({ action, resource, limit })}`),
  };
}

function credentialCalls(send: Send) {
  return {
    /** One page, newest first; `limit` 1 to 500, default 50. */
    sessions: (filter: SessionFilter = {}) =>
      send<SessionPage>('GET', `/api/v1/sessions${query({ ...filter })}`),
    endSession: (id: string) =>
      send<undefined>('DELETE', `/api/v1/sessions/${encodeURIComponent(id)}`),
    endSessions: (name: string) => send<EndedSessions>('DELETE', `${principalPath(name)}/sessions`),
    mySessions: (filter: Omit<SessionFilter, 'user'> = {}) =>
      send<SessionPage>('GET', `/api/v1/me/sessions${query({ ...filter })}`),
    /** `current` is the session of this client. */
    endMySession: (id: string) =>
      send<undefined>('DELETE', `/api/v1/me/sessions/${encodeURIComponent(id)}`),

    apiKeys: (page: PageOptions = {}) =>
      send<ApiKeyPage>('GET', `/api/v1/api-keys${query({ ...page })}`),
    apiKeysOf: (name: string, page: PageOptions = {}) =>
      send<ApiKeyPage>('GET', `${principalPath(name)}/api-keys${query({ ...page })}`),
    myApiKeys: (page: PageOptions = {}) =>
      send<ApiKeyPage>('GET', `/api/v1/me/api-keys${query({ ...page })}`),
    createApiKeyFor: (name: string, body: ApiKeyRequest) =>
      send<NewApiKey>('POST', `${principalPath(name)}/api-keys`, body),
    createMyApiKey: (body: ApiKeyRequest) => send<NewApiKey>('POST', '/api/v1/me/api-keys', body),
    revokeApiKey: (idOrPrefix: string) =>
      send<undefined>('DELETE', `/api/v1/api-keys/${encodeURIComponent(idOrPrefix)}`),
    revokeMyApiKey: (idOrPrefix: string) =>
      send<undefined>('DELETE', `/api/v1/me/api-keys/${encodeURIComponent(idOrPrefix)}`),
  };
}

function securityCalls(send: Send) {
  return {
    /** One page, newest first; `limit` 1 to 500, default 50. */
    securityEvents: (filter: SecurityEventFilter = {}) =>
      send<SecurityEventPage>('GET', `/api/v1/security/events${query({ ...filter })}`),
    securityMetrics: () => send<SecurityMetrics>('GET', '/api/v1/security/metrics'),
    signingKeys: () => send<SigningKeyList>('GET', '/api/v1/security/keys'),
    rotateSigningKeys: (reason: 'requested' | 'compromised') =>
      send<SigningKeyList>('POST', '/api/v1/security/keys/rotate', { reason }),
  };
}

export interface PrincipalFilter extends PageOptions {
  readonly kind?: 'user' | 'agent';
  readonly status?: 'active' | 'disabled';
  readonly role?: string;
}

export interface SessionFilter extends PageOptions {
  readonly user?: string;
  readonly active?: boolean;
}

export interface SecurityEventFilter extends PageOptions {
  readonly type?: string;
  readonly user?: string;
  readonly minRisk?: number;
  readonly since?: string;
}

function principalPath(name: string): string {
  return `/api/v1/principals/${encodeURIComponent(name)}`;
}

function rolePath(name: string): string {
  return `/api/v1/roles/${encodeURIComponent(name)}`;
}

function permissionPath(role: string, action: string, pattern: string | undefined): string {
  return `${rolePath(role)}/permissions/${encodeURIComponent(action)}${query({ pattern })}`;
}
