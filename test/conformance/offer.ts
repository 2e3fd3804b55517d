/** What the suite's example server offers, beside what the bridge does. */
import {
  ResourceNotFoundError,
  type PromptMessage,
  type ReadResourceResult,
} from '@modelcontextprotocol/server';
import { bridgeOffer } from '../../src/api/mcp-bridge-offer.ts';
import type { Offer, OfferedPrompt } from '../../src/api/mcp-offer.ts';
import { askingPrompt, askingTools } from './asking-tools.ts';
import { taskTools } from './task-tools.ts';
import { exampleTools, png } from './tools.ts';

/** The bridge's own offer with the suite's behind it. */
export function conformanceOffer(operations: Parameters<typeof bridgeOffer>[0]): Offer {
  const own = bridgeOffer(operations);
  const runStart = own.tools.find(({ shown }) => shown.name === 'run_start');
  if (runStart === undefined) throw new Error('the bridge offers no run_start');
  return {
    tools: [...exampleTools, ...askingTools, ...taskTools(runStart), ...own.tools],
    prompts: [...examplePrompts, askingPrompt, ...own.prompts],
    resources: {
      async list(exchange, cursor) {
        const listed = await own.resources.list(exchange, cursor);
        return { ...listed, resources: [...exampleResources, ...listed.resources] };
      },
      templates: (exchange) => [
        {
          uriTemplate: 'test://template/{id}/data',
          name: 'template',
          mimeType: 'application/json',
        },
        ...own.resources.templates(exchange),
      ],
      async read(exchange, uri) {
        return uri.startsWith('test://') ? readExample(uri) : own.resources.read(exchange, uri);
      },
    },
    candidates: async (exchange, asked) =>
      asked.argument.name === 'arg1' ? ['testing', 'paris'] : own.candidates(exchange, asked),
  };
}

const exampleResources = [
  { uri: 'test://static-text', name: 'text', description: 'Some text.', mimeType: 'text/plain' },
  { uri: 'test://static-binary', name: 'pixel', description: 'A pixel.', mimeType: 'image/png' },
];

function readExample(uri: string): ReadResourceResult {
  if (uri === 'test://static-text') {
    const text = 'This is the content of the static text resource.';
    return { contents: [{ uri, mimeType: 'text/plain', text }] };
  }
  if (uri === 'test://static-binary') {
    return { contents: [{ uri, mimeType: 'image/png', blob: png }] };
  }
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id === undefined) throw new ResourceNotFoundError(uri);
  const text = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
  return { contents: [{ uri, mimeType: 'application/json', text }] };
}

function prompt(
  name: string,
  required: readonly string[],
  messages: (given: Readonly<Record<string, string>>) => PromptMessage['content'][],
): OfferedPrompt {
  return {
    shown: {
      name,
      description: `The prompt ${name} of the suite.`,
      arguments: required.map((one) => ({ name: one, description: one, required: true })),
    },
    get: (given) => ({
      messages: messages(given).map((content) => ({ role: 'user', content })),
    }),
  };
}

const examplePrompts: readonly OfferedPrompt[] = [
  prompt('test_simple_prompt', [], () => [
    { type: 'text', text: 'This is a simple prompt for testing.' },
  ]),
  prompt('test_prompt_with_arguments', ['arg1', 'arg2'], ({ arg1, arg2 }) => [
    { type: 'text', text: `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'` },
  ]),
  prompt('test_prompt_with_embedded_resource', ['resourceUri'], ({ resourceUri = '' }) => [
    {
      type: 'resource',
      resource: {
        uri: resourceUri,
        mimeType: 'text/plain',
        text: 'Embedded resource content for testing.',
      },
    },
    { type: 'text', text: 'Please process the embedded resource above.' },
  ]),
  prompt('test_prompt_with_image', [], () => [
    { type: 'image', data: png, mimeType: 'image/png' },
    { type: 'text', text: 'Please analyze the image above.' },
  ]),
];
