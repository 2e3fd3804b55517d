/** The lines of a file, also of a compressed one, one after another and never the file at once. */
import { createReadStream, readSync } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { openPlainFile } from './plain-files.ts';

/** Of a longer line the start is kept. */
export const maxLineLength = 16_384;

export interface LineReading {
  readonly isCompressed: boolean;
  readonly sizeBytes: number;
  /** Lines of which only the start was kept; known when the lines have been read. */
  cutLines: number;
}

/** Opens a file for reading by lines; undefined where it can not be read or is binary. */
export function openLines(
  path: string,
): { reading: LineReading; lines: AsyncIterable<readonly string[]> } | undefined {
  const opened = openPlainFile(path);
  if (opened === undefined) return undefined;
  const start = Buffer.alloc(4_096);
  const length = readSync(opened.fd, start, 0, start.length, 0);
  const isCompressed = start[0] === 0x1f && start[1] === 0x8b;
  const reading = { isCompressed, sizeBytes: opened.sizeBytes, cutLines: 0 };
  const isBinary = !isCompressed && start.subarray(0, length).includes(0);
  const bytes = createReadStream('', { fd: opened.fd, start: 0, highWaterMark: 256 * 1024 });
  if (isBinary) {
    bytes.destroy();
    return undefined;
  }
  return { reading, lines: cut(bytes, reading) };
}

async function* cut(
  bytes: ReturnType<typeof createReadStream>,
  reading: LineReading,
): AsyncGenerator<readonly string[]> {
  const source = reading.isCompressed ? bytes.pipe(createGunzip()) : bytes;
  // An error of the file does not reach what it is piped into.
  bytes.on('error', (error) => source.destroy(error));
  source.setEncoding('utf8');
  let rest = '';
  let dropping = false;
  for await (const chunk of source) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    if (dropping && lines.length > 0) {
      lines.shift();
      dropping = false;
    }
    yield lines.map((line) => shorten(line, reading));
    if (rest.length > maxLineLength) {
      // Without this one endless line would be kept whole.
      if (!dropping) yield [shorten(rest, reading)];
      dropping = true;
      rest = '';
    }
  }
  if (rest !== '' && !dropping) yield [shorten(rest, reading)];
}

function shorten(line: string, reading: LineReading): string {
  if (line.length > maxLineLength) {
    reading.cutLines += 1;
    return line.slice(0, maxLineLength);
  }
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}
