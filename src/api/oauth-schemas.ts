/** What OAuth's endpoints take and give, for the reference, and what the pages for people ask. */
import { Type } from 'typebox';
import type {
  AuthorizationQuestion,
  DeviceAuthorization,
  DeviceQuestion,
  OAuthClientInfo,
} from '../identity/identity.ts';
import { describes, maybe, oneOf, text, texts, time } from './schema-terms.ts';

const fields = (names: readonly string[], needed: readonly string[] = []) =>
  Type.Object(
    Object.fromEntries(
      names.map((name) => [name, needed.includes(name) ? Type.String() : maybe(Type.String())]),
    ),
  );

export const tokenForm = fields(
  'grant_type client_id client_secret code redirect_uri code_verifier refresh_token device_code scope resource audience subject_token subject_token_type actor_token actor_token_type actor requested_token_type'.split(
    ' ',
  ),
  ['grant_type'],
);
export const deviceForm = fields(['client_id', 'scope', 'resource'], ['client_id']);
export const tokenOnlyForm = fields(
  ['token', 'token_type_hint', 'client_id', 'client_secret'],
  ['token'],
);

const authorizationFields = {
  response_type: maybe(text),
  client_id: maybe(text),
  redirect_uri: maybe(text),
  code_challenge: maybe(text),
  code_challenge_method: maybe(text),
  scope: maybe(text),
  state: maybe(text),
  resource: maybe(text),
  response_mode: maybe(text),
  dpop_jkt: maybe(text),
};
/** Others are passed over, as RFC 6749, 3.1 says. */
export const authorizationQuery = Type.Object(authorizationFields);
export const authorizationDecision = Type.Object(
  { ...authorizationFields, approve: Type.Boolean() },
  { title: 'AuthorizationDecision', additionalProperties: text },
);
export const redirectSchema = Type.Object({ redirectTo: text }, { title: 'AuthorizationRedirect' });

export const tokenSchema = Type.Object(
  {
    access_token: text,
    token_type: oneOf(['Bearer', 'DPoP']),
    expires_in: Type.Integer(),
    refresh_token: maybe(text),
    scope: maybe(text),
    issued_token_type: maybe(text),
  },
  { title: 'OAuthToken' },
);
export const introspectionSchema = Type.Object(
  { active: Type.Boolean() },
  { title: 'OAuthIntrospection', additionalProperties: true },
);
export const metadataSchema = Type.Object(
  {},
  { title: 'OAuthMetadata', additionalProperties: true },
);
export const jwksSchema = Type.Object(
  { keys: Type.Array(Type.Object({}, { additionalProperties: true })) },
  { title: 'JsonWebKeySet' },
);

export const deviceAuthorizationSchema = describes<DeviceAuthorization>()(
  Type.Object({
    device_code: text,
    user_code: text,
    verification_uri: text,
    verification_uri_complete: text,
    expires_in: Type.Number(),
    interval: Type.Number(),
  }),
  'DeviceAuthorization',
);

const client = Type.Object({ id: text, name: text });
const scopes = Type.Array(Type.Object({ name: text, description: text, granted: Type.Boolean() }));

export const deviceQuestionSchema = describes<DeviceQuestion>()(
  Type.Object({
    userCode: text,
    client,
    scopes: maybe(scopes),
    resource: maybe(text),
    address: maybe(text),
    userAgent: text,
    startedAt: time,
    expiresAt: time,
    status: oneOf(['pending', 'approved', 'denied']),
  }),
  'DeviceQuestion',
);
export const deviceParam = Type.Object({ code: Type.String({ minLength: 1, maxLength: 40 }) });
export const deviceDecision = Type.Object(
  { approve: Type.Boolean() },
  { title: 'DeviceDecision', additionalProperties: false },
);

export const authorizationQuestionSchema = describes<AuthorizationQuestion>()(
  Type.Union([
    Type.Object({
      outcome: Type.Literal('ask'),
      client,
      redirectUri: text,
      scopes: maybe(scopes),
      resource: maybe(text),
    }),
    Type.Object({
      outcome: Type.Literal('refused'),
      error: text,
      description: text,
      redirectTo: maybe(text),
    }),
  ]),
  'AuthorizationQuestion',
);

const clientInfo = describes<OAuthClientInfo>()(
  Type.Object({
    id: text,
    name: text,
    redirectUris: texts,
    isBuiltIn: Type.Boolean(),
    createdAt: time,
  }),
  'OAuthClient',
);
export const clientSchema = clientInfo;
export const clientPageSchema = Type.Object(
  { items: Type.Array(clientInfo), nextCursor: maybe(text) },
  { title: 'OAuthClientPage' },
);
export const newClientSchema = Type.Object(
  {
    id: maybe(Type.String({ minLength: 1, maxLength: 63 })),
    name: Type.String({ minLength: 1, maxLength: 100 }),
    redirectUris: maybe(Type.Array(Type.String({ maxLength: 1_000 }), { maxItems: 20 })),
  },
  { title: 'NewOAuthClient', additionalProperties: false },
);
export const clientParam = Type.Object({ id: Type.String({ minLength: 1, maxLength: 200 }) });
