import { randomUUID } from 'node:crypto';
import { InvalidArgumentError } from 'commander';
import type { Config } from '../config/config.ts';
import type { LockableSystem } from '../legacy/lock-journal.ts';
import { createView, dropLink, dropView, restoreLink, viewStatus } from '../legacy/views.ts';
import { confirmed } from './confirm.ts';
import { output, refusable, repeatable } from './legacy-lock.ts';
import { useJson, useText } from './legacy-shadow.ts';
import { say } from './terminal.ts';

/** Options of `legacy views`. */
export interface ViewFlags {
  readonly linkPrefix: string;
  /** Days. */
  readonly quiet: number;
  readonly yes?: true;
  readonly json?: true;
}

/** Result of an action. */
interface Done {
  readonly json: object;
  readonly lines: readonly string[];
  /** False if the operator has something left to do. */
  readonly ok?: boolean;
}

type Act = (system: LockableSystem, flags: ViewFlags, by: string, signal: AbortSignal) => Promise<Done>;

const ACTIONS: Readonly<Record<string, Act>> = {
  async create(system, flags, by, signal) {
    const options = { holder: randomUUID(), by, prefix: flags.linkPrefix };
    const name = await createView(system, options, signal);
    return { json: { view: name }, lines: [`the view ${name} has the rows of the collection, with links`] };
  },
  async status(system, { quiet }, _by, signal) {
    const status = await viewStatus(system, new Date(Date.now() - quiet * 86_400_000), signal);
    const { name, exists, hasLinkField, readers, logKeptDays } = status;
    return {
      json: {
        ...{ view: name, exists, has_link_field: hasLinkField, readers: readers.map(useJson) },
        log_kept_days: logKeptDays,
      },
      lines: [
        `the view ${name} ${exists ? 'exists' : 'does not exist'}`,
        hasLinkField ? 'the collection has its link field' : 'the link field is dropped',
        `readers in the last ${quiet} days (PocketBase keeps its log for ${logKeptDays}):`,
        ...(readers.length === 0 ? ['  none'] : readers.map(useText)),
      ],
    };
  },
  async 'drop-link'(system, _flags, _by, signal) {
    const { kept } = await dropLink(system, { holder: randomUUID() }, signal);
    return {
      json: { dropped: true, kept },
      lines: [`the link field is dropped; ${kept} links were written down`],
    };
  },
  async 'restore-link'(system, _flags, _by, signal) {
    const refused = await restoreLink(system, { holder: randomUUID() }, signal);
    for (const id of refused)
      say(`${id}: PocketBase refuses to change the record, its link stays in the view`);
    const json = { restored: refused.length === 0, refused };
    return { json, lines: ['the collection has its link field'], ok: refused.length === 0 };
  },
  async drop(system, { quiet }, _by, signal) {
    const dropped = await dropView(system, { holder: randomUUID(), quietDays: quiet }, signal);
    return { json: { dropped }, lines: [dropped ? 'the view is removed' : 'there is no view'] };
  },
};

/** Runs `legacy views`. Resolves with the exit code. */
export async function runViews(config: Config, action: string, flags: ViewFlags): Promise<number> {
  const act = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  if (act === undefined)
    throw new InvalidArgumentError(`"${action}" is none of ${Object.keys(ACTIONS).join(', ')}`);
  const what = action === 'drop' ? 'removes the view' : 'removes the link field of the collection';
  if (action.startsWith('drop') && !(await confirmed(what, flags.yes ?? false))) return 1;
  const { operator, recordStep, withLockableSystem } = await import('../app/legacy.ts');
  return refusable(flags, () =>
    repeatable(async (signal) => {
      const done = await withLockableSystem(config, (system) => act(system, flags, operator(), signal));
      if (action !== 'status') await recordStep(config, `legacy.views.${action}`, {});
      output(flags, done.json, done.lines);
      return done.ok === false ? 1 : 0;
    }),
  );
}
