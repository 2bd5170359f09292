import type { FileFilter } from '@asset-service/worker';
import type { Command } from 'commander';

/** Flags that select files. */
export interface FilterFlags {
  readonly owner?: string;
  readonly usage?: string;
  readonly relation?: string;
  readonly type?: string;
}

/** Adds the flags of {@link FilterFlags}. */
export function withFilterOptions(command: Command): Command {
  return command
    .option('--owner <id>', 'only files of this owner')
    .option('--usage <usage>', 'only files of this usage')
    .option('--relation <name=id>', 'only files with this relation target')
    .option('--type <type>', 'only files of this type, such as image/png or image/*');
}

/** The filter in the flags. */
export function filterFrom({ owner, usage, relation, type }: FilterFlags): FileFilter {
  const [name = '', ...id] = (relation ?? '').split('=');
  return {
    ...{ owner, usage, contentType: type },
    relation: relation === undefined ? undefined : { name, id: id.join('=') },
  };
}
