import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { readFileSync } from 'node:fs';
import { acceptYes } from './accepted-options.ts';
import { addBackupCommands } from './backup-commands.ts';
import { addCatalogCommands } from './catalog-commands.ts';
import { addClientCommands } from './client-commands.ts';
import { addCompletionCommand } from './completion.ts';
import { addDevTokenCommand } from './dev-token-command.ts';
import { explain } from './explain.ts';
import { addHealthCommand } from './health-command.ts';
import { addLegacyCommands } from './legacy-commands.ts';
import { addServiceCommands } from './service-commands.ts';
import { addStoreCommands } from './store-commands.ts';
import { addSubscriptionCommands } from './subscription-commands.ts';
import { guardOutput, say } from './terminal.ts';
import { addVariantCommands } from './variant-commands.ts';
import { addVerifyCommand } from './verify-command.ts';

const ENVIRONMENT = `
Environment of the commands that speak to a service:
  ASSET_URL           where the service is, as --url
  ASSET_TOKEN         access token to send, as --token
  ASSET_TOKEN_FILE    file with the access token, read anew for each call
  ASSET_USER_TOKEN    access token of the user to act for, as --user-token

Exit codes: 0 done, 1 failed, in whole or in part, 2 wrong use.
docs/command-line.md tells more; "asset-service config" lists the settings of the service.`;

/** Commands of operators, all of which take `--yes`. */
const STEPS = new Set(['legacy', 'catalog', 'store', 'verify', 'backup', 'restore']);

/** The commands with their options. */
export function commands(): Command {
  const root = new Command('asset-service')
    .description('Runs the Asset Service, and calls a running one.')
    .version(version(), '-V, --version', 'print the version')
    .configureOutput({ outputError: sayMisuse })
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', ENVIRONMENT)
    .exitOverride();
  addServiceCommands(root);
  addLegacyCommands(root);
  addCatalogCommands(root);
  addStoreCommands(root);
  addVariantCommands(root);
  addVerifyCommand(root);
  addBackupCommands(root);
  for (const command of root.commands.filter((one) => STEPS.has(one.name()))) acceptYes(command);
  addClientCommands(root);
  addSubscriptionCommands(root);
  addHealthCommand(root);
  addDevTokenCommand(root);
  addCompletionCommand(root);
  return root;
}

/**
 * Runs the command line.
 *
 * @param args - arguments after the program name
 * @returns the exit code: 0 for success, 1 for failure, 2 for wrong usage
 */
export async function program(args: readonly string[]): Promise<number> {
  guardOutput();
  const root = commands();
  try {
    await root.parseAsync(args, { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    // Commander prints its own errors, but not those of our argument checks.
    if (error instanceof InvalidArgumentError) {
      sayMisuse(error.message);
      return 2;
    }
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    say(explain(error));
    return 1;
  }
}

/** Prints one line about wrong usage, without the `error:` with which Commander starts its texts. */
function sayMisuse(text: string): void {
  say(
    `${text
      .replace(/^error: /, '')
      .trim()
      .replaceAll(/\s*\n\s*/g, ' ')} (see --help)`,
  );
}

/** The version in package.json, which has the same relative path from src and dist. */
function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}
