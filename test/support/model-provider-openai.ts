/** OpenAI's chat completions: developers.openai.com/api/reference/resources/chat. */
import { pieces, type Dialect } from './model-dialect.ts';

interface Message {
  readonly role: string;
  readonly tool_calls?: readonly { readonly id: string }[];
  readonly tool_call_id?: string;
}

export const openaiDialect: Dialect = {
  path: '/v1/chat/completions',
  keyOf: (headers) => headers.authorization?.replace(/^Bearer /, ''),
  problem(body) {
    if (body['stream'] !== true) return 'stream: only streaming is spoken here';
    const messages = body['messages'] as readonly Message[];
    const called = messages.flatMap(({ tool_calls }) => tool_calls?.map(({ id }) => id) ?? []);
    const answered = new Set(messages.map(({ tool_call_id }) => tool_call_id));
    const open = called.find((id) => !answered.has(id));
    return open && `tool_call_ids did not have response messages: ${open}`;
  },
  error: (type, message) => JSON.stringify({ error: { message, type, param: null, code: null } }),
  begin: (model) => chunk({ role: 'assistant', content: '' }, null, model),
  write(act, { call: index }) {
    if ('raw' in act) return [act.raw];
    if ('error' in act) return [`data: ${openaiDialect.error(act.error, act.message)}\n\n`];
    if ('text' in act) return pieces(act.text).map((content) => chunk({ content }));
    if (!('call' in act)) return [];
    const input = 'rawInput' in act ? act.rawInput : JSON.stringify(act.input);
    const call = (more: object) => chunk({ tool_calls: [{ index, ...more }] });
    const begin = { id: `call_${index}`, type: 'function' };
    return [
      call({ ...begin, function: { name: act.call, arguments: '' } }),
      ...pieces(input).map((part) => call({ function: { arguments: part } })),
    ];
  },
  end(reason, usage) {
    const finish = { stop: 'stop', calls: 'tool_calls', max_tokens: 'length' }[reason as 'stop'];
    const last = chunk({}, finish ?? 'content_filter');
    if (usage === 'none') return `${last}data: [DONE]\n\n`;
    const counted = {
      prompt_tokens: usage.input,
      completion_tokens: usage.output,
      total_tokens: usage.input + usage.output,
      prompt_tokens_details: { cached_tokens: usage.cacheRead ?? 0 },
    };
    return `${last}data: ${JSON.stringify({ ...envelope('m'), choices: [], usage: counted })}\n\ndata: [DONE]\n\n`;
  },
};

function chunk(delta: object, finish_reason: string | null = null, model = 'm'): string {
  const choices = [{ index: 0, delta, finish_reason }];
  return `data: ${JSON.stringify({ ...envelope(model), choices })}\n\n`;
}

function envelope(model: string) {
  return { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model };
}
