/** Npm as a client of the registry, in a folder of ours: nothing of a repository's settings reaches it. */
import { writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ToolError } from './errors.ts';
import { asRecord } from './packages.ts';
import { runProgram } from './process.ts';
import { withFolder } from './snapshot.ts';

const timeoutMs = 90_000;
/** Nearer than the user's own settings, so it holds: no scripts, and a registry that is away is soon given up. */
const settings = `ignore-scripts=true
audit=false
fund=false
update-notifier=false
fetch-retries=1
fetch-retry-mintimeout=500
fetch-retry-maxtimeout=1000
fetch-timeout=20000
`;
/** What says where the registry is and how to reach it belongs to this machine, not to the repository. */
const passedOn =
  /^(PATH|https?_proxy|no_proxy|npm_config_(registry|https?_proxy|proxy|noproxy|cafile)|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE)$/i;

/**
 * Runs npm in a folder with these files and returns what it prints as JSON. Throws `unavailable` where
 * npm or the registry can not be reached: then nothing is known, which is not the same as nothing found.
 */
export async function askNpm(
  args: readonly string[],
  files: Readonly<Record<string, object>>,
): Promise<Readonly<Record<string, unknown>>> {
  return withFolder(async (folder) => {
    for (const [name, content] of Object.entries(files))
      writeFileSync(join(folder, name), JSON.stringify(content));
    writeFileSync(join(folder, '.npmrc'), `${settings}cache=${join(folder, 'cache')}\n`);
    const env: Record<string, string> = { HOME: homedir(), LC_ALL: 'C.UTF-8', NO_COLOR: '1' };
    for (const [name, value] of Object.entries(process.env))
      if (value !== undefined && passedOn.test(name)) env[name] = value;
    const result = await callNpm(args, folder, env);
    return parseAnswer(result.stdout, result.stderr);
  });
}

async function callNpm(
  args: readonly string[],
  folder: string,
  env: Record<string, string>,
): Promise<{ stdout: string; stderr: string }> {
  try {
    const result = await runProgram('npm', [...args, '--json'], { cwd: folder, env, timeoutMs });
    return { stdout: result.stdout.toString(), stderr: result.stderr };
  } catch (error) {
    if (error instanceof ToolError && error.message.includes('took longer'))
      throw new ToolError(
        'unavailable',
        `the registry did not answer within ${timeoutMs / 1_000} s`,
        'Try again when the network is there.',
      );
    throw error;
  }
}

function parseAnswer(stdout: string, stderr: string): Readonly<Record<string, unknown>> {
  let answer: Readonly<Record<string, unknown>> | undefined;
  try {
    answer = asRecord(JSON.parse(stdout.trim() === '' ? '{}' : stdout));
  } catch {
    answer = undefined;
  }
  const said = asRecord(answer?.['error'])?.['summary'];
  const reason =
    typeof answer?.['message'] === 'string' && answer['message'] !== ''
      ? answer['message']
      : typeof said === 'string' && said !== ''
        ? said
        : undefined;
  if (answer !== undefined && reason === undefined) return answer;
  const last = stderr
    .trim()
    .split('\n')
    .findLast((line) => /npm err/i.test(line));
  throw new ToolError(
    'unavailable',
    `npm could not ask the registry: ${(reason ?? last ?? 'it printed no report').slice(0, 300)}`,
    'Check the network, and that the registry that npm is set to has this service.',
  );
}
