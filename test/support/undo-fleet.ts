/** Agents that change files and the world outside, as programs, and workflows of them to be undone. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openRegistry, type AgentRegistry } from '../../src/agents/agents.ts';
import { createLog, systemClock } from '../../src/base/base.ts';
import type { Database } from '../../src/database/database.ts';

/** `edit` writes files; `enter` and `leave` do and undo something outside: a line in a ledger. */
const agents = {
  edit: `
    for (const [name, text] of Object.entries(input.files)) {
      const path = join(input.folder, name);
      if (text === null) rmSync(path, { recursive: true });
      else { mkdirSync(dirname(path), { recursive: true }); writeFileSync(path, text); }
    }
    await gate();`,
  enter: `appendFileSync(input.ledger, 'in ' + process.argv[2] + '\\n'); await gate();`,
  leave: `appendFileSync(input.ledger, 'out ' + process.argv[2] + '\\n'); await gate();`,
} as const;

const sideEffects = { edit: 'workspace', enter: 'external', leave: 'external' } as const;

/** With a gate it says that it waits, and goes on when the file is there. */
const prelude = `
import { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
const input = JSON.parse(await text(process.stdin));
async function gate() {
  if (!input.gate) return;
  writeFileSync(input.gate + '.waits', '');
  while (!existsSync(input.gate)) await new Promise((resolve) => setTimeout(resolve, 20));
}
`;

export async function writeUndoFleet(home: string): Promise<void> {
  const folder = join(home, 'agents');
  await mkdir(folder, { recursive: true });
  for (const [name, deed] of Object.entries(agents)) {
    const program = join(home, `${name}.mjs`);
    await writeFile(program, `${prelude}${deed}\nprocess.stdout.write('{"done":true}');\n`);
    await writeFile(
      join(folder, `${name}.md`),
      `---
name: ${name}
description: Changes something.
centuria:
  category: development
  sideEffects: ${sideEffects[name as keyof typeof agents]}
  retries: 1
  runtime:
    kind: command
    program: ${process.execPath}
    arguments: [${JSON.stringify(program)}, '\${attempt.key}']
    stdin: json
    stdout: json
---
`,
    );
  }
}

export function openUndoFleet(home: string, database: Database): Promise<AgentRegistry> {
  return openRegistry({
    folders: [{ path: join(home, 'agents'), shipped: false }],
    database,
    packageRoot: join(import.meta.dirname, '../..'),
    log: createLog({ level: 'silent' }),
    clock: systemClock,
    watch: false,
  });
}

const inputs = `
inputs:
  folder: { type: directory }
  ledger: { default: none }
  gate: { default: "" }
  undoGate: { default: "" }
`;

export const undoWorkflows = {
  change: `
description: Changes a folder twice, and the world outside in between.
mode: sequential
${inputs}
tasks:
  first:
    agent: edit
    workspace: "\${inputs.folder}"
    input: { folder: "\${workspace.path}", files: { kept: changed, "new/file": made } }
  outside:
    agent: enter
    input: { ledger: "\${inputs.ledger}" }
    compensate:
      agent: leave
      input: { ledger: "\${inputs.ledger}", gate: "\${inputs.undoGate}" }
  second:
    agent: edit
    workspace: "\${inputs.folder}"
    input: { folder: "\${workspace.path}", gate: "\${inputs.gate}", files: { kept: again, gone: null } }
`,
  'for-good': `
description: Does what nothing undoes.
mode: sequential
${inputs}
tasks:
  first:
    agent: edit
    workspace: "\${inputs.folder}"
    input: { folder: "\${workspace.path}", files: { kept: changed } }
  outside: { agent: enter, input: { ledger: "\${inputs.ledger}" } }
`,
} as const;
