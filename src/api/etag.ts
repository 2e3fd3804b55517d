import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** Sends JSON with an entity tag, or 304 when the caller has it (RFC 9110, 13.1.2). */
export function sendTagged(
  request: FastifyRequest,
  reply: FastifyReply,
  body: unknown,
): FastifyReply {
  const payload = JSON.stringify(body);
  void reply.header('cache-control', 'private, no-cache');
  return sendTaggedText(request, reply, payload, 'application/json; charset=utf-8');
}

/** The same for text of any media type. */
export function sendTaggedText(
  request: FastifyRequest,
  reply: FastifyReply,
  payload: string,
  mediaType: string,
): FastifyReply {
  const tag = `"${createHash('sha256').update(payload).digest('base64url').slice(0, 27)}"`;
  void reply.header('etag', tag);
  if (matches(request.headers['if-none-match'], tag)) return reply.code(304).send();
  return reply.type(mediaType).send(payload);
}

function matches(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((one) => one.trim().replace(/^W\//, '') === tag);
}
