import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { readFileSync } from 'node:fs';
import { addClientCommands } from './client-commands.ts';
import { addCompletionCommand } from './completion.ts';
import { addDevTokenCommand } from './dev-token-command.ts';
import { explain } from './explain.ts';
import { addHealthCommand } from './health-command.ts';
import { addServiceCommands } from './service-commands.ts';
import { guardOutput, say } from './terminal.ts';

const ENVIRONMENT = `
Environment of the commands that speak to a service:
  ASSET_URL           where the service is, as --url
  ASSET_TOKEN         access token to send, as --token
  ASSET_TOKEN_FILE    file with the access token, read anew for each call
  ASSET_USER_TOKEN    access token of the user to act for, as --user-token

Exit codes: 0 done, 1 failed, in whole or in part, 2 wrong use.
docs/command-line.md tells more; "asset-service config" lists the settings of the service.`;

/**
 * Runs the command line.
 *
 * @param args - what stands after the name of the program
 * @returns the exit code: 0 if all went well, 1 if not, 2 if the words were wrong
 */
export async function program(args: readonly string[]): Promise<number> {
  guardOutput();
  const root = new Command('asset-service')
    .description('The one way to files: runs the service, and speaks to one that runs.')
    .version(version(), '-V, --version', 'print the version of this program')
    .showHelpAfterError('(add --help for how it is used)')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', ENVIRONMENT)
    .exitOverride();
  addServiceCommands(root);
  addClientCommands(root);
  addHealthCommand(root);
  addDevTokenCommand(root);
  addCompletionCommand(root);
  try {
    await root.parseAsync(args, { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    // Commander has told of its own errors, but not of what a command found wrong with its words.
    if (error instanceof InvalidArgumentError) {
      say(error.message);
      return 2;
    }
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    say(explain(error));
    return 1;
  }
}

/** That of the package, which lies at the same place beside the sources and beside what is built of them. */
function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}
