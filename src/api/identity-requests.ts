/** What identity's routes are asked with. A password is taken in a body only, and no complaint repeats it. */
import { Type, type Static } from 'typebox';
import { maybe, oneOf, time } from './schema-terms.ts';
import { cursorText, plainText } from './parameters.ts';

/** Longer than any that is accepted, so that identity's own complaint is the one that is heard. */
const password = Type.String({ minLength: 1, maxLength: 4_096 });
const code = Type.String({ minLength: 1, maxLength: 64 });
const shortText = Type.String({ maxLength: 200 });
const permission = Type.Object(
  { action: plainText, pattern: maybe(plainText) },
  { additionalProperties: false },
);
const strict = { additionalProperties: false };

export const page = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
  cursor: Type.Optional(cursorText),
};

export const newPrincipalSchema = Type.Object(
  {
    username: plainText,
    kind: maybe(oneOf(['user', 'agent'])),
    displayName: maybe(shortText),
    email: maybe(shortText),
    roles: maybe(Type.Array(plainText, { maxItems: 64 })),
    password: maybe(password),
    mustChangePassword: maybe(Type.Boolean()),
  },
  { title: 'NewPrincipal', ...strict },
);
export const principalChangeSchema = Type.Object(
  {
    displayName: maybe(shortText),
    email: maybe(Type.Union([shortText, Type.Null()])),
    status: maybe(oneOf(['active', 'disabled'])),
  },
  { title: 'PrincipalChange', minProperties: 1, ...strict },
);
export const roleGrantSchema = Type.Object(
  { expiresAt: maybe(time) },
  { title: 'RoleGrant', ...strict },
);
export const newPasswordSchema = Type.Object(
  { password, mustChange: maybe(Type.Boolean()) },
  { title: 'NewPassword', ...strict },
);
export const ownPasswordSchema = Type.Object(
  { present: password, next: password },
  { title: 'OwnPassword', ...strict },
);
export const codeSchema = Type.Object({ code }, { title: 'Code', ...strict });
/** One of the two: what shows that it is the caller himself. */
export const factorProofSchema = Type.Object(
  { password: maybe(password), code: maybe(code) },
  { title: 'FactorProof', minProperties: 1, ...strict },
);
export const newPasskeySchema = Type.Object(
  {
    challenge: Type.String({ minLength: 1, maxLength: 512 }),
    answer: Type.Unknown(),
    name: Type.String({ minLength: 1, maxLength: 100 }),
  },
  { title: 'NewPasskey', ...strict },
);

export const newRoleSchema = Type.Object(
  {
    name: plainText,
    description: maybe(shortText),
    level: maybe(Type.Integer({ minimum: 1, maximum: 5 })),
    permissions: maybe(Type.Array(permission, { maxItems: 256 })),
  },
  { title: 'NewRole', ...strict },
);

export const apiKeyRequestSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 100 }),
    scopes: maybe(Type.Array(plainText, { maxItems: 64 })),
    allowedNetworks: maybe(Type.Array(plainText, { maxItems: 64 })),
    rateLimitPerMinute: maybe(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
    expiresAt: maybe(time),
  },
  { title: 'ApiKeyRequest', ...strict },
);

export const rotateKeysSchema = Type.Object(
  {
    reason: oneOf(['requested', 'compromised']),
  },
  { title: 'RotateKeys', ...strict },
);

const signInAs = oneOf(['browser', 'client']);
export const loginSchema = Type.Object(
  {
    username: Type.String({ minLength: 1, maxLength: 512 }),
    password,
    code: maybe(code),
    as: signInAs,
  },
  { title: 'Login', ...strict },
);
const ticket = Type.String({ minLength: 1, maxLength: 2_048 });
export const secondFactorSchema = Type.Object(
  { ticket, code },
  { title: 'SecondFactor', ...strict },
);
export const passkeyOptionsSchema = Type.Object(
  { ticket: maybe(ticket) },
  { title: 'PasskeyOptions', ...strict },
);
export const passkeyLoginSchema = Type.Object(
  {
    challenge: Type.String({ minLength: 1, maxLength: 512 }),
    answer: Type.Unknown(),
    as: signInAs,
  },
  { title: 'PasskeyLogin', ...strict },
);

export type NewPrincipalRequest = Static<typeof newPrincipalSchema>;
export type PrincipalChange = Static<typeof principalChangeSchema>;
export type NewRoleRequest = Static<typeof newRoleSchema>;
export type ApiKeyRequest = Static<typeof apiKeyRequestSchema>;
