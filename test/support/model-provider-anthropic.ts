/** Anthropic's Messages API: platform.claude.com/docs/en/api/messages and …/build-with-claude/streaming. */
import { randomUUID } from 'node:crypto';
import { pieces, type Counted, type Dialect } from './model-dialect.ts';

interface Block {
  readonly type: string;
  readonly id?: string;
  readonly tool_use_id?: string;
}
interface Message {
  readonly role: string;
  readonly content: string | readonly Block[];
}

export const anthropicDialect: Dialect = {
  path: '/v1/messages',
  keyOf: (headers) => headers['x-api-key'] as string | undefined,
  problem(body) {
    if (body['stream'] !== true) return 'stream: only streaming is spoken here';
    if (!Number.isInteger(body['max_tokens'])) return 'max_tokens: Field required';
    const messages = body['messages'] as readonly Message[];
    if (messages[0]?.role !== 'user') return 'messages: first message must use the "user" role';
    return unanswered(messages);
  },
  error: (type, message) => JSON.stringify({ type: 'error', error: { type, message } }),
  begin: (model, usage) =>
    event('message_start', {
      message: {
        id: `msg_${randomUUID()}`,
        type: 'message',
        role: 'assistant',
        model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { ...inputOf(usage), output_tokens: 1 },
      },
    }) + event('ping', {}),
  write(act, { block: index }) {
    if ('raw' in act) return [act.raw];
    if ('error' in act) {
      return [event('error', { error: { type: act.error, message: act.message } })];
    }
    const start = (content_block: object) => event('content_block_start', { index, content_block });
    const delta = (given: object) => event('content_block_delta', { index, delta: given });
    const stop = event('content_block_stop', { index });
    if ('text' in act) {
      const parts = pieces(act.text).map((text) => delta({ type: 'text_delta', text }));
      return [start({ type: 'text', text: '' }), ...parts, stop];
    }
    if (!('call' in act)) return [];
    const input = 'rawInput' in act ? act.rawInput : JSON.stringify(act.input);
    const block = { type: 'tool_use', id: `toolu_${randomUUID()}`, name: act.call, input: {} };
    return [
      start(block),
      ...pieces(input).map((partial_json) => delta({ type: 'input_json_delta', partial_json })),
      stop,
    ];
  },
  end(reason, usage) {
    const stop_reason = { stop: 'end_turn', calls: 'tool_use' }[reason as 'stop'] ?? reason;
    const output_tokens = usage === 'none' ? 0 : usage.output;
    return (
      event('message_delta', {
        delta: { stop_reason, stop_sequence: null },
        usage: { output_tokens },
      }) + event('message_stop', {})
    );
  },
};

function event(type: string, data: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
}

function inputOf(usage: Counted | 'none') {
  const { input, cacheRead = 0, cacheWrite = 0 } = usage === 'none' ? { input: 0 } : usage;
  return {
    input_tokens: input - cacheRead - cacheWrite,
    cache_read_input_tokens: cacheRead,
    cache_creation_input_tokens: cacheWrite,
  };
}

/** Each `tool_use` must have its `tool_result` in the next message. */
function unanswered(messages: readonly Message[]): string | undefined {
  for (const [index, { content }] of messages.entries()) {
    for (const { type, id } of typeof content === 'string' ? [] : content) {
      if (type !== 'tool_use') continue;
      const next = messages[index + 1]?.content ?? [];
      const results = typeof next === 'string' ? [] : next;
      if (results.some(({ tool_use_id }) => tool_use_id === id)) continue;
      return `messages.${index}: tool_use ids were found without tool_result blocks: ${id}`;
    }
  }
  return undefined;
}
