/**
 * The answer to `GET /api/v1/me/access` for who is known and allowed, before the router is asked. A
 * proxy may ask it for each of its own requests, and of the time that the usual way takes nine parts
 * of ten are the framework's. Whatever is out of the ordinary goes the usual way.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { authorize, isAction, type Caller, type Identity } from '../identity/identity.ts';
import type { Asked, Guard } from './guard.ts';

const address = '/api/v1/me/access?action=';
const resourcePart = '&resource=';
/** A text, since Node sends the head and a text in one write and a buffer in a second one. */
const body = '{"allowed":true,"reason":""}';

export interface FastAccessParts {
  readonly guard: Guard;
  readonly identity: Pick<Identity, 'limits'>;
  readonly commonHeaders: Readonly<Record<string, string>>;
}

/** Whether it has answered. */
export type FastAnswer = (request: IncomingMessage, response: ServerResponse) => boolean;

export function createFastAccess({ guard, identity, commonHeaders }: FastAccessParts): FastAnswer {
  const fixed = [
    ...Object.entries(commonHeaders).flat(),
    'content-type',
    'application/json; charset=utf-8',
    'content-length',
    String(body.length),
  ];

  return (request, response) => {
    const question = questionOf(request);
    if (question === undefined) return false;
    const asked = askedOf(request);
    const caller = known(guard, asked);
    // Who has a limit of his own is counted by the usual way, where that may take a moment.
    if (caller === undefined || caller.limit !== undefined) return false;
    if (!authorize(caller, question.action, question.resource).allowed) return false;
    const state = counted(identity, asked.ip);
    if (state === undefined) return false;
    response.writeHead(200, [
      ...fixed,
      'x-request-id',
      randomUUID(),
      'ratelimit-policy',
      state.policy,
      'ratelimit',
      state.left,
    ]);
    response.end(body);
    return true;
  };
}

function questionOf({ method, url, headers }: IncomingMessage) {
  if (method !== 'GET' || url === undefined || !url.startsWith(address)) return undefined;
  // Who names the request himself, or sends a body with it, is answered by the usual way.
  if (headers['x-request-id'] !== undefined || headers['transfer-encoding'] !== undefined) {
    return undefined;
  }
  const query = url.slice(address.length);
  // What is escaped or names more than the two is the parser's to read.
  if (/[%+;#]/.test(query)) return undefined;
  const end = query.indexOf('&');
  const action = end === -1 ? query : query.slice(0, end);
  const rest = end === -1 ? '' : query.slice(end);
  if (!isAction(action)) return undefined;
  if (rest === '') return { action, resource: undefined };
  const resource = rest.slice(resourcePart.length);
  const isPlain = rest.startsWith(resourcePart) && resource !== '' && !resource.includes('&');
  return isPlain && resource.length <= 200 ? { action, resource } : undefined;
}

function askedOf({ method = '', headers, socket, url = '' }: IncomingMessage): Asked {
  return { method, headers, ip: socket.remoteAddress ?? '', url };
}

/** The caller when memory knows him; a refusal is worded by the usual way. */
function known(guard: Guard, asked: Asked): Caller | undefined {
  try {
    guard.checkHost(asked);
    const caller = guard.whoAsks(asked);
    if (!(caller instanceof Promise)) return caller;
    // The usual way asks again, and finds what this question has brought into memory.
    caller.catch(() => undefined);
    return undefined;
  } catch {
    return undefined;
  }
}

function counted({ limits }: Pick<Identity, 'limits'>, ip: string) {
  try {
    const { remaining, resetMs } = limits.address(ip);
    const resetSeconds = Math.max(1, Math.ceil(resetMs / 1_000));
    return {
      policy: `"address";q=${limits.addressPolicy.limit};w=60`,
      left: `"address";r=${remaining};t=${resetSeconds}`,
    };
  } catch {
    // A refused request is not counted, so the usual way counts it once and says so.
    return undefined;
  }
}
