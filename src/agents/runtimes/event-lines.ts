export interface StreamEvent {
  /** `message` unless the stream says otherwise. */
  readonly event: string;
  readonly data: string;
}

/**
 * The events of a stream as they come: server-sent events (WHATWG HTML, 9.2), or one a line. Empty
 * ones are left out. A last event without its blank line counts, since many peers leave that away.
 */
export async function* readEvents(
  chunks: AsyncIterable<Uint8Array>,
  format: 'sse' | 'lines',
): AsyncGenerator<StreamEvent, void, undefined> {
  let event = 'message';
  let data: string[] = [];
  const take = (): StreamEvent | undefined => {
    const taken = data.length === 0 ? undefined : { event, data: data.join('\n') };
    event = 'message';
    data = [];
    return taken;
  };
  for await (const line of linesOf(chunks)) {
    if (format === 'lines') {
      if (line.trim() !== '') yield { event, data: line };
    } else if (line === '') {
      const taken = take();
      if (taken !== undefined) yield taken;
    } else {
      const [, field = '', value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
      if (field === 'data') data.push(value);
      else if (field === 'event') event = value;
    }
  }
  const taken = take();
  if (taken !== undefined) yield taken;
}

/** Ends of lines are CR, LF or both. */
async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  // In pieces: a long line comes in thousands of chunks, and adding to a text each time is quadratic.
  let pending: string[] = [];
  let endedWithReturn = false;
  function* split(text: string): Generator<string, void, undefined> {
    const fresh = endedWithReturn && text.startsWith('\n') ? text.slice(1) : text;
    if (text !== '') endedWithReturn = text.endsWith('\r');
    const parts = fresh.split(/\r\n|\r|\n/);
    const last = parts.pop() ?? '';
    for (const part of parts) {
      yield [...pending, part].join('');
      pending = [];
    }
    if (last !== '') pending.push(last);
  }
  for await (const chunk of chunks) yield* split(decoder.decode(chunk, { stream: true }));
  yield* split(decoder.decode());
  if (pending.length > 0) yield pending.join('');
}
