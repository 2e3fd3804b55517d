import { Type } from 'typebox';
import {
  actions,
  assertAllowed,
  registry,
  registryVersion,
  type Action,
  type Identity,
} from '../identity/identity.ts';
import { answers } from './answers.ts';
import { callerOf, nameOf, spelled, spelledRole } from './callers.ts';
import { sendTagged } from './etag.ts';
import type { Http } from './http.ts';
import { newRoleSchema } from './identity-requests.ts';
import {
  accessDecisionSchema,
  accessHoldersSchema,
  accessListSchema,
  permissionListSchema,
  roleListSchema,
  roleSchema,
  type PermissionList,
} from './identity-schemas.ts';
import { nameParam, plainText } from './parameters.ts';
import type { RouteParts } from './parts.ts';

const tags = ['roles'];
const roleOf = ({ params }: { params: unknown }): string =>
  spelledRole((params as { name?: unknown }).name);

/** Roles, the permissions there are, and questions about who may do what. */
export function roleRoutes(app: Http, { identity }: RouteParts): void {
  readRoutes(app, identity);
  changeRoutes(app, identity);
  permissionRoutes(app, identity);
  accessRoutes(app, identity);
}

function readRoutes(app: Http, { roles }: Identity): void {
  app.get(
    '/api/v1/roles',
    {
      config: { action: 'roles.read' },
      schema: {
        tags,
        operationId: 'listRoles',
        summary: 'Every role with what it grants.',
        response: answers({ 200: roleListSchema }),
      },
    },
    async (request, reply) => sendTagged(request, reply, { items: await roles.list() }),
  );

  app.get(
    '/api/v1/roles/:name',
    {
      config: { action: 'roles.read', resource: roleOf },
      schema: {
        tags,
        operationId: 'getRole',
        summary: 'One role with what it grants.',
        params: nameParam,
        response: answers({ 200: roleSchema }),
      },
    },
    async (request, reply) => sendTagged(request, reply, await roles.get(request.params.name)),
  );

  app.get(
    '/api/v1/permissions',
    {
      config: { action: 'self' },
      schema: {
        tags,
        operationId: 'listPermissions',
        summary: 'The registry of permission bits.',
        response: answers({ 200: permissionListSchema }),
      },
    },
    async (request, reply) => sendTagged(request, reply, permissionList()),
  );
}

function changeRoutes(app: Http, { roles }: Identity): void {
  app.post(
    '/api/v1/roles',
    {
      config: { action: 'self' },
      schema: {
        tags,
        operationId: 'createRole',
        summary: 'A new role; needs roles.write, and everything that it shall grant.',
        body: newRoleSchema,
        response: answers({ 201: roleSchema }),
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      assertAllowed(caller, 'roles.write', spelledRole(request.body.name));
      const made = await roles.create(request.body, caller);
      const location = `/api/v1/roles/${encodeURIComponent(made.name)}`;
      return reply.code(201).header('location', location).send(made);
    },
  );

  app.delete(
    '/api/v1/roles/:name',
    {
      config: { action: 'roles.write', resource: roleOf },
      schema: {
        tags,
        operationId: 'deleteRole',
        summary: 'Deletes a role that is not of the system; who had it loses what it granted.',
        params: nameParam,
        response: answers({ 204: Type.Null() }),
      },
    },
    async (request, reply) => {
      await roles.remove(request.params.name, callerOf(request));
      return reply.code(204).send();
    },
  );
}

function permissionRoutes(app: Http, { roles }: Identity): void {
  const params = Type.Object({ name: plainText, action: plainText });
  const querystring = Type.Object(
    { pattern: Type.Optional(plainText) },
    { additionalProperties: false },
  );

  app.put(
    '/api/v1/roles/:name/permissions/:action',
    {
      config: { action: 'roles.write', resource: roleOf },
      schema: {
        tags,
        operationId: 'allowPermission',
        summary: 'Lets a role do something: on what fits the pattern, or on everything.',
        params,
        querystring,
        response: answers({ 200: roleSchema }),
      },
    },
    (request) =>
      roles.allow(
        request.params.name,
        request.params.action,
        request.query.pattern ?? '*',
        callerOf(request),
      ),
  );

  app.delete(
    '/api/v1/roles/:name/permissions/:action',
    {
      config: { action: 'roles.write', resource: roleOf },
      schema: {
        tags,
        operationId: 'disallowPermission',
        summary: 'Takes one permission from a role.',
        params,
        querystring,
        response: answers({ 200: roleSchema }),
      },
    },
    (request) =>
      roles.disallow(
        request.params.name,
        request.params.action,
        request.query.pattern ?? '*',
        callerOf(request),
      ),
  );
}

function accessRoutes(app: Http, { access }: Identity): void {
  app.get(
    '/api/v1/principals/:name/access',
    {
      config: { action: 'users.read', resource: nameOf },
      schema: {
        tags: ['access'],
        operationId: 'getAccess',
        summary: 'What a principal may do now, and by which role.',
        params: nameParam,
        response: answers({ 200: accessListSchema }),
      },
    },
    (request) => access.can(nameOf(request)),
  );

  app.get(
    '/api/v1/access/check',
    {
      config: { action: 'self' },
      schema: {
        tags: ['access'],
        operationId: 'checkAccess',
        summary: 'Whether a principal may do something; needs users.read on it, unless it is you.',
        querystring: Type.Object(
          { principal: plainText, action: plainText, resource: Type.Optional(plainText) },
          { additionalProperties: false },
        ),
        response: answers({ 200: accessDecisionSchema }),
      },
    },
    (request) => {
      const caller = callerOf(request);
      const principal = spelled(request.query.principal);
      if (principal !== caller.access.username) assertAllowed(caller, 'users.read', principal);
      return access.check(principal, request.query.action, request.query.resource);
    },
  );

  app.get(
    '/api/v1/access/who',
    {
      config: { action: 'users.read' },
      schema: {
        tags: ['access'],
        operationId: 'whoMay',
        summary: 'Who may do something now, and by what.',
        querystring: Type.Object(
          {
            action: plainText,
            resource: Type.Optional(plainText),
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 200 })),
          },
          { additionalProperties: false },
        ),
        response: answers({ 200: accessHoldersSchema }),
      },
    },
    async ({ query }) => ({
      items: [...(await access.who(query.action, query.resource, query.limit))],
    }),
  );
}

/** The wide bits, by which others are implied, are the first six of the registry. */
function permissionList(): PermissionList {
  const items = actions.map((action) => {
    const { bit, impliedBy, since, description } = registry[action];
    return {
      action,
      bit,
      mask: String(1n << BigInt(bit)),
      impliedBy: wide(impliedBy),
      since,
      description,
    };
  });
  return { version: registryVersion, items };
}

function wide(bits: number): Action[] {
  return actions.filter(
    (action) => registry[action].bit < 6 && (bits & (1 << registry[action].bit)) !== 0,
  );
}
