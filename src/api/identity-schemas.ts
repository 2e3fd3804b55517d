/** Identity's administration as it goes over HTTP; what identity owns is held to its types by the compiler. */
import { Type, type Static } from 'typebox';
import type {
  Action,
  ApiKeyInfo,
  IdentityStatus,
  IssuedTokens,
  Page,
  PasskeyInfo,
  PrincipalInfo,
  RoleInfo,
  SecurityEvent,
  SessionInfo,
  SignInResult,
  SigningKeyInfo,
} from '../identity/identity.ts';
import { actions } from '../identity/identity.ts';
import { count, describes, maybe, oneOf, record, text, texts, time } from './schema-terms.ts';

/** Of principals, sessions and keys: not the run's, which are ordered by time. */
const uuid = Type.String({ format: 'uuid' });
const mask = Type.String({
  pattern: '^[0-9]{1,20}$',
  description: '64 permission bits as a decimal number, 0 to 2^64 − 1',
});
const action = oneOf<Action>(actions);

const principalFields = {
  id: uuid,
  username: text,
  kind: oneOf<PrincipalInfo['kind']>(['user', 'agent']),
  status: oneOf<PrincipalInfo['status']>(['active', 'disabled']),
  displayName: text,
  email: maybe(text),
  roles: Type.Array(Type.Object({ name: text, expiresAt: maybe(time) })),
  permissions: mask,
  hasPassword: Type.Boolean(),
  mustChangePassword: Type.Boolean(),
  hasTotp: Type.Boolean(),
  passkeys: count,
  failedAttempts: count,
  lockedUntil: maybe(time),
  createdAt: time,
  lastLoginAt: maybe(time),
};
export const principalSchema = describes<PrincipalInfo>()(
  Type.Object(principalFields),
  'Principal',
);
export const principalPageSchema = describes<Page<PrincipalInfo>>()(
  Type.Object({ items: Type.Array(principalSchema), nextCursor: maybe(text) }),
  'PrincipalPage',
);

export const passkeySchema = describes<PasskeyInfo>()(
  Type.Object({
    id: text,
    name: text,
    backedUp: Type.Boolean(),
    createdAt: time,
    lastUsedAt: maybe(time),
  }),
  'Passkey',
);
export const passkeyListSchema = Type.Object(
  { items: Type.Array(passkeySchema) },
  { title: 'PasskeyList' },
);

export const roleSchema = describes<RoleInfo>()(
  Type.Object({
    name: text,
    level: Type.Integer({ minimum: 1, maximum: 5, description: '1 is the strongest' }),
    isSystem: Type.Boolean(),
    description: text,
    mask,
    permissions: Type.Array(Type.Object({ action, pattern: text })),
    members: count,
  }),
  'Role',
);
export const roleListSchema = Type.Object({ items: Type.Array(roleSchema) }, { title: 'RoleList' });

export const permissionListSchema = Type.Object(
  {
    version: Type.Integer({ description: 'Of the registry; a bit never gets another meaning' }),
    items: Type.Array(
      Type.Object({
        action,
        bit: Type.Integer({ minimum: 0, maximum: 63 }),
        mask,
        impliedBy: Type.Array(action, { description: 'Each of these grants it as well' }),
        since: Type.Integer(),
        description: text,
      }),
    ),
  },
  { title: 'PermissionList' },
);

export const sessionSchema = describes<SessionInfo>()(
  Type.Object({
    id: text,
    username: text,
    method: text,
    address: maybe(text),
    userAgent: text,
    createdAt: time,
    lastActivity: time,
    expiresAt: time,
    isActive: Type.Boolean(),
    endReason: maybe(text),
  }),
  'Session',
);
export const sessionPageSchema = describes<Page<SessionInfo>>()(
  Type.Object({ items: Type.Array(sessionSchema), nextCursor: maybe(text) }),
  'SessionPage',
);
export const endedSessionsSchema = Type.Object({ ended: count }, { title: 'EndedSessions' });

