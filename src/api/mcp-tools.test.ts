import { expect, test } from 'vitest';
import type { Operation } from './mcp-operations.ts';
import { askingOf, createTools, type BridgeTool } from './mcp-tools.ts';

/** Answers for every id, so that each tool has an operation: one whose parts share a name. */
const anyOperation: Operation = {
  id: 'any',
  method: 'POST',
  url: '/api/v1/things/:name',
  summary: 'Does something.',
  config: { action: 'self' },
  params: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
  querystring: { type: 'object', properties: { plan: { type: 'boolean' } } },
  body: {
    type: 'object',
    properties: { name: { type: 'string' }, input: {} },
    required: ['input'],
  },
  headers: { type: 'object', properties: { 'idempotency-key': { type: 'string' } } },
};
const everything = { get: () => anyOperation } as unknown as ReadonlyMap<string, Operation>;

function toolNamed(name: string): BridgeTool {
  const tool = createTools(everything).find((one) => one.name === name);
  if (tool === undefined) throw new Error(`there is no tool ${name}`);
  return tool;
}

test('the parts of a request are one list of arguments, and a name that comes twice says where it belongs', () => {
  const tool = toolNamed('run_get');
  expect(tool.shown.inputSchema).toEqual({
    type: 'object',
    properties: {
      name: { type: 'string' },
      plan: { type: 'boolean' },
      body_name: { type: 'string' },
      input: {},
      idempotencyKey: { type: 'string' },
    },
    required: ['name', 'input'],
    additionalProperties: false,
  });
  const given = { name: 'a', plan: true, body_name: 'b', input: [1], idempotencyKey: 'k' };
  expect(askingOf(tool, given)).toEqual({
    params: { name: 'a' },
    query: { plan: true },
    body: { name: 'b', input: [1] },
    headers: { 'idempotency-key': 'k' },
    waitSeconds: 0,
  });
});

test('a tool that starts a run takes how long to wait, within its bounds', () => {
  const tool = toolNamed('agent_run');
  const given = { agent: 'a', input: null };
  expect(askingOf(tool, given)).toMatchObject({ params: { name: 'a' }, waitSeconds: 25 });
  expect(askingOf(tool, { ...given, waitSeconds: 0 })).toMatchObject({ waitSeconds: 0 });
  for (const waitSeconds of [-1, 121, '5', null, Number.NaN]) {
    expect(() => askingOf(tool, { ...given, waitSeconds })).toThrow(
      'the argument waitSeconds must be a number from 0 to 120',
    );
  }
  expect(() => askingOf(toolNamed('run_get'), { name: 'a', input: 1, waitSeconds: 1 })).toThrow(
    'the argument waitSeconds is not known here',
  );
});

test('an entry whose operation does not exist, or takes no object, makes no tool', () => {
  expect(() => createTools(new Map())).toThrow('the tool agents_list calls listAgents');
  const odd = { get: () => ({ ...anyOperation, body: { type: 'array' } }) };
  expect(() => createTools(odd as unknown as ReadonlyMap<string, Operation>)).toThrow(
    'takes no object as its body',
  );
});
