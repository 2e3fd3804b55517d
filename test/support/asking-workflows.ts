/** Workflows that ask, wait, vote and change nothing, written for the fleet of `fleet.ts`. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const workflows: Readonly<Record<string, string>> = {
  asking: `
description: Asks a person.
mode: sequential
inputs:
  what: { type: string, description: What is asked about, default: it }
tasks:
  before: { agent: echo, input: { said: '\${inputs.what}' } }
  ok: { approval: 'Publish \${inputs.what}?', needs: [before], timeoutSeconds: 300 }
  behind: { agent: echo, needs: [ok], input: '\${tasks.before.output}' }
`,
  signalled: `
description: Waits for a signal.
mode: sequential
tasks:
  go: { wait: { signal: go }, timeoutSeconds: 300 }
  behind: { agent: echo, needs: [go], input: '\${tasks.go.output}' }
`,
  voting: `
description: Two that agree, one of them late.
mode: consensus
quorum: 2
agreement: 0.9
inputs:
  name: { type: string, description: The gate, required: true }
tasks:
  early: { agent: echo, input: { name: '\${inputs.name}' } }
  late: { agent: gate, input: { name: '\${inputs.name}' } }
`,
};

/** Puts them beside the workflows that are there; they are read when they are asked for. */
export async function writeAskingWorkflows(home: string): Promise<void> {
  for (const [name, text] of Object.entries(workflows)) {
    await writeFile(join(home, 'workflows', `${name}.yaml`), `name: ${name}${text}`);
  }
}
