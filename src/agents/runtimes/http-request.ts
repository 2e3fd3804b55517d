import { expand } from '../../base/base.ts';
import type { Invocation } from '../agents.ts';
import { expandHeaders, expandUrl } from './dial.ts';
import type { HttpRuntimeSpec } from './http-spec.ts';
import { invocationScope } from './invocation-scope.ts';
import type { Secrets } from './secrets.ts';

export interface HttpRequest {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What a call asks for: its templates filled in. Throws `invalid_input`. */
export function buildRequest(
  spec: HttpRuntimeSpec,
  invocation: Invocation,
  secrets: Secrets,
): HttpRequest {
  const scope = invocationScope(invocation, { secret: secrets.values });
  const method = spec.method ?? 'POST';
  const reads = method === 'GET' || method === 'HEAD';
  const { content, type } = reads ? {} : contentOf(spec, scope);
  const defaults: Record<string, string> = {
    'user-agent': 'centuria',
    accept: acceptOf(spec.answer ?? 'json'),
    ...(type === undefined ? {} : { 'content-type': type }),
    // With it a peer does a thing once, however often the task is tried. Reading needs none.
    ...(reads ? {} : { 'idempotency-key': encodeURI(invocation.idempotencyKey.toWellFormed()) }),
  };
  const headers = { ...defaults };
  for (const [name, value] of Object.entries(expandHeaders(spec.headers, scope))) {
    headers[name.toLowerCase()] = value;
  }
  return {
    url: expandUrl(spec.url, invocationScope(invocation)),
    method,
    headers,
    ...(content === undefined ? {} : { body: content }),
  };
}

/** A text is sent as it is, everything else as JSON; what the author leaves out is the input, as JSON. */
function contentOf(
  spec: HttpRuntimeSpec,
  scope: Readonly<Record<string, unknown>>,
): { content: string; type: string } {
  const value = spec.body === undefined ? scope['input'] : expand(spec.body, scope);
  if (spec.body !== undefined && typeof value === 'string') {
    return { content: value, type: 'text/plain; charset=utf-8' };
  }
  return { content: JSON.stringify(value ?? null), type: 'application/json' };
}

function acceptOf(answer: 'json' | 'text' | 'events'): string {
  if (answer === 'json') return 'application/json';
  return answer === 'text' ? 'text/*, */*;q=0.5' : 'text/event-stream, application/x-ndjson';
}
