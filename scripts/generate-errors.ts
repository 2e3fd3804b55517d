import { errorCodes, type ErrorCode } from '../src/base/base.ts';

const exits: readonly (readonly [number, string])[] = [
  [0, 'done'],
  [1, 'failed'],
  [2, 'usage: the call, a value or a file is wrong'],
  [3, 'denied'],
  [4, 'not found'],
  [5, 'conflict with what is there'],
  [6, 'unavailable now'],
];

/** The reference of error codes, from their registry. */
export function generateErrors(): { path: string; text: string } {
  const codes = Object.keys(errorCodes) as ErrorCode[];
  const rows = codes.map((code) => {
    const { title, status, exit, retryable } = errorCodes[code];
    return `| \`${code}\` | ${title} | ${status} | ${exit} | ${retryable ? 'yes' : 'no'} |`;
  });
  return {
    path: 'docs/reference/errors.md',
    text: `# Errors

<!-- Generated from src/base/errors.ts by \`npm run generate\`. -->

Every failure has one of these codes. Over HTTP it comes as a problem document (RFC 9457) whose
\`code\` is the code; the command line prints \`error: <message>\` and \`hint: <remedy>\` on standard
error and ends with the exit status. *Again* says whether the same call may succeed later with
nothing changed by the caller; a single error may say otherwise in its own \`retryable\`.

| code | meaning | HTTP | exit | again |
|---|---|---|---|---|
${rows.join('\n')}

## Exit statuses

| exit | meaning |
|---|---|
${exits.map(([exit, meaning]) => `| ${exit} | ${meaning} |`).join('\n')}
`,
  };
}
