import { AppError } from '../base/base.ts';

export interface StreamEvent {
  readonly event: string;
  readonly data: string;
}

/** A line longer than this is no event of ours; without a bound a broken server could fill the memory. */
const longestLine = 64 * 1024 * 1024;

/** Server-Sent Events of a body (WHATWG HTML, 9.2.6), comments and `retry` left out. */
export async function* parseEventStream(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<StreamEvent, void, undefined> {
  const decoder = new TextDecoder();
  let rest = '';
  let event = 'message';
  let data: string[] = [];
  for await (const bytes of body) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    if (rest.length > longestLine) {
      throw new AppError('too_large', 'a line of the event stream is too long');
    }
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { event, data: data.join('\n') };
        event = 'message';
        data = [];
        continue;
      }
      const colon = line.indexOf(':');
      const name = colon === -1 ? line : line.slice(0, colon);
      const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (name === 'event') event = value;
      else if (name === 'data') data.push(value);
    }
  }
}
