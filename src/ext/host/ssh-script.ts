/** How a script travels, so that no shell on the way reads it, and how its end is told from a broken way. */
import type { RunOptions } from './host.ts';

/**
 * What the login shell of the other side gets to read, whichever it is (bash, dash, csh, fish): one word in
 * single quotes without quotes, backslashes, newlines or `!` in it. The script itself follows on the
 * standard input as its first line, and `read` takes that byte by byte, so that the rest is the script's.
 */
export const remoteCommand = `exec sh -c 'IFS= read -r text; eval "$(printf %b "$text")"'`;

/** A script with its arguments as that first line. */
export function scriptLine(script: string, options: RunOptions, mark: string): string {
  const args = (options.args ?? []).map(quote).join(' ');
  // The subshell keeps an `exit` of the script from passing over the line that tells of it.
  const text = `LC_ALL=C; export LC_ALL
printf '%s %s\\n' ${mark} "$$"
(set -- ${args}
${script}
)
printf '%s %s\\n' ${mark} "$?"`;
  return `${text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n`;
}

/** Within single quotes sh reads nothing but their end. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** What came before the script began is the login shell's; what it lacks at its end was lost. */
export interface Received {
  /** Of the remote shell, which leads its session and its process group. */
  readonly pid?: number;
  readonly stdout: Buffer;
  readonly exit?: number;
}

export function readReceived(bytes: Buffer, mark: string): Received {
  const start = bytes.indexOf(`${mark} `);
  const newline = start === -1 ? -1 : bytes.indexOf('\n', start);
  if (newline === -1) return { stdout: Buffer.alloc(0) };
  const pid = Number(bytes.subarray(start + mark.length + 1, newline));
  const end = bytes.lastIndexOf(`${mark} `);
  if (end === start) return { pid, stdout: bytes.subarray(newline + 1) };
  const exit = Number(
    bytes
      .subarray(end + mark.length + 1)
      .toString('latin1')
      .trim(),
  );
  return { pid, stdout: bytes.subarray(newline + 1, end), exit };
}
