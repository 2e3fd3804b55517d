/**
 * Completion scripts written from the command tree: commands and flags stand in the script, so that
 * Tab is instant; only the names of workflows, runs and agents are asked for.
 */
import type { CommandWords, OptionWords, ValueKind } from './completion.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** The completion script of a shell. It can be evaluated or stored where the shell looks for it. */
export function completionScript(shell: Shell, commands: readonly CommandWords[]): string {
  if (shell === 'bash') return bashScript(commands);
  return shell === 'zsh' ? zshScript(commands) : fishScript(commands);
}

/** A flag takes a value or not, the same wherever it appears; a test holds the tree to it. */
export function valueFlags(commands: readonly CommandWords[]): Map<string, ValueKind> {
  const found = new Map<string, ValueKind>();
  for (const { options } of commands) {
    for (const { flags, value } of options) {
      for (const flag of flags) if (value !== undefined) found.set(flag, value);
    }
  }
  return found;
}

/** The shell words that find the command which is being completed: `$word` in, `$at` out. */
function findPath(commands: readonly CommandWords[]): string {
  const paths = commands.map(({ path }) => path).filter((path) => path !== '');
  return `    case "$word" in
      ${[...valueFlags(commands).keys()].join('|')}) skip=1 ;;
      -*) ;;
      *)
        case "\${at:+$at }$word" in
          ${paths.map(quote).join('|')}) at="\${at:+$at }$word"; count=0 ;;
          *) count=$((count + 1)) ;;
        esac ;;
    esac`;
}

function bashScript(commands: readonly CommandWords[]): string {
  const values = [...valueFlags(commands)].map(
    ([flag, value]) => `    ${flag}) ${bashValue(value)}; return ;;`,
  );
  const words = commands.map((command) => {
    const flags = command.options.flatMap(({ flags: names }) => names);
    const names = command.subcommands.map(({ name }) => name);
    return [
      `    ${quote(command.path)})`,
      `      if [[ "$cur" == -* ]]; then COMPREPLY=($(compgen -W ${quote(flags.join(' '))} -- "$cur")); return; fi`,
      ...(names.length > 0
        ? [`      COMPREPLY=($(compgen -W ${quote(names.join(' '))} -- "$cur")); return ;;`]
        : [`      ${bashArguments(command.arguments)} ;;`]),
    ].join('\n');
  });
  return `# bash completion of centuria. Made by \`centuria completion bash\`.
_centuria() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD - 1]}"
  local at="" word skip="" count=0 index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="\${COMP_WORDS[index]}"
    if [[ -n "$skip" ]]; then skip=""; continue; fi
${findPath(commands)}
  done
  case "$prev" in
${values.join('\n')}
  esac
  case "$at" in
${words.join('\n')}
  esac
}
complete -F _centuria centuria
`;
}

function bashValue(value: ValueKind): string {
  if (value.kind === 'words') {
    return `COMPREPLY=($(compgen -W ${quote(value.words.join(' '))} -- "$cur"))`;
  }
  if (value.kind === 'files') return 'COMPREPLY=($(compgen -f -- "$cur"))';
  if (value.kind === 'asked') {
    return `COMPREPLY=($(compgen -W "$(centuria __complete ${value.what} 2>/dev/null)" -- "$cur"))`;
  }
  return 'COMPREPLY=()';
}

function bashArguments(kinds: readonly ValueKind[]): string {
  if (kinds.length === 0) return ':';
  const last = kinds.length - 1;
  const cases = kinds.map(
    (kind, index) => `${index === last ? '*' : index}) ${bashValue(kind)} ;;`,
  );
  return `case "$count" in ${cases.join(' ')} esac`;
}

