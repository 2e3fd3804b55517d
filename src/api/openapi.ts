import swagger from '@fastify/swagger';
import type { Http } from './http.ts';

/** Registers the collection of routes into an OpenAPI 3.1 document; to be called before them. */
export async function registerOpenapi(app: Http, version: string): Promise<void> {
  await app.register(swagger, {
    convertConstToEnum: false,
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Centuria bridge',
        version,
        description:
          'Agents, workflows and runs over HTTP. Errors are problem documents (RFC 9457) with a code; the codes are in errors.md.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } as { name: string },
      },
      servers: [
        { url: 'http://127.0.0.1:8081', description: 'Where the bridge listens by default' },
      ],
      tags: [
        { name: 'bridge', description: 'Health and state, at the addresses of earlier bridges' },
        { name: 'runs', description: 'Starting, following and changing runs' },
        { name: 'schedules', description: 'Runs that start by themselves' },
        { name: 'workflows', description: 'What can be run' },
        { name: 'agents', description: 'Who does the work' },
        { name: 'learning', description: 'What came of it, and who should do what comes next' },
        { name: 'sign in', description: 'The ways in' },
        { name: 'me', description: 'The caller about himself' },
        { name: 'principals', description: 'Users and agents, and what they sign in with' },
        { name: 'roles', description: 'What may be done, and by whom' },
        { name: 'access', description: 'What somebody may do, and who may do something' },
        { name: 'sessions', description: 'Who is signed in' },
        { name: 'api keys', description: 'The credentials of programs' },
        { name: 'security', description: 'What was seen at the doors, and the signing keys' },
        { name: 'oauth', description: 'Tokens for programs, and letting them in' },
        { name: 'mcp', description: 'The same for clients of the Model Context Protocol' },
        { name: 'a2a', description: 'The fleet for clients of the Agent2Agent protocol' },
        { name: 'system', description: 'The server itself' },
      ],
      components: {
        securitySchemes: {
          token: {
            type: 'http',
            scheme: 'bearer',
            description: 'The token in the data folder. Browsers use a session instead.',
          },
        },
      },
      security: [{ token: [] }],
    },
    transformObject: (given) => ('openapiObject' in given ? named(given.openapiObject) : {}),
  });
}

/** Each schema with a title becomes one component, and a reference wherever it is used. */
function named<Document extends { components?: object }>(document: Document): Document {
  const components: Record<string, unknown> = {};
  const walk = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(walk);
    if (node === null || typeof node !== 'object') return node;
    const { title, ...rest } = node as Readonly<Record<string, unknown>>;
    const isSchema = typeof title === 'string' && ('type' in rest || 'anyOf' in rest);
    if (!isSchema) return walkEntries(node);
    if (!(title in components)) {
      // Entered first: a schema that held itself would never end.
      components[title] = {};
      components[title] = walkEntries(rest);
    }
    return { $ref: `#/components/schemas/${title}` };
  };
  const walkEntries = (node: object): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(node).map(([key, value]) => [
        key,
        key === 'requestBody' ? walk({ ...value, required: needsBody(value) }) : walk(value),
      ]),
    );

  const result = walkEntries(document) as Document;
  const sorted = Object.entries(components).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...result,
    components: { ...result.components, schemas: Object.fromEntries(sorted) },
  };
}

/** A body whose fields may all be left out may itself be left out. */
function needsBody(requestBody: {
  content?: Readonly<Record<string, { schema?: { required?: readonly string[] } }>>;
}): boolean {
  const schemas = Object.values(requestBody.content ?? {}).map(({ schema }) => schema);
  return schemas.some((schema) => (schema?.required ?? []).length > 0);
}
