/** The tools and the prompt of the suite that need an answer of the client before they can end (2026-07-28). */
import { createHmac, randomBytes } from 'node:crypto';
import {
  acceptedContent,
  inputRequired,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  type InputRequest,
  type ServerContext,
} from '@modelcontextprotocol/server';
import type { OfferedPrompt, OfferedTool } from '../../src/api/mcp-offer.ts';
import { clientOf } from '../../src/api/mcp-tasks.ts';
import { text, tool } from './tools.ts';

const key = randomBytes(32);

/** State that the client carries, and can not change. */
function seal(round: string): string {
  return `${round}.${createHmac('sha256', key).update(round).digest('base64url')}`;
}

/** The round that a request belongs to; throws where the client has changed its state. */
function roundOf({ mcpReq }: ServerContext): string | undefined {
  const state = mcpReq.requestState<string>();
  if (state === undefined) return undefined;
  const [round = ''] = state.split('.');
  if (seal(round) === state) return round;
  throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'the request state is not ours');
}

export function form(message: string, field: string, type = 'string'): InputRequest {
  return inputRequired.elicit({
    message,
    requestedSchema: {
      type: 'object',
      properties: { [field]: { type } },
      required: [field],
    },
  } as Parameters<typeof inputRequired.elicit>[0]);
}

function question(content: string, maxTokens: number): InputRequest {
  return inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: content } }],
    maxTokens,
  });
}

/** What the person has given in a form, where it holds `field`. */
export function given({ mcpReq }: ServerContext, name: string, field: string): unknown {
  return acceptedContent<Readonly<Record<string, unknown>>>(mcpReq.inputResponses, name)?.[field];
}

const hasAnswer = ({ mcpReq }: ServerContext, name: string): boolean =>
  mcpReq.inputResponses?.[name] !== undefined;

export const askingTools: readonly OfferedTool[] = [
  tool('test_input_required_result_elicitation', 'Asks for a name.', (_given, ctx) => {
    const name = given(ctx, 'user_name', 'name');
    return typeof name === 'string'
      ? text(`Hello, ${name}!`)
      : inputRequired({ inputRequests: { user_name: form('What is your name?', 'name') } });
  }),
  tool('test_streaming_elicitation', 'Asks in the middle of its work.', (_given, ctx) => {
    const name = given(ctx, 'user_name', 'name');
    return typeof name === 'string'
      ? text(`Hello, ${name}!`)
      : inputRequired({ inputRequests: { user_name: form('What is your name?', 'name') } });
  }),
  tool('test_input_required_result_sampling', 'Asks the model.', (_given, ctx) =>
    hasAnswer(ctx, 'capital_question')
      ? text(JSON.stringify(ctx.mcpReq.inputResponses?.['capital_question']))
      : inputRequired({
          inputRequests: { capital_question: question('What is the capital of France?', 100) },
        }),
  ),
  tool('test_input_required_result_list_roots', 'Asks for the roots.', (_given, ctx) =>
    hasAnswer(ctx, 'client_roots')
      ? text(JSON.stringify(ctx.mcpReq.inputResponses?.['client_roots']))
      : inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } }),
  ),
  ...['test_input_required_result_request_state', 'test_input_required_result_tampered_state'].map(
    (name) =>
      tool(name, 'Gives the client a state to carry.', (_given, ctx) =>
        roundOf(ctx) === 'confirm' && hasAnswer(ctx, 'confirm')
          ? text('state-ok')
          : inputRequired({
              inputRequests: { confirm: form('Please confirm', 'ok', 'boolean') },
              requestState: seal('confirm'),
            }),
      ),
  ),
  tool('test_input_required_result_multiple_inputs', 'Asks for three things.', (_given, ctx) =>
    roundOf(ctx) === 'all' &&
    ['user_name', 'greeting', 'client_roots'].every((name) => hasAnswer(ctx, name))
      ? text('all there')
      : inputRequired({
          inputRequests: {
            user_name: form('What is your name?', 'name'),
            greeting: question('Generate a greeting', 50),
            client_roots: inputRequired.listRoots(),
          },
          requestState: seal('all'),
        }),
  ),
  tool('test_input_required_result_multi_round', 'Asks twice.', (_given, ctx) => {
    const round = roundOf(ctx);
    if (round === 'second' && hasAnswer(ctx, 'step2')) return text('both there');
    return round === 'first' && hasAnswer(ctx, 'step1')
      ? inputRequired({
          inputRequests: { step2: form('Step 2: What is your favorite color?', 'color') },
          requestState: seal('second'),
        })
      : inputRequired({
          inputRequests: { step1: form('Step 1: What is your name?', 'name') },
          requestState: seal('first'),
        });
  }),
  tool('test_input_required_result_capabilities', 'Asks what the client can.', (_given, ctx) => {
    const can = clientOf(ctx) ?? {};
    return inputRequired({
      inputRequests: {
        ...('sampling' in can ? { greeting: question('Generate a greeting', 50) } : {}),
        ...('elicitation' in can ? { user_name: form('What is your name?', 'name') } : {}),
      },
      requestState: seal('capabilities'),
    });
  }),
  tool('test_missing_capability', 'Needs a client with a model.', (_given, ctx) => {
    if ('sampling' in (clientOf(ctx) ?? {})) return text('ok');
    throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { sampling: {} } });
  }),
];

export const askingPrompt: OfferedPrompt = {
  shown: { name: 'test_input_required_result_prompt', description: 'Asks for its context.' },
  get(_given, ctx) {
    const context = given(ctx, 'user_context', 'context');
    if (typeof context !== 'string') {
      return inputRequired({
        inputRequests: { user_context: form('What context should the prompt use?', 'context') },
      });
    }
    return { messages: [{ role: 'user', content: { type: 'text', text: context } }] };
  },
};