function zshScript(commands: readonly CommandWords[]): string {
  const values = [...valueFlags(commands)].map(
    ([flag, value]) => `    ${flag}) ${zshValue(value)}; return ;;`,
  );
  const cases = commands.map((command) => {
    const flags = command.options.flatMap(described);
    const names = command.subcommands.map(({ name, description }) => pair(name, description));
    return [
      `    ${quote(command.path)})`,
      `      if [[ "$cur" == -* ]]; then choices=(${flags.map(quote).join(' ')}); _describe option choices; return; fi`,
      ...(names.length > 0
        ? [`      choices=(${names.map(quote).join(' ')}); _describe command choices ;;`]
        : [`      ${zshArguments(command.arguments)} ;;`]),
    ].join('\n');
  });
  return `#compdef centuria
# zsh completion of centuria. Made by \`centuria completion zsh\`.
_centuria() {
  local cur="\${words[CURRENT]}" prev="\${words[CURRENT - 1]}"
  local at="" word skip="" count=0 index
  local -a choices
  for ((index = 2; index < CURRENT; index++)); do
    word="\${words[index]}"
    if [[ -n "$skip" ]]; then skip=""; continue; fi
${findPath(commands)}
  done
  case "$prev" in
${values.join('\n')}
  esac
  case "$at" in
${cases.join('\n')}
  esac
}
if [[ "\${funcstack[1]}" == _centuria ]]; then _centuria "$@"; else compdef _centuria centuria; fi
`;
}

function zshValue(value: ValueKind): string {
  if (value.kind === 'words') return `compadd -- ${value.words.join(' ')}`;
  if (value.kind === 'files') return '_files';
  if (value.kind === 'asked') {
    return `compadd -- \${(f)"$(centuria __complete ${value.what} 2>/dev/null)"}`;
  }
  return '_message value';
}

function zshArguments(kinds: readonly ValueKind[]): string {
  if (kinds.length === 0) return ':';
  const last = kinds.length - 1;
  const cases = kinds.map((kind, index) => `${index === last ? '*' : index}) ${zshValue(kind)} ;;`);
  return `case "$count" in ${cases.join(' ')} esac`;
}

function described({ flags, description }: OptionWords): string[] {
  return flags.map((flag) => pair(flag, description));
}

function pair(name: string, description: string): string {
  return `${name}:${description.replaceAll(':', ' ')}`;
}

function fishScript(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap((command) => {
    const here = `-n ${quote(`__centuria_at ${JSON.stringify(command.path)}`)}`;
    return [
      ...command.subcommands.map(
        ({ name, description }) =>
          `complete -c centuria ${here} -f -a ${name} -d ${quote(description)}`,
      ),
      ...command.options.map((option) => `complete -c centuria ${here} ${fishOption(option)}`),
      ...command.arguments.map((kind) => `complete -c centuria ${here} ${fishValue(kind)}`),
    ];
  });
  const paths = commands.map(({ path }) => path).filter((path) => path !== '');
  return `# fish completion of centuria. Made by \`centuria completion fish\`.
function __centuria_at
  set -l path
  set -l skip 0
  for word in (commandline -opc)[2..]
    if test $skip -eq 1
      set skip 0
      continue
    end
    switch $word
      case ${[...valueFlags(commands).keys()].map(quote).join(' ')}
        set skip 1
      case '-*'
      case '*'
        set -l longer (string join ' ' $path $word)
        switch $longer
          case ${paths.map(quote).join(' ')}
            set path (string split ' ' $longer)
        end
    end
  end
  test (string join ' ' $path) = "$argv[1]"
end
${lines.join('\n')}
`;
}

function fishOption({ flags, description, value }: OptionWords): string {
  const names = flags.map((flag) =>
    flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
  );
  const taken = value === undefined ? '' : ` -r ${fishValue(value)}`;
  return `${names.join(' ')} -d ${quote(description)}${taken}`;
}

function fishValue(value: ValueKind): string {
  if (value.kind === 'words') return `-f -a ${quote(value.words.join(' '))}`;
  if (value.kind === 'files') return '-F';
  if (value.kind === 'asked') {
    return `-f -a ${quote(`(centuria __complete ${value.what} 2>/dev/null)`)}`;
  }
  return '-f';
}

/** A text in single quotes, which bash, zsh and (for what stands in help texts) fish read alike. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
