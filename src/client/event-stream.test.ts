import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseEventStream, type StreamEvent } from './event-stream.ts';

async function parse(text: string, cuts: readonly number[]): Promise<StreamEvent[]> {
  const bytes = new TextEncoder().encode(text);
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted(
    (a, b) => a - b,
  );
  async function* chunks() {
    for (const [index, end] of places.slice(1).entries()) yield bytes.slice(places[index], end);
  }
  const events: StreamEvent[] = [];
  for await (const event of parseEventStream(chunks())) events.push(event);
  return events;
}

const stream =
  'retry: 1000\n\n: heartbeat\n\nid: 1\nevent: run.created\ndata: {"a":"ü😀"}\n\n' +
  'data:no space\r\ndata: two lines\r\n\r\nevent: end\rdata: {}\r\revent: cut off\ndata: never';

test('a stream means the same wherever its bytes are cut', async () => {
  const whole = await parse(stream, []);
  expect(whole).toEqual([
    { event: 'run.created', data: '{"a":"ü😀"}' },
    { event: 'message', data: 'no space\ntwo lines' },
    { event: 'end', data: '{}' },
  ]);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(stream.length * 2), { maxLength: 40 }), async (cuts) => {
      expect(await parse(stream, cuts)).toEqual(whole);
    }),
  );
});