export const apiKeySchema = describes<ApiKeyInfo>()(
  Type.Object({
    id: text,
    username: text,
    name: text,
    prefix: text,
    scopes: maybe(texts),
    allowedNetworks: maybe(texts),
    rateLimitPerMinute: count,
    createdAt: time,
    expiresAt: maybe(time),
    lastUsedAt: maybe(time),
    revokedAt: maybe(time),
  }),
  'ApiKey',
);
export const apiKeyPageSchema = describes<Page<ApiKeyInfo>>()(
  Type.Object({ items: Type.Array(apiKeySchema), nextCursor: maybe(text) }),
  'ApiKeyPage',
);
export const newApiKeySchema = describes<{ key: string; info: ApiKeyInfo }>()(
  Type.Object({
    key: Type.String({ description: 'The secret; it is not shown again' }),
    info: apiKeySchema,
  }),
  'NewApiKey',
);

const securityEventSchema = describes<SecurityEvent>()(
  Type.Object({
    id: text,
    at: time,
    type: text,
    severity: Type.Integer({ minimum: 1, maximum: 5 }),
    risk: Type.Integer({ minimum: 0, maximum: 100 }),
    userId: maybe(text),
    username: maybe(text),
    sessionId: maybe(text),
    address: maybe(text),
    userAgent: maybe(text),
    details: record,
  }),
  'SecurityEvent',
);
export const securityEventPageSchema = describes<Page<SecurityEvent>>()(
  Type.Object({ items: Type.Array(securityEventSchema), nextCursor: maybe(text) }),
  'SecurityEventPage',
);

const figure = Type.Union([Type.Number(), Type.Null()], {
  description: 'null where nothing was measured',
});
const identityStatusSchema = describes<IdentityStatus>()(
  Type.Object({
    hashing: Type.Object({
      memoryKiB: count,
      iterations: count,
      parallelism: count,
      running: count,
      waiting: count,
      capacity: count,
    }),
    memory: Type.Object({ principals: count, sessions: count, tokens: count, revoked: count }),
    isFresh: Type.Boolean({ description: 'Whether what is in memory may be trusted now' }),
    redis: Type.Union([
      Type.Object({ state: Type.Literal('absent') }),
      Type.Object({ state: Type.Literal('connecting') }),
      Type.Object({ state: Type.Literal('ready') }),
      Type.Object({ state: Type.Literal('down'), reason: text }),
    ]),
  }),
  'IdentityStatus',
);
export const securityMetricsSchema = Type.Object(
  {
    performance: Type.Array(
      Type.Object({ metric: text, avg: figure, p95: figure, samples: count, unit: text }),
    ),
    health: Type.Array(
      Type.Object({
        component: text,
        status: text,
        value: figure,
        healthyBelow: Type.Number(),
        warningBelow: Type.Number(),
        unit: text,
      }),
    ),
    process: identityStatusSchema,
  },
  { title: 'SecurityMetrics' },
);

const signingKeySchema = describes<SigningKeyInfo>()(
  Type.Object({
    kid: text,
    algorithm: text,
    state: oneOf<SigningKeyInfo['state']>(['next', 'current', 'previous']),
    signsFrom: time,
    signsUntil: time,
    verifiesUntil: time,
  }),
  'SigningKey',
);
export const signingKeyListSchema = Type.Object(
  { items: Type.Array(signingKeySchema) },
  { title: 'SigningKeyList' },
);

export const accessListSchema = Type.Object(
  {
    username: text,
    status: text,
    roles: texts,
    everywhere: Type.Array(action, { description: 'Granted on every resource' }),
    some: Type.Array(Type.Object({ action, pattern: text, role: text })),
    mask,
  },
  { title: 'AccessList' },
);
export const accessDecisionSchema = Type.Object(
  { allowed: Type.Boolean(), reason: Type.String({ description: 'Empty when it is allowed' }) },
  { title: 'AccessDecision' },
);
export const accessHoldersSchema = Type.Object(
  {
    items: Type.Array(
      Type.Object({
        username: text,
        kind: oneOf<PrincipalInfo['kind']>(['user', 'agent']),
        by: Type.Array(text, { description: 'What grants it' }),
      }),
    ),
  },
  { title: 'AccessHolders' },
);

