/** Agents and workflows for tests of the faces: quick, failing, waiting, and one that the test lets go. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const descriptions = {
  echo: 'Gives back its input.',
  talk: 'Reports twenty lines of progress and gives back its input.',
  gate: 'Waits until the test lets it go.',
  heal: 'Fails the first time it sees a name.',
  fail: 'Always fails.',
};
export const fleetNames = Object.keys(descriptions).toSorted();

/** Writes the fleet below `home` and says in which folders its parts are. */
export async function writeFleet(home: string): Promise<{ agents: string; workflows: string }> {
  const folders = { agents: join(home, 'agents'), workflows: join(home, 'workflows') };
  const gates = join(home, 'gates');
  for (const folder of [gates, ...Object.values(folders)]) await mkdir(folder, { recursive: true });
  for (const [name, description] of Object.entries(descriptions)) {
    await writeFile(join(folders.agents, `${name}.md`), definition(name, description, gates));
  }
  for (const [name, text] of Object.entries(workflows)) {
    await writeFile(join(folders.workflows, `${name}.yaml`), text);
  }
  return folders;
}

/** Lets the attempts that wait, or will wait, at this gate succeed. */
export async function release(home: string, gate: string): Promise<void> {
  await writeFile(join(home, 'gates', `${gate}.open`), '');
}

function definition(name: string, description: string, gates: string): string {
  const program = join(import.meta.dirname, 'fleet-agent.mjs');
  return `---
name: ${name}
description: ${description}
centuria:
  category: development
  runtime:
    kind: command
    program: ${process.execPath}
    arguments: [${JSON.stringify(program)}, ${name}, ${JSON.stringify(gates)}]
    stdin: json
    stdout: json
  timeoutSeconds: 60
  retries: 0
---
`;
}

const workflows: Readonly<Record<string, string>> = {
  hello: `
name: hello
description: Says hello twice.
mode: sequential
inputs:
  who: { type: string, description: Whom to greet, default: world }
tasks:
  first: { agent: talk, input: { greeting: 'hello \${inputs.who}' } }
  second: { agent: echo, needs: [first], input: '\${tasks.first.output}' }
output: '\${tasks.second.output}'
`,
  gated: `
name: gated
description: Waits until the test lets it go.
mode: sequential
inputs:
  name: { type: string, description: The gate, required: true }
tasks:
  before: { agent: echo, input: 1 }
  wait: { agent: gate, needs: [before], input: { name: '\${inputs.name}' } }
`,
  failing: `
name: failing
description: Fails.
mode: sequential
tasks:
  good: { agent: echo, input: 1 }
  bad: { agent: fail, needs: [good] }
  never: { agent: echo, needs: [bad], input: 2 }
`,
  healing: `
name: healing
description: Fails once.
mode: sequential
inputs:
  name: { type: string, description: What heals, required: true }
tasks:
  ill: { agent: heal, input: { name: '\${inputs.name}' } }
`,
};
