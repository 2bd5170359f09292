import type { WorkerClient } from '@asset-service/worker';
import type { Command } from 'commander';
import { withClient, withConnectionOptions, type ConnectionFlags } from './connect.ts';
import { print } from './terminal.ts';

/** Adds the commands about subscriptions. */
export function addSubscriptionCommands(root: Command): void {
  const group = root
    .command('subscriptions')
    .description('list and manage the subscriptions of this caller and their parked events');
  const command = (usage: string, description: string) =>
    withConnectionOptions(group.command(usage).description(description));

  command('list', 'print the subscriptions, one line of JSON each').action((flags: ConnectionFlags) =>
    printAll(flags, (client, signal) => client.listSubscriptions({ signal })),
  );

  command('parked <name>', 'print the parked events of a subscription, one line of JSON each').action(
    (name: string, flags: ConnectionFlags) =>
      printAll(flags, (client, signal) => client.listParkedEvents(name, { signal })),
  );

  command('replay <name> [event-id...]', 'deliver parked events again: the given ones, or all').action(
    (name: string, eventIds: string[], flags: ConnectionFlags) =>
      printAll(flags, async (client, signal) => [
        { replayed: await client.replayParkedEvents(name, { eventIds, signal }) },
      ]),
  );

  command('delete <name>', 'remove a subscription with its parked events').action(
    (name: string, flags: ConnectionFlags) =>
      withClient(flags, (client, signal) => client.deleteSubscription(name, { signal })),
  );
}

function printAll(
  flags: ConnectionFlags,
  ask: (client: WorkerClient, signal: AbortSignal) => Promise<readonly object[]>,
): Promise<void> {
  return withClient(flags, async (client, signal) => {
    for (const item of await ask(client, signal)) if (!(await print(JSON.stringify(item)))) break;
  });
}
