/** The tools of the conformance suite's example server: what its scenarios call by name. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallToolResult, Result, ServerContext, Tool } from '@modelcontextprotocol/server';
import type { OfferedTool } from '../../src/api/mcp-offer.ts';

type Use = (
  given: Readonly<Record<string, unknown>>,
  ctx: ServerContext,
) => Result | Promise<Result>;

/** A tool of which everybody may make use. */
export function tool(
  name: string,
  description: string,
  use: Use,
  inputSchema: object = { type: 'object', properties: {} },
): OfferedTool {
  return {
    shown: { name, description, inputSchema: inputSchema as Tool['inputSchema'] },
    mayUse: () => true,
    use: async (_exchange, params, ctx) => use(params.arguments ?? {}, ctx),
  };
}

export function text(content: string): CallToolResult {
  return { content: [{ type: 'text', text: content }] };
}

/** One red pixel. */
export const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC';
/** No sample at 8 kHz. */
const wav = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=';

const image = { type: 'image', data: png, mimeType: 'image/png' } as const;

function resource(uri: string, mimeType: string, content: string) {
  return { type: 'resource', resource: { uri, mimeType, text: content } } as const;
}

/** 0, 50 and 100 of 100, for a client that wants to hear of it. */
async function tellProgress({ mcpReq }: ServerContext): Promise<Result> {
  // oxlint-disable-next-line no-underscore-dangle -- The protocol names it so.
  const progressToken = mcpReq._meta?.progressToken;
  for (const progress of [0, 50, 100]) {
    if (progressToken !== undefined) {
      await mcpReq.notify({
        method: 'notifications/progress',
        params: { progressToken, progress, total: 100 },
      });
    }
    // The suite asks for pauses, so that a client receives one notification at a time.
    if (progress < 100) await sleep(50, undefined, { signal: mcpReq.signal });
  }
  return text('100 of 100');
}

const schema2020 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  // oxlint-disable-next-line unicorn/no-thenable -- A keyword of JSON Schema.
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

export const exampleTools: readonly OfferedTool[] = [
  tool('test_simple_text', 'Gives back text.', () =>
    text('This is a simple text response for testing.'),
  ),
  tool('test_image_content', 'Gives back an image.', () => ({ content: [image] })),
  tool('test_audio_content', 'Gives back a sound.', () => ({
    content: [{ type: 'audio', data: wav, mimeType: 'audio/wav' }],
  })),
  tool('test_embedded_resource', 'Gives back a resource.', () => ({
    content: [
      resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.'),
    ],
  })),
  tool('test_multiple_content_types', 'Gives back text, an image and a resource.', () => ({
    content: [
      { type: 'text', text: 'Multiple content types test:' },
      image,
      resource('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
    ],
  })),
  tool('test_error_handling', 'Fails.', () => {
    throw new Error('This tool intentionally returns an error for testing');
  }),
  tool('test_tool_with_progress', 'Tells of its progress.', (_given, ctx) => tellProgress(ctx)),
  tool(
    'json_schema_2020_12_tool',
    'Has JSON Schema 2020-12 features.',
    () => text('ok'),
    schema2020,
  ),
  tool('greet', 'Greets.', ({ name }) => text(`Hello, ${String(name)}!`), {
    type: 'object',
    properties: { name: { type: 'string' } },
    required: ['name'],
  }),
  tool('test_logging_tool', 'Would say something to the log.', async (_given, { mcpReq }) => {
    await mcpReq.log('info', 'This is for clients that asked for it.');
    return text('ok');
  }),
];
