import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { SettingsError } from '../options/environment.ts';
import { addClientCommands } from './client-commands.ts';
import { addHealthCommand } from './health-command.ts';
import { addServiceCommands } from './service-commands.ts';

/**
 * Runs the command line.
 *
 * @param args - what stands after the name of the program
 * @returns the exit code: 0 if all went well, 1 if not, 2 if the words were wrong
 */
export async function program(args: readonly string[]): Promise<number> {
  const root = new Command('asset-service')
    .description('The one way to files: runs the service, and speaks to one that runs.')
    .showHelpAfterError('(add --help for how it is used)')
    .configureHelp({ showGlobalOptions: true })
    .exitOverride();
  addServiceCommands(root);
  addClientCommands(root);
  addHealthCommand(root);
  try {
    await root.parseAsync(args, { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    // Commander has told of its own errors, but not of what a command found wrong with its words.
    if (error instanceof InvalidArgumentError) {
      process.stderr.write(`asset-service: ${error.message}\n`);
      return 2;
    }
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`asset-service: ${explain(error)}\n`);
    return 1;
  }
}

/** A line for the person at the terminal; a stack only for what nobody expected. */
function explain(error: unknown): string {
  if (error instanceof SettingsError) return error.message;
  if (!(error instanceof Error)) return String(error);
  if ('reason' in error || 'code' in error) {
    const code = 'code' in error && typeof error.code === 'string' ? `${error.code}: ` : '';
    return error.message.startsWith(code) ? error.message : code + error.message;
  }
  return error.stack ?? error.message;
}
