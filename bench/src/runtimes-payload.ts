/** What is sent, and what both ways must bring back. */
export interface Addresses {
  readonly http: string;
  readonly mcp: string;
  readonly a2a: string;
  readonly model: string;
}

export const modelKey = 'sk-bench-local';

/** A task of a kilobyte: a few paragraphs. */
export const payload = { message: 'All the world is a stage. '.repeat(40) };

/** A call that brings something else has not done the work that is measured. */
export function assertAnswer(what: string, given: unknown, expected: unknown): void {
  if (JSON.stringify(given) === JSON.stringify(expected)) return;
  throw new Error(`${what} answered ${JSON.stringify(given)?.slice(0, 500)}`);
}
