import { Type, type TSchema } from 'typebox';
import { flagName, settings, type SettingName } from '../src/base/base.ts';

/** The reference of settings, from their schema. */
export function generateConfiguration(): { path: string; text: string } {
  const names = Object.keys(settings) as SettingName[];
  return {
    path: 'docs/reference/configuration.md',
    text: `# Configuration

<!-- Generated from src/base/settings.ts by \`npm run generate\`. -->

A setting comes from the first of these that has it:

1. the flag on the command line;
2. the environment variable;
3. \`config.yaml\` in the data folder;
4. the default.

An empty variable counts as not set. An unknown flag, variable with the prefix \`CENTURIA_\` or key
in \`config.yaml\` is an error that names the nearest known one. \`centuria config show\` prints
every setting with its value and where it came from; a secret is shown as \`[set]\`.

| in \`config.yaml\` | flag | variable | default | values | |
|---|---|---|---|---|---|
${names.map(row).join('\n')}

Lists are written with colons in a flag or variable (\`agents:more/agents\`) and as a list in
\`config.yaml\`.

## Secrets

A secret has no flag, since every user of a machine can read command lines. It may come from a file: the variable with \`_FILE\` behind its name holds the path, and white
space around the content is dropped. Setting both is an error.

${names
  .filter((name) => 'secret' in settings[name])
  .map((name) => `- \`${settings[name].env}_FILE\` for \`${settings[name].env}\``)
  .join('\n')}

## The data folder

The data folder holds the embedded database, the token of the command line, reports and
\`config.yaml\`. It is the first of these:

1. \`--home FOLDER\`;
2. \`CENTURIA_HOME\`;
3. the nearest \`.centuria\` folder that belongs to you, from the working directory upwards;
4. \`~/.centuria\`.

\`CENTURIA_CACHE\` names the folder where \`centuria pg\` keeps PostgreSQL installs. Without it that is
\`/var/cache/centuria\` for root, otherwise \`$XDG_CACHE_HOME/centuria\` or \`~/.cache/centuria\`.

## Example

\`\`\`yaml
# .centuria/config.yaml
bridgePort: 9081
workerConcurrency: 4
agentFolders:
  - team/agents
\`\`\`
`,
  };
}

function row(name: SettingName): string {
  const { env, schema, description, default: standard } = settings[name];
  const shown = Array.isArray(standard) ? standard.join(':') : String(standard);
  const cells = [
    `\`${name}\``,
    'secret' in settings[name] ? 'none' : `\`${flagName(name)}\``,
    `\`${env}\``,
    shown === '' ? 'empty' : `\`${shown}\``,
    range(schema),
    description,
  ];
  return `| ${cells.join(' | ')} |`;
}

/** What values a schema takes, in a few words. */
function range(schema: TSchema): string {
  if (Type.IsInteger(schema)) {
    const { minimum = '', maximum = '' } = schema as { minimum?: number; maximum?: number };
    return `${minimum} to ${maximum}`;
  }
  if (Type.IsUnion(schema)) {
    return schema.anyOf.map((one) => (Type.IsLiteral(one) ? `\`${one.const}\`` : '')).join(', ');
  }
  return Type.IsArray(schema) ? 'list of paths' : 'text';
}
