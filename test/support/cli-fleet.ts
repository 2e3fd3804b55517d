/** Agents and workflows for tests of the whole: small, quick, and told by their input what to do. */

/** Says a line, waits, and exits as it is told; appends its attempt to a file, so that runs of it can be counted. */
const step = `---
name: step
description: Waits, and ends as it is told.
centuria:
  category: command
  sideEffects: none
  retries: 0
  runtime:
    kind: command
    program: node
    arguments:
      - '-e'
      - |
        const [ms, code] = process.argv.slice(1).map(Number);
        process.stderr.write('working\\n');
        setTimeout(() => { console.log(JSON.stringify({ waited: ms })); process.exitCode = code; }, ms);
      - '\${input.ms}'
      - '\${input.code}'
    stdout: json
---
Waits.
`;

const twoSteps = `name: two-steps
description: Two steps, one after the other.
mode: parallel
inputs:
  ms: { type: integer, description: How long each takes, default: 50 }
  code: { type: integer, description: How the second ends, default: 0 }
tasks:
  first: { agent: step, input: { ms: '\${inputs.ms}', code: 0 } }
  second: { agent: step, needs: [first], input: { ms: '\${inputs.ms}', code: '\${inputs.code}' } }
`;

const aRepository = `name: on-a-repository
description: Takes a repository.
mode: parallel
inputs:
  repo: { type: git-repository, description: The repository, default: . }
tasks:
  only: { agent: step, input: { ms: 1, code: 0, repo: '\${inputs.repo}' } }
output: { repo: '\${inputs.repo}' }
`;

/** A report with the shape that a review gives back, made by one command. */
const review = `---
name: pretend-report
description: Writes a report as a review does.
centuria:
  category: command
  sideEffects: workspace
  runtime:
    kind: command
    program: node
    arguments:
      - '-e'
      - |
        const { writeFileSync } = require('node:fs');
        const [folder] = process.argv.slice(1);
        writeFileSync(folder + '/report.md', '# Report\\n');
        writeFileSync(folder + '/report.json', '{}');
        console.log(JSON.stringify({
          summary: { bySeverity: { high: 1 }, byAgent: { lint: 1 }, filesTouched: 1,
            agentsFailed: [{ agent: 'types', reason: 'no tsconfig.json' }] },
          top: [{ severity: 'high', rule: 'r', message: 'a finding', agent: 'lint', file: 'a.ts', line: 3 }],
          reportMarkdown: folder + '/report.md', reportJson: folder + '/report.json' }));
      - '\${input.folder}'
    stdout: json
---
Writes.
`;

const reviewWorkflow = `name: review
description: Gives back a report.
mode: parallel
tasks:
  report: { agent: pretend-report, input: { folder: '\${run.folder}' } }
output: '\${tasks.report.output}'
`;

/** What a data folder holds for tests that start a server. */
export const fleetFiles: Readonly<Record<string, string>> = {
  'agents/step.md': step,
  'agents/pretend-report.md': review,
  'workflows/two-steps.yaml': twoSteps,
  'workflows/on-a-repository.yaml': aRepository,
  'workflows/review.yaml': reviewWorkflow,
};
