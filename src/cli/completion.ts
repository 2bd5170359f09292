import { Argument, type Command, type Option } from 'commander';
import { print } from './terminal.ts';

/** What a shell can complete for one command. */
interface Completed {
  readonly name: string;
  readonly description: string;
  readonly options: readonly Option[];
}

const SHELLS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

/** Adds the command that prints a completion script. */
export function addCompletionCommand(root: Command): void {
  root
    .command('completion')
    .description('print a completion script for a shell')
    .addArgument(new Argument('<shell>').choices(Object.keys(SHELLS)))
    .addHelpText(
      'after',
      `
  bash   add to ~/.bashrc:                    source <(asset-service completion bash)
  zsh    add to ~/.zshrc, below compinit:     source <(asset-service completion zsh)
  fish   once:  asset-service completion fish > ~/.config/fish/completions/asset-service.fish`,
    )
    .action(async (shell: keyof typeof SHELLS) => {
      const help = root.createHelp();
      const commands = help.visibleCommands(root).map((command) => ({
        name: command.name(),
        description: command.description(),
        options: help.visibleOptions(command),
      }));
      await print(SHELLS[shell](commands));
    });
}

/** The words of a command besides files: options, and the values of options with choices. */
function bashScript(commands: readonly Completed[]): string {
  const cases = commands.map(({ name, options }) => `    ${name}) words='${flags(options).join(' ')}' ;;`);
  const values = withChoices(commands).map(
    ([flag, choices]) => `    ${flag}) words='${choices.join(' ')}' ;;`,
  );
  return `# Completes asset-service in bash: source <(asset-service completion bash)
_asset_service() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command='' words='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ \${COMP_WORDS[i]} != -* ]]; then command=\${COMP_WORDS[i]}; break; fi
  done
  case $prev in
${values.join('\n')}
  esac
  if [[ -z $words ]]; then
    case $command in
    '') words='${commands.map(({ name }) => name).join(' ')} --help --version' ;;
    completion) words='${Object.keys(SHELLS).join(' ')}' ;;
    *) if [[ $cur != -* ]]; then return; fi ;;
    esac
  fi
  if [[ -z $words ]]; then
    case $command in
${cases.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _asset_service asset-service`;
}

function zshScript(commands: readonly Completed[]): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = (text: string) => text.replaceAll(/[[\]:\\]/g, '\\$&');
  const names = commands.map(({ name, description }) => quoted(`${name}:${escaped(description)}`));
  const cases = commands.map(({ name, options }) => {
    const specs = options.map((option) => {
      const { long, description, argChoices } = option;
      const value = argChoices === undefined ? ':value:_files' : `:value:(${argChoices.join(' ')})`;
      return quoted(`*${long}[${escaped(description)}]${takesValue(option) ? value : ''}`);
    });
    const rest = name === 'completion' ? `'1:shell:(${Object.keys(SHELLS).join(' ')})'` : "'*:file:_files'";
    return `    ${name}) _arguments ${[...specs, rest].join(' ')} ;;`;
  });
  return `#compdef asset-service
# Completes asset-service in zsh: source <(asset-service completion zsh)
_asset_service() {
  local -a commands
  commands=(${names.join(' ')})
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = _asset_service ]; then _asset_service "$@"; else compdef _asset_service asset-service; fi`;
}

function fishScript(commands: readonly Completed[]): string {
  const quoted = (text: string) => `'${text.replaceAll(/['\\]/g, '\\$&')}'`;
  const complete = (condition: string, rest: string) => `complete -c asset-service -n '${condition}' ${rest}`;
  return [
    '# Completes asset-service in fish',
    ...commands.flatMap(({ name, description, options }) => [
      complete('__fish_use_subcommand', `-f -a ${name} -d ${quoted(description)}`),
      ...options.map((option) => {
        const short = option.short === undefined ? '' : ` -s ${option.short.slice(1)}`;
        const value = takesValue(option) ? ' -r' : '';
        const choices =
          option.argChoices === undefined ? '' : ` -f -a ${quoted(option.argChoices.join(' '))}`;
        const long = ` -l ${(option.long ?? '').slice(2)}`;
        const about = ` -d ${quoted(option.description)}`;
        return complete(
          `__fish_seen_subcommand_from ${name}`,
          `${short}${long}${value}${choices}${about}`.trim(),
        );
      }),
    ]),
    complete('__fish_seen_subcommand_from completion', `-f -a ${quoted(Object.keys(SHELLS).join(' '))}`),
  ].join('\n');
}

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

function flags(options: readonly Option[]): string[] {
  return options.flatMap(({ short, long }) => [short, long]).filter((flag) => flag !== undefined);
}

/** The flags with choices, and the choices. */
function withChoices(commands: readonly Completed[]): [string, readonly string[]][] {
  const found = new Map<string, readonly string[]>();
  for (const { long, argChoices } of commands.flatMap(({ options }) => options)) {
    if (long !== undefined && argChoices !== undefined) found.set(long, argChoices);
  }
  return [...found];
}
