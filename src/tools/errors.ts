/** Exit statuses of a tool, from sysexits.h where it has one. */
export const exitCodes = {
  usage: 2,
  /** The path is no git repository, or has no commit where one is needed. */
  noInput: 66,
  /** Something this tool needs is not on this machine: a binary, a network, an object. */
  unavailable: 69,
  internal: 70,
} as const;

/**
 * A tool that can not do its work. It is not `AppError`, because a tool is a program of its own that
 * starts dozens of times a run: loading `base` for it costs 0.5 s of processor time each time.
 */
export class ToolError extends Error {
  override readonly name = 'ToolError';
  readonly exitCode: number;
  readonly remedy: string | undefined;

  constructor(kind: keyof typeof exitCodes, message: string, remedy?: string) {
    super(message);
    this.exitCode = exitCodes[kind];
    this.remedy = remedy;
  }
}
