/** An answer that was no success, with the members of its problem document. */
export class Problem extends Error {
  constructor(status, { code = 'unavailable', detail = '', remedy, details, errors } = {}) {
    super(detail);
    this.status = status;
    this.code = code;
    this.remedy = remedy;
    this.details = details ?? {};
    this.errors = errors ?? [];
  }
}

/** A request to the server that the page came from; throws a Problem for anything but success. */
export async function ask(path, { method = 'GET', body, accept, signal } = {}) {
  let response;
  try {
    response = await fetch(`/api/v1/${path}`, {
      method,
      signal,
      headers: {
        ...(accept === undefined ? {} : { accept }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, {
      code: 'server_not_running',
      detail: 'The server does not answer.',
      remedy: 'Start it with: centuria up',
    });
  }
  if (response.status === 204) return undefined;
  if (response.ok) return accept === undefined ? await response.json() : response;
  throw new Problem(response.status, await response.json().catch(() => ({})));
}

/**
 * Events of a run as they happen, from `after` on, until the run or the connection ends. Says
 * whether it was the run.
 */
export async function follow(runId, after, onEvent, signal) {
  const path = `runs/${runId}/events?after=${after}`;
  const response = await ask(path, { accept: 'text/event-stream', signal });
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of chunks(response.body)) {
    const blocks = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const { event, data } = fields(block);
      if (event === 'end') return true;
      if (event === 'problem') throw new Problem(0, JSON.parse(data));
      if (data !== undefined) onEvent(JSON.parse(data));
    }
  }
  return false;
}

/** Not every browser can iterate a stream yet. */
async function* chunks(stream) {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function fields(block) {
  const found = {};
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) found[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
  }
  return found;
}