export const meSchema = Type.Object(
  {
    principal: principalSchema,
    credential: Type.Object({
      kind: oneOf(['owner', 'session', 'token', 'api_key']),
      id: Type.String({ description: 'Names it in logs without giving it away' }),
      sessionId: maybe(text),
    }),
    rights: accessListSchema,
    scope: maybe(
      Type.Array(action, {
        description: 'What the credential is narrowed to; absent when it is not',
      }),
    ),
    actors: Type.Array(text, { description: 'Who acts for the principal, the nearest first' }),
  },
  { title: 'Me' },
);

export const signInStateSchema = Type.Object(
  { hasUsers: Type.Boolean({ description: 'Whether anybody can sign in' }) },
  { title: 'SignInState' },
);
const issuedTokensSchema = describes<IssuedTokens>()(
  Type.Object({
    accessToken: text,
    tokenType: oneOf<IssuedTokens['tokenType']>(['Bearer', 'DPoP']),
    expiresInSeconds: count,
    refreshToken: maybe(Type.String({ description: 'It is not shown again' })),
    scope: maybe(text),
    sessionId: text,
  }),
  'IssuedTokens',
);
export const signedInSchema = Type.Object(
  {
    outcome: oneOf<SignInResult['outcome']>(['signed_in', 'second_factor']),
    username: maybe(text),
    mustChangePassword: maybe(Type.Boolean()),
    tokens: maybe(issuedTokensSchema),
    ticket: maybe(Type.String({ description: 'Good for one second factor within five minutes' })),
    methods: maybe(Type.Array(oneOf(['totp', 'passkey', 'recovery_code']))),
  },
  { title: 'SignedIn' },
);
export const passkeyChallengeSchema = Type.Object(
  { challenge: text, options: Type.Unknown() },
  { title: 'PasskeyChallenge' },
);
export const totpSecretSchema = Type.Object(
  { secret: text, uri: Type.String({ description: 'otpauth: for a QR code' }) },
  { title: 'TotpSecret' },
);
export const recoveryCodesSchema = Type.Object(
  { recoveryCodes: Type.Array(text, { description: 'They are not shown again' }) },
  { title: 'RecoveryCodes' },
);

export type SignInState = Static<typeof signInStateSchema>;
export type SignedIn = Static<typeof signedInSchema>;
export type PasskeyChallenge = Static<typeof passkeyChallengeSchema>;
export type TotpSecret = Static<typeof totpSecretSchema>;
export type RecoveryCodes = Static<typeof recoveryCodesSchema>;
export type Principal = Static<typeof principalSchema>;
export type PrincipalPage = Static<typeof principalPageSchema>;
export type Passkey = Static<typeof passkeySchema>;
export type PasskeyList = Static<typeof passkeyListSchema>;
export type RoleDetail = Static<typeof roleSchema>;
export type RoleList = Static<typeof roleListSchema>;
export type PermissionList = Static<typeof permissionListSchema>;
export type SessionPage = Static<typeof sessionPageSchema>;
export type EndedSessions = Static<typeof endedSessionsSchema>;
export type ApiKeyPage = Static<typeof apiKeyPageSchema>;
export type NewApiKey = Static<typeof newApiKeySchema>;
export type SecurityEventPage = Static<typeof securityEventPageSchema>;
export type SecurityMetrics = Static<typeof securityMetricsSchema>;
export type SigningKeyList = Static<typeof signingKeyListSchema>;
export type AccessList = Static<typeof accessListSchema>;
export type AccessDecision = Static<typeof accessDecisionSchema>;
export type AccessHolders = Static<typeof accessHoldersSchema>;
export type Me = Static<typeof meSchema>;
